//! The routes of the admin API.
//!
//! | method and path | answer |
//! |---|---|
//! | `GET /` | the console |
//! | `GET /healthz` | 200 while every thread that answers queries is running, else 503 |
//! | `GET /readyz` | 200 while queries are answered from a snapshot; [`super::Readiness`], of which a request whose host is a name gets only `is-ready` |
//! | `GET /metrics` | Prometheus text |
//! | `GET /api/v1/status?full=` | [`crate::control::Status`]; of long lists the first 100 entries, with `full=true` all |
//! | `GET /api/v1/services?state=&failing=&datacenter=&pool=&zone=&name=&offset=&limit=` | a [`super::ListPage`] of [`crate::control::ServiceStatus`], the worst first |
//! | `GET /api/v1/services/{name}` | [`crate::control::ServiceReport`]; 404 |
//! | `GET /api/v1/targets?verdict=&failing=&datacenter=&monitor=&target=&offset=&limit=` | a [`super::ListPage`] of [`crate::control::TargetStatus`], failing ones first |
//! | `GET /api/v1/subjects/{name}` | [`crate::control::SubjectReport`]; 404 with the nearest name |
//! | `GET /api/v1/totals` | [`super::TotalsView`] |
//! | `GET /api/v1/explain?name=&type=&client=&subnet=&at=` | [`super::ReplayedExplanation`]; 404 for a name in none of the zones, or for a time that is not recorded |
//! | `GET /api/v1/events?since=&until=&subject=&kind=&limit=&after=&wait=` | [`crate::control::EventPage`] |
//! | `GET /api/v1/steering` | [`crate::control::SteeringDocument`] |
//! | `POST /api/v1/reload` | [`crate::control::ReloadReport`]; 422 where files are held or refused, with every error. The body may be `{"accept-removal": true}` |
//! | `POST /api/v1/pools/{name}/failback` | `{"pool": ..., "given-back": true}`; 404 |
//! | `GET /api/v1/overrides` | `{"generation": ..., "overrides": [...]}`, each a [`crate::control::OverrideStatus`] |
//! | `PUT /api/v1/overrides`, `DELETE /api/v1/overrides` | [`crate::control::DrainReport`]; 400, 404, 409, 500 with a [`crate::control::OverrideError`] |
//! | `POST /api/v1/datacenters/{name}/drain`, `.../undrain`, `.../pause`, `.../resume` | [`crate::control::DrainReport`]; 400, 404, 409, 422, 500 with a [`crate::control::DrainError`] |

use std::{future::ready, sync::Arc};

use axum::{
    Router,
    http::{HeaderName, HeaderValue, StatusCode},
    middleware::map_response,
    response::Response,
    routing::{get, post},
};

use super::{
    changes::{drain, failback, pause, reload, resume, undrain},
    console,
    context::AdminContext,
    documents::{explain, healthz, metrics, readyz, status, steering, totals},
    error::ApiError,
    events::events,
    inventory::{service, services, subject, targets},
    overrides,
    state::AdminState,
};

/// Identifies the server in every reply, so that a command can show which server answered.
pub(crate) const SERVER_HEADER: HeaderName = HeaderName::from_static("portolan-server");
pub(super) fn router(context: AdminContext) -> Router {
    let name = server_header_value(&context);
    Router::new()
        .merge(console::router())
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/api/v1/status", get(status))
        .route("/api/v1/services", get(services))
        .route("/api/v1/services/{name}", get(service))
        .route("/api/v1/targets", get(targets))
        .route("/api/v1/subjects/{name}", get(subject))
        .route("/api/v1/totals", get(totals))
        .route("/api/v1/explain", get(explain))
        .route("/api/v1/events", get(events))
        .route("/api/v1/steering", get(steering))
        .route("/api/v1/reload", post(reload))
        .route("/api/v1/datacenters/{name}/drain", post(drain))
        .route("/api/v1/datacenters/{name}/undrain", post(undrain))
        .route("/api/v1/datacenters/{name}/pause", post(pause))
        .route("/api/v1/datacenters/{name}/resume", post(resume))
        .route(
            "/api/v1/overrides",
            get(overrides::list).put(overrides::set).delete(overrides::remove),
        )
        .route("/api/v1/pools/{name}/failback", post(failback))
        .fallback(async || {
            ApiError::new(StatusCode::NOT_FOUND, "there is no such path; the console is at /")
        })
        .method_not_allowed_fallback(async || {
            ApiError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "read documents with GET, and request changes with POST, PUT or DELETE",
            )
        })
        .layer(map_response(move |mut response: Response| {
            response.headers_mut().insert(SERVER_HEADER, name.clone());
            ready(response)
        }))
        .with_state(Arc::new(AdminState::new(context)))
}

/// The identity of the server for every reply: [`crate::control::ServerStatus`] as JSON.
fn server_header_value(context: &AdminContext) -> HeaderValue {
    let text = serde_json::to_string(context.controller.server()).unwrap_or_default();
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("{}"))
}
