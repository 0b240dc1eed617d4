//! The parser: what is kept of a page, line by line, and the report of it.

use std::collections::{BTreeMap, HashMap, HashSet, btree_map::Entry};

use super::{
    bounds::{MAX_NAME_OCTETS, MAX_PROXIES, MAX_SERVERS, WRONG_FORMAT},
    columns::{SocketSection, StatisticsRow, parse_header, parse_row},
    proxy::{HaproxyServer, Proxy, ProxySide, count_servers, server_key, serving, takes_requests},
};
use crate::load::{LoadReport, PollHistory, ReportError, report};

/// What else the socket says has fewer in a line than a row of the statistics.
const MIN_STATISTICS_COMMAS: usize = 8;

#[derive(Debug, Default)]
pub(super) struct StatisticsParser {
    /// Only this proxy is kept.
    pub(super) proxy_filter: Option<Box<str>>,
    pub(super) section: SocketSection,
    pub(super) replies: Replies,
    pub(super) has_statistics: bool,
    pub(super) proxies: BTreeMap<Box<str>, Proxy>,
    pub(super) server_count: usize,
    /// By `proxy/server`: the weight of the configuration.
    pub(super) configured_weights: HashMap<Box<str>, f64>,
}

/// The replies of the socket's commands, each of which ends with an empty line.
#[derive(Debug, Default)]
pub(super) struct Replies {
    pub(super) complete: usize,
    /// Whether a reply has begun whose empty line has not come.
    pub(super) is_open: bool,
}

impl Replies {
    fn line(&mut self, line: &str) {
        let is_end = line.trim().is_empty();
        self.complete += usize::from(is_end && self.is_open);
        self.is_open = !is_end;
    }
}

impl StatisticsParser {
    pub(super) fn line(&mut self, line: &[u8]) -> Result<(), ReportError> {
        let line = String::from_utf8_lossy(line);
        self.replies.line(&line);
        if let Some(header) = line.strip_prefix("# ") {
            self.section = parse_header(header);
            self.has_statistics |= matches!(self.section, SocketSection::Statistics(_));
            return Ok(());
        }
        if line.trim().is_empty() {
            self.section = SocketSection::None;
            return Ok(());
        }
        match &self.section {
            // A row after the empty line that ends the statistics: what should stand between them
            // is missing.
            SocketSection::None
                if self.has_statistics && line.matches(',').count() >= MIN_STATISTICS_COMMAS =>
            {
                Err(ReportError::Truncated)
            }
            SocketSection::None => Ok(()),
            SocketSection::Statistics(columns) => {
                let row = parse_row(&line, columns)?;
                self.add_row(row)
            }
            SocketSection::ServersState(columns) => {
                let fields: Vec<_> = line.split(' ').collect();
                let field = |at: usize| fields.get(at).copied().ok_or(WRONG_FORMAT);
                let weight = field(columns.weight)?.parse().map_err(|_| WRONG_FORMAT)?;
                let (proxy, server) = (field(columns.proxy)?, field(columns.server)?);
                if proxy.len() > MAX_NAME_OCTETS || server.len() > MAX_NAME_OCTETS {
                    return Err(WRONG_FORMAT);
                }
                if self.proxy_filter.as_deref().is_none_or(|wanted| wanted == proxy) {
                    if self.configured_weights.len() >= MAX_SERVERS {
                        return Err(ReportError::TooMany(MAX_SERVERS, "servers"));
                    }
                    self.configured_weights.insert(server_key(proxy, server), weight);
                }
                Ok(())
            }
        }
    }

