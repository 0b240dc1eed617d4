//! HAProxy: `show stat` in CSV, over HTTP or its socket, and from the socket also `show servers
//! state`.
//!
//! Columns are found by their names: releases add some. What a server's weight would be without its
//! agent stands only in `show servers state`; without that the highest weight that the server had
//! has to do (see [`PollHistory`]).

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, HashSet, btree_map::Entry},
};

use super::{LoadReport, PollHistory, ReportError, ServerCount, line_splitter::LineSplitter};

const WRONG_FORMAT: ReportError = ReportError::WrongFormat("HAProxy's statistics in CSV");
const MAX_SERVERS: usize = 4096;
const MAX_PROXIES: usize = 4096;
/// What else the socket says has fewer in a line than a row of the statistics.
const MIN_STATISTICS_COMMAS: usize = 8;
/// The longest name of a proxy or a server, in octets.
const MAX_NAME_OCTETS: usize = 256;

/// What is kept of a page while it goes by.
#[derive(Debug, Default)]
pub(super) struct Statistics {
    lines: LineSplitter,
    tables: StatisticsParser,
}

#[derive(Debug, Default)]
struct StatisticsParser {
    /// Only this proxy is kept.
    proxy_filter: Option<Box<str>>,
    section: SocketSection,
    replies: Replies,
    has_statistics: bool,
    proxies: BTreeMap<Box<str>, Proxy>,
    server_count: usize,
    /// By `proxy/server`: the weight of the configuration.
    configured_weights: HashMap<Box<str>, f64>,
}

/// The replies of the socket's commands, each of which ends with an empty line.
#[derive(Debug, Default)]
struct Replies {
    complete: usize,
    /// Whether a reply has begun whose empty line has not come.
    is_open: bool,
}

/// What the lines are that follow.
#[derive(Debug, Default)]
enum SocketSection {
    #[default]
    None,
    Statistics(StatisticsColumns),
    ServersState(StateColumns),
}

#[derive(Debug, Clone, Copy)]
enum StatisticsColumn {
    Proxy,
    Server,
    Queued,
    Sessions,
    Limit,
    SessionsEver,
    Status,
    Weight,
    IsBackup,
    ResponseTime,
    Kind,
}

/// What each column is, up to the last that is wanted.
#[derive(Debug)]
struct StatisticsColumns {
    wanted: Vec<Option<StatisticsColumn>>,
    /// So many of them tell of servers, which are most rows.
    server_column_count: usize,
}

impl StatisticsColumns {
    fn new(mut wanted: Vec<Option<StatisticsColumn>>) -> Self {
        let end = |wanted: &[Option<StatisticsColumn>], is: fn(&StatisticsColumn) -> bool| {
            wanted
                .iter()
                .rposition(|column| column.as_ref().is_some_and(is))
                .map_or(0, |last| last + 1)
        };
        let server_column_count =
            end(&wanted, |column| !matches!(column, StatisticsColumn::ResponseTime));
        wanted.truncate(end(&wanted, |_| true));
        Self { wanted, server_column_count }
    }
}

#[derive(Debug)]
struct StateColumns {
    proxy: usize,
    server: usize,
    weight: usize,
}

/// A line of the statistics.
#[derive(Debug, Default)]
struct StatisticsRow<'t> {
    proxy: Cow<'t, str>,
    server: Cow<'t, str>,
    status: Cow<'t, str>,
    queued: Option<f64>,
    sessions: Option<f64>,
    limit: Option<f64>,
    sessions_ever: Option<f64>,
    weight: Option<f64>,
    is_backup: bool,
    response_millis: Option<f64>,
    kind: Option<f64>,
}

#[derive(Debug, Default)]
struct Proxy {
    frontend: Option<ProxySide>,
    backend: Option<ProxySide>,
    servers: Vec<HaproxyServer>,
}

/// A proxy's row as frontend or as backend.
#[derive(Debug)]
struct ProxySide {
    sessions: f64,
    limit: Option<f64>,
    queued: Option<f64>,
    response_millis: Option<f64>,
}

#[derive(Debug)]
struct HaproxyServer {
    name: Box<str>,
    is_usable: bool,
    is_backup: bool,
    /// The weight in force.
    weight: Option<f64>,
    limit: Option<f64>,
}

