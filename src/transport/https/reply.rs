//! What goes back over HTTPS: a reply with its headers, and a body that counts as sent once HTTP
//! has taken it.

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

use super::RequestReservation;
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

/// A reply of the engine that is to be sent.
pub(super) struct HttpReply {
    pub(super) octets: Vec<u8>,
    pub(super) tally: ReplyLabels,
    pub(super) recorder: Recorder,
    pub(super) reservation: RequestReservation,
    pub(super) permit: Arc<ConnectionPermit>,
}

impl HttpReply {
    pub(super) fn into_response(self) -> Response<ReplyBody> {
        let Self { octets, tally, recorder, reservation: share, permit } = self;
        let (length, control) = (octets.len(), cache_control(&octets, &tally));
        let octets =
            Bytes::from_owner(CountedBody { octets, _share: share, _unsent: permit.begin_reply() });
        let body = ReplyBody {
            octets: Some(octets),
            send_recorder: Some(SendRecorder { recorder, tally }),
        };
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        headers.insert(CACHE_CONTROL, control);
        response
    }
}

/// For how long HTTP caches may keep the reply. One that a service chose for this client is no
/// other client's: a shared cache knows nothing of client subnets.
fn cache_control(octets: &[u8], tally: &ReplyLabels) -> HeaderValue {
    let is_private = if tally.service.is_some() { "private, " } else { "" };
    let text = format!("{is_private}max-age={}", freshness_secs(octets));
    // Nothing but letters and digits.
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("no-store"))
}

/// The octets of a reply, counted among what connections buffer until the last of them is written
/// or dropped.
struct CountedBody {
    octets: Vec<u8>,
    _share: RequestReservation,
    _unsent: UnsentReply,
}

impl AsRef<[u8]> for CountedBody {
    fn as_ref(&self) -> &[u8] {
        &self.octets
    }
}

/// The body of a response, in one piece.
#[derive(Default)]
pub(in crate::transport) struct ReplyBody {
    octets: Option<Bytes>,
    send_recorder: Option<SendRecorder>,
}

/// How a reply is counted once HTTP has taken its body. Dropped before, the recorder counts that it
/// could not be sent.
struct SendRecorder {
    recorder: Recorder,
    tally: ReplyLabels,
}

impl ReplyBody {
    /// A sentence for people.
    pub(super) fn text(text: &'static str) -> Self {
        Self { octets: Some(Bytes::from_static(text.as_bytes())), send_recorder: None }
    }
}

impl ReplyBody {
    /// Leaves the headers alone, which is all that a HEAD request wants (RFC 9110 section 9.3.2).
    pub(super) fn omit(&mut self) {
        self.octets = None;
        if let Some(SendRecorder { mut recorder, tally }) = self.send_recorder.take() {
            recorder.answered(&tally);
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
        if let Some(SendRecorder { mut recorder, tally }) = self.send_recorder.take() {
            recorder.answered(&tally);
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
