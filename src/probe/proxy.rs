//! The PROXY protocol (versions 1 and 2 of HAProxy's specification): a header at the beginning of a
//! connection that names its source and destination.
//!
//! It names the two ends of this connection, not `UNKNOWN` or `LOCAL`, which some servers refuse.

use std::{
    io::Write,
    net::{IpAddr, SocketAddr},
};

use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{result::ProbeError, tcp};
use crate::health::ProxyProtocol;

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The octet for version 2 and command PROXY.
const PROXY: u8 = 0x21;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;

/// Opens a connection, and sends a header if `version` names one.
///
/// # Errors
/// The reason why no connection opened.
pub(super) async fn open(
    address: SocketAddr,
    version: Option<ProxyProtocol>,
) -> Result<TcpStream, ProbeError> {
    let mut stream = tcp::open(address).await?;
    if let Some(version) = version {
        let header = header(version, stream.local_addr()?, stream.peer_addr()?);
        stream.write_all(&header).await?;
    }
    Ok(stream)
}

fn header(version: ProxyProtocol, from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    let mut header = Vec::with_capacity(108);
    match version {
        ProxyProtocol::V1 => {
            let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
            // Writing to a vector does not fail.
            let _ = write!(
                header,
                "PROXY {family} {} {} {} {}\r\n",
                from.ip(),
                to.ip(),
                from.port(),
                to.port()
            );
        }
        ProxyProtocol::V2 => {
            let (family, length) =
                if from.is_ipv4() { (TCP_OVER_IPV4, 12_u16) } else { (TCP_OVER_IPV6, 36) };
            header.extend(SIGNATURE);
            header.extend([PROXY, family]);
            header.extend(length.to_be_bytes());
            for end in [from, to] {
                match end.ip() {
                    IpAddr::V4(address) => header.extend(address.octets()),
                    IpAddr::V6(address) => header.extend(address.octets()),
                }
            }
            header.extend(from.port().to_be_bytes());
            header.extend(to.port().to_be_bytes());
        }
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_names_both_ends_of_the_connection() {
        let v4 = ("192.0.2.1:50000".parse().unwrap(), "192.0.2.2:443".parse().unwrap());
        let v6 = ("[2001:db8::1]:50000".parse().unwrap(), "[2001:db8::2]:443".parse().unwrap());
        assert_eq!(
            header(ProxyProtocol::V1, v4.0, v4.1),
            b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 443\r\n"
        );
        assert_eq!(
            header(ProxyProtocol::V1, v6.0, v6.1),
            b"PROXY TCP6 2001:db8::1 2001:db8::2 50000 443\r\n"
        );
        let binary = header(ProxyProtocol::V2, v4.0, v4.1);
        assert_eq!(binary[..16], *b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c");
        assert_eq!(binary[16..], [192, 0, 2, 1, 192, 0, 2, 2, 0xc3, 0x50, 0x01, 0xbb]);
        let binary = header(ProxyProtocol::V2, v6.0, v6.1);
        assert_eq!((binary[13], binary.len()), (0x21, 16 + 36));
    }
}
