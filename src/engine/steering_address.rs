//! The address of a client that an answer was chosen by, found again for a sample of the answers.

use std::net::IpAddr;

use super::{parsed_query::ParsedQuery, query::Query};
use crate::{
    dns::LookupName,
    snapshot::Snapshot,
    steer::{Chart, Family, ServiceId},
};

/// The address that the answer of `service` to a query was chosen by: the first of the client
/// subnet, or the source of the query if it has no subnet of public addresses, or if the zone or
/// the service ignores it. Not for the hot path: the query is parsed again.
#[cold]
pub fn steering_address(snapshot: &Snapshot, query: &Query<'_>, service: ServiceId) -> IpAddr {
    let services = &snapshot.topology.services;
    let reads_subnet = services.get(service.index()).is_some_and(|service| service.client_subnet);
    let subnet = if reads_subnet { subnet_address(snapshot, query) } else { None };
    let chart = snapshot.charts.get(service.index());
    let is_public = |address: &IpAddr| !chart.is_some_and(|chart| is_special(chart, address));
    subnet.filter(is_public).unwrap_or(query.source)
}

/// The first address of the client subnet, unless the zone of the name asked for ignores it.
fn subnet_address(snapshot: &Snapshot, query: &Query<'_>) -> Option<IpAddr> {
    let mut name = LookupName::root();
    let parsed = ParsedQuery::read(*query, &mut name).ok()?;
    let address = parsed.client_subnet()?.address()?;
    let hint = parsed.start_lookup(&snapshot.zones, &name);
    let found = parsed.finish_lookup(&snapshot.zones, &name, hint)?;
    found.zone.client_subnet.then_some(address)
}

/// Whether an address has a special purpose, so that the chart decides by the resolver's.
fn is_special(chart: &Chart, address: &IpAddr) -> bool {
    let atlas = Family::ALL.into_iter().find_map(|family| chart.atlas(family));
    atlas.is_some_and(|atlas| atlas.locate(address).is_special)
}
