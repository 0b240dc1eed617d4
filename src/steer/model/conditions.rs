//! Conditions: everything that answers depend on and that changes without an edit of the
//! configuration: health, the states of datacenters, the addresses of aliases, ramps and feedback.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    client_group::ClientGroup,
    datacenter::{Datacenter, ServingState},
    document_forms,
    fraction::Fraction,
    ids::{AliasId, DatacenterId, EndpointId, PoolId, ProbeId},
    probes::{Probe, ProbeTarget},
    resolved_alias::{ResolvedAlias, UNRESOLVED},
    topology::Topology,
};
use crate::{
    dns::Name,
    health::{HealthStatus, Verdict},
};

/// Everything that charts depend on, except the topology.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Conditions {
    /// Each datacenter's state at present: the one after its `until` once that has passed.
    pub datacenters: Vec<ServingState>,
    /// Each probe's health status, by [`ProbeId`].
    pub health_statuses: Vec<HealthStatus>,
    /// The addresses of each alias, by [`AliasId`].
    #[serde(with = "document_forms::shared_list")]
    pub aliases: Vec<Arc<ResolvedAlias>>,
    /// The effect of ramps and feedback on shares.
    pub adjustments: Adjustments,
    /// Groups of clients whose members were all down and too few of which have recovered: these
    /// clients are still answered with all members. The value is the longest time that this lasts,
    /// in seconds ([`crate::steer::Recovery`]).
    #[serde(with = "document_forms::entries")]
    pub recovering: BTreeMap<ClientGroup, u32>,
}

/// The effect of ramps and feedback on shares, at one moment. A datacenter, endpoint or pool that
/// is absent receives its full share, has its configured weights and follows the written order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Adjustments {
    /// Datacenters during a drain or a slow start, with the fraction of their share.
    #[serde(with = "document_forms::entries")]
    pub datacenter_fractions: HashMap<DatacenterId, Fraction>,
    /// Endpoints during a drain or a slow start, with the fraction of their share.
    #[serde(with = "document_forms::entries")]
    pub endpoint_fractions: HashMap<EndpointId, Fraction>,
    /// Pools loaded beyond their capacity, with the fraction of their clients that they keep.
    #[serde(with = "document_forms::entries")]
    pub kept_fractions: HashMap<PoolId, Fraction>,
    /// For `load` pools: each member's weight; the weights of a pool add up to 1024.
    #[serde(with = "document_forms::weights")]
    pub weights: HashMap<PoolId, Arc<[u32]>>,
    /// For `failover` pools: the member that keeps the clients although an earlier one is usable.
    #[serde(with = "document_forms::entries")]
    pub holders: HashMap<PoolId, u16>,
    /// For `failover` pools: the failback in progress, to a member that has recovered.
    #[serde(with = "document_forms::entries")]
    pub failbacks: HashMap<PoolId, FailbackProgress>,
}

/// A failback in progress: the clients of a `failover` pool return gradually to a member that has
/// recovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FailbackProgress {
    /// The member that the clients leave; it still has those that have not returned.
    pub from: u16,
    /// The member that the clients return to.
    pub to: u16,
    /// The fraction of its normal traffic that the member `to` receives so far.
    pub fraction: Fraction,
}

impl Conditions {
    /// The conditions before the first probe, at `now` (seconds since 1970).
    pub fn unprobed(topology: &Topology, now: i64) -> Self {
        let datacenters = datacenter_states(topology, now);
        Self {
            adjustments: Adjustments::settled(topology, &datacenters),
            datacenters,
            health_statuses: vec![HealthStatus::default(); topology.probes.len()],
            aliases: vec![Arc::default(); topology.aliases.len()],
            recovering: BTreeMap::new(),
        }
    }

    /// The conditions under which the topology `to` starts: these conditions, which belong to
    /// `from`, carried over by name. Pools and endpoints of `to` have the numbers that they have in
    /// `from` (see [`Numbering::after`](crate::steer::Numbering::after)).
    pub fn carried_over(&self, from: &Topology, to: &Topology, now: i64) -> Self {
        let datacenters = datacenter_states(to, now);
        let adjustments =
            self.adjustments.carried_over((from, &self.datacenters), (to, &datacenters));
        let recovering =
            self.recovering.iter().filter(|(group, _)| group.pool.index() < to.pools.len());
        Self {
            health_statuses: self.carried_statuses(from, to),
            aliases: self.carried_aliases(from, to),
            recovering: recovering.map(|(group, secs)| (group.clone(), *secs)).collect(),
            datacenters,
            adjustments,
        }
    }

    fn carried_statuses(&self, from: &Topology, to: &Topology) -> Vec<HealthStatus> {
        let key = |topology: &'_ Topology, probe: &'_ Probe| -> (Box<str>, ProbeTarget) {
            (topology.monitors[probe.monitor.index()].name.clone(), probe.target.clone())
        };
        let is_same = from.probes == to.probes
            && from
                .monitors
                .iter()
                .map(|monitor| &monitor.name)
                .eq(to.monitors.iter().map(|monitor| &monitor.name));
        if is_same {
            return self.health_statuses.clone();
        }
        let known: HashMap<(Box<str>, ProbeTarget), HealthStatus> = from
            .probes
            .iter()
            .zip(&self.health_statuses)
            .map(|(probe, status)| (key(from, probe), *status))
            .collect();
        to.probes
            .iter()
            .map(|probe| known.get(&key(to, probe)).copied().unwrap_or_default())
            .collect()
    }

    fn carried_aliases(&self, from: &Topology, to: &Topology) -> Vec<Arc<ResolvedAlias>> {
        let known: HashMap<&Name, &Arc<ResolvedAlias>> =
            from.aliases.iter().zip(&self.aliases).collect();
        to.aliases
            .iter()
            .map(|alias| known.get(alias).map(|resolved| Arc::clone(resolved)).unwrap_or_default())
            .collect()
    }

