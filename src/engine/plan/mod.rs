//! The plan: which clients a change of the configuration would move, how many, and where to.
//!
//! Two snapshots are compared service by service, by name. The answers of each area are read from
//! the charts; the number of clients in each pair of areas comes from walking the two atlases side
//! by side. Pure, like the engine.
//!
//! Both snapshots are compared in their steady state: a gradual drain counts as ended, and load
//! reports have no effect.

mod assumptions;
mod census;
mod shift;
mod text;
mod view;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

pub use text::render_plan;
pub use view::{
    BasisView, CountryView, DatacenterChange, FlowView, Plan, ServiceChange, ShiftView,
};

use self::{
    census::{ClientCensus, ClientFamily},
    shift::{NO_RECORDS, PlanSide, shifts},
};
use super::snapshot_context::SnapshotContext;
use crate::{
    dns::Name,
    number_format::percent_in_column,
    steer::{Chart, FallbackStage, Family, Service},
};

/// The limits that a change must stay within.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlanLimits {
    /// The maximum share of clients of a service that may get another answer, in percent.
    pub max_moved_percent: Option<f64>,
    /// Whether every service must keep something usable, and every client an answer.
    pub never_empty: bool,
}

impl Default for PlanLimits {
    fn default() -> Self {
        Self { max_moved_percent: None, never_empty: true }
    }
}

/// Compares two snapshots. Clients are counted by the databases of the second.
pub fn plan(before: &SnapshotContext<'_>, after: &SnapshotContext<'_>) -> Plan {
    let (was, is) = (services(before), services(after));
    let mut census = ClientCensus::new(after.databases);
    let mut shifts_by_charts: HashMap<(usize, usize), Vec<ShiftView>> = HashMap::new();
    let mut plan = Plan {
        basis: basis(&mut census),
        assumptions: assumptions::assumptions(after),
        datacenters: datacenters(before, after),
        added: is
            .keys()
            .filter(|name| !was.contains_key(*name))
            .map(|name| name.to_string())
            .collect(),
        removed: was
            .keys()
            .filter(|name| !is.contains_key(*name))
            .map(|name| name.to_string())
            .collect(),
        ..Plan::default()
    };
    for (name, (old, old_chart)) in &was {
        let Some((new, new_chart)) = is.get(name) else { continue };
        // Services with the same charts have the same shifts.
        let key = (Arc::as_ptr(old_chart).addr(), Arc::as_ptr(new_chart).addr());
        let sides = [(*old_chart, before), (*new_chart, after)];
        let [left, right] =
            sides.map(|(chart, context)| PlanSide { chart, topology: &context.snapshot.topology });
        let shifts =
            shifts_by_charts.entry(key).or_insert_with(|| shifts(left, right, &mut census)).clone();
        let ttl_secs = (old.ttl_secs != new.ttl_secs).then_some((old.ttl_secs, new.ttl_secs));
        let loses_all = loses_all(old_chart, new_chart);
        if shifts.is_empty() && ttl_secs.is_none() && loses_all.is_empty() {
            plan.unchanged += 1;
        } else {
            plan.changed.push(ServiceChange {
                name: name.to_string(),
                shifts,
                ttl_secs,
                loses_all,
            });
        }
    }
    plan.changed
        .sort_by(|a, b| b.moved_percent().total_cmp(&a.moved_percent()).then(a.name.cmp(&b.name)));
    plan
}

impl ServiceChange {
    /// The largest share of clients of one family that get another answer of one type, in percent.
    pub fn moved_percent(&self) -> f64 {
        self.shifts.iter().map(|shift| shift.moved_percent).fold(0.0, f64::max)
    }
}

