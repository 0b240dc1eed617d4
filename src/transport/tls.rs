//! TLS for the stream transports: the handshake, within bounds, and the stream after it.
//!
//! A TLS library buffers the octets of a client until a handshake message or a record is complete,
//! and the octets that the client does not read. Neither is bounded by the size of DNS messages. So
//! [`MeteredStream`] counts the octets received since the last complete message: a hello is
//! bounded, and whatever a connection buffers beyond a small message is reserved of the buffers
//! that all connections share.

use std::{
    io,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use rustls::{ServerConfig, server::Acceptor};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};

use super::{
    connections::{BufferReservation, ConnectionPermit, client_network},
    handshakes::Handshakes,
};

/// The longest client hello, in octets. One with post-quantum key shares has about 1,800.
const MAX_HELLO_OCTETS: usize = 16 << 10;
/// The maximum number of octets received between two deliveries of plaintext: two records of the
/// greatest length (RFC 8446 section 5.2), and octets read ahead of them.
const MAX_RECORD_OCTETS: usize = 40 << 10;
/// Octets that a connection may buffer without a reservation.
const UNRESERVED_OCTETS: usize = 2 << 10;
/// The maximum number of octets that the HTTP library buffers of an incomplete request head.
const MAX_PARTIAL_HEAD_OCTETS: usize = 48 << 10;
/// The maximum number of encrypted octets that wait for the client to read them.
const MAX_UNSENT_OCTETS: usize = 16 << 10;

/// What the TLS connections of one transport have in common.
#[derive(Debug, Clone)]
pub(super) struct TlsAcceptor {
    pub(super) config: Arc<ServerConfig>,
    pub(super) handshakes: Arc<Handshakes>,
}

impl TlsAcceptor {
    /// Reads the hello, then runs the handshake on the handshake threads. The caller bounds the
    /// time.
    ///
    /// # Errors
    /// The reason why there is no connection.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
        source: IpAddr,
        reservation: BufferReservation,
    ) -> Result<TlsConnection, HandshakeError> {
        let metered = MeteredStream {
            stream,
            undelivered_octets: 0,
            max_undelivered_octets: MAX_HELLO_OCTETS,
            partial_request_octets: 0,
            is_stalled: false,
            reservation,
        };
        let hello = LazyConfigAcceptor::new(Acceptor::default(), metered);
        let mut hello = hello.await.map_err(|_| HandshakeError::Failed)?;
        let config = Arc::clone(&self.config);
        // The rest of the handshake may arrive together with the client's first messages.
        hello.io.max_undelivered_octets = MAX_RECORD_OCTETS;
        // `into_stream_with` computes the signature: in a step of the handshake, not here.
        let handshake = async move {
            hello
                .into_stream_with(config, |session| {
                    session.set_buffer_limit(Some(MAX_UNSENT_OCTETS))
                })
                .await
        };
        let driven = self.handshakes.drive(client_network(source), handshake).await;
        let tls = driven.ok_or(HandshakeError::Evicted)?.map_err(|_| HandshakeError::Failed)?;
        Ok(TlsConnection { tls, request_meter: None })
    }
}

/// Why a handshake did not lead to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HandshakeError {
    /// The client closed the connection, or sent something other than TLS, or more than the bound.
    Failed,
    /// Too many handshakes waited, and this one had waited longest.
    Evicted,
}

/// An established TLS connection.
#[derive(Debug)]
pub(super) struct TlsConnection {
    tls: TlsStream<MeteredStream>,
    request_meter: Option<RequestMeter>,
}

/// Counts the plaintext octets delivered since the last request began: the HTTP library buffers a
/// request head until it is complete.
#[derive(Debug)]
struct RequestMeter {
    permit: Arc<ConnectionPermit>,
    /// The number of requests that had begun when plaintext was last delivered.
    seen_requests: u64,
}

impl TlsConnection {
    /// The same stream, whose plaintext is counted as buffered until a request of `permit` begins.
    pub(super) fn counting_requests(self, permit: &Arc<ConnectionPermit>) -> Self {
        Self {
            request_meter: Some(RequestMeter { permit: Arc::clone(permit), seen_requests: 0 }),
            ..self
        }
    }

    fn meter_delivered(&mut self, octets: usize) -> io::Result<()> {
        let metered = self.tls.get_mut().0;
        if let Some(requests) = &mut self.request_meter {
            let begun = requests.permit.begun_requests();
            if begun != requests.seen_requests {
                (requests.seen_requests, metered.partial_request_octets) = (begun, 0);
            }
            // Octets beyond the bound are frames that are not buffered.
            metered.partial_request_octets =
                (metered.partial_request_octets + octets).min(MAX_PARTIAL_HEAD_OCTETS);
        }
        metered.reset_received()
    }

    /// Reserves buffer octets while encrypted octets wait to be sent.
    fn meter_unsent(&mut self) -> io::Result<()> {
        let (metered, session) = self.tls.get_mut();
        metered.is_stalled = session.wants_write();
        metered.update_reservation()
    }
}

impl AsyncRead for TlsConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.tls).poll_read(cx, buf))?;
        let octets = buf.filled().len() - before;
        if octets > 0 {
            self.meter_delivered(octets)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TlsConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tls).poll_write(cx, buf);
        self.meter_unsent()?;
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.tls).poll_flush(cx);
        self.meter_unsent()?;
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(cx)
    }
}

/// The TCP stream below TLS, which counts the octets that the TLS library buffers.
#[derive(Debug)]
struct MeteredStream {
    stream: TcpStream,
    /// Octets received since plaintext was last delivered.
    undelivered_octets: usize,
    /// The maximum of `undelivered_octets`.
    max_undelivered_octets: usize,
    /// Plaintext octets delivered since the last request began; see [`RequestMeter`].
    partial_request_octets: usize,
    /// Whether encrypted octets wait for the client to read them.
    is_stalled: bool,
    reservation: BufferReservation,
}

impl MeteredStream {
    fn count_received(&mut self, octets: usize) -> io::Result<()> {
        self.undelivered_octets += octets;
        if self.undelivered_octets > self.max_undelivered_octets {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "TLS message exceeds its octet bound",
            ));
        }
        self.update_reservation()
    }

    fn reset_received(&mut self) -> io::Result<()> {
        self.undelivered_octets = 0;
        self.update_reservation()
    }

    /// Sets the reservation to the octets that are buffered for this connection now.
    fn update_reservation(&mut self) -> io::Result<()> {
        // A buffer that grows by doubling has a capacity of up to twice its length.
        let reserved = |octets: usize| if octets > UNRESERVED_OCTETS { 2 * octets } else { 0 };
        let unsent = if self.is_stalled { MAX_UNSENT_OCTETS } else { 0 };
        if self.reservation.try_resize(
            reserved(self.undelivered_octets) + reserved(self.partial_request_octets) + unsent,
        ) {
            Ok(())
        } else {
            Err(io::ErrorKind::OutOfMemory.into())
        }
    }
}

impl AsyncRead for MeteredStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let octets = buf.filled().len() - before;
        Poll::Ready(self.count_received(octets))
    }
}

impl AsyncWrite for MeteredStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