impl Statistics {
    /// Keeps one proxy, or all backends.
    pub(super) fn new(proxy: Option<&str>) -> Self {
        Self {
            tables: StatisticsParser {
                proxy_filter: proxy.map(Into::into),
                ..StatisticsParser::default()
            },
            ..Self::default()
        }
    }

    /// Takes the next octets.
    ///
    /// # Errors
    /// They are no statistics, or more than is kept.
    pub(super) fn feed(&mut self, octets: &[u8]) -> Result<(), ReportError> {
        let Self { lines, tables } = self;
        lines.feed(octets, |line| tables.line(line))
    }

    /// Whether so many replies of the socket came, each to its end. What follows the last line end
    /// counts as cut off.
    pub(super) fn has_complete_replies(&self, count: usize) -> bool {
        let replies = &self.tables.replies;
        replies.complete >= count && !replies.is_open && self.lines.is_at_line_start()
    }

    /// Whether everything fed so far was whole lines and whole proxies: the backend's own row comes
    /// after its servers'.
    pub(super) fn is_complete(&self) -> bool {
        let is_whole = |proxy: &Proxy| proxy.servers.is_empty() || proxy.backend.is_some();
        self.lines.is_at_line_start() && self.tables.proxies.values().all(is_whole)
    }

    /// The report.
    ///
    /// # Errors
    /// There were no statistics, or the proxy is not in them.
    pub(super) fn finish(mut self, memory: &mut PollHistory) -> Result<LoadReport, ReportError> {
        let Self { lines, tables } = &mut self;
        lines.finish(|line| tables.line(line))?;
        if !tables.has_statistics {
            return Err(WRONG_FORMAT);
        }
        self.tables.report(memory)
    }
}

impl Replies {
    fn line(&mut self, line: &str) {
        let is_end = line.trim().is_empty();
        self.complete += usize::from(is_end && self.is_open);
        self.is_open = !is_end;
    }
}

