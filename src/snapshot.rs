//! The snapshot: everything that queries are answered from. It is immutable and is published by one
//! pointer swap. Layer 4.

use std::sync::Arc;

use crate::{
    dns::CookieKeys,
    geo::Databases,
    health::HealthStatus,
    steer::{Chart, Topology},
    zone::Zones,
};

/// Everything that queries are answered from. Immutable; the next snapshot shares what did not
/// change.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The number of the snapshot; rises by one with each published snapshot.
    pub generation: u64,
    /// The zones, and the names of services in them.
    pub zones: Arc<Zones>,
    /// The compiled services, by [`crate::steer::ServiceId`].
    pub charts: Vec<Arc<Chart>>,
    /// The number of turn counters that the charts use; a shard allocates them when it first sees
    /// the snapshot.
    pub turn_counters: usize,
    /// The identity of the server in replies.
    pub identity: Arc<ServerIdentity>,
    /// The databases that the charts were compiled with; only `whoami` reads them.
    pub databases: Arc<Databases>,
    /// The topology that the charts were compiled from. Only `explain`, `whoami` and the admin API
    /// read it.
    pub topology: Arc<Topology>,
    /// The health status that the charts were compiled with, by [`crate::steer::ProbeId`]; for the
    /// same readers.
    pub health_statuses: Arc<[HealthStatus]>,
}

/// The identity of the server in replies.
#[derive(Debug, Clone, Default)]
pub struct ServerIdentity {
    /// The NSID octets (RFC 5001); empty if the server has none.
    pub nsid: Box<[u8]>,
    /// The keys of server cookies (RFC 9018); without any, clients get no cookies.
    pub cookie_keys: Option<CookieKeys>,
}

impl ServerIdentity {
    /// The NSID as text; in hexadecimal if it is not printable ASCII.
    pub fn nsid_text(&self) -> String {
        match std::str::from_utf8(&self.nsid) {
            Ok(text) if text.bytes().all(|octet| (b' '..=b'~').contains(&octet)) => text.to_owned(),
            _ => self.nsid.iter().map(|octet| format!("{octet:02x}")).collect(),
        }
    }
}
