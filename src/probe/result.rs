//! The result of one probe: a pass, a failure of the target, or no result.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use super::no_result::NoResult;
use crate::{
    dns_client::DnsClientError,
    health::{Failure, ProbeNote},
};

/// What the reply of a target that passed reports beyond the pass.
#[derive(Debug, Default)]
pub(super) struct PassDetails {
    /// The value of the `endpoint-load-metrics` header.
    pub(super) load_metrics: Option<Box<str>>,
    /// A warning for operators, such as a certificate that expires soon.
    pub(super) note: Option<ProbeNote>,
}

/// Why a probe did not pass.
#[derive(Debug)]
pub(super) enum ProbeError {
    /// The target failed the check.
    Target(Failure),
    /// This process or its system lacks what a probe needs, so the probe has no outcome.
    Local(NoResult, io::Error),
}

impl From<Failure> for ProbeError {
    fn from(failure: Failure) -> Self {
        Self::Target(failure)
    }
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

impl From<DnsClientError> for ProbeError {
    fn from(error: DnsClientError) -> Self {
        match error {
            DnsClientError::Io(error) => error.into(),
            DnsClientError::NotDns => Failure::NotDns.into(),
        }
    }
}

impl ProbeError {
    /// The kernel gave no random octets for an id that must be unpredictable; nothing was sent.
    pub(super) fn from_randomness(error: io::Error) -> Self {
        Self::Local(NoResult::Internal, error)
    }

    /// Combines this error with that of an address probed later. An address that could not be
    /// probed may be one that works, so a local error wins over failures of the target.
    pub(super) fn or_later(self, later: Self) -> Self {
        match self {
            Self::Local(..) => self,
            Self::Target(_) => later,
        }
    }

    /// The error of probing this address. The system has one error for "no local port left" and for
    /// "no source address", as on a host without IPv6. The second means that the target is
    /// unreachable.
    pub(super) fn for_address(self, address: SocketAddr) -> Self {
        match self {
            Self::Local(NoResult::Ports, _) if !has_source_address(address) => {
                Failure::Unreachable.into()
            }
            error => error,
        }
    }

    /// The error for a name that was not resolved.
    pub(super) fn from_resolution(error: io::Error) -> Self {
        match NoResult::from_resolution(&error) {
            Some(reason) => Self::Local(reason, error),
            None => Failure::Unresolved.into(),
        }
    }
}

/// Whether the system has a source address for packets to `address`. Sends nothing.
fn has_source_address(address: SocketAddr) -> bool {
    let any: IpAddr =
        if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let unreachable = [libc::EADDRNOTAVAIL, libc::ENETUNREACH, libc::EAFNOSUPPORT];
    let connected = std::net::UdpSocket::bind((any, 0)).and_then(|socket| socket.connect(address));
    // Any other error is a lack of descriptors or memory, and says nothing about the route.
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
    fn without_ipv6_an_ipv6_target_is_unreachable_and_ports_are_not_exhausted() {
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
