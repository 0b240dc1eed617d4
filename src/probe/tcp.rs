//! TCP: a connection that opens. Also the first step of the other kinds.

use std::{io, net::SocketAddr};

use tokio::net::{TcpSocket, TcpStream};

use super::{attempt::Trouble, no_result::NoResult};
use crate::health::Failure;

/// The kernel holds at most about twice this of what a target sends and nobody reads.
const RECEIVE_BUFFER_OCTETS: u32 = 32 * 1024;

/// Opens a connection. Dropped, it is reset: thousands of probes a second would otherwise leave their ports in TIME_WAIT.
///
/// # Errors
/// Why there is no connection.
pub(super) async fn open(address: SocketAddr) -> Result<TcpStream, Trouble> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_zero_linger()?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER_OCTETS)?;
    socket.set_nodelay(true)?;
    Ok(socket.connect(address).await?)
}

/// Opens a connection and resets it.
///
/// # Errors
/// Why there is no connection.
pub(super) async fn probe(address: SocketAddr) -> Result<(), Trouble> {
    open(address).await.map(drop)
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind as Kind;
        if let Some(reason) = NoResult::of(&error) {
            return Self::Ours(reason, error);
        }
        Self::Target(match error.kind() {
            Kind::ConnectionRefused => Failure::Refused,
            Kind::ConnectionReset
            | Kind::ConnectionAborted
            | Kind::BrokenPipe
            | Kind::UnexpectedEof
            | Kind::NotConnected => Failure::Closed,
            Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown | Kind::PermissionDenied => {
                Failure::Unreachable
            }
            kind => Failure::Connection(kind),
        })
    }
}

impl Trouble {
    /// There is no randomness for an id that must not be guessed: nothing is sent.
    pub(super) fn without_randomness(error: io::Error) -> Self {
        Self::Ours(NoResult::Internal, error)
    }

    /// Why a name was not resolved.
    pub(super) fn of_resolution(error: io::Error) -> Self {
        match NoResult::of_resolution(&error) {
            Some(reason) => Self::Ours(reason, error),
            None => Failure::Unresolved.into(),
        }
    }
}
