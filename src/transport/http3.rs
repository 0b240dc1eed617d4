//! DNS over HTTP/3: the adapter from hickory-server's listener to [`crate::engine::answer`].
//!
//! hickory-server passes the octets of a request to this module; the engine answers them as over
//! any transport; its reply is decoded and passed back as records, because hickory-server encodes
//! replies itself.
//!
//! HTTP/3 is off by default, because hickory-server bounds less than [`super::https`] does: it
//! accepts POST requests on any path, 100 on a connection, and bounds their time, but not the
//! number of connections, and its handshakes wait for each other. So it runs on the threads of
//! handshakes, whose low scheduling weight protects everything else.

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

/// The longest wait for a connection's next request, and for that request to be complete.
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
    /// Serves DNS over HTTP/3 on these sockets, on the tokio runtime that this is called in.
    ///
    /// # Errors
    /// A socket cannot be registered with tokio.
    pub(super) fn serve(
        sockets: Vec<StdUdpSocket>,
        certificate: &Arc<Certificate>,
        context: StreamContext,
    ) -> io::Result<Self> {
        let mut server = Server::new(Http3Handler { context });
        for socket in sockets {
            socket.set_nonblocking(true)?;
            let certificate = Arc::clone(certificate);
            // No host name is required: clients may use the address, or the name of a proxy.
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

    /// Waits until a listener fails.
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
    // Written as `async_trait` would expand it: the trait requires a boxed future, and one function
    // does not justify a dependency.
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
        // If there is no reply, `answer_stream` counts the reason.
        let _ = answer_stream(
            &self.context,
            &mut recorder,
            request.as_slice(),
            request.src().ip(),
            |octets, labels| {
                answered = Some((Message::from_vec(octets), labels));
            },
        );
        let no_response = ResponseInfo::from(hickory_proto::op::Header {
            metadata: Metadata::response_from_request(&request.metadata),
            counts: Default::default(),
        });
        let Some((message, labels)) = answered else { return no_response };
        let sent = match message {
            Ok(message) => send_response(request, &message, response_handle).await,
            Err(error) => Err(error.into()),
        };
        match sent {
            Ok(info) => {
                recorder.answered(&labels);
                info
            }
            Err(error) => {
                static ERRORS: LogThrottle = LogThrottle::new();
                if let Some(suppressed) = ERRORS.admit() {
                    tracing::debug!(%error, suppressed, "reply not sent over HTTP/3");
                }
                recorder.send_failed();
                no_response
            }
        }
    }
}

/// Passes the reply's header, sections and EDNS record to hickory-server unchanged.
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
