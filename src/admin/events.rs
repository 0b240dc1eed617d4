//! The endpoint of the journal: finds events, and waits for new ones.

use std::{fmt::Display, time::Duration};

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::Response,
};
use serde::Deserialize;

use super::{
    error::{ApiError, panic_error},
    response::{JSON_TYPE, json_octets, uncached_response},
    state::SharedState,
};
use crate::control::{EventFilter, EventKind, EventPage, Journal};

/// The number of events of a reply, if the request names none.
const DEFAULT_LIMIT: usize = 100;
/// The maximum number of events of a reply.
const MAX_LIMIT: usize = 10_000;
/// The longest time that a request waits for an event, in seconds.
const MAX_WAIT_SECS: u64 = 25;
const USAGE: &str =
    "use ?since=2026-12-01T06:00:00Z&until=&subject=fra&kind=state&limit=100&after=41&wait=20";

/// The query of `/api/v1/events`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventQuery {
    since: Option<String>,
    until: Option<String>,
    subject: Option<String>,
    kind: Option<String>,
    limit: Option<usize>,
    after: Option<u64>,
    /// The time to wait for an event after `after`, in seconds.
    #[serde(default)]
    wait: u64,
}

impl EventQuery {
    fn filter(&self) -> Result<EventFilter, ApiError> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let kind = given(&self.kind).map(|word| {
            EventKind::from_word(&word).ok_or_else(|| {
                let known: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
                invalid("kind", &word, &format!("it is none of {}", known.join(", ")))
            })
        });
        Ok(EventFilter {
            since_ms: given(&self.since).map(|text| time_ms("since", &text)).transpose()?,
            until_ms: given(&self.until).map(|text| time_ms("until", &text)).transpose()?,
            subject: given(&self.subject),
            kind: kind.transpose()?,
            after: self.after,
        })
    }
}

fn invalid(parameter: &str, text: &str, why: &dyn Display) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, format!("`{parameter}` is {text:?}: {why}"))
}

/// A moment in RFC 3339 or in seconds since 1970, in milliseconds since 1970.
pub(super) fn time_ms(parameter: &str, text: &str) -> Result<i64, ApiError> {
    if let Ok(secs) = text.parse::<i64>() {
        return Ok(secs.saturating_mul(1000));
    }
    let time: Result<jiff::Timestamp, _> = text.parse();
    time.map(jiff::Timestamp::as_millisecond)
        .map_err(|_| invalid(parameter, text, &"write 2026-12-01T06:00:00Z, or seconds since 1970"))
}

pub(super) async fn events(
    State(state): SharedState,
    query: Result<Query<EventQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(query) = query.map_err(|why| {
        ApiError::new(StatusCode::BAD_REQUEST, format!("{}; {USAGE}", why.body_text()))
    })?;
    let filter = query.filter()?;
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let journal = state.context.controller.journal();
    let mut page = find(journal, &filter, limit).await?;
    if let Some(after) = filter.after
        && query.wait > 0
        && page.events.is_empty()
    {
        let wait = Duration::from_secs(query.wait.min(MAX_WAIT_SECS));
        // Events that do not match end the wait as well: the client continues after `newest`.
        journal.wait_after(page.newest.max(after), wait).await;
        page = find(journal, &filter, limit).await?;
    }
    Ok(uncached_response(JSON_TYPE, json_octets(&page)))
}

/// Finds events on a thread that may wait for the disk.
async fn find(
    journal: &Journal,
    filter: &EventFilter,
    limit: usize,
) -> Result<EventPage, ApiError> {
    let (journal, filter) = (journal.clone(), filter.clone());
    let found = tokio::task::spawn_blocking(move || journal.find(&filter, limit));
    found.await.map_err(|_| panic_error())
}
