//! The endpoints that list services and targets, by filters and in pages, and those that report one
//! subject in full.

use std::sync::Arc;

use axum::{
    extract::{Path, Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::Response,
};
use serde::{Deserialize, Serialize};

use super::{
    error::ApiError,
    response::{JSON_TYPE, json_octets, uncached_response},
    state::{AdminState, SharedState},
};
use crate::control::{
    ServiceCounts, ServiceReport, ServiceState, ServiceStatus, SubjectReport, TargetStatus,
};

/// The number of entries of a page if the request does not say, and the most that it can ask for.
const DEFAULT_PAGE: usize = 100;
const MAX_PAGE: usize = 10_000;

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ListPage<T> {
    /// The generation of the snapshot in force.
    pub generation: u64,
    /// The time of the list, in seconds since 1970-01-01T00:00:00Z.
    pub now: i64,
    /// The number of all entries that match the filters.
    pub total: usize,
    /// How many services are in each state, whatever the filters; zero in other lists.
    #[serde(default)]
    pub counts: ServiceCounts,
    /// The position of the first entry of this page.
    pub offset: usize,
    /// The `offset` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<usize>,
    /// The entries of this page.
    pub entries: Vec<T>,
}

/// The part of a list that a request asks for.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct PageRange {
    offset: usize,
    limit: Option<usize>,
}

impl PageRange {
    /// The page of a list of matching entries.
    fn page<T: Clone>(self, matching: &[&T]) -> ListPage<T> {
        let limit = self.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE);
        let entries: Vec<T> =
            matching.iter().skip(self.offset).take(limit).copied().cloned().collect();
        let end = self.offset + entries.len();
        ListPage {
            generation: 0,
            now: 0,
            total: matching.len(),
            counts: ServiceCounts::default(),
            offset: self.offset,
            next: (end < matching.len() && !entries.is_empty()).then_some(end),
            entries,
        }
    }
}

/// The query of `/api/v1/services`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct ServiceQuery {
    state: Option<ServiceState>,
    failing: bool,
    datacenter: Option<String>,
    pool: Option<String>,
    zone: Option<String>,
    name: Option<String>,
    offset: usize,
    limit: Option<usize>,
}

impl ServiceQuery {
    fn matches(&self, service: &ServiceStatus) -> bool {
        (!self.failing || service.state != ServiceState::Well)
            && self.state.is_none_or(|state| service.state == state)
            && is_in(self.datacenter.as_ref(), &service.datacenters)
            && is_equal(self.pool.as_ref(), &service.pool)
            && is_equal(self.zone.as_ref(), &service.zone)
            && self.name.as_ref().is_none_or(|part| service.name.contains(part.as_str()))
    }
}

/// The query of `/api/v1/targets`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct TargetQuery {
    verdict: Option<String>,
    failing: bool,
    datacenter: Option<String>,
    monitor: Option<String>,
    target: Option<String>,
    offset: usize,
    limit: Option<usize>,
}

impl TargetQuery {
    fn matches(&self, target: &TargetStatus) -> bool {
        (!self.failing || target.is_failing())
            && is_equal(self.verdict.as_ref(), &target.verdict)
            && is_in(self.datacenter.as_ref(), &target.datacenters)
            && is_equal(self.monitor.as_ref(), &target.monitor)
            && self.target.as_ref().is_none_or(|part| target.target.contains(part.as_str()))
    }
}

fn is_equal(wanted: Option<&String>, value: &str) -> bool {
    wanted.is_none_or(|wanted| *wanted == *value)
}

fn is_in(wanted: Option<&String>, values: &[String]) -> bool {
    wanted.is_none_or(|wanted| values.contains(wanted))
}

fn invalid_query(why: &QueryRejection, parameters: &str) -> ApiError {
    let text = format!("{}; the parameters are {parameters}", why.body_text());
    ApiError::new(StatusCode::BAD_REQUEST, text)
}

/// The services that match the filters, the worst first and in order of name.
fn service_page(services: &[ServiceStatus], query: &ServiceQuery) -> ListPage<ServiceStatus> {
    let mut counts = ServiceCounts::default();
    services.iter().for_each(|service| counts.add(service.state));
    let mut matching: Vec<&ServiceStatus> =
        services.iter().filter(|service| query.matches(service)).collect();
    matching.sort_by_key(|service| service.state);
    let range = PageRange { offset: query.offset, limit: query.limit };
    ListPage { counts, ..range.page(&matching) }
}

/// The targets that match the filters, failing ones first.
fn target_page(targets: &[TargetStatus], query: &TargetQuery) -> ListPage<TargetStatus> {
    let mut matching: Vec<&TargetStatus> =
        targets.iter().filter(|target| query.matches(target)).collect();
    matching.sort_by_key(|target| !target.is_failing());
    PageRange { offset: query.offset, limit: query.limit }.page(&matching)
}

