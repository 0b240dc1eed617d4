//! Conditions: what changes without an edit. Health, the hour, what aliases stand for, ramps and
//! feedback, as values.

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

/// What charts are compiled under, beside the topology.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conditions {
    /// Each datacenter's state at this hour: as written, or active once its `until` has passed.
    pub datacenters: Vec<ServingState>,
    /// Each probe's standing.
    pub standings: Vec<HealthStatus>,
    /// What each alias stands for, by [`AliasId`].
    pub aliases: Vec<Arc<ResolvedAlias>>,
    /// What ramps and feedback come to.
    pub adjustments: Adjustments,
    /// Groups of clients whose members were all down and of which too few are back: all are
    /// answered as before. Each with the seconds that this lasts at most
    /// ([`crate::steer::Recovery`]).
    pub recovering: BTreeMap<ClientGroup, u32>,
}

/// What ramps and feedback come to at one moment. Whoever is not named takes its full part, its
/// weight as configured, and the order written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Adjustments {
    /// Datacenters amid a drain or a slow start.
    pub datacenter_fractions: HashMap<DatacenterId, Fraction>,
    /// Endpoints amid a drain or a slow start.
    pub endpoint_fractions: HashMap<EndpointId, Fraction>,
    /// Pools that keep less than all of their clients because they are loaded beyond their
    /// capacity.
    pub kept_fractions: HashMap<PoolId, Fraction>,
    /// Of `load` pools: each member's weight, out of 1024 together.
    pub weights: HashMap<PoolId, Arc<[u32]>>,
    /// Of `failover` pools: the member that clients stay with although one before it is usable.
    pub holders: HashMap<PoolId, u16>,
    /// Of `failover` pools: clients on their way back to a member that has recovered.
    pub failbacks: HashMap<PoolId, FailbackProgress>,
}

/// Clients of a `failover` pool on their way back, bit by bit, to a member that has recovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailbackProgress {
    /// The member that held them: it has those that have not returned yet.
    pub from: u16,
    /// The member that they return to.
    pub to: u16,
    /// What that member takes of its share.
    pub fraction: Fraction,
}

impl Conditions {
    /// Nothing probed yet, at `now` (seconds since 1970).
    pub fn unprobed(topology: &Topology, now: i64) -> Self {
        let datacenters = datacenter_states(topology, now);
        Self {
            adjustments: Adjustments::settled(topology, &datacenters),
            datacenters,
            standings: vec![HealthStatus::default(); topology.probes.len()],
            aliases: vec![Arc::default(); topology.aliases.len()],
            recovering: BTreeMap::new(),
        }
    }

    /// The first conditions of the topology `to`: these conditions of `from`, found by name. Pools
    /// and endpoints of `to` are numbered after those of `from`.
    pub fn carried_over(&self, from: &Topology, to: &Topology, now: i64) -> Self {
        let datacenters = datacenter_states(to, now);
        let steering = self.adjustments.carried_over((from, &self.datacenters), (to, &datacenters));
        let recovering =
            self.recovering.iter().filter(|(group, _)| group.pool.index() < to.pools.len());
        Self {
            standings: self.carried_standings(from, to),
            aliases: self.carried_aliases(from, to),
            recovering: recovering.map(|(group, secs)| (group.clone(), *secs)).collect(),
            datacenters,
            adjustments: steering,
        }
    }

    fn carried_standings(&self, from: &Topology, to: &Topology) -> Vec<HealthStatus> {
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
            return self.standings.clone();
        }
        let known: HashMap<(Box<str>, ProbeTarget), HealthStatus> = from
            .probes
            .iter()
            .zip(&self.standings)
            .map(|(probe, standing)| (key(from, probe), *standing))
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
            .map(|alias| known.get(alias).map(|at| Arc::clone(at)).unwrap_or_default())
            .collect()
    }

    /// What an alias stands for.
    pub fn resolved_alias(&self, alias: AliasId) -> &ResolvedAlias {
        self.aliases.get(alias.index()).map_or(&UNRESOLVED, |resolved| resolved)
    }

    pub(in crate::steer) fn standing(&self, probe: Option<ProbeId>) -> HealthStatus {
        probe.and_then(|probe| self.standings.get(probe.index())).copied().unwrap_or_default()
    }
}

impl Adjustments {
    /// The same steering for another topology. A datacenter whose state differs gets the part of
    /// that state without a ramp.
    fn carried_over(
        &self,
        from: (&Topology, &[ServingState]),
        to: (&Topology, &[ServingState]),
    ) -> Self {
        let named = |(topology, states): (&Topology, &[ServingState]), at: usize| {
            Some((topology.datacenters.get(at)?.name.clone(), states.get(at).copied()))
        };
        let is_same = |id: &DatacenterId| named(from, id.index()) == named(to, id.index());
        let mut datacenter_parts = Self::settled(to.0, to.1).datacenter_fractions;
        datacenter_parts.extend(self.datacenter_fractions.iter().filter(|(id, _)| is_same(id)));
        Self { datacenter_fractions: datacenter_parts, ..self.clone() }
    }

    /// Every drain at its end, which is where it is held if it is, and nothing reported.
    fn settled(topology: &Topology, states: &[ServingState]) -> Self {
        let held = topology.datacenters.iter().zip(states).zip((0..).map(DatacenterId));
        let held = held.filter(|((_, state), _)| **state == ServingState::Draining);
        let datacenter_fractions = held
            .filter_map(|((datacenter, _), id)| Some((id, datacenter.drain_hold_fraction?)))
            .collect();
        Self { datacenter_fractions, ..Self::default() }
    }
}

/// Each datacenter's state at `now` (seconds since 1970): as written, or active once its `until`
/// has passed.
pub fn datacenter_states(topology: &Topology, now: i64) -> Vec<ServingState> {
    let lapsed = |until: Option<i64>| until.is_some_and(|until| until <= now);
    let state = |datacenter: &super::Datacenter| {
        if lapsed(datacenter.until) { ServingState::Active } else { datacenter.state }
    };
    topology.datacenters.iter().map(state).collect()
}
