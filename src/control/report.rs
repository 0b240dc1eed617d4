//! Reports: the status document, out of what the controller owns and of the snapshot in force.

mod datacenters;
mod shares;

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

pub(super) use datacenters::drain_outcome;

use super::{
    controller::Controller,
    distress::{self, DistressedClients},
    handle::ListDetail,
    status::{
        CheckerStatus, DatabaseStatus, DistressedService, LoadStatus, MonitorFault, PoolStatus,
        RampStatus, Status, TargetStatus, ZoneStatus,
    },
};
use crate::{
    health::{Doubt, Outcome, Verdict},
    probe::ProbeKey,
    snapshot::Snapshot,
    steer::{
        Chart, CombinedProbe, DatacenterId, Family, FeedReport, Fraction, LoadFeed, Member,
        MemberKind, PoolId, PoolReport, ProbeId, RampKey, RampReport, Service, ServiceId, Topology,
        active_probes, answered_endpoints,
    },
};

/// A short document lists this many services of each list.
const MAX_LISTED: usize = 100;

pub(super) fn status(
    controller: &mut Controller,
    snapshot: &Snapshot,
    listing: ListDetail,
) -> Status {
    let pools = pools(controller);
    let controller = &*controller;
    let world = &controller.loaded;
    let distressed: Vec<DistressedClients> = distressed(&snapshot.charts).collect();
    let tally = controller.prober.read_counts();
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        server: (*controller.server).clone(),
        generation: snapshot.generation,
        started: controller.started,
        now: super::unix_now(),
        // The admin side, which knows both, fills these in.
        is_listening: true,
        concerns: Vec::new(),
        // The handle, which has them, fills these in.
        certificates: Vec::new(),
        configuration: controller.configuration.clone(),
        held: controller.hold_tracker.status(),
        unsaved: controller.state_directory.save_failures().text(),
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
            .zip(world.zone_summaries.iter())
            .map(|(zone, summary)| ZoneStatus {
                name: zone.apex.to_string(),
                serial: summary.serial,
                records: summary.records,
                services: summary.services,
            })
            .collect(),
        datacenters: datacenters::datacenters(controller, listing),
        services: world.topology.services.len(),
        distressed_count: distressed.len(),
        distressed: distressed
            .iter()
            .take(if listing == ListDetail::Short { MAX_LISTED } else { usize::MAX })
            .map(|one| {
                let service = &world.topology.services[one.service.index()];
                DistressedService {
                    name: service.name.to_string(),
                    rtype: service.kind.record_type(one.family).to_owned(),
                    clients: one.client_texts(&world.compiler),
                    plight: one.answer_text(&world.compiler, &snapshot.charts[one.service.index()]),
                    is_recovering: one.is_recovering,
                }
            })
            .collect(),
        targets: targets(controller),
        monitor_faults: controller
            .monitor_faults
            .iter()
            .map(|(monitor, failure)| MonitorFault {
                monitor: monitor.to_string(),
                error: failure.to_string(),
            })
            .collect(),
        aliases: controller.aliases.status(),
        loads: loads(controller),
        pools,
        ramps: ramps(controller),
        disagreements: controller.load_controller.report().disagreements,
        failed_polls: controller.load_controller.failed_polls(),
        polls: controller.load_controller.polls().into(),
        checker: CheckerStatus {
            doubt: match controller.ledger.doubt() {
                Doubt::Trusting => "trusting",
                Doubt::Suspecting { .. } => "suspecting",
                Doubt::Convinced => "convinced",
            }
            .to_owned(),
            freezes: controller.freezes,
            targets: controller.ledger.len(),
            judged: controller.ledger.judged_count(),
            started: tally.started,
            late: tally.started_late,
            discarded: tally.discarded,
            in_flight: tally.in_flight,
            checks: tally.into(),
        },
    }
}

