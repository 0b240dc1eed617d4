//! Reports on datacenters: state, health, and which answers still name one that is drained. All of
//! it is read from the snapshot in force.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use crate::{
    control::{
        controller::Controller,
        handle::{DrainOutcome, ListDetail},
        report::MAX_LISTED,
        status::{DatacenterStatus, RemainingAnswer},
    },
    health::Verdict,
    number_format::percent,
    steer::{
        AlternativeCounts, AnswerCause, AnsweredDatacenter, Chart, Datacenter, DatacenterId,
        PresenceFinder, ProbeId, ServiceId, ServingState, Topology, count_alternatives,
    },
};

pub(super) fn datacenters(controller: &Controller, listing: ListDetail) -> Vec<DatacenterStatus> {
    let topology = &controller.loaded.topology;
    let services = topology.services_by_datacenter();
    let targets = targets_by_datacenter(topology);
    let status = |(at, datacenter): (usize, &Datacenter)| {
        let verdicts = verdict_counts(controller, &targets[at]);
        let drain = controller.drain_tracker.effective(&datacenter.name);
        let (still_answered, still_answered_count) =
            still_answered(controller, &datacenter.name, listing);
        DatacenterStatus {
            name: datacenter.name.to_string(),
            region: datacenter.region.as_deref().map(str::to_owned),
            state: controller.conditions_in_force.datacenters[at].word().to_owned(),
            reason: datacenter.reason.as_deref().map(str::to_owned),
            until: datacenter.until,
            file: controller.loaded.config.datacenter_origins[at].to_string(),
            services: services[at].len(),
            health: health(&verdicts).to_owned(),
            up: verdicts[Verdict::Up as usize],
            down: verdicts[Verdict::Down as usize],
            unknown: verdicts[Verdict::Unknown as usize],
            effective: drain.is_some(),
            still_answered,
            still_answered_count,
            drain,
        }
    };
    topology.datacenters.iter().enumerate().map(status).collect()
}

/// For each datacenter: the targets that decide on its endpoints, each once.
fn targets_by_datacenter(topology: &Topology) -> Vec<BTreeSet<ProbeId>> {
    let mut targets = vec![BTreeSet::new(); topology.datacenters.len()];
    for (endpoint, probes) in topology.endpoints.iter().zip(topology.endpoint_probes.iter()) {
        for DatacenterId(at) in &endpoint.datacenters {
            targets[*at as usize].extend(probes.iter().flatten());
        }
    }
    targets
}

/// How many targets have each verdict, by [`Verdict`].
fn verdict_counts(controller: &Controller, targets: &BTreeSet<ProbeId>) -> [usize; 3] {
    let mut counts = [0; 3];
    targets.iter().for_each(|id| {
        counts[controller.conditions_in_force.standings[id.index()].verdict as usize] += 1
    });
    counts
}

fn health(counts: &[usize; 3]) -> &'static str {
    let of = |verdict: Verdict| counts[verdict as usize];
    match (of(Verdict::Up), of(Verdict::Down), of(Verdict::Unknown)) {
        (0, 0, 0) => "no-targets",
        (0, 1.., 0) => "all-down",
        (_, 1.., _) => "some-down",
        (_, 0, 0) => "all-up",
        (_, 0, 1..) => "unknown",
    }
}

/// The services and types whose answers name a drained datacenter, and how many there are.
fn still_answered(
    controller: &Controller,
    name: &str,
    listing: ListDetail,
) -> (Vec<RemainingAnswer>, usize) {
    let topology = &controller.loaded.topology;
    let shown = match listing {
        ListDetail::Short => MAX_LISTED,
        ListDetail::Full => usize::MAX,
    };
    let still = |(id, sighting): (ServiceId, AnsweredDatacenter)| {
        let service = &topology.services[id.index()];
        RemainingAnswer {
            service: service.name.to_string(),
            rtype: sighting.record_type(&service.kind).to_owned(),
            why: cause_text(controller, id, &sighting),
        }
    };
    let all = || controller.drain_tracker.still_answered(name);
    (all().take(shown).map(still).collect(), all().count())
}

