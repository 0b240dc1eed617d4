//! ICMP: an echo request and its reply (RFC 792, RFC 4443).
//!
//! It uses the kernel's ping sockets, which need no privilege if `net.ipv4.ping_group_range`
//! contains the group of this process, else a raw socket. If the kernel permits neither, the
//! monitor cannot work, and that is reported.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::result::{PassDetails, ProbeError};
use crate::{health::Failure, random};

const ECHO_REQUEST_V4: u8 = 8;
const ECHO_REPLY_V4: u8 = 0;
const ECHO_REQUEST_V6: u8 = 128;
const ECHO_REPLY_V6: u8 = 129;

/// The payload of an echo request, which identifies its reply.
type EchoToken = [u8; 16];

/// The check; it has no settings.
#[derive(Debug, Default)]
pub(super) struct IcmpProbe;

impl IcmpProbe {
    /// Sends an echo request and waits for the reply.
    ///
    /// # Errors
    /// The reason why there is none; [`Failure::MonitorUnusable`] if the system permits no echo
    /// requests.
    pub(super) async fn probe(&self, address: IpAddr) -> Result<PassDetails, ProbeError> {
        let socket = Self::open(address)?;
        let token = random::octets().map_err(ProbeError::from_randomness)?;
        socket.send(&request(address, token)).await?;
        let mut octets = [0; 1024];
        loop {
            let length = socket.recv(&mut octets).await?;
            if octets.get(..length).is_some_and(|packet| is_reply(address, packet, token)) {
                return Ok(PassDetails::default());
            }
        }
    }

    fn open(address: IpAddr) -> Result<UdpSocket, ProbeError> {
        let (domain, protocol) = match address {
            IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
            IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
        };
        let socket = Socket::new(domain, Type::DGRAM, Some(protocol))
            .or_else(|_| Socket::new(domain, Type::RAW, Some(protocol)))
            .map_err(Self::socket_error)?;
        socket.set_nonblocking(true)?;
        socket.connect(&SocketAddr::new(address, 0).into())?;
        // For tokio it is a datagram socket like one of UDP.
        Ok(UdpSocket::from_std(socket.into())?)
    }

    fn socket_error(error: io::Error) -> ProbeError {
        match error.kind() {
            io::ErrorKind::PermissionDenied => Failure::MonitorUnusable(
                "this system does not permit echo requests: set net.ipv4.ping_group_range to a range that holds this \
                 server's group, or give it CAP_NET_RAW"
                    .into(),
            )
            .into(),
            _ => error.into(),
        }
    }
}

/// An echo request. The kernel sets the identifier of a request over a ping socket, and always the
/// checksum of an IPv6 one.
fn request(address: IpAddr, token: EchoToken) -> Vec<u8> {
    let kind = if address.is_ipv4() { ECHO_REQUEST_V4 } else { ECHO_REQUEST_V6 };
    let mut packet = vec![kind, 0, 0, 0, 0, 0, 0, 1];
    packet.extend(token);
    let checksum = checksum(&packet);
    packet.splice(2..4, checksum.to_be_bytes());
    packet
}

/// Whether a packet is the reply to the request with `token`. A raw IPv4 socket also delivers the
/// IP header, and the packets of other processes.
fn is_reply(address: IpAddr, packet: &[u8], token: EchoToken) -> bool {
    let (reply, header) = match (address, packet.first()) {
        (IpAddr::V4(_), Some(first)) if first >> 4 == 4 => {
            (ECHO_REPLY_V4, usize::from(first & 15) * 4)
        }
        (IpAddr::V4(_), _) => (ECHO_REPLY_V4, 0),
        (IpAddr::V6(_), _) => (ECHO_REPLY_V6, 0),
    };
    packet
        .get(header..)
        .is_some_and(|echo| echo.starts_with(&[reply, 0]) && echo.get(8..) == Some(&token))
}

/// The internet checksum (RFC 1071) of an even number of octets.
fn checksum(packet: &[u8]) -> u16 {
    let sum: u32 =
        packet.chunks_exact(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_recognised_by_its_token() {
        let (v4, v6) = ("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
        let token = [7; 16];
        let echo = |kind: u8, token: EchoToken| [&[kind, 0, 0, 0, 1, 2, 0, 1], &token[..]].concat();
        let in_ip = |echo: Vec<u8>| [&[0x45; 20], &echo[..]].concat();
        for (address, packet, is_ours, why) in [
            (v4, echo(0, token), true, "from a ping socket"),
            (v4, in_ip(echo(0, token)), true, "from a raw socket"),
            (v6, echo(129, token), true, "over IPv6"),
            (v4, echo(8, token), false, "our own request, as loopback shows it to raw sockets"),
            (v4, echo(0, [8; 16]), false, "another's"),
            (v4, vec![0x4f; 4], false, "a header beyond the packet"),
            (v4, vec![], false, "nothing"),
        ] {
            assert_eq!(is_reply(address, &packet, token), is_ours, "{why}");
        }
        // RFC 1071: a packet with its checksum sums to nothing.
        assert_eq!(checksum(&request(v4, token)), 0);
    }
}
