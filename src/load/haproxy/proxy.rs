//! Proxies and their servers, as the statistics show them.

use crate::load::ServerCount;

#[derive(Debug, Default)]
pub(super) struct Proxy {
    pub(super) frontend: Option<ProxySide>,
    pub(super) backend: Option<ProxySide>,
    pub(super) servers: Vec<HaproxyServer>,
}

/// A proxy's row as frontend or as backend.
#[derive(Debug)]
pub(super) struct ProxySide {
    pub(super) sessions: f64,
    pub(super) limit: Option<f64>,
    pub(super) queued: Option<f64>,
    pub(super) response_millis: Option<f64>,
}

#[derive(Debug)]
pub(super) struct HaproxyServer {
    pub(super) name: Box<str>,
    pub(super) is_usable: bool,
    pub(super) is_backup: bool,
    /// The weight in force.
    pub(super) weight: Option<f64>,
    pub(super) limit: Option<f64>,
}

impl Proxy {
    /// What its servers take together, where each has a limit; else its own limit as a frontend;
    /// else that of the backend, which HAProxy makes up as a tenth of the frontends' limits where
    /// it is not configured.
    pub(super) fn limit(&self) -> Option<f64> {
        let active = self.servers.iter().filter(|server| !server.is_backup);
        let of_servers: Option<f64> = active.map(|server| server.limit).sum();
        let of = |side: &Option<ProxySide>| side.as_ref().and_then(|side| side.limit);
        of_servers.filter(|limit| *limit > 0.0).or(of(&self.frontend)).or(of(&self.backend))
    }
}

/// Servers that take requests: backups only where no other does.
pub(super) fn serving<'s>(
    servers: &'s [(&'s str, &'s HaproxyServer)],
) -> impl Iterator<Item = &'s (&'s str, &'s HaproxyServer)> {
    let are_backups = !servers.iter().any(|(_, server)| server.is_usable && !server.is_backup);
    servers.iter().filter(move |(_, server)| server.is_usable && server.is_backup == are_backups)
}

pub(super) fn count_servers(servers: &[(&str, &HaproxyServer)]) -> Option<ServerCount> {
    let total = servers.iter().filter(|(_, server)| !server.is_backup).count();
    let up = serving(servers).count().min(total);
    let count = |number: usize| u32::try_from(number).ok();
    Some(ServerCount { up: count(up)?, total: count(total)? }).filter(|_| total > 0)
}

/// Whether new requests go to a server in this state: `UP`, `UP 1/2` (failing checks) and `no
/// check`, not `DOWN`, `DOWN 1/2`, `DRAIN`, `NOLB` (only those that it already knows) and `MAINT`.
pub(super) fn takes_requests(status: &str) -> bool {
    status == "UP" || status.starts_with("UP ") || status == "no check"
}

pub(super) fn server_key(proxy: &str, server: &str) -> Box<str> {
    format!("{proxy}/{server}").into()
}
