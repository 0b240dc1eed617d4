//! The response with a DNS reply: its headers, and a body that is counted as sent when the HTTP
//! library takes it.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use hyper::{
    Response,
    body::{Body, Bytes, Frame, SizeHint},
    header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue},
};

use super::reservation::RequestReservation;
use crate::{
    dns::freshness_secs,
    engine::ReplyLabels,
    transport::{
        connections::{ConnectionPermit, UnsentReply},
        counters::Recorder,
    },
};

/// The media type of queries and replies (RFC 8484 section 6).
pub(super) const MEDIA_TYPE: &str = "application/dns-message";

/// A reply of the engine, and what is needed to count and send it.
pub(super) struct HttpReply {
    pub(super) octets: Vec<u8>,
    pub(super) labels: ReplyLabels,
    pub(super) recorder: Recorder,
    pub(super) reservation: RequestReservation,
    pub(super) permit: Arc<ConnectionPermit>,
}

impl HttpReply {
    pub(super) fn into_response(self) -> Response<ReplyBody> {
        let Self { octets, labels, recorder, reservation, permit } = self;
        let (length, cache_control) = (octets.len(), cache_control(&octets, &labels));
        let octets = Bytes::from_owner(CountedBody {
            octets,
            _reservation: reservation,
            _unsent: permit.begin_reply(),
        });
        let body = ReplyBody {
            octets: Some(octets),
            send_recorder: Some(SendRecorder { recorder, labels }),
        };
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        headers.insert(CACHE_CONTROL, cache_control);
        response
    }
}

/// How long HTTP caches may keep the reply (RFC 8484 section 5.1). A reply that a service chose for
/// this client is private: a shared cache does not distinguish client subnets.
fn cache_control(octets: &[u8], labels: &ReplyLabels) -> HeaderValue {
    let is_private = if labels.service.is_some() { "private, " } else { "" };
    let text = format!("{is_private}max-age={}", freshness_secs(octets));
    // The text is ASCII, so this does not fail.
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("no-store"))
}

/// The octets of a reply, which are counted as buffered until they are written or dropped.
struct CountedBody {
    octets: Vec<u8>,
    _reservation: RequestReservation,
    _unsent: UnsentReply,
}

impl AsRef<[u8]> for CountedBody {
    fn as_ref(&self) -> &[u8] {
        &self.octets
    }
}

/// The body of a response, sent as one frame.
#[derive(Default)]
pub(in crate::transport) struct ReplyBody {
    octets: Option<Bytes>,
    send_recorder: Option<SendRecorder>,
}

/// Counts a reply as answered when the HTTP library takes its body. If it is dropped before, the
/// recorder counts a send error.
struct SendRecorder {
    recorder: Recorder,
    labels: ReplyLabels,
}

impl ReplyBody {
    /// A body of plain text.
    pub(super) fn text(text: &'static str) -> Self {
        Self { octets: Some(Bytes::from_static(text.as_bytes())), send_recorder: None }
    }
}

impl ReplyBody {
    /// Removes the body and counts the reply as answered: the response to a HEAD request has
    /// headers only (RFC 9110 section 9.3.2).
    pub(super) fn omit(&mut self) {
        self.octets = None;
        if let Some(SendRecorder { mut recorder, labels }) = self.send_recorder.take() {
            recorder.answered(&labels);
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if let Some(SendRecorder { mut recorder, labels }) = self.send_recorder.take() {
            recorder.answered(&labels);
        }
        Poll::Ready(self.octets.take().map(|octets| Ok(Frame::data(octets))))
    }

    fn is_end_stream(&self) -> bool {
        self.octets.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.octets.as_ref().map_or(0, |octets| octets.len() as u64))
    }
}
