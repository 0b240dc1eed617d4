//! A service, a type and its clients as every report names them.

use std::fmt::Display;

/// `www.example.com AAAA (country DE; country AT and 2 more)`, with the first
/// `max_clients` groups of clients. Without `clients` the text is about all clients of the service.
pub(super) fn subject_text(
    name: impl Display,
    rtype: &str,
    clients: &[String],
    max_clients: usize,
) -> String {
    match clients.len() {
        0 => format!("{name} {rtype}"),
        count if count > max_clients => {
            format!(
                "{name} {rtype} ({} and {} more)",
                clients[..max_clients].join("; "),
                count - max_clients
            )
        }
        _ => format!("{name} {rtype} ({})", clients.join("; ")),
    }
}
