//! Reports: the status document, out of what the controller owns.

use std::sync::Arc;

use super::{
    controller::Controller,
    status::{
        CheckerStatus, DatabaseStatus, DatacenterStatus, DistressedService, LoadStatus, PoolStatus, RampStatus, Status,
        TargetStatus, ZoneStatus,
    },
};
use crate::{
    dns::Name,
    health::{Doubt, Outcome, Verdict},
    probe::ProbeKey,
    snapshot::Snapshot,
    steer::{
        Chart, Combination, DatacenterId, Family, Feed, FeedReport, Plight, PoolReport, ProbeId, ProbeTarget, RampKey,
        RampReport, Topology,
    },
};

/// As many distressed services are listed.
const LISTED: usize = 100;

pub(super) fn status(controller: &Controller, snapshot: &Snapshot, charts: &[Arc<Chart>]) -> Status {
    let world = &controller.world;
    let distressed = distressed(&world.topology, charts);
    let tally = controller.prober.tally();
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        generation: snapshot.generation,
        started: controller.started,
        now: super::unix_now(),
        configuration: controller.configuration.clone(),
        databases: world
            .databases
            .iter()
            .map(|file| DatabaseStatus {
                path: file.path.display().to_string(),
                kind: file.database.kind().to_owned(),
                built: file.database.build_epoch(),
                networks: file.database.network_count(),
                error: file.error.clone(),
            })
            .collect(),
        zones: world
            .zones
            .list()
            .iter()
            .zip(&world.summaries)
            .map(|(zone, summary)| ZoneStatus {
                name: zone.apex.to_string(),
                serial: summary.serial,
                records: summary.records,
                services: summary.services,
            })
            .collect(),
        datacenters: datacenters(controller),
        services: world.topology.services.len(),
        distressed: distressed
            .iter()
            .take(LISTED)
            .map(|(name, rtype, plight)| DistressedService {
                name: name.to_string(),
                rtype: (*rtype).to_owned(),
                plight: plight_text(*plight).to_owned(),
            })
            .collect(),
        targets: controller
            .keys
            .iter()
            .zip((0..).map(ProbeId))
            .map(|(key, id)| match &world.topology.combinations[id.index()] {
                Some(combination) => combined_target(controller, key, id, combination),
                None => target(controller, key),
            })
            .collect(),
        aliases: controller.aliases.status(),
        loads: loads(controller),
        pools: pools(controller),
        ramps: ramps(controller),
        disagreements: controller.regulator.report().disagreements,
        failed_polls: controller.regulator.failed_polls(),
        checker: CheckerStatus {
            doubt: match controller.ledger.doubt() {
                Doubt::Trusting => "trusting",
                Doubt::Suspecting { .. } => "suspecting",
                Doubt::Convinced => "convinced",
            }
            .to_owned(),
            freezes: controller.freezes,
            started: tally.started,
            late: tally.late,
            discarded: tally.discarded,
            in_flight: tally.in_flight,
        },
    }
}

fn datacenters(controller: &Controller) -> Vec<DatacenterStatus> {
    let topology = &controller.world.topology;
    let services = topology.services_by_datacenter();
    let mut verdicts = vec![[0_usize; 3]; topology.datacenters.len()];
    for (endpoint, probes) in topology.endpoints.iter().zip(&topology.probes_of) {
        for probe in probes.iter().flatten() {
            let verdict = controller.conditions.standings[probe.index()].verdict;
            for DatacenterId(at) in &endpoint.datacenters {
                verdicts[*at as usize][verdict as usize] += 1;
            }
        }
    }
    let status = |(at, datacenter): (usize, &crate::steer::Datacenter)| DatacenterStatus {
        name: datacenter.name.to_string(),
        region: datacenter.region.as_deref().map(str::to_owned),
        state: controller.conditions.datacenters[at].word().to_owned(),
        reason: datacenter.reason.as_deref().map(str::to_owned),
        until: datacenter.until,
        file: controller.world.config.datacenter_origins[at].to_string(),
        services: services[at].len(),
        up: verdicts[at][Verdict::Up as usize],
        down: verdicts[at][Verdict::Down as usize],
        unknown: verdicts[at][Verdict::Unknown as usize],
        drain: controller.drains.of(&datacenter.name),
    };
    topology.datacenters.iter().enumerate().map(status).collect()
}

fn target(controller: &Controller, key: &ProbeKey) -> TargetStatus {
    let now = controller.epoch.elapsed();
    let standing = controller.ledger.standing(key, now);
    let last = controller.ledger.last_outcome(key);
    let since = controller.ledger.since(key).map(|since| super::unix_now() - (now - since).as_secs() as i64);
    TargetStatus {
        monitor: key.monitor.name.to_string(),
        target: target_text(&key.target),
        verdict: standing.verdict.word().to_owned(),
        since,
        last: last.map(|(outcome, _)| outcome_text(outcome)),
        latency_ms: last.map(|(outcome, _)| outcome.latency.as_millis() as u64),
        flips_in_secs: standing.flips_in_secs,
    }
}

pub(super) fn target_text(target: &ProbeTarget) -> String {
    target.to_string()
}

