//! The endpoints: what may be asked, and what each question is answered with.
//!
//! | method and path | answer |
//! |---|---|
//! | `GET /` | the console |
//! | `GET /healthz` | 200 while every thread that answers queries lives, else 503 |
//! | `GET /readyz` | 200 while queries are answered from a snapshot; [`Readiness`], of which a request under a foreign name gets `is-ready` alone |
//! | `GET /metrics` | Prometheus text |
//! | `GET /api/v1/status?full=` | [`crate::control::Status`]; of lists that can be long the first 100, with `full=true` all |
//! | `GET /api/v1/totals` | [`TotalsView`] |
//! | `GET /api/v1/explain?name=&type=&client=&subnet=` | [`crate::engine::Explanation`]; 404 for a name that is not ours |
//! | `POST /api/v1/reload` | [`crate::control::ReloadReport`]; 422 where files are held or refused, with every error. The body may be `{"accept-removal": true}` |
//! | `POST /api/v1/pools/{name}/failback` | `{"pool": ..., "given-back": true}`; 404 |
//! | `POST /api/v1/datacenters/{name}/drain`, `.../undrain`, `.../pause`, `.../resume` | [`crate::control::DrainReport`]; 400, 404, 409, 422, 500 with a [`DrainError`] |

use std::{
    collections::HashMap,
    fmt::{self, Display},
    future::{Future, ready},
    net::AddrParseError,
    sync::Arc,
    time::Duration,
};

use axum::{
    Extension, Router,
    body::Bytes,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{
            ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    middleware::map_response,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::{task::spawn_blocking, time::timeout};

use super::{
    audit::{AuditedChange, Author},
    guard::HostKind,
    metrics::{self, ExpositionFormat},
    readiness::{self, Readiness},
    server::AdminContext,
    single_flight::SingleFlight,
    totals::TotalsView,
};
use crate::{
    control::{
        ControllerStopped, DrainAction, DrainError, DrainOptions, DrainRequest, HeldStatus,
        ListDetail, ReloadError, ReloadReport, ReloadRequest, Status,
    },
    dns::{NameError, UnknownRtype},
    engine::ExplainRequest,
    listing,
    printable::safe_json,
};

/// How long `/readyz` and `/metrics` wait for the controller before they go without it: it may be
/// compiling.
const READYZ_STATUS_TIMEOUT: Duration = Duration::from_millis(500);
const METRICS_STATUS_TIMEOUT: Duration = Duration::from_secs(4);

const JSON_TYPE: &str = "application/json";
/// Names the server in every reply, so that a command can say which one it talked to.
pub(crate) const SERVER_HEADER: HeaderName = HeaderName::from_static("portolan-server");
/// The console may load and ask nothing but this server, and nobody may frame it.
const CONSOLE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                              img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What the endpoints share.
struct AdminState {
    context: AdminContext,
    status: SingleFlight<Arc<Status>>,
    status_text: SingleFlight<Bytes>,
    full_status_text: SingleFlight<Bytes>,
    metrics: SingleFlight<Bytes>,
    text_metrics: SingleFlight<Bytes>,
    totals: SingleFlight<Bytes>,
}

type SharedState = State<Arc<AdminState>>;

pub(super) fn router(serving: AdminContext) -> Router {
    let name = server_header_value(&serving);
    let office = AdminState {
        context: serving,
        status: SingleFlight::new(),
        status_text: SingleFlight::new(),
        full_status_text: SingleFlight::new(),
        metrics: SingleFlight::new(),
        text_metrics: SingleFlight::new(),
        totals: SingleFlight::new(),
    };
    Router::new()
        .route(
            "/",
            get(async || console("text/html; charset=utf-8", include_str!("console/console.html"))),
        )
        .route(
            "/console.css",
            get(async || console("text/css; charset=utf-8", include_str!("console/console.css"))),
        )
        .route(
            "/console.js",
            get(async || {
                console("text/javascript; charset=utf-8", include_str!("console/console.js"))
            }),
        )
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/api/v1/status", get(status))
        .route("/api/v1/totals", get(totals))
        .route("/api/v1/explain", get(explain))
        .route("/api/v1/reload", post(reload))
        .route("/api/v1/datacenters/{name}/drain", post(drain))
        .route("/api/v1/datacenters/{name}/undrain", post(undrain))
        .route("/api/v1/datacenters/{name}/pause", post(pause))
        .route("/api/v1/datacenters/{name}/resume", post(resume))
        .route("/api/v1/pools/{name}/failback", post(failback))
        .fallback(async || {
            ApiError::new(StatusCode::NOT_FOUND, "there is nothing here; / is the console")
        })
        .method_not_allowed_fallback(async || {
            ApiError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "documents are read with GET, changes are asked for with POST",
            )
        })
        .layer(map_response(move |mut response: Response| {
            response.headers_mut().insert(SERVER_HEADER, name.clone());
            ready(response)
        }))
        .with_state(Arc::new(office))
}

/// Which server answers: [`crate::control::ServerStatus`] as JSON, for every reply.
fn server_header_value(serving: &AdminContext) -> HeaderValue {
    let text = serde_json::to_string(serving.controller.server()).unwrap_or_default();
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("{}"))
}