impl StatisticsParser {
    fn line(&mut self, line: &[u8]) -> Result<(), ReportError> {
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

    fn report(self, memory: &mut PollHistory) -> Result<LoadReport, ReportError> {
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
                .map(|millis| super::report::response_time(millis / 1000.0))
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

impl Proxy {
    /// What its servers take together, where each has a limit; else its own limit as a frontend;
    /// else that of the backend, which HAProxy makes up as a tenth of the frontends' limits where
    /// it is not configured.
    fn limit(&self) -> Option<f64> {
        let active = self.servers.iter().filter(|server| !server.is_backup);
        let of_servers: Option<f64> = active.map(|server| server.limit).sum();
        let of = |side: &Option<ProxySide>| side.as_ref().and_then(|side| side.limit);
        of_servers.filter(|limit| *limit > 0.0).or(of(&self.frontend)).or(of(&self.backend))
    }
}

/// Servers that take requests: backups only where no other does.
fn serving<'s>(
    servers: &'s [(&'s str, &'s HaproxyServer)],
) -> impl Iterator<Item = &'s (&'s str, &'s HaproxyServer)> {
    let are_backups = !servers.iter().any(|(_, server)| server.is_usable && !server.is_backup);
    servers.iter().filter(move |(_, server)| server.is_usable && server.is_backup == are_backups)
}

fn count_servers(servers: &[(&str, &HaproxyServer)]) -> Option<ServerCount> {
    let total = servers.iter().filter(|(_, server)| !server.is_backup).count();
    let up = serving(servers).count().min(total);
    let count = |number: usize| u32::try_from(number).ok();
    Some(ServerCount { up: count(up)?, total: count(total)? }).filter(|_| total > 0)
}

/// Whether new requests go to a server in this state: `UP`, `UP 1/2` (failing checks) and `no
/// check`, not `DOWN`, `DOWN 1/2`, `DRAIN`, `NOLB` (only those that it already knows) and `MAINT`.
fn takes_requests(status: &str) -> bool {
    status == "UP" || status.starts_with("UP ") || status == "no check"
}

fn server_key(proxy: &str, server: &str) -> Box<str> {
    format!("{proxy}/{server}").into()
}

/// What follows a line that starts with `# `.
fn parse_header(header: &str) -> SocketSection {
    let names: Vec<_> = header.split(',').collect();
    if names.contains(&"pxname")
        && ["svname", "scur", "status"].iter().all(|name| names.contains(name))
    {
        return SocketSection::Statistics(StatisticsColumns::new(
            names.into_iter().map(parse_column).collect(),
        ));
    }
    let names: Vec<_> = header.split(' ').collect();
    let at = |wanted: &str| names.iter().position(|name| *name == wanted);
    match (at("be_name"), at("srv_name"), at("srv_iweight")) {
        (Some(proxy), Some(server), Some(weight)) => {
            SocketSection::ServersState(StateColumns { proxy, server, weight })
        }
        _ => SocketSection::None,
    }
}

fn parse_column(name: &str) -> Option<StatisticsColumn> {
    Some(match name {
        "pxname" => StatisticsColumn::Proxy,
        "svname" => StatisticsColumn::Server,
        "qcur" => StatisticsColumn::Queued,
        "scur" => StatisticsColumn::Sessions,
        "slim" => StatisticsColumn::Limit,
        "stot" => StatisticsColumn::SessionsEver,
        "status" => StatisticsColumn::Status,
        "weight" => StatisticsColumn::Weight,
        "bck" => StatisticsColumn::IsBackup,
        "rtime" => StatisticsColumn::ResponseTime,
        "type" => StatisticsColumn::Kind,
        _ => return None,
    })
}

fn parse_row<'t>(
    line: &'t str,
    columns: &StatisticsColumns,
) -> Result<StatisticsRow<'t>, ReportError> {
    let mut row = StatisticsRow::default();
    let mut rest = line;
    for (at, column) in columns.wanted.iter().enumerate() {
        if at >= columns.server_column_count && row.kind == Some(2.0) {
            break;
        }
        // What is left away at the end is empty; a header of many columns must not make short lines
        // dear.
        if rest.is_empty() {
            break;
        }
        let (field, after) = split_field(rest).ok_or(WRONG_FORMAT)?;
        match column {
            None => {}
            Some(StatisticsColumn::Proxy) => row.proxy = field,
            Some(StatisticsColumn::Server) => row.server = field,
            Some(StatisticsColumn::Status) => row.status = field,
            Some(StatisticsColumn::Queued) => row.queued = parse_number(&field)?,
            Some(StatisticsColumn::Sessions) => row.sessions = parse_number(&field)?,
            Some(StatisticsColumn::Limit) => row.limit = parse_number(&field)?,
            Some(StatisticsColumn::SessionsEver) => row.sessions_ever = parse_number(&field)?,
            Some(StatisticsColumn::Weight) => row.weight = parse_number(&field)?,
            // Of a backend this counts its backups.
            Some(StatisticsColumn::IsBackup) => row.is_backup = &*field == "1",
            Some(StatisticsColumn::ResponseTime) => row.response_millis = parse_number(&field)?,
            Some(StatisticsColumn::Kind) => row.kind = parse_number(&field)?,
        }
        rest = after;
    }
    Ok(row)
}

/// The next field of a line of CSV, and what follows its comma.
fn split_field(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let Some(mut quoted) = text.strip_prefix('"') else {
        let (field, rest) = text.split_once(',').unwrap_or((text, ""));
        return Some((field.into(), rest));
    };
    let mut field = String::new();
    loop {
        let (part, rest) = quoted.split_once('"')?;
        field.push_str(part);
        match rest.strip_prefix('"') {
            Some(rest) => {
                field.push('"');
                quoted = rest;
            }
            None => return Some((field.into(), rest.strip_prefix(',').unwrap_or(rest))),
        }
    }
}