/// What holds of a datacenter in the snapshot in force.
pub(in crate::control) fn drain_outcome(
    controller: &Controller,
    asked: DrainOutcome,
) -> DrainOutcome {
    let topology = &controller.loaded.topology;
    let ids = (0..).map(DatacenterId);
    let found = topology
        .datacenters
        .iter()
        .zip(ids)
        .find(|(datacenter, _)| *datacenter.name == *asked.datacenter);
    let Some((datacenter, id)) = found else { return asked };
    let state = controller.conditions_in_force.datacenters[id.index()];
    let (still_answered, _) = still_answered(controller, &datacenter.name, ListDetail::Full);
    let is_watched = matches!(state, ServingState::Draining | ServingState::Disabled);
    DrainOutcome {
        state: state.word().to_owned(),
        reason: datacenter
            .reason
            .as_deref()
            .map(str::to_owned)
            .filter(|_| state != ServingState::Active),
        until: datacenter.until.filter(|_| state != ServingState::Active),
        effective: controller.drain_tracker.effective(&datacenter.name).is_some(),
        answered_count: if is_watched {
            still_answered.len()
        } else {
            answered_count(controller, id)
        },
        still_answered,
        services: topology.services_by_datacenter()[id.index()].len(),
        targets: targets_by_datacenter(topology)[id.index()].len(),
        ..asked
    }
}

/// How many names and types have answers that name a datacenter.
fn answered_count(controller: &Controller, wanted: DatacenterId) -> usize {
    let presence =
        PresenceFinder::new(&controller.loaded.topology, &controller.conditions_in_force, |id| {
            id == wanted
        });
    let mut known: HashMap<*const Chart, usize> = HashMap::new();
    let mut count = |chart: &Arc<Chart>| {
        *known
            .entry(Arc::as_ptr(chart))
            .or_insert_with(|| presence.answered_datacenters(chart).len())
    };
    controller.snapshot().charts.iter().map(&mut count).sum()
}

/// Why a service's answers name a drained datacenter.
fn cause_text(
    controller: &Controller,
    service: ServiceId,
    sighting: &AnsweredDatacenter,
) -> String {
    let topology = &controller.loaded.topology;
    let datacenter = &topology.datacenters[sighting.datacenter.index()];
    let cause = match sighting.cause {
        AnswerCause::InService => "its state lets it be answered".to_owned(),
        AnswerCause::Ramp(part) => {
            let others =
                count_alternatives(topology, &controller.conditions_in_force, service, sighting);
            let is_held = datacenter.drain_hold_fraction.is_some_and(|hold| hold.share() == part);
            match (others.usable, is_held) {
                (0, _) => {
                    format!(
                        "no other member can take its clients over: {}",
                        others_text(&others, &datacenter.name)
                    )
                }
                (_, true) => format!("the drain is held: {} of its share is left", percent(part)),
                (_, false) => {
                    format!("the drain is in progress: {} of its share is left", percent(part))
                }
            }
        }
        AnswerCause::OnlyDrainedLeft | AnswerCause::OnlyDisabledLeft => {
            let others =
                count_alternatives(topology, &controller.conditions_in_force, service, sighting);
            format!("no other member is left: {}", others_text(&others, &datacenter.name))
        }
    };
    match sighting.areas_with_datacenter {
        areas if areas < sighting.area_count => {
            format!("{cause} (for {areas} of {} groups of clients)", sighting.area_count)
        }
        _ => cause,
    }
}

/// `2 in other datacenters are down, 1 is disabled`.
fn others_text(others: &AlternativeCounts, datacenter: &str) -> String {
    let AlternativeCounts { down, forced_down, drained, disabled, unresolved, usable } = *others;
    let counted = [
        (down, "down"),
        (forced_down, "forced down"),
        (drained, "draining"),
        (disabled, "disabled"),
        (unresolved, "not resolved yet"),
        (usable, "usable for other clients or in the other address family"),
    ];
    let parts: Vec<String> = counted
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    match parts.is_empty() {
        true => format!("every member with such records is in {datacenter}"),
        false => format!("of the members elsewhere {}", parts.join(", ")),
    }
}