    fn add_row(&mut self, row: StatisticsRow<'_>) -> Result<(), ReportError> {
        if row.proxy.is_empty()
            || row.proxy.len() > MAX_NAME_OCTETS
            || row.server.len() > MAX_NAME_OCTETS
        {
            return Err(WRONG_FORMAT);
        }
        if self.proxy_filter.as_deref().is_some_and(|wanted| wanted != row.proxy) {
            return Ok(());
        }
        let count = self.proxies.len();
        let proxy = match self.proxies.entry(row.proxy.into()) {
            Entry::Vacant(_) if count >= MAX_PROXIES => {
                return Err(ReportError::TooMany(MAX_PROXIES, "proxies"));
            }
            entry => entry.or_default(),
        };
        let side = |sessions| ProxySide {
            sessions,
            // Empty or zero is no limit.
            limit: row.limit.filter(|limit| *limit != 0.0),
            queued: row.queued,
            // A backend that served nobody yet says zero.
            response_millis: row.response_millis.filter(|_| row.sessions_ever != Some(0.0)),
        };
        // Servers may be called like the rows of the proxy itself; their kind cannot be mistaken.
        match (row.kind.map(|kind| kind as i64), &*row.server) {
            (Some(0), _) | (None, "FRONTEND") => {
                proxy.frontend = Some(side(row.sessions.ok_or(WRONG_FORMAT)?))
            }
            (Some(1), _) | (None, "BACKEND") => {
                proxy.backend = Some(side(row.sessions.ok_or(WRONG_FORMAT)?))
            }
            // A row without name or status is no server: it would count as one that is down.
            (Some(2) | None, _) if row.server.is_empty() || row.status.is_empty() => {}
            (Some(2) | None, _) => {
                self.server_count += 1;
                if self.server_count > MAX_SERVERS {
                    return Err(ReportError::TooMany(MAX_SERVERS, "servers"));
                }
                proxy.servers.push(HaproxyServer {
                    is_usable: takes_requests(&row.status) && row.weight != Some(0.0),
                    name: row.server.into(),
                    is_backup: row.is_backup,
                    weight: row.weight,
                    limit: row.limit.filter(|limit| *limit != 0.0),
                });
            }
            // A listener's own row.
            _ => {}
        }
        Ok(())
    }

    pub(super) fn report(self, memory: &mut PollHistory) -> Result<LoadReport, ReportError> {
        let chosen = self.selected_proxies()?;
        let sides = || {
            chosen
                .iter()
                .filter_map(|(_, proxy)| proxy.backend.as_ref().or(proxy.frontend.as_ref()))
        };
        let slowest = sides().filter_map(|side| side.response_millis).reduce(f64::max);
        let queued = sides().filter_map(|side| side.queued).reduce(|a, b| a + b);
        let servers: Vec<_> = chosen
            .iter()
            .flat_map(|(name, proxy)| proxy.servers.iter().map(move |server| (*name, server)))
            .collect();
        let report = LoadReport {
            connections: Some(sides().map(|side| side.sessions).sum()),
            limit: chosen.iter().map(|(_, proxy)| proxy.limit()).sum(),
            servers: count_servers(&servers),
            capacity_share: self.capacity_share(&servers, memory),
            response_time: slowest
                .map(|millis| report::response_time(millis / 1000.0))
                .transpose()?,
            gauges: queued.map(|queued| ("queue".into(), queued)).into_iter().collect(),
        };
        Ok(report)
    }

    /// The proxy asked for; else all backends, those without servers only where no other is.
    fn selected_proxies(&self) -> Result<Vec<(&str, &Proxy)>, ReportError> {
        let all = || self.proxies.iter().map(|(name, proxy)| (&**name, proxy));
        if self.proxy_filter.is_some() {
            let chosen: Vec<_> = all()
                .filter(|(_, proxy)| proxy.backend.is_some() || proxy.frontend.is_some())
                .collect();
            return if chosen.is_empty() {
                Err(ReportError::Missing("`proxy`".into()))
            } else {
                Ok(chosen)
            };
        }
        let backends: Vec<_> = all().filter(|(_, proxy)| proxy.backend.is_some()).collect();
        let serving: Vec<_> =
            backends.iter().filter(|(_, proxy)| !proxy.servers.is_empty()).copied().collect();
        match (serving.is_empty(), backends.is_empty()) {
            (false, _) => Ok(serving),
            (true, false) => Ok(backends),
            (true, true) => Err(ReportError::Missing("any backend".into())),
        }
    }

    /// Weights in force of the servers that serve over configured weights of all.
    fn capacity_share(
        &self,
        servers: &[(&str, &HaproxyServer)],
        memory: &mut PollHistory,
    ) -> Option<f64> {
        let mut whole = 0.0;
        let mut seen = HashSet::new();
        for (proxy, server) in servers.iter().filter(|(_, server)| !server.is_backup) {
            let name = server_key(proxy, &server.name);
            let weight = server.weight?;
            whole += match self.configured_weights.get(&name) {
                Some(&configured) => configured,
                None => memory.highest_weight(&name, weight),
            };
            seen.insert(name);
        }
        memory.retain_servers(|name| seen.contains(name));
        let left: f64 = serving(servers).filter_map(|(_, server)| server.weight).sum();
        // An operator may raise a weight above the configured one, and backups may weigh more than
        // those they stand in for.
        (whole > 0.0).then(|| (left / whole).min(1.0))
    }
}