/// Why a request was not done, as the client gets it: a JSON document with `message` and, where
/// there is more to say, `error`.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    message: String,
    error: Option<Value>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), error: None }
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut fault = json!({ "message": self.message });
        if let Some(error) = self.error {
            fault["error"] = error;
        }
        (self.status, uncached_response(JSON_TYPE, json_octets(&fault))).into_response()
    }
}

impl From<ControllerStopped> for ApiError {
    fn from(gone: ControllerStopped) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, gone.to_string())
    }
}

impl From<ReloadError> for ApiError {
    fn from(error: ReloadError) -> Self {
        match error {
            ReloadError::ControllerStopped => ControllerStopped.into(),
            ReloadError::Refused(lines) => Self {
                status: StatusCode::UNPROCESSABLE_ENTITY,
                message: "the files have errors; what was in use stays in use".to_owned(),
                error: Some(json!({ "refused": lines })),
            },
        }
    }
}

impl From<DrainError> for ApiError {
    fn from(error: DrainError) -> Self {
        let status = match error {
            DrainError::Unknown(..) => StatusCode::NOT_FOUND,
            DrainError::Distress(_)
            | DrainError::NotDraining(_)
            | DrainError::NotInService { .. } => StatusCode::CONFLICT,
            DrainError::Invalid(_) => StatusCode::BAD_REQUEST,
            DrainError::Edit(_) => StatusCode::INTERNAL_SERVER_ERROR,
            DrainError::Held(..) | DrainError::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
            DrainError::Gone => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self { status, message: error.to_string(), error: serde_json::to_value(&error).ok() }
    }
}

/// A JSON document, without the passwords of URLs in its texts and without control sequences.
fn json_octets(document: &impl Serialize) -> Vec<u8> {
    let text = serde_json::to_string(document).unwrap_or_default();
    safe_json(&text).into_owned().into_bytes()
}

/// A document that is not to be kept, for it is old the next moment.
fn uncached_response(media_type: &'static str, text: impl IntoResponse) -> Response {
    (
        [
            (CONTENT_TYPE, media_type),
            (CACHE_CONTROL, "no-store"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ],
        text,
    )
        .into_response()
}

fn console(media_type: &'static str, text: &'static str) -> Response {
    let headers: [(HeaderName, &str); 5] = [
        (CONTENT_TYPE, media_type),
        (CONTENT_SECURITY_POLICY, CONSOLE_POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // The next version of the program brings the next version of the page.
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

async fn healthz(State(office): SharedState) -> Response {
    if (office.context.is_alive)() {
        uncached_response("text/plain; charset=utf-8", "ok\n")
    } else {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "a thread that answers queries has died")
            .into_response()
    }
}

async fn readyz(State(office): SharedState, Extension(host_kind): Extension<HostKind>) -> Response {
    let generation = office.generation();
    let status = office.status_within(READYZ_STATUS_TIMEOUT).await;
    let readiness = Readiness::new(&office.context, generation, status.as_deref());
    let code = if readiness.is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let text = match host_kind {
        HostKind::Address => json_octets(&readiness),
        HostKind::Name => json_octets(&json!({ "is-ready": readiness.is_ready })),
    };
    (code, uncached_response(JSON_TYPE, text)).into_response()
}

async fn metrics(State(office): SharedState, headers: HeaderMap) -> Result<Response, ApiError> {
    let format =
        ExpositionFormat::negotiate(headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()));
    let page = match format {
        ExpositionFormat::OpenMetrics => &office.metrics,
        ExpositionFormat::PrometheusText => &office.text_metrics,
    };
    let text = page
        .fetch(async || {
            let status = office.status_within(METRICS_STATUS_TIMEOUT).await;
            let (counters, generation) = (office.context.counters.clone(), office.generation());
            let is_alive = (office.context.is_alive)();
            let make = move || metrics::render(counters.collect(), generation, is_alive, status);
            match format {
                ExpositionFormat::OpenMetrics => office.run_blocking(make).await,
                ExpositionFormat::PrometheusText => {
                    office.run_blocking(move || metrics::to_prometheus_text(&make())).await
                }
            }
        })
        .await?;
    Ok(uncached_response(format.media_type(), text))
}

/// The query of `/api/v1/status`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct StatusQuery {
    /// All of every list; else the first 100 of those that can be long.
    #[serde(default)]
    full: bool,
}

async fn status(
    State(office): SharedState,
    wanted: Result<Query<StatusQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(wanted) = wanted.map_err(|why| {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            format!("{}; ask with ?full=true or without a query", why.body_text()),
        )
    })?;
    let text = if wanted.full {
        let full = async || {
            let status = office.fetch_status(ListDetail::Full).await?;
            office.run_blocking(move || json_octets(&status)).await
        };
        office.full_status_text.fetch(full).await?
    } else {
        let short = async || {
            let status = office.status().await?;
            office.run_blocking(move || json_octets(&*status)).await
        };
        office.status_text.fetch(short).await?
    };
    Ok(uncached_response(JSON_TYPE, text))
}

async fn totals(State(office): SharedState) -> Result<Response, ApiError> {
    let counters = &office.context.counters;
    let text = office
        .totals
        .fetch(async || {
            let counters = counters.clone();
            office
                .run_blocking(move || {
                    serde_json::to_vec(&TotalsView::new(&counters.collect())).unwrap_or_default()
                })
                .await
        })
        .await?;
    Ok(uncached_response(JSON_TYPE, text))
}

/// The query of `/api/v1/explain`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExplainQuery {
    name: String,
    #[serde(rename = "type", default)]
    rtype: Option<String>,
    client: String,
    #[serde(default)]
    subnet: Option<String>,
}

