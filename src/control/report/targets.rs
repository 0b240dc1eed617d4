//! Reports on health checks: each target of each monitor, monitors that cannot work, the checker.

use std::collections::BTreeMap;

use super::inputs::{ProbeInputs, StatusInputs};
use crate::{
    control::{
        clock::unix_now,
        outcome_text::outcome_text,
        status::{CheckerStatus, MonitorFault, TargetStatus},
    },
    health::{Doubt, Verdict},
    probe::ProbeKey,
    steer::{CombinedProbe, DatacenterId, ProbeId, Topology, active_probes},
};

/// Added to the last outcome of a target that a safety rule keeps in the answers.
const HELD: &str = "; held in the answers by a safety rule";

/// What is probed, with the verdicts that the snapshot in force was compiled with.
pub(super) fn targets(inputs: &StatusInputs<'_>) -> Vec<TargetStatus> {
    let topology = &inputs.loaded.topology;
    let combined_monitors = combined_monitors(topology, inputs.probes.keys);
    let is_probed = active_probes(topology, inputs.conditions);
    let status = |(id, mut datacenters): (ProbeId, Vec<DatacenterId>)| {
        datacenters.sort_unstable();
        datacenters.dedup();
        let name = |id: &DatacenterId| topology.datacenters[id.index()].name.to_string();
        TargetStatus {
            datacenters: datacenters.iter().map(name).collect(),
            part_of: combined_monitors.get(&id).cloned().unwrap_or_default(),
            ..match &topology.combined_probes[id.index()] {
                Some(combination) => combined_target(inputs, id, combination),
                None => target(inputs, id, is_probed[id.index()]),
            }
        }
    };
    (0..).map(ProbeId).zip(datacenters_by_probe(topology)).map(status).collect()
}

/// For each probe: the datacenters of the endpoints that it decides on, with repetitions.
fn datacenters_by_probe(topology: &Topology) -> Vec<Vec<DatacenterId>> {
    let mut datacenters: Vec<Vec<DatacenterId>> = vec![Vec::new(); topology.probes.len()];
    for (endpoint, probes) in topology.endpoints.iter().zip(topology.endpoint_probes.iter()) {
        for probe in probes.iter().flatten() {
            datacenters[probe.index()].extend(&endpoint.datacenters);
        }
    }
    datacenters
}

/// For each probe that is part of combined targets: the names of the combined monitors.
fn combined_monitors(topology: &Topology, keys: &[ProbeKey]) -> BTreeMap<ProbeId, Vec<String>> {
    let mut monitors: BTreeMap<ProbeId, Vec<String>> = BTreeMap::new();
    for (combination, key) in topology.combined_probes.iter().zip(keys) {
        for part in combination.iter().flat_map(|combination| &combination.probes) {
            monitors.entry(*part).or_default().push(key.monitor.name.to_string());
        }
    }
    monitors
}

fn target(inputs: &StatusInputs<'_>, id: ProbeId, is_probed: bool) -> TargetStatus {
    let ProbeInputs { ledger, keys, now, .. } = inputs.probes;
    let key = &keys[id.index()];
    let last = ledger.last_outcome(key);
    let since = ledger.verdict_since(key).map(|since| unix_now() - (now - since).as_secs() as i64);
    let status = inputs.conditions.health_statuses[id.index()];
    let held = if status.is_held { HELD } else { "" };
    let not_probed = || {
        (!is_probed).then(|| "not probed: every endpoint that depends on it is disabled".to_owned())
    };
    TargetStatus {
        verdict: status.checked_verdict().as_str().to_owned(),
        since,
        last: last.map(|(outcome, _)| outcome_text(outcome) + held).or_else(not_probed),
        latency_ms: last.map(|(outcome, _)| outcome.latency.as_millis() as u64),
        flips_in_secs: ledger.health_status(key, now).flips_in_secs,
        ..named_target(key)
    }
}

/// A target of a combined monitor. No probe is sent to it: its status follows from its parts.
fn combined_target(
    inputs: &StatusInputs<'_>,
    id: ProbeId,
    combination: &CombinedProbe,
) -> TargetStatus {
    let health_statuses = &inputs.conditions.health_statuses;
    let status = health_statuses[id.index()];
    let usable = combination.usable(health_statuses);
    let (parts, min_up) = (combination.probes.len(), combination.min_up);
    TargetStatus {
        verdict: status.checked_verdict().as_str().to_owned(),
        last: match status.checked_verdict() {
            Verdict::Down => {
                Some(format!("{usable} of {parts} parts are up or unknown, want {min_up}"))
            }
            Verdict::Up => Some(format!("ok; {usable} of {parts} parts are up or unknown")),
            Verdict::Unknown => None,
        },
        flips_in_secs: status.flips_in_secs,
        ..named_target(&inputs.probes.keys[id.index()])
    }
}

fn named_target(key: &ProbeKey) -> TargetStatus {
    TargetStatus {
        monitor: key.monitor.name.to_string(),
        target: key.target.to_string(),
        ..TargetStatus::default()
    }
}

/// Monitors that cannot work, and why.
pub(super) fn monitor_faults(probes: &ProbeInputs<'_>) -> Vec<MonitorFault> {
    let fault = |(monitor, failure): &(Box<str>, _)| MonitorFault {
        monitor: monitor.to_string(),
        error: ToString::to_string(failure),
    };
    probes.monitor_faults.iter().map(fault).collect()
}

/// Whether a doubt freezes the verdicts, and how the probes went.
pub(super) fn checker(probes: &ProbeInputs<'_>) -> CheckerStatus {
    let doubt = match probes.ledger.doubt() {
        Doubt::Trusting => "trusting",
        Doubt::Suspecting { .. } => "suspecting",
        Doubt::Convinced => "convinced",
    };
    let counts = probes.prober.read_counts();
    CheckerStatus {
        doubt: doubt.to_owned(),
        freezes: probes.freezes,
        targets: probes.ledger.len(),
        checked: probes.ledger.checked_count(),
        started: counts.started,
        late: counts.started_late,
        discarded: counts.discarded,
        in_flight: counts.in_flight,
        checks: counts.into(),
    }
}
