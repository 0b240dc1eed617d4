//! The endpoints that are read: health, readiness, metrics, status, totals, explanations.

use std::{fmt::Display, net::AddrParseError, time::Duration};

use axum::{
    Extension,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode, header::ACCEPT},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    error::ApiError,
    events::time_ms,
    guard::HostKind,
    metrics::{self, ExpositionFormat, MetricsCollector},
    readiness::{Readiness, THREAD_FAILED},
    response::{JSON_TYPE, json_octets, uncached_response},
    state::SharedState,
    totals::TotalsView,
};
use crate::{
    control::{ListDetail, Replay},
    dns::{NameError, UnknownRtype},
    engine::{ExplainRequest, Explanation},
};

/// How long `/readyz` and `/metrics` wait for the controller's status before they answer without
/// it: the controller may be busy.
const READYZ_STATUS_TIMEOUT: Duration = Duration::from_millis(500);
const METRICS_STATUS_TIMEOUT: Duration = Duration::from_secs(4);

pub(super) async fn healthz(State(state): SharedState) -> Response {
    if (state.context.is_alive)() {
        uncached_response("text/plain; charset=utf-8", "ok\n")
    } else {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, THREAD_FAILED).into_response()
    }
}

pub(super) async fn readyz(
    State(state): SharedState,
    Extension(host_kind): Extension<HostKind>,
) -> Response {
    let generation = state.generation();
    let status = state.status_within(READYZ_STATUS_TIMEOUT).await;
    let readiness = Readiness::new(&state.context, generation, status.as_deref());
    let code = if readiness.is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let text = match host_kind {
        HostKind::Own => json_octets(&readiness),
        HostKind::Foreign => json_octets(&json!({ "is-ready": readiness.is_ready })),
    };
    (code, uncached_response(JSON_TYPE, text)).into_response()
}

pub(super) async fn metrics(
    State(state): SharedState,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let format =
        ExpositionFormat::negotiate(headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()));
    let page = match format {
        ExpositionFormat::OpenMetrics => &state.metrics,
        ExpositionFormat::PrometheusText => &state.text_metrics,
    };
    let text = page
        .fetch(async || {
            let status = state.status_within(METRICS_STATUS_TIMEOUT).await;
            let (counters, generation) = (state.context.counters.clone(), state.generation());
            let is_alive = (state.context.is_alive)();
            let collect = move || MetricsCollector {
                totals: counters.collect(),
                generation,
                is_alive,
                status,
            };
            let render = move || metrics::render(collect());
            match format {
                ExpositionFormat::OpenMetrics => state.run_blocking(render).await,
                ExpositionFormat::PrometheusText => {
                    state.run_blocking(move || metrics::to_prometheus_text(&render())).await
                }
            }
        })
        .await?;
    Ok(uncached_response(format.media_type(), text))
}

/// The query of `/api/v1/status`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct StatusQuery {
    /// Whether every list is complete; otherwise long lists have their first 100 entries.
    #[serde(default)]
    full: bool,
}

pub(super) async fn status(
    State(state): SharedState,
    query: Result<Query<StatusQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(query) = query.map_err(|why| {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            format!("{}; use ?full=true or no query", why.body_text()),
        )
    })?;
    let text = if query.full {
        let full = async || {
            let status = state.fetch_status(ListDetail::Full).await?;
            state.run_blocking(move || json_octets(&status)).await
        };
        state.full_status_text.fetch(full).await?
    } else {
        let short = async || {
            let status = state.status().await?;
            state.run_blocking(move || json_octets(&*status)).await
        };
        state.status_text.fetch(short).await?
    };
    Ok(uncached_response(JSON_TYPE, text))
}

pub(super) async fn totals(State(state): SharedState) -> Result<Response, ApiError> {
    let counters = &state.context.counters;
    let text = state
        .totals
        .fetch(async || {
            let counters = counters.clone();
            state
                .run_blocking(move || {
                    serde_json::to_vec(&TotalsView::new(&counters.collect())).unwrap_or_default()
                })
                .await
        })
        .await?;
    Ok(uncached_response(JSON_TYPE, text))
}

/// What the answers in force were compiled from, for `portolan plan`.
pub(super) async fn steering(State(state): SharedState) -> Result<Response, ApiError> {
    let make = async || {
        let mut document = state.context.controller.steering().await?;
        let counters = state.context.counters.clone();
        state
            .run_blocking(move || {
                let services = counters.collect().services.into_iter();
                let counted = services.filter(|(_, count)| *count > 0);
                document.answers = counted.map(|(name, count)| (name.to_string(), count)).collect();
                json_octets(&document)
            })
            .await
    };
    Ok(uncached_response(JSON_TYPE, state.steering.fetch(make).await?))
}

/// The query of `/api/v1/explain`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExplainQuery {
    name: String,
    #[serde(rename = "type", default)]
    rtype: Option<String>,
    client: String,
    #[serde(default)]
    subnet: Option<String>,
    /// The moment of the answer; now if it is absent.
    #[serde(default)]
    at: Option<String>,
}

impl ExplainQuery {
    fn parse(&self) -> Result<ExplainRequest, ApiError> {
        let invalid = |parameter: &str, text: &str, why: &dyn Display| {
            ApiError::new(StatusCode::BAD_REQUEST, format!("`{parameter}` is {text:?}: {why}"))
        };
        let name = self.name.parse().map_err(|why: NameError| invalid("name", &self.name, &why))?;
        let rtype = self.rtype.as_deref().unwrap_or("A");
        let rtype = rtype.parse().map_err(|why: UnknownRtype| invalid("type", rtype, &why))?;
        let client = self
            .client
            .parse()
            .map_err(|why: AddrParseError| invalid("client", &self.client, &why))?;
        let subnet = self.subnet.as_deref().filter(|subnet| !subnet.is_empty());
        let prefix = |text: &str| {
            text.parse().map_err(|why: ipnet::AddrParseError| invalid("subnet", text, &why))
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

/// An explanation, with what was repeated if it is of an earlier time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReplayedExplanation {
    /// The moment of the answer; `None` for an answer of now.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub replay: Option<Replay>,
    /// The answer, and every step that led to it.
    #[serde(flatten)]
    pub explanation: Explanation,
}

pub(super) async fn explain(
    State(state): SharedState,
    question: Result<Query<ExplainQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(question) = question.map_err(|why| {
        let usage = "use ?name=www.example.com&type=A&client=192.0.2.1&subnet=198.51.100.0/24";
        ApiError::new(StatusCode::BAD_REQUEST, format!("{}; {usage}", why.body_text()))
    })?;
    let request = question.parse()?;
    if let Some(at) = question.at.as_deref().filter(|at| !at.is_empty()) {
        let time_ms = time_ms("at", at)?;
        // It may compile for seconds: threads that answer queries can preempt it.
        let _preemption = state.context.preemption_timer.activate();
        let (replay, explanation) = state.context.controller.explain_at(request, time_ms).await?;
        return Ok(uncached_response(
            JSON_TYPE,
            json_octets(&ReplayedExplanation { replay: Some(replay), explanation }),
        ));
    }
    let explained = state.context.controller.explain(request).await?;
    let explanation =
        explained.map_err(|error| ApiError::new(StatusCode::NOT_FOUND, error.to_string()))?;
    Ok(uncached_response(JSON_TYPE, json_octets(&explanation)))
}