    /// The same conditions after all ramps of `topology`, to which they belong: each drain is at
    /// its end, or at the fraction where it is paused; clients have returned to members that
    /// recovered; nothing spills. The weights of `load` pools and the holders of `failover` pools
    /// stay.
    #[must_use]
    pub fn after_ramps(&self, topology: &Topology) -> Self {
        let now = &self.adjustments;
        let holders = now.holders.iter().filter(|(pool, _)| !now.failbacks.contains_key(pool));
        let paused = topology.overrides.endpoints.iter();
        let paused = paused.filter_map(|(id, one)| Some((*id, one.hold?)));
        let adjustments = Adjustments {
            weights: now.weights.clone(),
            endpoint_fractions: paused.collect(),
            holders: holders.map(|(pool, holder)| (*pool, *holder)).collect(),
            ..Adjustments::settled(topology, &self.datacenters)
        };
        Self { adjustments, ..self.clone() }
    }

    /// The same conditions of `to` after the ramps that differ between two topologies with the same
    /// numbers: by their durations, or because they are paused. All other ramps stay where they
    /// are.
    #[must_use]
    pub fn after_changed_ramps(&self, from: &Topology, to: &Topology) -> Self {
        let mut conditions = self.clone();
        let settled = Adjustments::settled(to, &self.datacenters).datacenter_fractions;
        let adjustments = &mut conditions.adjustments;
        let pairs = from.datacenters.iter().zip(&to.datacenters).zip((0..).map(DatacenterId));
        for ((old, new), id) in pairs {
            let ramp = |one: &Datacenter| (one.ramp_times, one.paused_drain_fraction);
            if old.name == new.name && ramp(old) != ramp(new) {
                match settled.get(&id) {
                    Some(fraction) => adjustments.datacenter_fractions.insert(id, *fraction),
                    None => adjustments.datacenter_fractions.remove(&id),
                };
            }
        }
        let hold = |topology: &Topology, id: &EndpointId| {
            topology.overrides.endpoints.get(id).and_then(|one| one.hold)
        };
        adjustments.endpoint_fractions.retain(|id, _| {
            let times = |topology: &Topology| {
                topology.endpoints.get(id.index()).map(|endpoint| endpoint.ramp_times)
            };
            times(from) == times(to) && hold(from, id) == hold(to, id)
        });
        conditions
    }

    /// The same conditions with every target of these endpoints down. An endpoint without a monitor
    /// has no target, so that its clients stay.
    pub fn with_endpoints_down(
        &self,
        topology: &Topology,
        endpoints: impl IntoIterator<Item = EndpointId>,
    ) -> Self {
        let down = HealthStatus { verdict: Verdict::Down, ..HealthStatus::default() };
        let mut conditions = self.clone();
        for endpoint in endpoints {
            let probes = topology.endpoint_probes.get(endpoint.index()).into_iter().flatten();
            for probe in probes.flatten() {
                if let Some(status) = conditions.health_statuses.get_mut(probe.index()) {
                    *status = down;
                }
            }
        }
        conditions
    }

    /// The addresses of an alias; none while it was never resolved.
    pub fn resolved_alias(&self, alias: AliasId) -> &ResolvedAlias {
        self.aliases.get(alias.index()).map_or(&UNRESOLVED, |resolved| resolved)
    }

    pub(in crate::steer) fn health_status(&self, probe: Option<ProbeId>) -> HealthStatus {
        probe.and_then(|probe| self.health_statuses.get(probe.index())).copied().unwrap_or_default()
    }
}

impl Adjustments {
    /// The same adjustments for another topology. A datacenter or endpoint whose state differs gets
    /// the fraction that its new state has without a ramp.
    fn carried_over(
        &self,
        from: (&Topology, &[ServingState]),
        to: (&Topology, &[ServingState]),
    ) -> Self {
        let name_and_state = |(topology, states): (&Topology, &[ServingState]), index: usize| {
            Some((topology.datacenters.get(index)?.name.clone(), states.get(index).copied()))
        };
        let is_same =
            |id: &DatacenterId| name_and_state(from, id.index()) == name_and_state(to, id.index());
        let mut datacenter_fractions = Self::settled(to.0, to.1).datacenter_fractions;
        datacenter_fractions.extend(self.datacenter_fractions.iter().filter(|(id, _)| is_same(id)));
        let state = |topology: &Topology, id: &EndpointId| {
            topology.endpoints.get(id.index()).map(|endpoint| endpoint.state)
        };
        let mut endpoint_fractions = self.endpoint_fractions.clone();
        endpoint_fractions.retain(|id, _| state(from.0, id) == state(to.0, id));
        Self { datacenter_fractions, endpoint_fractions, ..self.clone() }
    }

    /// The adjustments after all ramps and without load reports: every drain is at its end, or at
    /// the fraction where it is paused.
    fn settled(topology: &Topology, states: &[ServingState]) -> Self {
        let datacenters = topology.datacenters.iter().zip(states).zip((0..).map(DatacenterId));
        let draining = datacenters.filter(|((_, state), _)| **state == ServingState::Draining);
        let datacenter_fractions = draining
            .filter_map(|((datacenter, _), id)| Some((id, datacenter.paused_drain_fraction?)))
            .collect();
        Self { datacenter_fractions, ..Self::default() }
    }
}

/// Each datacenter's state at `now` (seconds since 1970).
pub fn datacenter_states(topology: &Topology, now: i64) -> Vec<ServingState> {
    topology.datacenters.iter().map(|datacenter| datacenter.state_at(now)).collect()
}