fn parse_number(field: &str) -> Result<Option<f64>, ReportError> {
    match field {
        "" => Ok(None),
        digits => digits.parse::<i64>().map(|number| Some(number as f64)).map_err(|_| WRONG_FORMAT),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HEADER: &str = "# pxname,svname,qcur,qmax,scur,smax,slim,stot,status,weight,act,bck,type,rtime,last_chk,\n";

    fn read_with(
        page: &str,
        proxy: Option<&str>,
        memory: &mut PollHistory,
    ) -> Result<LoadReport, ReportError> {
        let mut statistics = Statistics::new(proxy);
        statistics.feed(page.as_bytes())?;
        let report = statistics.finish(memory)?;
        report.check()?;
        Ok(report)
    }

    fn read(rows: &str, proxy: Option<&str>) -> Result<LoadReport, ReportError> {
        read_with(&format!("{HEADER}{rows}"), proxy, &mut PollHistory::default())
    }

    fn server(proxy: &str, name: &str, status: &str, weight: u32, limit: &str) -> String {
        format!(
            "{proxy},{name},0,0,0,0,{limit},9,{status},{weight},1,0,2,3,\"Layer4, \"\"timeout\"\"\",\n"
        )
    }

    #[test]
    fn a_backend_is_read_with_its_servers() {
        let rows = [
            "www,FRONTEND,,,7,9,200,50,OPEN,,,,0,,,\n".to_owned(),
            server("www", "a", "UP", 100, "30"),
            server("www", "b", "DOWN 1/2", 100, "30"),
            server("www", "c", "MAINT", 50, "20"),
            server("www", "d", "UP 1/3", 50, "20"),
            "www,BACKEND,4,9,6,9,20,50,UP,250,3,0,1,12,,\n".to_owned(),
            "api,BACKEND,1,9,50,9,100,50,UP,250,3,0,1,40,,\n".to_owned(),
        ]
        .concat();
        let report = read(&rows, Some("www")).unwrap();
        assert_eq!(
            (report.connections, report.limit),
            (Some(6.0), Some(100.0)),
            "what the servers take together"
        );
        assert_eq!(report.servers, Some(ServerCount { up: 2, total: 4 }));
        assert_eq!(report.capacity_share, Some(0.5), "150 of 300");
        assert_eq!(report.response_time, Some(Duration::from_millis(12)));
        assert_eq!(report.gauges.get("queue"), Some(&4.0));
        assert_eq!(read(&rows, Some("shop")), Err(ReportError::Missing("`proxy`".into())));
        let all = read(&rows, None).unwrap();
        assert_eq!(
            all.connections,
            Some(6.0),
            "a backend without servers is the statistics page or the like"
        );
    }

    #[test]
    fn limits_are_the_servers_own_then_the_frontends_then_the_backends() {
        let row = |name: &str, limit: &str, kind: u8| {
            format!("www,{name},0,0,1,1,{limit},1,UP,1,1,0,{kind},0,,\n")
        };
        let (front, back) = (row("FRONTEND", "200", 0), row("BACKEND", "20", 1));
        for (rows, expected, why) in [
            (
                vec![server("www", "a", "UP", 1, "30"), front.clone(), back.clone()],
                Some(30.0),
                "the servers' own",
            ),
            (
                vec![server("www", "a", "UP", 1, ""), front.clone(), back.clone()],
                Some(200.0),
                "one has none",
            ),
            (vec![server("www", "a", "UP", 1, "0"), back.clone()], Some(20.0), "zero is none"),
            (vec![row("BACKEND", "", 1)], None, "none at all"),
            (vec![front], Some(200.0), "a frontend alone"),
        ] {
            assert_eq!(read(&rows.concat(), Some("www")).unwrap().limit, expected, "{why}");
        }
    }

    #[test]
    fn only_servers_that_take_new_requests_are_up() {
        for (status, is_up) in [
            ("UP", true),
            ("UP 2/3", true),
            ("no check", true),
            ("DOWN", false),
            ("DOWN 1/2", false),
            ("DOWN (agent)", false),
            ("DRAIN", false),
            ("DRAIN (agent)", false),
            ("NOLB", false),
            ("MAINT", false),
            ("MAINT (via www/a)", false),
            ("MAINT (resolution)", false),
        ] {
            let rows =
                server("www", "a", status, 10, "") + "www,BACKEND,0,0,0,0,0,0,UP,1,1,0,1,0,,\n";
            let servers = read(&rows, None).unwrap().servers;
            assert_eq!(servers, Some(ServerCount { up: is_up.into(), total: 1 }), "{status}");
        }
    }

    #[test]
    fn a_row_without_name_or_status_is_no_server() {
        let back = "www,BACKEND,0,0,0,0,0,0,UP,1,1,0,1,0,,\n";
        for row in
            [server("www", "", "UP", 10, ""), server("www", "b", "", 10, ""), "www,b\n".to_owned()]
        {
            let rows = [&server("www", "a", "UP", 10, ""), &*row, back].concat();
            assert_eq!(
                read(&rows, None).unwrap().servers,
                Some(ServerCount { up: 1, total: 1 }),
                "{row}"
            );
        }
    }

    #[test]
    fn backups_count_where_nobody_else_serves() {
        let backup = "www,z,0,0,0,0,,9,UP,10,0,1,2,3,,\n";
        let back = "www,BACKEND,0,0,0,0,0,0,UP,1,1,0,1,0,,\n";
        let both = read(&[&server("www", "a", "UP", 10, ""), backup, back].concat(), None).unwrap();
        assert_eq!(
            (both.servers, both.capacity_share),
            (Some(ServerCount { up: 1, total: 1 }), Some(1.0))
        );
        let alone = [
            &server("www", "a", "DOWN", 20, ""),
            &server("www", "b", "DOWN", 20, ""),
            backup,
            back,
        ]
        .concat();
        let alone = read(&alone, None).unwrap();
        assert_eq!(
            (alone.servers, alone.capacity_share),
            (Some(ServerCount { up: 1, total: 2 }), Some(0.25))
        );
    }

    #[test]
    fn an_agents_share_is_seen_against_the_configured_weight_or_else_the_highest_seen() {
        let page = |weight| {
            let servers = server("www", "a", "UP", 100, "") + &server("www", "b", "UP", weight, "");
            format!("{HEADER}{servers}www,BACKEND,0,0,0,0,0,0,UP,1,1,0,1,0,,\n")
        };
        let state = "\n1\n# be_id be_name srv_id srv_name srv_addr srv_uweight srv_iweight\n\
                     4 www 1 a 192.0.2.1 100 100\n4 www 2 b 192.0.2.2 50 100\n4 api 2 b 192.0.2.2 50 300\n\n";
        let share = |page: String, memory: &mut PollHistory| {
            read_with(&page, Some("www"), memory).unwrap().capacity_share.unwrap()
        };
        let memory = &mut PollHistory::default();
        assert_eq!(share(page(50) + state, memory), 0.75, "150 of 200");
        assert_eq!(share(page(50), memory), 1.0, "nothing higher was seen");
        assert_eq!(share(page(100), memory), 1.0);
        assert_eq!(share(page(50), memory), 0.75);
        assert_eq!(share(page(0), memory), 0.5, "an agent says 0 %");
    }

    #[test]
    fn a_header_of_many_columns_makes_no_line_dear() {
        // Were each column looked for in each line, this would take minutes.
        let header = format!("# pxname,svname,scur,status{}\n", ",".repeat(60_000));
        let mut statistics = Statistics::new(Some("www"));
        statistics.feed(header.as_bytes()).unwrap();
        for _ in 0..200 {
            statistics.feed("x,\n".repeat(5_000).as_bytes()).unwrap();
        }
        assert_eq!(
            statistics.finish(&mut PollHistory::default()),
            Err(ReportError::Missing("`proxy`".into()))
        );
    }

    #[test]
    fn what_is_no_statistics_is_told_so() {
        let row = |fields: &str| format!("{HEADER}{fields}");
        for (page, why) in [
            (String::new(), "nothing"),
            ("<html>".to_owned(), "a page for people"),
            ("# a,b,c\n1,2,3\n".to_owned(), "other columns"),
            (row("www,BACKEND,x,0,0,0,0,0,UP,1,1,0,1,0,,\n"), "no number"),
            (row("www,BACKEND,0,0,,0,0,0,UP,1,1,0,1,0,,\n"), "no sessions"),
            (row(",BACKEND,0,0,0,0,0,0,UP,1,1,0,1,0,,\n"), "no name"),
            (row("www,BACKEND,0,0,0,0,0,0,\"UP,1,1,0,1,0,,\n"), "a quotation without end"),
        ] {
            assert_eq!(
                read_with(&page, None, &mut PollHistory::default()),
                Err(WRONG_FORMAT),
                "{why}"
            );
        }
        assert_eq!(
            read("", None),
            Err(ReportError::Missing("any backend".into())),
            "a header alone"
        );
        let negative = read("www,BACKEND,0,0,-5,0,0,0,UP,1,1,0,1,0,,\n", None);
        assert_eq!(negative.unwrap_err().to_string(), "the number of connections is negative");
        let long = server("www", &"x".repeat(257), "UP", 1, "");
        assert_eq!(read(&long, None), Err(WRONG_FORMAT), "a name that nobody gives");
        let many: String =
            (0..5000).map(|index| server("www", &index.to_string(), "UP", 1, "")).collect();
        assert_eq!(read(&many, None), Err(ReportError::TooMany(MAX_SERVERS, "servers")));
    }
}
