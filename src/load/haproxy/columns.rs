//! Columns, as a header announces them, and the rows below the header.

use std::borrow::Cow;

use super::{
    bounds::WRONG_FORMAT,
    csv::{parse_number, split_field},
};
use crate::load::ReportError;

/// The kind of the lines that follow.
#[derive(Debug, Default)]
pub(super) enum SocketSection {
    /// Lines that are not read.
    #[default]
    None,
    Statistics(StatisticsColumns),
    ServersState(StateColumns),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum StatisticsColumn {
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

/// The columns of the statistics, up to the last that is read.
#[derive(Debug)]
pub(super) struct StatisticsColumns {
    /// `None` is a column that is not read.
    columns: Vec<Option<StatisticsColumn>>,
    /// How many of them have to be read for a server. Most rows are servers.
    server_column_count: usize,
}

impl StatisticsColumns {
    pub(super) fn new(mut columns: Vec<Option<StatisticsColumn>>) -> Self {
        let count_up_to_last = |is_read: fn(&StatisticsColumn) -> bool| {
            let last = columns.iter().rposition(|column| column.as_ref().is_some_and(is_read));
            last.map_or(0, |last| last + 1)
        };
        let server_column_count =
            count_up_to_last(|column| !matches!(column, StatisticsColumn::ResponseTime));
        let column_count = count_up_to_last(|_| true);
        columns.truncate(column_count);
        Self { columns, server_column_count }
    }
}

/// The positions of the columns of `show servers state` that are read.
#[derive(Debug)]
pub(super) struct StateColumns {
    proxy: usize,
    server: usize,
    weight: usize,
}

/// A row of the statistics: a frontend, a backend, a server or a listener.
#[derive(Debug, Default)]
pub(super) struct StatisticsRow<'t> {
    pub(super) proxy: Cow<'t, str>,
    pub(super) server: Cow<'t, str>,
    pub(super) status: Cow<'t, str>,
    pub(super) queued: Option<f64>,
    pub(super) sessions: Option<f64>,
    pub(super) limit: Option<f64>,
    pub(super) sessions_ever: Option<f64>,
    pub(super) weight: Option<f64>,
    pub(super) is_backup: bool,
    pub(super) response_millis: Option<f64>,
    /// 0 is a frontend, 1 a backend, 2 a server.
    pub(super) kind: Option<f64>,
}

/// A line of `show servers state`.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConfiguredWeight<'t> {
    pub(super) proxy: &'t str,
    pub(super) server: &'t str,
    pub(super) weight: f64,
}

/// The kind of the lines that follow a header; `header` is without its `# `.
pub(super) fn parse_header(header: &str) -> SocketSection {
    let names: Vec<_> = header.split(',').collect();
    if names.contains(&"pxname")
        && ["svname", "scur", "status"].iter().all(|name| names.contains(name))
    {
        return SocketSection::Statistics(StatisticsColumns::new(
            names.into_iter().map(parse_column).collect(),
        ));
    }
    let names: Vec<_> = header.split(' ').collect();
    let position = |column: &str| names.iter().position(|name| *name == column);
    match (position("be_name"), position("srv_name"), position("srv_iweight")) {
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

/// The row in a line.
pub(super) fn parse_row<'t>(
    line: &'t str,
    columns: &StatisticsColumns,
) -> Result<StatisticsRow<'t>, ReportError> {
    let mut row = StatisticsRow::default();
    let mut rest = line;
    for (position, column) in columns.columns.iter().enumerate() {
        if position >= columns.server_column_count && row.kind == Some(2.0) {
            break;
        }
        // Fields missing at the end are empty. Stop here: a header with many columns must not make
        // short lines expensive.
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
            // In the row of a backend this is the number of its backups.
            Some(StatisticsColumn::IsBackup) => row.is_backup = &*field == "1",
            Some(StatisticsColumn::ResponseTime) => row.response_millis = parse_number(&field)?,
            Some(StatisticsColumn::Kind) => row.kind = parse_number(&field)?,
        }
        rest = after;
    }
    Ok(row)
}

/// The configured weight in a line of `show servers state`.
pub(super) fn parse_configured_weight<'t>(
    line: &'t str,
    columns: &StateColumns,
) -> Result<ConfiguredWeight<'t>, ReportError> {
    let fields: Vec<_> = line.split(' ').collect();
    let field = |position: usize| fields.get(position).copied().ok_or(WRONG_FORMAT);
    Ok(ConfiguredWeight {
        weight: field(columns.weight)?.parse().map_err(|_| WRONG_FORMAT)?,
        proxy: field(columns.proxy)?,
        server: field(columns.server)?,
    })
}
