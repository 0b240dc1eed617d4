//! Reports: the status document, made from a borrowed view of what the controller owns.
//!
//! | file | part |
//! |---|---|
//! | `inputs` | what reports are made from |
//! | `datacenters` | datacenters, and answers that still name a drained one |
//! | `targets` | health checks |
//! | `overrides` | what operators set over the files |
//! | `safety` | the safety rules, and what they hold |
//! | `services`, `distressed` | the states of services; clients without a usable member |
//! | `subject`, `concerned` | one service, pool, datacenter, region or target in full; the overrides that concern it |
//! | `steering`, `shares` | load sources, pools, ramps |
//! | here | the document as a whole; databases, zones |

mod concerned;
mod datacenters;
mod distressed;
mod inputs;
mod overrides;
mod safety;
mod services;
mod shares;
mod steering;
mod subject;
mod targets;

pub(super) use datacenters::drain_outcome;
pub(super) use inputs::{ProbeInputs, RuleInputs, StatusInputs};
pub(super) use overrides::overrides;
pub(super) use services::services;
pub(super) use steering::ramps;
pub(super) use subject::subject;

use std::collections::BTreeMap;

use self::distressed::{distressed_clients, distressed_service};
use super::{
    clock::unix_now,
    handle::ListDetail,
    safety::PlannedRules,
    status::{DatabaseStatus, Status, ZoneStatus},
    steering_document::SteeringDocument,
};
use crate::{
    engine::PoolLoadLevel,
    steer::{PoolReport, TopologyDocument},
};

/// The status document, with as much of its long lists as `detail` says.
pub(super) fn status(inputs: &StatusInputs<'_>, detail: ListDetail) -> Status {
    let distressed = distressed_clients(inputs);
    let load_controller = inputs.load_controller;
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        server: inputs.server.clone(),
        generation: inputs.snapshot.generation,
        started: inputs.server.started,
        now: unix_now(),
        // The admin server, which knows both, fills these in.
        is_listening: true,
        concerns: Vec::new(),
        // The handle, which has both, fills these in.
        certificates: Vec::new(),
        journal: Default::default(),
        configuration: inputs.configuration.clone(),
        held: inputs.held_files.status(),
        requirements: inputs.requirements.to_vec(),
        safety: safety::safety(inputs),
        unsaved: inputs.state_directory.save_failures().text(),
        databases: databases(inputs),
        zones: zones(inputs),
        datacenters: datacenters::datacenters(inputs, detail),
        overrides: overrides(inputs, detail),
        override_fault: inputs.override_fault.map(str::to_owned),
        services: inputs.loaded.topology.services.len(),
        service_counts: services::service_counts(inputs),
        distressed_count: distressed.len(),
        distressed: distressed
            .iter()
            .take(detail.limit())
            .map(|clients| distressed_service(inputs, clients))
            .collect(),
        targets: targets::targets(inputs),
        monitor_faults: targets::monitor_faults(&inputs.probes),
        aliases: inputs.aliases.status(),
        loads: steering::loads(inputs),
        pools: steering::pools(inputs),
        ramps: ramps(load_controller),
        disagreements: load_controller.report().disagreements,
        failed_polls: load_controller.failed_polls(),
        polls: load_controller.polls().into(),
        checker: targets::checker(&inputs.probes),
    }
}

/// What the answers in force were compiled from. The caller adds the counted answers and the
/// observed demand.
pub(super) fn steering(inputs: &StatusInputs<'_>) -> SteeringDocument {
    let topology = &inputs.snapshot.topology;
    let pool_load = |report: PoolReport<'_>| {
        let name = topology.pools.get(report.id.index())?.name.to_string();
        Some((name, PoolLoadLevel { level: report.level?, target: report.target? }))
    };
    SteeringDocument {
        generation: inputs.snapshot.generation,
        databases: databases(inputs).into_iter().map(with_absolute_path).collect(),
        topology: TopologyDocument::of(&inputs.loaded.configured),
        overrides: SteeringDocument::overrides_text(&inputs.loaded.overrides),
        overrides_at: inputs.loaded.overrides_at,
        conditions: inputs.conditions.clone(),
        pool_loads: inputs
            .load_controller
            .report()
            .pools
            .into_iter()
            .filter_map(pool_load)
            .collect(),
        rules: PlannedRules::new(&inputs.loaded.config.safety, &inputs.rules.memory.window),
        answers: BTreeMap::new(),
        demand: None,
    }
}

/// The same database with a path that does not depend on the working directory of this process.
fn with_absolute_path(database: DatabaseStatus) -> DatabaseStatus {
    let path = std::path::absolute(&database.path);
    let path = path.map_or(database.path, |path| path.display().to_string());
    DatabaseStatus { path, ..database }
}

fn databases(inputs: &StatusInputs<'_>) -> Vec<DatabaseStatus> {
    let databases = inputs.loaded.databases.iter().map(|file| DatabaseStatus {
        path: file.path.display().to_string(),
        kind: file.database.kind().to_owned(),
        built: file.database.build_epoch(),
        networks: file.database.network_count(),
        error: file.error.clone(),
    });
    databases.collect()
}

fn zones(inputs: &StatusInputs<'_>) -> Vec<ZoneStatus> {
    let zones = inputs.loaded.zones.list().iter().zip(inputs.loaded.zone_summaries.iter());
    let status = zones.map(|(zone, summary)| ZoneStatus {
        name: zone.apex.to_string(),
        serial: summary.serial,
        records: summary.records,
        services: summary.services,
    });
    status.collect()
}
