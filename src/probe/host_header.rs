//! The authority of a target, for the Host header and `:authority`.

use std::net::SocketAddr;

/// The target as a Host header names it (RFC 9110 section 7.2): an IPv6 address in brackets, and
/// the port unless it is the default of the scheme.
pub(super) fn authority(literal: &str, address: SocketAddr, is_tls: bool) -> String {
    let host = if literal.contains(':') { format!("[{literal}]") } else { literal.to_owned() };
    match (address.port(), is_tls) {
        (80, false) | (443, true) => host,
        (port, _) => format!("{host}:{port}"),
    }
}
