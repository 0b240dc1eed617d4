//! Errors of the admin API.

use std::fmt::{self, Display};

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::response::{JSON_TYPE, json_octets, uncached_response};
use crate::control::{ControllerStopped, DrainError, OverrideError, ReloadError, ReplayError};

/// Why a request failed. The client receives a JSON document with `message` and, for errors with
/// details, `error`.
#[derive(Debug)]
pub struct ApiError {
    pub(super) status: StatusCode,
    pub(super) message: String,
    pub(super) error: Option<Value>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), error: None }
    }

    /// The HTTP status of the reply.
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
        let mut document = json!({ "message": self.message });
        if let Some(error) = self.error {
            document["error"] = error;
        }
        (self.status, uncached_response(JSON_TYPE, json_octets(&document))).into_response()
    }
}

impl From<ControllerStopped> for ApiError {
    fn from(stopped: ControllerStopped) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, stopped.to_string())
    }
}

impl From<ReplayError> for ApiError {
    fn from(error: ReplayError) -> Self {
        let status = match error {
            ReplayError::NoHistory
            | ReplayError::BeforeHistory(_)
            | ReplayError::NotRecorded(_)
            | ReplayError::Gone(_)
            | ReplayError::Unusable(_)
            | ReplayError::NotServed(_) => StatusCode::NOT_FOUND,
            ReplayError::InFuture => StatusCode::BAD_REQUEST,
            ReplayError::Stopped => StatusCode::SERVICE_UNAVAILABLE,
            ReplayError::Inconsistent | ReplayError::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

impl From<ReloadError> for ApiError {
    fn from(error: ReloadError) -> Self {
        match error {
            ReloadError::ControllerStopped => ControllerStopped.into(),
            ReloadError::Refused(lines) => Self {
                status: StatusCode::UNPROCESSABLE_ENTITY,
                message: "the files have errors; the previous configuration stays in use"
                    .to_owned(),
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
            | DrainError::Forbidden(_)
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

impl From<OverrideError> for ApiError {
    fn from(error: OverrideError) -> Self {
        let status = match error {
            OverrideError::Unknown(..) => StatusCode::NOT_FOUND,
            OverrideError::Distress(_)
            | OverrideError::Forbidden(_)
            | OverrideError::NotDraining(_)
            | OverrideError::NotInService { .. }
            | OverrideError::DrainedElsewhere { .. } => StatusCode::CONFLICT,
            OverrideError::Invalid(_) => StatusCode::BAD_REQUEST,
            OverrideError::NotSaved(_) => StatusCode::INTERNAL_SERVER_ERROR,
            OverrideError::Gone => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self { status, message: error.to_string(), error: serde_json::to_value(&error).ok() }
    }
}

/// The error of a request whose thread panicked. The panic itself is in the log.
pub(super) fn panic_error() -> ApiError {
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "an internal error ended this request; the log of the server has the details",
    )
}
