//! The responses to requests that get no DNS reply: a status, and one sentence that explains it.

use hyper::{
    Response, StatusCode,
    header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};

use super::{
    reply::{MEDIA_TYPE, ReplyBody},
    reservation::BuffersFull,
};
use crate::{engine::IgnoreReason, transport::counters::NoReplyReason};

/// A status in place of a reply, and the reason for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HttpError {
    pub(super) status: StatusCode,
    reason: &'static str,
}

impl HttpError {
    pub(super) const BODY_TIMEOUT: Self =
        Self::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time");
    const BUFFERS_FULL: Self =
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "connection buffers are full; try again later");
    pub(super) const FAILED: Self =
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "answering failed");

    pub(super) const fn new(status: StatusCode, reason: &'static str) -> Self {
        Self { status, reason }
    }

    /// The error for a message that gets no reply over the other transports.
    pub(super) fn for_no_reply(reason: NoReplyReason) -> Self {
        match reason {
            NoReplyReason::Ignored(IgnoreReason::Short) => {
                Self::new(StatusCode::BAD_REQUEST, "a DNS message has at least 12 octets")
            }
            NoReplyReason::Ignored(IgnoreReason::Response) => {
                Self::new(StatusCode::BAD_REQUEST, "the DNS message is a response (QR is set)")
            }
            NoReplyReason::Oversized | NoReplyReason::Unanswerable | NoReplyReason::Panicked => {
                Self::FAILED
            }
        }
    }

    pub(super) fn into_response(self) -> Response<ReplyBody> {
        let mut response = Response::new(ReplyBody::text(self.reason));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        match self.status {
            StatusCode::METHOD_NOT_ALLOWED => {
                headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST"))
            }
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                headers.insert(ACCEPT, HeaderValue::from_static(MEDIA_TYPE))
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"))
            }
            _ => None,
        };
        response
    }
}

impl From<BuffersFull> for HttpError {
    fn from(BuffersFull: BuffersFull) -> Self {
        Self::BUFFERS_FULL
    }
}
