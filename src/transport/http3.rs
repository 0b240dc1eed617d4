//! DNS over HTTP/3 through hickory-server's listener: the adapter to the one
//! [`crate::engine::answer`].
//!
//! hickory-server hands over the request's octets; the engine answers them as on any transport; its
//! reply is decoded and its records handed back, because hickory-server encodes replies itself.
//! Nothing is decided here.
//!
//! Off by default, because hickory-server bounds less than [`super::https`] does: it takes POST
//! requests on any path, 100 on a connection, and bounds their time, but not the number of
//! connections, and its handshakes wait for each other. So it runs on the threads of handshakes,
//! whose low weight keeps what it costs from everything else.

use std::{io, net::UdpSocket as StdUdpSocket, pin::Pin, sync::Arc, time::Duration};

use hickory_proto::op::{Message, Metadata};
use hickory_server::{
    Server,
    net::{NetError, runtime::Time},
    server::{Request, RequestHandler, ResponseHandler, ResponseInfo},
    zone_handler::MessageResponseBuilder,
};
use tokio::net::UdpSocket;

use super::{
    certificate::Certificate,
    log_throttle::LogThrottle,
    stream::{StreamContext, answer_stream},
};

/// The longest wait for a connection's next request, and for the whole of it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// The HTTP/3 listeners and the server that runs them.
pub(super) struct Http3 {
    server: Server<Http3Handler>,
}

impl std::fmt::Debug for Http3 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http3").finish_non_exhaustive()
    }
}

impl Http3 {
    /// Serves DNS over HTTP/3 on these sockets. To be called within the tokio runtime that serves
    /// it.
    ///
    /// # Errors
    /// A socket that tokio cannot use.
    pub(super) fn serve(
        sockets: Vec<StdUdpSocket>,
        certificate: &Arc<Certificate>,
        context: StreamContext,
    ) -> io::Result<Self> {
        let mut server = Server::new(Http3Handler { context });
        for socket in sockets {
            socket.set_nonblocking(true)?;
            let certificate = Arc::clone(certificate);
            // No host name: the client's own idea of it is as good, behind a proxy or by address.
            server.register_h3_listener(
                UdpSocket::from_std(socket)?,
                IDLE_TIMEOUT,
                certificate,
                None,
            )?;
        }
        Ok(Self { server })
    }

    /// Stops accepting and waits for the listeners to end.
    pub(super) async fn stop(mut self) {
        if let Err(error) = self.server.shutdown_gracefully().await {
            tracing::warn!(%error, "HTTP/3 listener stopped with an error");
        }
    }

    /// Waits until a listener ends, which none does before [`Http3::stop`] unless it is broken.
    pub(super) async fn wait_for_failure(&mut self) {
        if let Err(error) = self.server.block_until_done().await {
            tracing::error!(%error, "HTTP/3 listener failed");
        }
    }
}

pub(super) struct Http3Handler {
    pub(super) context: StreamContext,
}

impl RequestHandler for Http3Handler {
    // Written out as `async_trait` would: the trait asks for boxed futures, and one function is no
    // reason for a dependency.
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

impl Http3Handler {
    async fn reply(
        &self,
        request: &Request,
        response_handle: impl ResponseHandler,
    ) -> ResponseInfo {
        let mut recorder = self.context.recorder.share();
        let mut answered = None;
        // Why there is no reply is counted.
        let _ = answer_stream(
            &self.context,
            &mut recorder,
            request.as_slice(),
            request.src().ip(),
            |octets, tally| {
                answered = Some((Message::from_vec(octets), tally));
            },
        );
        let silence = ResponseInfo::from(hickory_proto::op::Header {
            metadata: Metadata::response_from_request(&request.metadata),
            counts: Default::default(),
        });
        let Some((message, tally)) = answered else { return silence };
        let sent = match message {
            Ok(message) => send_response(request, &message, response_handle).await,
            Err(error) => Err(error.into()),
        };
        match sent {
            Ok(info) => {
                recorder.answered(&tally);
                info
            }
            Err(error) => {
                static ERRORS: LogThrottle = LogThrottle::new();
                if let Some(unsaid) = ERRORS.admit() {
                    tracing::debug!(%error, suppressed = unsaid, "reply not sent over HTTP/3");
                }
                recorder.send_failed();
                silence
            }
        }
    }
}

/// Gives hickory-server the reply's header, sections and EDNS as they are.
async fn send_response(
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
