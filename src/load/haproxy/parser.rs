//! The parser: reads the lines of a page and makes the report of them.

use std::collections::{BTreeMap, HashMap, HashSet, btree_map::Entry};

use super::{
    bounds::{MAX_NAME_OCTETS, MAX_PROXIES, MAX_SERVERS, WRONG_FORMAT},
    columns::{
        ConfiguredWeight, SocketSection, StatisticsRow, parse_configured_weight, parse_header,
        parse_row,
    },
    proxy::{
        HaproxyServer, ListedServer, Proxy, ProxySide, count_servers, server_key, serving,
        takes_requests,
    },
};
use crate::load::{LoadReport, PollHistory, ReportError, report};

/// The least commas in a row of the statistics. Other lines from the socket have fewer.
const MIN_STATISTICS_COMMAS: usize = 8;

/// What has been read of a page so far.
#[derive(Debug, Default)]
pub(super) struct StatisticsParser {
    /// Only this proxy is read; `None` reads all.
    pub(super) proxy_filter: Option<Box<str>>,
    pub(super) section: SocketSection,
    pub(super) replies: Replies,
    pub(super) has_statistics: bool,
    pub(super) proxies: BTreeMap<Box<str>, Proxy>,
    pub(super) server_count: usize,
    /// The configured weight of each server, by `proxy/server`.
    pub(super) configured_weights: HashMap<Box<str>, f64>,
}

/// The replies to the commands on the socket. Each ends with an empty line.
#[derive(Debug, Default)]
pub(super) struct Replies {
    pub(super) complete: usize,
    /// Whether a reply has begun and its empty line has not arrived.
    pub(super) is_open: bool,
}

impl Replies {
    fn count_line(&mut self, line: &str) {
        let is_end = line.trim().is_empty();
        self.complete += usize::from(is_end && self.is_open);
        self.is_open = !is_end;
    }
}

impl StatisticsParser {
    /// Parses one line of the statistics.
    pub(super) fn parse_line(&mut self, line: &[u8]) -> Result<(), ReportError> {
        let line = String::from_utf8_lossy(line);
        self.replies.count_line(&line);
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
            // The empty line before this row should have ended the statistics: a part of the page
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
                let weight = parse_configured_weight(&line, columns)?;
                self.add_configured_weight(weight)
            }
        }
    }

    fn add_configured_weight(&mut self, row: ConfiguredWeight<'_>) -> Result<(), ReportError> {
        if row.proxy.len() > MAX_NAME_OCTETS || row.server.len() > MAX_NAME_OCTETS {
            return Err(WRONG_FORMAT);
        }
        if self.proxy_filter.as_deref().is_none_or(|filter| filter == row.proxy) {
            if self.configured_weights.len() >= MAX_SERVERS {
                return Err(ReportError::TooMany(MAX_SERVERS, "servers"));
            }
            self.configured_weights.insert(server_key(row.proxy, row.server), row.weight);
        }
        Ok(())
    }

    fn add_row(&mut self, row: StatisticsRow<'_>) -> Result<(), ReportError> {
        if row.proxy.is_empty()
            || row.proxy.len() > MAX_NAME_OCTETS
            || row.server.len() > MAX_NAME_OCTETS
        {
            return Err(WRONG_FORMAT);
        }
        if self.proxy_filter.as_deref().is_some_and(|filter| filter != row.proxy) {
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
            // An empty field or zero means no limit.
            limit: row.limit.filter(|limit| *limit != 0.0),
            queued: row.queued,
            // A backend without any session so far reports zero.
            response_millis: row.response_millis.filter(|_| row.sessions_ever != Some(0.0)),
        };
        // A server may be named FRONTEND or BACKEND, so the kind takes precedence over the name.
        match (row.kind.map(|kind| kind as i64), &*row.server) {
            (Some(0), _) | (None, "FRONTEND") => {
                proxy.frontend = Some(side(row.sessions.ok_or(WRONG_FORMAT)?))
            }
            (Some(1), _) | (None, "BACKEND") => {
                proxy.backend = Some(side(row.sessions.ok_or(WRONG_FORMAT)?))
            }
            // A row without name or status is not a server and must not count as one that is down.
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
            // Rows of listeners are not used.
            _ => {}
        }
        Ok(())
    }

    /// The report of everything that has been read.
    pub(super) fn report(self, history: &mut PollHistory) -> Result<LoadReport, ReportError> {
        let proxies = self.selected_proxies()?;
        let sides = || {
            let proxies = proxies.iter().map(|(_, proxy)| proxy);
            proxies.filter_map(|proxy| proxy.backend.as_ref().or(proxy.frontend.as_ref()))
        };
        let slowest_millis = sides().filter_map(|side| side.response_millis).reduce(f64::max);
        let queued = sides().filter_map(|side| side.queued).reduce(|a, b| a + b);
        let servers: Vec<_> = proxies
            .iter()
            .flat_map(|&(name, proxy)| {
                proxy.servers.iter().map(move |server| ListedServer { proxy: name, server })
            })
            .collect();
        let report = LoadReport {
            connections: Some(sides().map(|side| side.sessions).sum()),
            limit: proxies.iter().map(|(_, proxy)| proxy.limit()).sum(),
            servers: count_servers(&servers),
            capacity_share: self.capacity_share(&servers, history),
            response_time: slowest_millis
                .map(|millis| report::response_time(millis / 1000.0))
                .transpose()?,
            gauges: queued.map(|queued| ("queue".into(), queued)).into_iter().collect(),
        };
        Ok(report)
    }

    /// The configured proxy, or all backends: those with servers, or the others if no backend has
    /// any.
    fn selected_proxies(&self) -> Result<Vec<(&str, &Proxy)>, ReportError> {
        let all = || self.proxies.iter().map(|(name, proxy)| (&**name, proxy));
        if self.proxy_filter.is_some() {
            let selected: Vec<_> = all()
                .filter(|(_, proxy)| proxy.backend.is_some() || proxy.frontend.is_some())
                .collect();
            return if selected.is_empty() {
                Err(ReportError::Missing("`proxy`".into()))
            } else {
                Ok(selected)
            };
        }
        let backends: Vec<_> = all().filter(|(_, proxy)| proxy.backend.is_some()).collect();
        let with_servers: Vec<_> =
            backends.iter().filter(|(_, proxy)| !proxy.servers.is_empty()).copied().collect();
        match (with_servers.is_empty(), backends.is_empty()) {
            (false, _) => Ok(with_servers),
            (true, false) => Ok(backends),
            (true, true) => Err(ReportError::Missing("any backend".into())),
        }
    }

    /// The effective weights of the servers that take requests, divided by the configured weights
    /// of all servers except backups.
    fn capacity_share(
        &self,
        servers: &[ListedServer<'_>],
        history: &mut PollHistory,
    ) -> Option<f64> {
        let mut configured_sum = 0.0;
        let mut seen = HashSet::new();
        for ListedServer { proxy, server } in
            servers.iter().filter(|listed| !listed.server.is_backup)
        {
            let name = server_key(proxy, &server.name);
            let weight = server.weight?;
            configured_sum += match self.configured_weights.get(&name) {
                Some(&configured) => configured,
                None => history.highest_weight(&name, weight),
            };
            seen.insert(name);
        }
        history.retain_servers(|name| seen.contains(name));
        let effective_sum: f64 = serving(servers).filter_map(|server| server.weight).sum();
        // At most 1: an operator may have raised a weight above the configured one, and backups may
        // weigh more than the servers that they replace.
        (configured_sum > 0.0).then(|| (effective_sum / configured_sum).min(1.0))
    }
}
