//! Reports on datacenters: state, health, and the answers that still name a drained one. All of it
//! is read from the snapshot in force.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::inputs::StatusInputs;
use crate::{
    control::{
        handle::{DrainOutcome, ListDetail},
        overrides::origin_text,
        remaining_answer::RemainingAnswer,
        status::DatacenterStatus,
    },
    health::Verdict,
    number_format::percent,
    steer::{
        AlternativeCounts, AnswerCause, AnsweredDatacenter, Chart, Datacenter, DatacenterId,
        PresenceFinder, ProbeId, ServiceId, ServingState, Topology, count_alternatives,
    },
};

pub(super) fn datacenters(inputs: &StatusInputs<'_>, detail: ListDetail) -> Vec<DatacenterStatus> {
    let topology = &inputs.loaded.topology;
    let services = topology.services_by_datacenter();
    let targets = targets_by_datacenter(topology);
    let status = |(index, datacenter): (usize, &Datacenter)| {
        let verdicts = verdict_counts(inputs, &targets[index]);
        let drain = inputs.drain_tracker.effective(&datacenter.name);
        let (still_answered, still_answered_count) =
            still_answered(inputs, &datacenter.name, detail);
        DatacenterStatus {
            name: datacenter.name.to_string(),
            region: datacenter.region.as_deref().map(str::to_owned),
            state: inputs.conditions.datacenters[index].as_str().to_owned(),
            reason: datacenter.reason.as_deref().map(str::to_owned),
            until: datacenter.until,
            origin: origin(inputs, DatacenterId(index as u32)),
            state_after: datacenter.until.map(|_| datacenter.state_after.as_str().to_owned()),
            file: inputs.loaded.config.datacenter_origins[index].to_string(),
            services: services[index].len(),
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

/// What says that a datacenter has its state: an override, or the place of its table.
fn origin(inputs: &StatusInputs<'_>, id: DatacenterId) -> String {
    match inputs.loaded.topology.overrides.datacenters.get(&id) {
        Some(one) => origin_text(one),
        None => inputs.loaded.config.datacenter_origins[id.index()].to_string(),
    }
}

/// For each datacenter: the targets that decide on its endpoints.
pub(super) fn targets_by_datacenter(topology: &Topology) -> Vec<BTreeSet<ProbeId>> {
    let mut targets = vec![BTreeSet::new(); topology.datacenters.len()];
    for (endpoint, probes) in topology.endpoints.iter().zip(topology.endpoint_probes.iter()) {
        for DatacenterId(at) in &endpoint.datacenters {
            targets[*at as usize].extend(probes.iter().flatten());
        }
    }
    targets
}

/// The number of targets with each verdict, by [`Verdict`].
fn verdict_counts(inputs: &StatusInputs<'_>, targets: &BTreeSet<ProbeId>) -> [usize; 3] {
    let mut counts = [0; 3];
    let statuses = &inputs.conditions.health_statuses;
    targets.iter().for_each(|id| counts[statuses[id.index()].checked_verdict() as usize] += 1);
    counts
}

fn health(counts: &[usize; 3]) -> &'static str {
    let count = |verdict: Verdict| counts[verdict as usize];
    match (count(Verdict::Up), count(Verdict::Down), count(Verdict::Unknown)) {
        (0, 0, 0) => "no-targets",
        (0, 1.., 0) => "all-down",
        (_, 1.., _) => "some-down",
        (_, 0, 0) => "all-up",
        (_, 0, 1..) => "unknown",
    }
}

/// The services and types whose answers name a drained datacenter, up to the limit of `detail`, and
/// the number of all.
pub(super) fn still_answered(
    inputs: &StatusInputs<'_>,
    name: &str,
    detail: ListDetail,
) -> (Vec<RemainingAnswer>, usize) {
    let topology = &inputs.loaded.topology;
    let still = |(id, answer): (ServiceId, AnsweredDatacenter)| {
        let service = &topology.services[id.index()];
        RemainingAnswer {
            service: service.name.to_string(),
            rtype: answer.record_type(&service.kind).to_owned(),
            why: cause_text(inputs, id, &answer),
        }
    };
    let all = || inputs.drain_tracker.still_answered(name);
    (all().take(detail.limit()).map(still).collect(), all().count())
}

/// The state of a datacenter in the snapshot in force, added to the outcome of a request.
pub(in crate::control) fn drain_outcome(
    inputs: &StatusInputs<'_>,
    outcome: DrainOutcome,
) -> DrainOutcome {
    let topology = &inputs.loaded.topology;
    let ids = (0..).map(DatacenterId);
    let found = topology
        .datacenters
        .iter()
        .zip(ids)
        .find(|(datacenter, _)| *datacenter.name == *outcome.datacenter);
    let Some((datacenter, id)) = found else { return outcome };
    let state = inputs.conditions.datacenters[id.index()];
    let (still_answered, _) = still_answered(inputs, &datacenter.name, ListDetail::Full);
    let is_watched = matches!(state, ServingState::Draining | ServingState::Disabled);
    DrainOutcome {
        state: state.as_str().to_owned(),
        reason: datacenter
            .reason
            .as_deref()
            .map(str::to_owned)
            .filter(|_| state != ServingState::Active),
        until: datacenter.until.filter(|_| state != ServingState::Active),
        state_after: datacenter.state_after.as_str().to_owned(),
        origin: origin(inputs, id),
        effective: inputs.drain_tracker.effective(&datacenter.name).is_some(),
        answered_count: if is_watched { still_answered.len() } else { answered_count(inputs, id) },
        still_answered,
        services: topology.services_by_datacenter()[id.index()].len(),
        targets: targets_by_datacenter(topology)[id.index()].len(),
        ..outcome
    }
}

/// The number of names and types whose answers name a datacenter.
fn answered_count(inputs: &StatusInputs<'_>, wanted: DatacenterId) -> usize {
    let presence =
        PresenceFinder::new(&inputs.loaded.topology, inputs.conditions, |id| id == wanted);
    let mut known: HashMap<*const Chart, usize> = HashMap::new();
    let mut count = |chart: &Arc<Chart>| {
        *known
            .entry(Arc::as_ptr(chart))
            .or_insert_with(|| presence.answered_datacenters(chart).len())
    };
    inputs.snapshot.charts.iter().map(&mut count).sum()
}

/// Why a service's answers name a drained datacenter.
fn cause_text(
    inputs: &StatusInputs<'_>,
    service: ServiceId,
    answer: &AnsweredDatacenter,
) -> String {
    let topology = &inputs.loaded.topology;
    let datacenter = &topology.datacenters[answer.datacenter.index()];
    let cause = match answer.cause {
        AnswerCause::InService => "its state permits answers that name it".to_owned(),
        AnswerCause::Ramp(part) => {
            let others = count_alternatives(topology, inputs.conditions, service, answer);
            let is_paused =
                datacenter.paused_drain_fraction.is_some_and(|kept| kept.share() == part);
            match (others.usable, is_paused) {
                (0, _) => {
                    format!(
                        "no other member can receive its clients: {}",
                        others_text(&others, &datacenter.name)
                    )
                }
                (_, is_paused) => {
                    let progress = if is_paused { "paused" } else { "in progress" };
                    format!(
                        "the drain is {progress}: {} still receives {} of its normal traffic",
                        datacenter.name,
                        percent(part)
                    )
                }
            }
        }
        AnswerCause::OnlyDrainedLeft | AnswerCause::OnlyDisabledLeft => {
            let others = count_alternatives(topology, inputs.conditions, service, answer);
            format!("no other member is left: {}", others_text(&others, &datacenter.name))
        }
    };
    match answer.areas_with_datacenter {
        areas if areas < answer.area_count => {
            format!("{cause} (for {areas} of {} groups of clients)", answer.area_count)
        }
        _ => cause,
    }
}

/// Why the members in other datacenters do not answer: `of the members in other datacenters, 2
/// down, 1 disabled`.
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
        false => format!("of the members in other datacenters, {}", parts.join(", ")),
    }
}