impl ExplainQuery {
    fn parse(&self) -> Result<ExplainRequest, ApiError> {
        let wrong = |what: &str, text: &str, why: &dyn Display| {
            ApiError::new(StatusCode::BAD_REQUEST, format!("`{what}` is {text:?}: {why}"))
        };
        let name = self.name.parse().map_err(|why: NameError| wrong("name", &self.name, &why))?;
        let rtype = self.rtype.as_deref().unwrap_or("A");
        let rtype = rtype.parse().map_err(|why: UnknownRtype| wrong("type", rtype, &why))?;
        let client = self
            .client
            .parse()
            .map_err(|why: AddrParseError| wrong("client", &self.client, &why))?;
        let subnet = self.subnet.as_deref().filter(|subnet| !subnet.is_empty());
        let prefix = |text: &str| {
            text.parse().map_err(|why: ipnet::AddrParseError| wrong("subnet", text, &why))
        };
        Ok(ExplainRequest {
            name,
            rtype,
            client,
            subnet: subnet.map(prefix).transpose()?,
            seed: fastrand::u64(..),
        })
    }
}

async fn explain(
    State(office): SharedState,
    question: Result<Query<ExplainQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(question) = question.map_err(|why| {
        let what = "ask with ?name=www.example.com&type=A&client=192.0.2.1&subnet=198.51.100.0/24";
        ApiError::new(StatusCode::BAD_REQUEST, format!("{}; {what}", why.body_text()))
    })?;
    let explained = office.context.controller.explain(question.parse()?).await?;
    let explanation =
        explained.map_err(|not_ours| ApiError::new(StatusCode::NOT_FOUND, not_ours.to_string()))?;
    Ok(uncached_response(JSON_TYPE, json_octets(&explanation)))
}

