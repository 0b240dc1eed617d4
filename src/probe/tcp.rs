//! TCP: a connection that opens. Also the first step of the other kinds.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::net::{TcpSocket, TcpStream};

use super::{check::ProbeError, no_result::NoResult};
use crate::health::Failure;

/// The kernel holds at most about twice this of what a target sends and nobody reads.
const RECEIVE_BUFFER_OCTETS: u32 = 32 * 1024;

/// Opens a connection. Dropped, it is reset: thousands of probes a second would otherwise leave
/// their ports in TIME_WAIT.
///
/// # Errors
/// Why there is no connection.
pub(super) async fn open(address: SocketAddr) -> Result<TcpStream, ProbeError> {
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
pub(super) async fn probe(address: SocketAddr) -> Result<(), ProbeError> {
    open(address).await.map(drop)
}

impl From<io::Error> for ProbeError {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind as Kind;
        if let Some(reason) = NoResult::from_io(&error) {
            return Self::Local(reason, error);
        }
        Self::Target(match error.kind() {
            Kind::ConnectionRefused => Failure::Refused,
            Kind::ConnectionReset
            | Kind::ConnectionAborted
            | Kind::BrokenPipe
            | Kind::UnexpectedEof
            | Kind::NotConnected => Failure::Closed,
            Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::NetworkDown
            | Kind::PermissionDenied => Failure::Unreachable,
            kind => Failure::Connection(kind),
        })
    }
}

impl ProbeError {
    /// The kernel gave no randomness for an id that must not be guessed: nothing is sent.
    pub(super) fn from_randomness(error: io::Error) -> Self {
        Self::Local(NoResult::Internal, error)
    }

    /// The trouble of a target whose addresses were probed one after the other. An address that
    /// could not be probed may be one that works, so that the target has not failed.
    pub(super) fn or_later(self, later: Self) -> Self {
        match self {
            Self::Local(..) => self,
            Self::Target(_) => later,
        }
    }

    /// The trouble of probing this address. The system has one error for "no local port left" and
    /// for "no source address", as on a host without IPv6: the second means that there is no route
    /// to the target.
    pub(super) fn for_address(self, address: SocketAddr) -> Self {
        match self {
            Self::Local(NoResult::Ports, _) if !has_source_address(address) => {
                Failure::Unreachable.into()
            }
            trouble => trouble,
        }
    }

    /// Why a name was not resolved.
    pub(super) fn from_resolution(error: io::Error) -> Self {
        match NoResult::from_resolution(&error) {
            Some(reason) => Self::Local(reason, error),
            None => Failure::Unresolved.into(),
        }
    }
}

/// Whether the system has an address of its own from which it reaches another. Sends nothing.
fn has_source_address(address: SocketAddr) -> bool {
    let any: IpAddr =
        if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let unreachable = [libc::EADDRNOTAVAIL, libc::ENETUNREACH, libc::EAFNOSUPPORT];
    let connected = std::net::UdpSocket::bind((any, 0)).and_then(|socket| socket.connect(address));
    // Any other error is a lack of a descriptor or of memory, and says nothing of the way.
    !connected
        .is_err_and(|error| error.raw_os_error().is_some_and(|code| unreachable.contains(&code)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_port() -> ProbeError {
        io::Error::from_raw_os_error(libc::EADDRNOTAVAIL).into()
    }

    #[test]
    fn an_address_that_could_not_be_probed_leaves_its_target_without_a_result() {
        let refused = || ProbeError::from(Failure::Refused);
        assert!(matches!(refused().or_later(no_port()), ProbeError::Local(NoResult::Ports, _)));
        assert!(matches!(no_port().or_later(refused()), ProbeError::Local(NoResult::Ports, _)));
        assert!(
            matches!(
                refused().or_later(Failure::Closed.into()),
                ProbeError::Target(Failure::Closed)
            ),
            "the later one"
        );
    }

    #[test]
    fn a_host_without_ipv6_has_no_way_to_an_address_of_it_and_no_lack_of_ports() {
        assert!(matches!(
            no_port().for_address("127.0.0.1:80".parse().unwrap()),
            ProbeError::Local(NoResult::Ports, _)
        ));
        let address = "[::1]:80".parse().unwrap();
        let has_ipv6 = std::net::UdpSocket::bind("[::1]:0").is_ok();
        assert_eq!(
            matches!(no_port().for_address(address), ProbeError::Target(Failure::Unreachable)),
            !has_ipv6
        );
    }
}
