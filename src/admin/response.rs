//! The form of every document that the admin API returns.

use axum::{
    http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::printable::safe_json;

pub(super) const JSON_TYPE: &str = "application/json";

/// A document as JSON, without passwords of URLs and without control sequences.
pub(super) fn json_octets(document: &impl Serialize) -> Vec<u8> {
    let text = serde_json::to_string(document).unwrap_or_default();
    safe_json(&text).into_owned().into_bytes()
}

/// A response that must not be cached, since its content changes all the time.
pub(super) fn uncached_response(media_type: &'static str, text: impl IntoResponse) -> Response {
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