/// The body of a reload; an empty one accepts nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ReloadBody {
    /// Apply the files even if they remove more than a load removes by itself.
    pub accept_removal: bool,
}

async fn reload(
    State(office): SharedState,
    author: Author,
    body: Bytes,
) -> Result<Response, ApiError> {
    let body: ReloadBody = read_body(&body, r#"{"accept-removal": true}"#)?;
    let request =
        if body.accept_removal { ReloadRequest::AcceptRemoval } else { ReloadRequest::Apply };
    let handle = office.context.controller.clone();
    let change = AuditedChange::new(
        if body.accept_removal { "reload accepting removals" } else { "reload" },
        author,
    );
    change.log_request(None);
    let report = run_to_completion(async move {
        let result = handle.reload(request).await;
        change.log_result(result.as_ref().map(|report| Some(report.generation)));
        result
    });
    let report = report.await??;
    if report.is_complete() {
        Ok(uncached_response(JSON_TYPE, json_octets(&report)))
    } else {
        Err(partial_reload_error(&report))
    }
}

/// Part of the files is in use: a client that looks at the status alone must not take it for all.
fn partial_reload_error(report: &ReloadReport) -> ApiError {
    const SHOWN: usize = 20;
    let mut held = describe_held_files(&report.held);
    held.extend(
        report
            .certificates
            .iter()
            .map(|error| format!("the certificate read before stays in use: {error}")),
    );
    let more = held.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
    let message = format!(
        "generation {} is in use, but not all files as they are now:\n  {}{more}",
        report.generation,
        held.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("\n  "),
    );
    let mut error = json!(report);
    let of_held = report.held.iter().flat_map(|file| &file.errors);
    error["refused"] = of_held.chain(&report.certificates).cloned().collect();
    ApiError { status: StatusCode::UNPROCESSABLE_ENTITY, message, error: Some(error) }
}

/// Held files and why, one line for those that are held for the same reason.
pub(super) fn describe_held_files(held: &[HeldStatus]) -> Vec<String> {
    let mut groups: Vec<(&HeldStatus, Vec<&str>)> = Vec::new();
    let mut by_reason: HashMap<(bool, &[String]), usize> = HashMap::new();
    for file in held {
        let at =
            *by_reason.entry((file.is_left_out, file.errors.as_slice())).or_insert_with(|| {
                groups.push((file, Vec::new()));
                groups.len() - 1
            });
        groups[at].1.push(&file.file);
    }
    groups.into_iter().map(|(first, files)| describe_held_group(first, &files)).collect()
}

/// `first` says why all of `files` are held.
fn describe_held_group(first: &HeldStatus, files: &[&str]) -> String {
    const FILES: usize = 5;
    const ERRORS: usize = 3;
    let more = first.errors.len().saturating_sub(ERRORS);
    let more = if more > 0 { format!("; and {more} more errors") } else { String::new() };
    let errors =
        first.errors.iter().take(ERRORS).map(String::as_str).collect::<Vec<_>>().join("; ");
    let are = if files.len() == 1 { "is" } else { "are" };
    format!(
        "{} {are} {}: {errors}{more}",
        listing::join_first(files, FILES, files.len()),
        first.in_use()
    )
}

/// The body of a drain; an empty one says nothing of all this.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct DrainBody {
    /// Duration of the drain in seconds; if absent, until `undrain`.
    pub for_secs: Option<u64>,
    /// Over how many seconds clients leave; without it as the datacenter's `drain-over` says, or at
    /// once.
    pub over_secs: Option<u64>,
    /// Reason for the drain, shown with the state: one line of at most 200 octets.
    pub reason: Option<String>,
    /// Even if a service is left with nothing usable.
    pub force: bool,
}

async fn drain(
    State(office): SharedState,
    Path(datacenter): Path<String>,
    author: Author,
    body: Bytes,
) -> Result<Response, ApiError> {
    let DrainBody { for_secs, over_secs, reason, force } = state_change(&body)?;
    let act = DrainAction::Drain(DrainOptions { for_secs, over_secs, reason, force });
    office.set_state(DrainRequest { datacenter, action: act }, author).await
}

