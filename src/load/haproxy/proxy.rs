//! Proxies and their servers.

use crate::load::ServerCount;

/// The rows of one proxy.
#[derive(Debug, Default)]
pub(super) struct Proxy {
    pub(super) frontend: Option<ProxySide>,
    pub(super) backend: Option<ProxySide>,
    pub(super) servers: Vec<HaproxyServer>,
}

/// The row of a proxy's frontend or backend.
#[derive(Debug)]
pub(super) struct ProxySide {
    pub(super) sessions: f64,
    pub(super) limit: Option<f64>,
    pub(super) queued: Option<f64>,
    pub(super) response_millis: Option<f64>,
}

/// The row of a server.
#[derive(Debug)]
pub(super) struct HaproxyServer {
    pub(super) name: Box<str>,
    /// Whether the server takes requests.
    pub(super) is_usable: bool,
    pub(super) is_backup: bool,
    /// The effective weight of the server, if reported.
    pub(super) weight: Option<f64>,
    pub(super) limit: Option<f64>,
}

/// A server and the name of its proxy.
#[derive(Debug, Clone, Copy)]
pub(super) struct ListedServer<'s> {
    pub(super) proxy: &'s str,
    pub(super) server: &'s HaproxyServer,
}

impl Proxy {
    /// The limit of connections: the sum over the servers if each has a limit; otherwise that of
    /// the frontend; otherwise that of the backend, for which HAProxy uses a tenth of the
    /// frontends' limits if it is not configured.
    pub(super) fn limit(&self) -> Option<f64> {
        let active = self.servers.iter().filter(|server| !server.is_backup);
        let sum: Option<f64> = active.map(|server| server.limit).sum();
        let side_limit = |side: &Option<ProxySide>| side.as_ref().and_then(|side| side.limit);
        sum.filter(|limit| *limit > 0.0)
            .or(side_limit(&self.frontend))
            .or(side_limit(&self.backend))
    }
}

/// The servers that take requests. Backups take requests only if no other server does.
pub(super) fn serving<'s>(
    servers: &'s [ListedServer<'s>],
) -> impl Iterator<Item = &'s HaproxyServer> {
    let servers = servers.iter().map(|listed| listed.server).filter(|server| server.is_usable);
    let uses_backups = servers.clone().all(|server| server.is_backup);
    servers.filter(move |server| server.is_backup == uses_backups)
}

/// The servers that take requests and all servers, without backups; `None` if there are none.
pub(super) fn count_servers(servers: &[ListedServer<'_>]) -> Option<ServerCount> {
    let total = servers.iter().filter(|listed| !listed.server.is_backup).count();
    let up = serving(servers).count().min(total);
    let count = |number: usize| u32::try_from(number).ok();
    Some(ServerCount { up: count(up)?, total: count(total)? }).filter(|_| total > 0)
}

/// Whether HAProxy sends new requests to a server with this status. It does for `UP`, `UP 1/2`
/// (some checks failed) and `no check`; it does not for `DOWN`, `DOWN 1/2`, `DRAIN`, `NOLB` (only
/// sessions that the server has already) and `MAINT`.
pub(super) fn takes_requests(status: &str) -> bool {
    status == "UP" || status.starts_with("UP ") || status == "no check"
}

/// The key of a server in [`crate::load::PollHistory`].
pub(super) fn server_key(proxy: &str, server: &str) -> Box<str> {
    format!("{proxy}/{server}").into()
}