fn loads(controller: &Controller) -> Vec<LoadStatus> {
    let topology = &controller.world.topology;
    let now = controller.regulator.elapsed();
    let status = |feed: FeedReport<'_>| {
        let Feed { load, target } = &topology.feeds.list[feed.id.index()];
        let source = &topology.loads[load.index()];
        let report = feed.reading.map(|reading| &reading.report);
        LoadStatus {
            load: source.name.to_string(),
            target: target.as_ref().map(target_text),
            age_secs: feed.reading.map(|reading| now.saturating_sub(reading.at).as_secs()),
            is_stale: feed.is_stale,
            error: controller.regulator.failure(feed.id).map(str::to_owned),
            connections: report.and_then(|report| report.connections),
            limit: report.and_then(|report| report.limit),
            servers: report.and_then(|report| report.servers).map(|servers| (servers.up, servers.total)),
            capacity_left: report.map(|report| source.capacity_left(report)).filter(|left| *left < 1.0),
            response_ms: report.and_then(|report| report.response_time).map(|time| time.as_secs_f64() * 1e3),
            gauges: report.map_or_else(Default::default, |report| {
                report.gauges.iter().map(|(name, value)| (name.to_string(), *value)).collect()
            }),
            disagreement: feed.disagreement.map(|found| found.text().to_owned()),
        }
    };
    controller.regulator.report().feeds.into_iter().map(status).collect()
}

fn pools(controller: &Controller) -> Vec<PoolStatus> {
    let topology = &controller.world.topology;
    let status = |report: PoolReport<'_>| {
        let pool = &topology.pools[report.id.index()];
        let name = |at: usize| pool.members.get(at).map(|member| topology.member_name(member.kind).to_owned());
        let share = |(at, share): (usize, &f64)| Some((name(at)?, *share));
        PoolStatus {
            name: pool.name.to_string(),
            shares: report.shares.into_iter().flatten().enumerate().filter_map(share).collect(),
            fallback: report.fallback.map(|why| controller.regulator.fallback_text(report.id, why)),
            keep: report.keep,
            level: report.levels.map(|(level, _)| level),
            target: report.levels.map(|(_, target)| target),
            holder: report.holder.and_then(|at| name(usize::from(at))),
        }
    };
    controller.regulator.report().pools.into_iter().map(status).collect()
}

/// Drains and slow starts under way.
pub(super) fn ramps(controller: &Controller) -> Vec<RampStatus> {
    let now = controller.regulator.elapsed();
    let status = |ramp: RampReport<'_>| {
        let (name, pool) = match ramp.key {
            RampKey::Datacenter(name) => (name, None),
            RampKey::Endpoint(pool, name) => (name, Some(pool.to_string())),
        };
        let ends = super::unix_now() + ramp.ends.saturating_sub(now).as_secs() as i64;
        RampStatus { name: name.to_string(), pool, at: ramp.at, goal: ramp.goal, ends }
    };
    let mut ramps: Vec<_> = controller.regulator.report().ramps.into_iter().map(status).collect();
    ramps.sort_by(|a, b| (&a.pool, &a.name).cmp(&(&b.pool, &b.name)));
    ramps
}

/// A target of a combined monitor: it has no probe of its own to tell of.
fn combined_target(controller: &Controller, key: &ProbeKey, id: ProbeId, combination: &Combination) -> TargetStatus {
    let standings = &controller.conditions.standings;
    let standing = standings[id.index()];
    let (usable, parts, least) = (combination.usable(standings), combination.parts.len(), combination.least);
    TargetStatus {
        verdict: standing.verdict.word().to_owned(),
        last: Some(match standing.verdict {
            Verdict::Down => format!("{usable} of {parts} parts are up or unknown, want {least}"),
            Verdict::Up | Verdict::Unknown => format!("ok; {usable} of {parts} parts are up or unknown"),
        }),
        flips_in_secs: standing.flips_in_secs,
        ..target(controller, key)
    }
}

/// `ok`, with what else there is to say, or why the probe failed.
pub(super) fn outcome_text(outcome: &Outcome) -> String {
    match (&outcome.result, &outcome.note) {
        (Ok(()), None) => "ok".to_owned(),
        (Ok(()), Some(note)) => format!("ok; {note}"),
        (Err(failure), _) => failure.to_string(),
    }
}

/// Services and types for which nothing is usable.
pub(super) fn distressed(topology: &Topology, charts: &[Arc<Chart>]) -> Vec<(Name, &'static str, Plight)> {
    let mut distressed = Vec::new();
    for (service, chart) in topology.services.iter().zip(charts) {
        for family in [Family::V4, Family::V6] {
            let plight = chart.plight(family);
            if plight != Plight::None {
                distressed.push((service.name.clone(), service.kind.records(family), plight));
            }
        }
    }
    distressed
}

/// What is answered in this plight.
pub(super) fn plight_text(plight: Plight) -> &'static str {
    match plight {
        Plight::None => "usable members",
        Plight::OtherFamily => "NODATA, for the other address family has usable members",
        Plight::AllDown => "as on-all-down says",
        Plight::Drained => "members that drain or are forced down, for nothing else is left",
        Plight::Disabled => "disabled members, for nothing else is left",
    }
}