async fn undrain(
    State(office): SharedState,
    Path(datacenter): Path<String>,
    author: Author,
) -> Result<Response, ApiError> {
    office.set_state(DrainRequest { datacenter, action: DrainAction::Undrain }, author).await
}

async fn pause(
    State(office): SharedState,
    Path(datacenter): Path<String>,
    author: Author,
) -> Result<Response, ApiError> {
    office.set_state(DrainRequest { datacenter, action: DrainAction::Pause }, author).await
}

async fn resume(
    State(office): SharedState,
    Path(datacenter): Path<String>,
    author: Author,
) -> Result<Response, ApiError> {
    office.set_state(DrainRequest { datacenter, action: DrainAction::Resume }, author).await
}

/// Gives the clients of a `failover` pool back to its first usable member.
async fn failback(
    State(office): SharedState,
    Path(pool): Path<String>,
    author: Author,
) -> Result<Response, ApiError> {
    let handle = office.context.controller.clone();
    let change = AuditedChange::of_pool("failback", &pool, author);
    change.log_request(None);
    let asked = pool.clone();
    let was_held = run_to_completion(async move {
        let result = match handle.force_failback(asked).await {
            Ok(Some(was_held)) => Ok(was_held),
            Ok(None) => {
                Err(ApiError::new(StatusCode::NOT_FOUND, format!("there is no pool {pool:?}")))
            }
            Err(gone) => Err(gone.into()),
        };
        change.log_result(result.as_ref().map(|_| None));
        result.map(|was_held| json!({ "pool": pool, "given-back": was_held }))
    });
    Ok(uncached_response(JSON_TYPE, json_octets(&was_held.await??)))
}

fn state_change(body: &[u8]) -> Result<DrainBody, ApiError> {
    read_body(body, r#"{"reason": "kernel upgrade", "for-secs": 7200, "force": false}"#)
}

/// The body of a change; an empty one has every default.
fn read_body<T: Default + serde::de::DeserializeOwned>(
    body: &[u8],
    example: &str,
) -> Result<T, ApiError> {
    if body.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|error| {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            format!("{error}; the body is a JSON object such as {example}"),
        )
    })
}

impl AdminState {
    fn generation(&self) -> u64 {
        self.context.controller.published().load().generation
    }

    async fn status(&self) -> Result<Arc<Status>, ControllerStopped> {
        self.status.fetch(async || Ok(Arc::new(self.fetch_status(ListDetail::Short).await?))).await
    }

    async fn fetch_status(&self, listing: ListDetail) -> Result<Status, ControllerStopped> {
        let mut status = self.context.controller.status(listing).await?;
        status.is_listening = (self.context.is_listening)();
        status.concerns = readiness::concerns(&self.context, Some(&status));
        Ok(status)
    }

    async fn status_within(&self, patience: Duration) -> Option<Arc<Status>> {
        timeout(patience, self.status()).await.ok()?.ok()
    }

    /// Makes a large text where it holds up no other request.
    async fn run_blocking<T: Into<Bytes> + Send + 'static>(
        &self,
        make: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Bytes, ApiError> {
        let beat = self.context.preemption_timer.activate();
        // It is made to its end even if whoever asked goes away.
        let make = move || {
            let made = make();
            drop(beat);
            made
        };
        spawn_blocking(make).await.map(Into::into).map_err(|_| panic_error())
    }

    async fn set_state(&self, request: DrainRequest, author: Author) -> Result<Response, ApiError> {
        let handle = self.context.controller.clone();
        let change =
            AuditedChange::of_datacenter(request.action.word(), &request.datacenter, author);
        change.log_request(if let DrainAction::Drain(drain) = &request.action {
            Some(drain)
        } else {
            None
        });
        let report = run_to_completion(async move {
            let result = handle.set_state(request).await;
            change.log_result(result.as_ref().map(|report| Some(report.generation)));
            result
        });
        Ok(uncached_response(JSON_TYPE, json_octets(&report.await??)))
    }
}

/// Runs a change to its end even if the client goes away meanwhile: it is never left half asked
/// for.
async fn run_to_completion<T: Send + 'static>(
    change: impl Future<Output = T> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::spawn(change).await.map_err(|_| panic_error())
}

/// The thread panicked, which the log tells.
fn panic_error() -> ApiError {
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "this request met a defect of the server; the log has more",
    )
}
