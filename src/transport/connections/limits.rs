//! The bounds on what clients' connections may use.

use std::time::Duration;

/// Bounds on what clients' connections may use.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// The maximum number of connections at once, each of one descriptor.
    pub connections: usize,
    /// The maximum number of connections at once from one IPv4 address or IPv6 /64.
    pub connections_per_client: usize,
    /// The longest wait for the next complete message or request; a quarter of it while more than
    /// half of `connections` are open.
    pub idle_timeout: Duration,
    /// The longest time from the accepted connection to its first complete message or request,
    /// including the TLS handshake.
    pub first_message_timeout: Duration,
    /// The longest wait for a client to read, so that more replies can be sent.
    pub write_timeout: Duration,
    /// The maximum age of an HTTPS connection; its requests in progress are still answered.
    pub max_age: Duration,
    /// The maximum number of octets that all connections together may buffer, besides the few
    /// hundred that every connection may buffer anyway.
    pub buffered_octets: usize,
}

impl ConnectionLimits {
    /// The default limits for at most `connections` connections at once, of which one client may
    /// have a fifth.
    pub fn for_connections(connections: usize) -> Self {
        let limits = Self::default();
        let connections = connections.min(limits.connections);
        Self {
            connections,
            connections_per_client: limits.connections_per_client.min(connections / 5).max(1),
            ..limits
        }
    }
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_client: 2_000,
            idle_timeout: Duration::from_secs(10),
            first_message_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(5),
            max_age: Duration::from_secs(300),
            buffered_octets: 32 << 20,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_has_a_fifth_of_a_small_table() {
        let limits = |connections| {
            let ConnectionLimits { connections, connections_per_client, .. } =
                ConnectionLimits::for_connections(connections);
            (connections, connections_per_client)
        };
        assert_eq!([100_000, 400, 3].map(limits), [(10_000, 2_000), (400, 80), (3, 1)]);
    }
}
