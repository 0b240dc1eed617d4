//! Conditions: everything that answers depend on and that changes without an edit of the
//! configuration: health, the states of datacenters, the addresses of aliases, ramps and feedback.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{
    client_group::ClientGroup,
    datacenter::ServingState,
    fraction::Fraction,
    ids::{AliasId, DatacenterId, EndpointId, PoolId, ProbeId},
    probes::{Probe, ProbeTarget},
    resolved_alias::{ResolvedAlias, UNRESOLVED},
    topology::Topology,
};
use crate::{dns::Name, health::HealthStatus};

/// Everything that charts depend on, except the topology.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conditions {
    /// Each datacenter's state at present: the one after its `until` once that has passed.
    pub datacenters: Vec<ServingState>,
    /// Each probe's health status, by [`ProbeId`].
    pub health_statuses: Vec<HealthStatus>,
    /// The addresses of each alias, by [`AliasId`].
    pub aliases: Vec<Arc<ResolvedAlias>>,
    /// The effect of ramps and feedback on shares.
    pub adjustments: Adjustments,
    /// Groups of clients whose members were all down and too few of which have recovered: these
    /// clients are still answered with all members. The value is the longest time that this lasts,
    /// in seconds ([`crate::steer::Recovery`]).
    pub recovering: BTreeMap<ClientGroup, u32>,
}

/// The effect of ramps and feedback on shares, at one moment. A datacenter, endpoint or pool that
/// is absent receives its full share, has its configured weights and follows the written order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Adjustments {
    /// Datacenters during a drain or a slow start, with the fraction of their share.
    pub datacenter_fractions: HashMap<DatacenterId, Fraction>,
    /// Endpoints during a drain or a slow start, with the fraction of their share.
    pub endpoint_fractions: HashMap<EndpointId, Fraction>,
    /// Pools loaded beyond their capacity, with the fraction of their clients that they keep.
    pub kept_fractions: HashMap<PoolId, Fraction>,
    /// For `load` pools: each member's weight; the weights of a pool add up to 1024.
    pub weights: HashMap<PoolId, Arc<[u32]>>,
    /// For `failover` pools: the member that keeps the clients although an earlier one is usable.
    pub holders: HashMap<PoolId, u16>,
    /// For `failover` pools: the failback in progress, to a member that has recovered.
    pub failbacks: HashMap<PoolId, FailbackProgress>,
}

/// A failback in progress: the clients of a `failover` pool return gradually to a member that has
/// recovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

    /// These conditions once all ramps of `topology`, to which they belong, are over: a drain
    /// leaves no clients, or the fraction at which it is paused.
    #[must_use]
    pub fn after_ramps(mut self, topology: &Topology) -> Self {
        let settled = Adjustments::settled(topology, &self.datacenters);
        let paused = topology.overrides.endpoints.iter();
        let paused = paused.filter_map(|(id, one)| Some((*id, one.hold?)));
        self.adjustments.datacenter_fractions = settled.datacenter_fractions;
        self.adjustments.endpoint_fractions = paused.collect();
        self
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
