//! Reports on steering: load sources, pools that they have an effect on, and ramps.

use std::{cmp::Ordering, collections::BTreeSet, sync::Arc};

use super::{inputs::StatusInputs, shares::shares_in_use};
use crate::{
    control::{
        clock::unix_now,
        load_controller::LoadController,
        status::{LoadStatus, PoolStatus, RampStatus},
    },
    steer::{
        Chart, EndpointId, Family, FeedReport, Fraction, LoadFeed, Member, MemberKind, PoolId,
        PoolReport, RampKey, RampReport, Service, Topology, answered_endpoints,
    },
};

/// The newest report of each load source and target.
pub(super) fn loads(inputs: &StatusInputs<'_>) -> Vec<LoadStatus> {
    let topology = &inputs.loaded.topology;
    let load_controller = inputs.load_controller;
    let now = load_controller.elapsed();
    let endpoints = topology.endpoints_by_feed();
    let status = |feed: FeedReport<'_>| {
        let LoadFeed { source, target } = &topology.feeds.list[feed.id.index()];
        let source = &topology.load_sources[source.index()];
        let report = feed.reading.map(|reading| &reading.report);
        let failure = load_controller.failure(feed.id);
        LoadStatus {
            load: source.name.to_string(),
            target: target.as_ref().map(ToString::to_string),
            datacenters: datacenter_names(topology, &endpoints[feed.id.index()]),
            age_secs: feed.reading.map(|reading| now.saturating_sub(reading.read_at).as_secs()),
            is_stale: feed.is_stale,
            error: failure.map(|failure| failure.reason.clone()),
            failing_since: failure.map(|failure| failure.since),
            connections: report.and_then(|report| report.connections),
            limit: report.and_then(|report| report.limit),
            servers: report
                .and_then(|report| report.servers)
                .map(|servers| (servers.up, servers.total)),
            capacity_left: report
                .map(|report| source.capacity_left(report))
                .filter(|left| *left < 1.0),
            response_ms: report
                .and_then(|report| report.response_time)
                .map(|time| time.as_secs_f64() * 1e3),
            gauges: report.map_or_else(Default::default, |report| {
                report.gauges.iter().map(|(name, value)| (name.to_string(), *value)).collect()
            }),
            disagreement: feed.disagreement.map(|found| found.text().to_owned()),
        }
    };
    load_controller.report().feeds.into_iter().map(status).collect()
}

/// The datacenters of some endpoints, in order of name.
fn datacenter_names(topology: &Topology, endpoints: &[EndpointId]) -> Vec<String> {
    let ids = endpoints.iter().flat_map(|id| &topology.endpoints[id.index()].datacenters);
    let names: BTreeSet<&str> = ids.map(|id| &*topology.datacenters[id.index()].name).collect();
    names.into_iter().map(str::to_owned).collect()
}

/// Pools that load reports, capacities or failbacks have an effect on.
pub(super) fn pools(inputs: &StatusInputs<'_>) -> Vec<PoolStatus> {
    let topology = &inputs.loaded.topology;
    let reports = inputs.load_controller.report().pools;
    let ids: Vec<PoolId> = reports.iter().map(|report| report.id).collect();
    let shares = inputs.loaded.compiler.member_shares(inputs.conditions, &ids);
    let status = |(report, in_use): (PoolReport<'_>, Option<Vec<f64>>)| {
        let pool = &topology.pools[report.id.index()];
        let name = |index: usize| {
            pool.members.get(index).map(|member| topology.member_name(member.kind).to_owned())
        };
        let shares = match (report.shares, in_use) {
            (None, _) => Vec::new(),
            (Some(_), Some(in_use)) => in_use,
            (Some(shares), None) => shares_in_use(
                shares,
                &answered_members(topology, &inputs.snapshot.charts, report.id),
            ),
        };
        PoolStatus {
            name: pool.name.to_string(),
            shares: shares
                .into_iter()
                .enumerate()
                .filter_map(|(index, share)| Some((name(index)?, share)))
                .collect(),
            fallback: report
                .fallback
                .map(|fallback| inputs.load_controller.fallback_text(report.id, fallback)),
            keep: report.kept_share,
            level: report.level,
            target: report.target,
            holder: report.holder.and_then(|index| name(usize::from(index))),
        }
    };
    reports.into_iter().zip(shares).map(status).collect()
}

/// Which members of a pool are answered, by any service, though none is usable.
fn answered_members(topology: &Topology, charts: &[Arc<Chart>], id: PoolId) -> Vec<bool> {
    let mut endpoints = BTreeSet::new();
    let uses_pool = |service: &Service| topology.pools_below([service.pool]).contains(&id);
    for (_, chart) in topology.services.iter().zip(charts).filter(|(service, _)| uses_pool(service))
    {
        endpoints.extend(
            [Family::V4, Family::V6].iter().flat_map(|family| answered_endpoints(chart, *family)),
        );
    }
    let is_answered = |member: &Member| match member.kind {
        MemberKind::Endpoint(endpoint) => endpoints.contains(&endpoint),
        MemberKind::Pool(inner) => {
            topology.endpoints_below([inner]).iter().any(|id| endpoints.contains(id))
        }
    };
    topology.pools[id.index()].members.iter().map(is_answered).collect()
}

/// Drains, slow starts and failbacks in progress, and drains that are paused.
pub(in crate::control) fn ramps(load_controller: &LoadController) -> Vec<RampStatus> {
    let now = load_controller.elapsed();
    let status = |ramp: RampReport<'_>| {
        let (name, pool) = match &*ramp.key {
            RampKey::Datacenter(name) => (name, None),
            RampKey::Endpoint { pool, endpoint: name }
            | RampKey::Failback { pool, member: name } => (name, Some(pool.to_string())),
        };
        let ends = unix_now() + ramp.ends_at.saturating_sub(now).as_secs() as i64;
        let kind = match (&*ramp.key, ramp.goal.total_cmp(&ramp.value)) {
            (RampKey::Failback { .. }, _) => "failback",
            (_, Ordering::Less) => "drain",
            (_, Ordering::Equal) => "held-drain",
            (_, Ordering::Greater) => "slow-start",
        };
        RampStatus {
            name: name.to_string(),
            pool,
            kind: kind.to_owned(),
            // Answers follow the ramp in steps.
            at: Fraction::from_share(ramp.value).share(),
            goal: ramp.goal,
            ends,
        }
    };
    let mut ramps: Vec<_> = load_controller.report().ramps.into_iter().map(status).collect();
    ramps.sort_by(|a, b| (&a.pool, &a.name).cmp(&(&b.pool, &b.name)).then(a.at.total_cmp(&b.at)));
    // A member that starts slowly while clients return to it gets the smaller of both shares.
    ramps.dedup_by(|a, b| (&a.pool, &a.name) == (&b.pool, &b.name));
    ramps
}
