//! The authority of a target, for the Host header and `:authority`.

/// The target as a Host header names it (RFC 9110 section 7.2): an IPv6 address in brackets, and
/// the port unless it is the default of `scheme`, which is `http` or `https`.
pub(super) fn authority(literal: &str, port: u16, scheme: &str) -> String {
    let host = if literal.contains(':') { format!("[{literal}]") } else { literal.to_owned() };
    match (port, scheme) {
        (80, "http") | (443, "https") => host,
        _ => format!("{host}:{port}"),
    }
}