impl Plan {
    /// The limits that the plan exceeds, one sentence each; empty for a change within all limits.
    pub fn violations(&self, limits: &PlanLimits) -> Vec<String> {
        let mut violations = Vec::new();
        for change in &self.changed {
            let name = &change.name;
            let exceeds = |shift: &&ShiftView| {
                limits.max_moved_percent.is_some_and(|limit| shift.moved_percent > limit)
            };
            let worst = change
                .shifts
                .iter()
                .filter(exceeds)
                .max_by(|a, b| a.moved_percent.total_cmp(&b.moved_percent));
            if let (Some(shift), Some(limit)) = (worst, limits.max_moved_percent) {
                violations.push(format!(
                    "{name}: {} of its {} clients would get another {} answer; at most {limit} % may",
                    percent_in_column(shift.moved_percent),
                    shift.clients,
                    shift.records
                ));
            }
            if !limits.never_empty {
                continue;
            }
            for records in &change.loses_all {
                violations.push(format!(
                    "{name}: nothing usable would be left for some clients' {records} records"
                ));
            }
            for shift in &change.shifts {
                if let Some(flow) = shift.flows.iter().find(|flow| flow.to == NO_RECORDS) {
                    violations.push(format!(
                        "{name}: {:.1} % of its {} clients would get no {} record any more",
                        flow.percent, shift.clients, shift.records
                    ));
                }
            }
        }
        violations
    }
}

/// The services of a snapshot by name, with their charts.
fn services<'a>(
    context: &SnapshotContext<'a>,
) -> BTreeMap<&'a Name, (&'a Service, &'a Arc<Chart>)> {
    let snapshot = context.snapshot;
    let services = snapshot.topology.services.iter().zip(&snapshot.charts);
    services.map(|(service, chart)| (&service.name, (service, chart))).collect()
}

/// The types for which every area has something usable before, and some area has nothing after.
fn loses_all(before: &Chart, after: &Chart) -> Vec<String> {
    let loses = |family| {
        let was_normal =
            before.area_count(family) > 0 && before.fallback_stage(family) == FallbackStage::Normal;
        was_normal && after.fallback_stage(family) > FallbackStage::Normal
    };
    let types = [Family::V4, Family::V6].map(|family| (family, after.kind().record_type(family)));
    types
        .into_iter()
        .filter(|(family, _)| loses(*family))
        .map(|(_, records)| records.to_owned())
        .collect()
}

fn basis(census: &mut ClientCensus) -> BasisView {
    // A /48 has 2^80 addresses.
    let networks = census.population(ClientFamily::V6) >> 80;
    BasisView {
        ipv4_addresses: census.population(ClientFamily::V4) as u64,
        ipv6_networks: networks as u64,
        is_by_country: (
            census.is_by_country(ClientFamily::V4),
            census.is_by_country(ClientFamily::V6),
        ),
    }
}

fn datacenters(before: &SnapshotContext<'_>, after: &SnapshotContext<'_>) -> Vec<DatacenterChange> {
    let states = |context: &SnapshotContext<'_>| -> BTreeMap<String, (String, Option<String>)> {
        let configured = &context.snapshot.topology.datacenters;
        let state = |(index, datacenter): (usize, &crate::steer::Datacenter)| {
            let state =
                context.conditions.datacenters.get(index).copied().unwrap_or(datacenter.state);
            let reason = datacenter.reason.as_ref().map(|reason| reason.to_string());
            (datacenter.name.to_string(), (state.as_str().to_owned(), reason))
        };
        configured.iter().enumerate().map(state).collect()
    };
    let (was, is) = (states(before), states(after));
    let names: std::collections::BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    let change = |name: &&String| {
        let state = |states: &BTreeMap<String, (String, Option<String>)>| {
            states.get(*name).map(|(state, _)| state.clone())
        };
        let reason = is.get(*name).and_then(|(_, reason)| reason.clone());
        DatacenterChange { name: (*name).clone(), before: state(&was), after: state(&is), reason }
    };
    names.iter().map(change).filter(|change| change.before != change.after).collect()
}

#[cfg(test)]
mod tests;
