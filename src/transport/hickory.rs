//! DNS over HTTPS through hickory-server's listener: the adapter to the one [`crate::engine::answer`].
//!
//! hickory-server hands over the request's octets; the engine answers them as on any transport; its reply is decoded and its
//! records handed back, because hickory-server encodes replies itself. Nothing is decided here.
//!
//! DNS over TLS is not served this way, though hickory-server could: a TLS stream through [`super::stream`] sends the engine's own octets,
//! is pipelined and lies within the limits of [`super::Limits`]. hickory-server's listeners know of time limits only, so the
//! number of HTTPS connections is bounded by those and by the open descriptors. It takes POST, not GET.

use std::{io, net::TcpListener as StdListener, pin::Pin, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use hickory_proto::op::{Message, Metadata};
use hickory_server::{
    Server,
    net::{NetError, runtime::Time},
    server::{Request, RequestHandler, ResponseHandler, ResponseInfo},
    zone_handler::MessageResponseBuilder,
};
use tokio::net::TcpListener;

use super::{
    certificate::Certificate,
    counters::Counters,
    guard::Throttle,
    stream::{Desk, answer_stream},
};
use crate::{engine::Transport, snapshot::Snapshot};

/// How long an HTTPS client may take for its handshake, and then for its next request.
const PATIENCE: Duration = Duration::from_secs(10);

/// The HTTPS listeners.
pub struct Https {
    server: Server<Adapter>,
}

impl std::fmt::Debug for Https {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Https").finish_non_exhaustive()
    }
}

/// Serves DNS over HTTPS (RFC 8484) at `path` of these. To be called within a tokio runtime.
///
/// # Errors
/// A listener that tokio cannot take over, or TLS that cannot be set up.
pub fn serve_https(
    listeners: Vec<StdListener>,
    path: &str,
    certificate: &Arc<Certificate>,
    snapshots: &Arc<ArcSwap<Snapshot>>,
    counters: &Counters,
) -> io::Result<Https> {
    let recorder = counters.shared_recorder(Transport::Https);
    let desk = Desk { transport: Transport::Https, snapshots: Arc::clone(snapshots), recorder };
    let mut server = Server::new(Adapter { desk });
    for listener in listeners {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let certificate = Arc::clone(certificate);
        // No host name: the client's own idea of it is as good, behind a proxy or by address.
        server.register_https_listener(listener, PATIENCE, certificate, None, path.to_owned())?;
    }
    Ok(Https { server })
}

impl Https {
    /// Stops accepting and waits for the listeners to end.
    pub async fn stop(mut self) {
        if let Err(error) = self.server.shutdown_gracefully().await {
            tracing::warn!(%error, "HTTPS listener stopped with an error");
        }
    }

    /// Waits until a listener ends, which none does before [`Https::stop`] unless it is broken.
    pub async fn failed(&mut self) {
        if let Err(error) = self.server.block_until_done().await {
            tracing::error!(%error, "HTTPS listener failed");
        }
    }
}

struct Adapter {
    desk: Desk,
}

impl RequestHandler for Adapter {
    // Written out as `async_trait` would: the trait asks for boxed futures, and one function is no reason for a dependency.
    fn handle_request<'s, 'r, 'f, R, T>(
        &'s self,
        request: &'r Request,
        response_handle: R,
    ) -> Pin<Box<dyn Future<Output = ResponseInfo> + Send + 'f>>
    where
        's: 'f,
        'r: 'f,
        Self: 'f,
        R: ResponseHandler + 'f,
        T: Time + 'f,
    {
        Box::pin(self.reply(request, response_handle))
    }
}

impl Adapter {
    async fn reply(&self, request: &Request, response_handle: impl ResponseHandler) -> ResponseInfo {
        let mut recorder = self.desk.recorder.share();
        let mut answered = None;
        answer_stream(&self.desk, &mut recorder, request.as_slice(), request.src().ip(), |octets, tally| {
            answered = Some((Message::from_vec(octets), tally));
        });
        let silence = ResponseInfo::from(hickory_proto::op::Header {
            metadata: Metadata::response_from_request(&request.metadata),
            counts: Default::default(),
        });
        let Some((message, tally)) = answered else { return silence };
        let sent = match message {
            Ok(message) => hand_over(request, &message, response_handle).await,
            Err(error) => Err(error.into()),
        };
        match sent {
            Ok(info) => {
                recorder.answered(&tally);
                info
            }
            Err(error) => {
                static ERRORS: Throttle = Throttle::new();
                if let Some(unsaid) = ERRORS.admit() {
                    tracing::debug!(%error, suppressed = unsaid, "reply not sent over HTTPS");
                }
                recorder.send_failed();
                silence
            }
        }
    }
}

/// Gives hickory-server the reply's header, sections and EDNS as they are.
async fn hand_over(
    request: &Request,
    message: &Message,
    mut response_handle: impl ResponseHandler,
) -> Result<ResponseInfo, NetError> {
    let response = MessageResponseBuilder::new(&request.queries, message.edns.as_ref()).build(
        message.metadata,
        &message.answers,
        &message.authorities,
        [],
        &message.additionals,
    );
    response_handle.send_response(response).await
}
