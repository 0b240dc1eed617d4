//! What all changes share: their body is read alike, and each runs to its end.

use std::future::Future;

use axum::http::StatusCode;

use super::error::{ApiError, panic_error};

/// Parses the body of a change; an empty body has every default.
pub(super) fn read_body<T: Default + serde::de::DeserializeOwned>(
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

/// Runs a change to its end even if the client disconnects, so that no change is left half done.
pub(super) async fn run_to_completion<T: Send + 'static>(
    change: impl Future<Output = T> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::spawn(change).await.map_err(|_| panic_error())
}