/// What is probed, with the verdicts that the snapshot in force was compiled with.
fn targets(controller: &Controller) -> Vec<TargetStatus> {
    let topology = &controller.loaded.topology;
    let mut places: Vec<Vec<DatacenterId>> = vec![Vec::new(); topology.probes.len()];
    for (endpoint, probes) in topology.endpoints.iter().zip(topology.endpoint_probes.iter()) {
        probes
            .iter()
            .flatten()
            .for_each(|probe| places[probe.index()].extend(&endpoint.datacenters));
    }
    let mut part_of: BTreeMap<ProbeId, Vec<String>> = BTreeMap::new();
    for (combination, key) in topology.combined_probes.iter().zip(&controller.probe_keys) {
        for part in combination.iter().flat_map(|combination| &combination.probes) {
            part_of.entry(*part).or_default().push(key.monitor.name.to_string());
        }
    }
    let is_probed = active_probes(topology, &controller.conditions_in_force);
    let status = |(id, mut places): (ProbeId, Vec<DatacenterId>)| {
        places.sort_unstable();
        places.dedup();
        let key = &controller.probe_keys[id.index()];
        let combination = topology.combined_probes[id.index()].as_ref();
        TargetStatus {
            datacenters: places
                .iter()
                .map(|at| topology.datacenters[at.index()].name.to_string())
                .collect(),
            part_of: part_of.get(&id).cloned().unwrap_or_default(),
            ..match combination {
                Some(combination) => combined_target(controller, key, id, combination),
                None => target(controller, key, id, is_probed[id.index()]),
            }
        }
    };
    (0..).map(ProbeId).zip(places).map(status).collect()
}

fn target(controller: &Controller, key: &ProbeKey, id: ProbeId, is_probed: bool) -> TargetStatus {
    let now = controller.epoch.elapsed();
    let last = controller.ledger.last_outcome(key);
    let since = controller
        .ledger
        .verdict_since(key)
        .map(|since| super::unix_now() - (now - since).as_secs() as i64);
    let not_probed = || {
        (!is_probed).then(|| "not probed: every endpoint that it decides on is disabled".to_owned())
    };
    TargetStatus {
        verdict: controller.conditions_in_force.standings[id.index()].verdict.word().to_owned(),
        since,
        last: last.map(|(outcome, _)| outcome_text(outcome)).or_else(not_probed),
        latency_ms: last.map(|(outcome, _)| outcome.latency.as_millis() as u64),
        flips_in_secs: controller.ledger.health_status(key, now).flips_in_secs,
        ..named_target(key)
    }
}

fn named_target(key: &ProbeKey) -> TargetStatus {
    TargetStatus {
        monitor: key.monitor.name.to_string(),
        target: key.target.to_string(),
        ..TargetStatus::default()
    }
}

