//! The snapshot: everything a query is answered from, immutable, published by one pointer swap.
//! Layer 4.

use std::sync::Arc;

use crate::{
    dns::CookieKeys,
    geo::Databases,
    health::HealthStatus,
    steer::{Chart, Topology},
    zone::Zones,
};

/// Everything a query is answered from. Never changes; the next one shares what stayed the same.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Counts up by one with each snapshot published.
    pub generation: u64,
    /// The zones and which of their names are services.
    pub zones: Arc<Zones>,
    /// The compiled services, by [`crate::steer::ServiceId`].
    pub charts: Vec<Arc<Chart>>,
    /// How many turn counters the charts use; shards make room for them when they take up the
    /// snapshot.
    pub turn_counters: usize,
    /// What the server says of itself.
    pub identity: Arc<ServerIdentity>,
    /// The databases that the charts were compiled with; read by `whoami` alone.
    pub databases: Arc<Databases>,
    /// What the charts were compiled from; for `explain`, `whoami` and the admin API, read by no
    /// other query.
    pub topology: Arc<Topology>,
    /// The health the charts were compiled with, by [`crate::steer::ProbeId`]; for the same
    /// readers.
    pub standings: Arc<[HealthStatus]>,
}

/// What the server says of itself in replies.
#[derive(Debug, Clone, Default)]
pub struct ServerIdentity {
    /// The NSID octets (RFC 5001); empty where the server has none.
    pub nsid: Box<[u8]>,
    /// The keys of server cookies (RFC 9018); without any, clients get no cookies.
    pub cookie_keys: Option<CookieKeys>,
}

impl ServerIdentity {
    /// The NSID as text; in hexadecimal where it is not printable ASCII.
    pub fn nsid_text(&self) -> String {
        match std::str::from_utf8(&self.nsid) {
            Ok(text) if text.bytes().all(|octet| (b' '..=b'~').contains(&octet)) => text.to_owned(),
            _ => self.nsid.iter().map(|octet| format!("{octet:02x}")).collect(),
        }
    }
}