pub(super) async fn services(
    State(state): SharedState,
    query: Result<Query<ServiceQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    const PARAMETERS: &str = "state (distressed, recovering, degraded or well), failing (true or false), datacenter, pool, \
                              zone, name (a part of it), offset, limit";
    let Query(query) = query.map_err(|why| invalid_query(&why, PARAMETERS))?;
    let services = state.services().await?;
    let generation = state.generation();
    let render = move || {
        let page = service_page(&services, &query);
        json_octets(&ListPage { generation, now: crate::control::unix_now(), ..page })
    };
    Ok(uncached_response(JSON_TYPE, state.run_blocking(render).await?))
}

pub(super) async fn targets(
    State(state): SharedState,
    query: Result<Query<TargetQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    const PARAMETERS: &str = "verdict (up, down or unknown), failing (true or false), datacenter, monitor, target (a part \
                              of it), offset, limit";
    let Query(query) = query.map_err(|why| invalid_query(&why, PARAMETERS))?;
    let status: Arc<_> = state.status().await?;
    let render = move || {
        let page = target_page(&status.targets, &query);
        json_octets(&ListPage { generation: status.generation, now: status.now, ..page })
    };
    Ok(uncached_response(JSON_TYPE, state.run_blocking(render).await?))
}

/// The service of a name in full.
pub(super) async fn service(
    State(state): SharedState,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let mut report = found(&state, name.clone()).await?;
    let service: Option<ServiceReport> = report.services.pop();
    let missing = || {
        let text = format!(
            "{name:?} is the name of no service, but of something else; see /api/v1/subjects/"
        );
        ApiError::new(StatusCode::NOT_FOUND, text)
    };
    Ok(uncached_response(JSON_TYPE, json_octets(&service.ok_or_else(missing)?)))
}

/// Everything that has a name.
pub(super) async fn subject(
    State(state): SharedState,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    Ok(uncached_response(JSON_TYPE, json_octets(&found(&state, name).await?)))
}

async fn found(state: &AdminState, name: String) -> Result<SubjectReport, ApiError> {
    let report = state.context.controller.subject(name).await?;
    report.map_err(|unknown| ApiError::new(StatusCode::NOT_FOUND, unknown.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str, state: ServiceState, datacenter: &str) -> ServiceStatus {
        ServiceStatus {
            name: name.to_owned(),
            zone: "example.org".to_owned(),
            pool: "web".to_owned(),
            policy: "weighted".to_owned(),
            ttl: 30,
            state,
            members: 2,
            down: 0,
            out: 0,
            datacenters: vec![datacenter.to_owned()],
            why: Vec::new(),
        }
    }

    fn names(page: &ListPage<ServiceStatus>) -> Vec<&str> {
        page.entries.iter().map(|service| &*service.name).collect()
    }

    #[test]
    fn services_are_listed_worst_first_and_each_filter_narrows_the_list() {
        let services = [
            service("a.example.org", ServiceState::Well, "fra"),
            service("b.example.org", ServiceState::Degraded, "fra"),
            service("c.example.org", ServiceState::Distressed, "iad"),
        ];
        let listed = |query: &ServiceQuery| {
            let page = service_page(&services, query);
            assert_eq!((page.counts.well, page.counts.degraded, page.counts.distressed), (1, 1, 1));
            names(&page).iter().map(|name| name[..1].to_owned()).collect::<String>()
        };
        let text = |text: &str| Some(text.to_owned());
        let all = ServiceQuery::default;
        for (query, expected, why) in [
            (all(), "cba", "all of them"),
            (ServiceQuery { failing: true, ..all() }, "cb", "what is not well"),
            (ServiceQuery { state: Some(ServiceState::Degraded), ..all() }, "b", "one state"),
            (ServiceQuery { datacenter: text("fra"), ..all() }, "ba", "answers name it"),
            (ServiceQuery { pool: text("web2"), ..all() }, "", "no such pool"),
            (ServiceQuery { name: text("c.ex"), ..all() }, "c", "a part of the name"),
        ] {
            assert_eq!(listed(&query), expected, "{why}");
        }
    }

    #[test]
    fn pages_follow_each_other_without_a_gap_and_say_how_many_entries_there_are() {
        let names: Vec<String> = (0..250).map(|index| format!("{index}")).collect();
        let references: Vec<&String> = names.iter().collect();
        let (mut offset, mut seen) = (Some(0), Vec::new());
        while let Some(at) = offset {
            let page = PageRange { offset: at, limit: None }.page(&references);
            assert_eq!((page.total, page.offset), (250, at));
            seen.extend(page.entries);
            offset = page.next;
        }
        assert_eq!(seen, names);
        let beyond = PageRange { offset: 1_000, limit: Some(0) }.page(&references);
        assert_eq!((beyond.entries.len(), beyond.next), (0, None));
    }
}