fn loads(controller: &Controller) -> Vec<LoadStatus> {
    let topology = &controller.loaded.topology;
    let now = controller.load_controller.elapsed();
    let status = |feed: FeedReport<'_>| {
        let LoadFeed { source: load, target } = &topology.feeds.list[feed.id.index()];
        let source = &topology.load_sources[load.index()];
        let report = feed.reading.map(|reading| &reading.report);
        let failure = controller.load_controller.failure(feed.id);
        LoadStatus {
            load: source.name.to_string(),
            target: target.as_ref().map(ToString::to_string),
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
    controller.load_controller.report().feeds.into_iter().map(status).collect()
}

fn pools(controller: &mut Controller) -> Vec<PoolStatus> {
    let topology = Arc::clone(&controller.loaded.topology);
    let ids: Vec<PoolId> =
        controller.load_controller.report().pools.iter().map(|report| report.id).collect();
    let shares = controller.loaded.compiler.member_shares(&controller.conditions_in_force, &ids);
    let status = |(report, in_use): (PoolReport<'_>, Option<Vec<f64>>)| {
        let pool = &topology.pools[report.id.index()];
        let name = |at: usize| {
            pool.members.get(at).map(|member| topology.member_name(member.kind).to_owned())
        };
        let shares = match (report.shares, in_use) {
            (None, _) => Vec::new(),
            (Some(_), Some(in_use)) => in_use,
            (Some(shares), None) => {
                let is_answered =
                    answered_members(&topology, &controller.snapshot().charts, report.id);
                shares::shares_in_use(shares, &is_answered)
            }
        };
        PoolStatus {
            name: pool.name.to_string(),
            shares: shares
                .into_iter()
                .enumerate()
                .filter_map(|(at, share)| Some((name(at)?, share)))
                .collect(),
            fallback: report
                .fallback
                .map(|why| controller.load_controller.fallback_text(report.id, why)),
            keep: report.kept_share,
            level: report.level,
            target: report.target,
            holder: report.holder.and_then(|at| name(usize::from(at))),
        }
    };
    controller.load_controller.report().pools.into_iter().zip(shares).map(status).collect()
}

/// Which members of a pool are answered, by any service, though none is usable.
fn answered_members(topology: &Topology, charts: &[Arc<Chart>], id: PoolId) -> Vec<bool> {
    let mut endpoints = BTreeSet::new();
    let turns_to = |service: &Service| topology.pools_below([service.pool]).contains(&id);
    for (_, chart) in topology.services.iter().zip(charts).filter(|(service, _)| turns_to(service))
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

/// Drains and slow starts in progress, and drains that are held.
pub(super) fn ramps(controller: &Controller) -> Vec<RampStatus> {
    let now = controller.load_controller.elapsed();
    let status = |ramp: RampReport<'_>| {
        let (name, pool) = match &*ramp.key {
            RampKey::Datacenter(name) => (name, None),
            RampKey::Endpoint(pool, name) | RampKey::Failback(pool, name) => {
                (name, Some(pool.to_string()))
            }
        };
        let ends = super::unix_now() + ramp.ends_at.saturating_sub(now).as_secs() as i64;
        let kind = match (&*ramp.key, ramp.goal.total_cmp(&ramp.value)) {
            (RampKey::Failback(..), _) => "failback",
            (_, Ordering::Less) => "drain",
            (_, Ordering::Equal) => "held-drain",
            (_, Ordering::Greater) => "slow-start",
        };
        // As the answers have it, in steps.
        let at = Fraction::from_share(ramp.value).share();
        RampStatus {
            name: name.to_string(),
            pool,
            kind: kind.to_owned(),
            at,
            goal: ramp.goal,
            ends,
        }
    };
    let mut ramps: Vec<_> =
        controller.load_controller.report().ramps.into_iter().map(status).collect();
    ramps.sort_by(|a, b| (&a.pool, &a.name).cmp(&(&b.pool, &b.name)).then(a.at.total_cmp(&b.at)));
    // Of a member that starts slowly while clients return to it, the lesser part counts.
    ramps.dedup_by(|a, b| (&a.pool, &a.name) == (&b.pool, &b.name));
    ramps
}

/// A target of a combined monitor: it has no probe of its own to tell of.
fn combined_target(
    controller: &Controller,
    key: &ProbeKey,
    id: ProbeId,
    combination: &CombinedProbe,
) -> TargetStatus {
    let standings = &controller.conditions_in_force.standings;
    let standing = standings[id.index()];
    let (usable, parts, least) =
        (combination.usable(standings), combination.probes.len(), combination.min_up);
    TargetStatus {
        verdict: standing.verdict.word().to_owned(),
        last: match standing.verdict {
            Verdict::Down => {
                Some(format!("{usable} of {parts} parts are up or unknown, want {least}"))
            }
            Verdict::Up => Some(format!("ok; {usable} of {parts} parts are up or unknown")),
            Verdict::Unknown => None,
        },
        flips_in_secs: standing.flips_in_secs,
        ..named_target(key)
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

/// Services, types and clients for which nothing is usable, in order of name.
fn distressed(charts: &[Arc<Chart>]) -> impl Iterator<Item = DistressedClients> {
    (0..)
        .map(ServiceId)
        .zip(charts)
        .flat_map(|(id, chart)| distress::distressed_clients((id, chart), |_, _| true))
}
