//! The columns that a header announces, and the rows under it.

use std::borrow::Cow;

use super::{
    bounds::WRONG_FORMAT,
    csv::{parse_number, split_field},
};
use crate::load::ReportError;

/// What the lines are that follow.
#[derive(Debug, Default)]
pub(super) enum SocketSection {
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

/// What each column is, up to the last that is wanted.
#[derive(Debug)]
pub(super) struct StatisticsColumns {
    wanted: Vec<Option<StatisticsColumn>>,
    /// So many of them tell of servers, which are most rows.
    server_column_count: usize,
}

impl StatisticsColumns {
    pub(super) fn new(mut wanted: Vec<Option<StatisticsColumn>>) -> Self {
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
pub(super) struct StateColumns {
    pub(super) proxy: usize,
    pub(super) server: usize,
    pub(super) weight: usize,
}

/// A line of the statistics.
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
    pub(super) kind: Option<f64>,
}

/// What follows a line that starts with `# `.
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

pub(super) fn parse_row<'t>(
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
