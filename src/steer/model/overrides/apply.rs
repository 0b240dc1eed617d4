//! The effective topology: the topology as configured, with what overrides set in place of it.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use super::{
    entry::{Override, OverrideValue},
    index::OverrideIndex,
    set::OverrideSet,
    subject::OverrideSubject,
};
use crate::steer::model::{
    amendment::Amendment,
    datacenter::{Datacenter, ServingState},
    endpoint::{Endpoint, EndpointTarget, HealthOverride, SrvHost},
    ids::{DatacenterId, EndpointId, PoolId},
    pool::{MemberKind, Pool},
    ramp_times::RampTimes,
    topology::Topology,
};

/// The topology in which the overrides that are in force at `now` (seconds since 1970) take the
/// place of what is `configured`.
///
/// A more specific subject wins: a member over a pool, an inner pool over an outer one, a
/// datacenter over its region. A drain of a region or pool concerns only what the files have in
/// service: it puts nothing that they disable or keep as a standby nearer to clients. All items
/// that no override concerns are shared with `configured`, and all have the same numbers.
pub fn apply_overrides(
    configured: &Arc<Topology>,
    overrides: &OverrideSet,
    now: i64,
) -> Arc<Topology> {
    let mut in_force: Vec<&Arc<Override>> =
        overrides.iter().filter(|one| one.is_in_force(now)).collect();
    in_force.sort_by_cached_key(|one| specificity(&one.subject, configured));
    let mut draft = OverlayDraft { configured, now, items: OverlayChanges::default() };
    in_force.iter().for_each(|one| draft.apply(one));
    draft.finish()
}

/// The rank of a subject: of two that concern an item, the later one wins.
fn specificity(subject: &OverrideSubject, topology: &Topology) -> (u8, Reverse<usize>) {
    let class = match subject {
        OverrideSubject::Region(_) => 0,
        OverrideSubject::Datacenter(_) => 1,
        OverrideSubject::Pool(_) => 2,
        OverrideSubject::Member { .. } | OverrideSubject::ServiceMember { .. } => 3,
    };
    (class, Reverse(subject.pool_count(topology)))
}

/// An effective topology while overrides are applied to it.
struct OverlayDraft<'a> {
    configured: &'a Arc<Topology>,
    now: i64,
    items: OverlayChanges,
}

/// The items that differ from the configured ones.
#[derive(Default)]
struct OverlayChanges {
    datacenters: BTreeMap<DatacenterId, Datacenter>,
    endpoints: BTreeMap<EndpointId, Endpoint>,
    pools: BTreeMap<PoolId, Pool>,
    index: OverrideIndex,
}

impl OverlayDraft<'_> {
    fn apply(&mut self, one: &Arc<Override>) {
        match one.value {
            OverrideValue::State(_) | OverrideValue::Return => {
                let datacenters = one.subject.datacenters(self.configured);
                if datacenters.is_empty() {
                    let endpoints = one.subject.endpoints(self.configured);
                    endpoints.into_iter().for_each(|id| self.set_endpoint_state(id, one));
                }
                datacenters.into_iter().for_each(|id| self.set_datacenter_state(id, one));
            }
            OverrideValue::Force(force) => {
                let endpoints = one.subject.endpoints(self.configured);
                endpoints.into_iter().for_each(|id| self.force(id, force, one));
            }
            OverrideValue::Weight(weight) => {
                if let Some((pool, position)) = one.subject.member(self.configured) {
                    self.set_weight(pool, position, weight, one);
                }
            }
        }
    }

    fn set_datacenter_state(&mut self, id: DatacenterId, one: &Arc<Override>) {
        let configured = &self.configured.datacenters[id.index()];
        let written = configured.state_at(self.now);
        if !permits(written, one) {
            return;
        }
        let returns = one.value == OverrideValue::Return;
        let datacenter = Datacenter {
            state: overriding_state(one).unwrap_or(written),
            reason: if returns { configured.reason.clone() } else { one.reason.clone() },
            until: if returns { configured.until } else { one.ends },
            state_after: one.ends.map_or(configured.state_after, |ends| configured.state_at(ends)),
            ramp_times: ramp_times(configured.ramp_times, one),
            paused_drain_fraction: if returns {
                configured.paused_drain_fraction
            } else {
                one.hold
            },
            ..configured.clone()
        };
        self.items.datacenters.insert(id, datacenter);
        self.items.index.datacenters.insert(id, Arc::clone(one));
    }

    fn set_endpoint_state(&mut self, id: EndpointId, one: &Arc<Override>) {
        let configured = &self.configured.endpoints[id.index()];
        if !permits(configured.state, one) {
            return;
        }
        let endpoint = self.endpoint(id);
        endpoint.state = overriding_state(one).unwrap_or(configured.state);
        endpoint.ramp_times = ramp_times(configured.ramp_times, one);
        self.items.index.endpoints.insert(id, Arc::clone(one));
    }

    fn force(&mut self, id: EndpointId, force: HealthOverride, one: &Arc<Override>) {
        self.endpoint(id).force = Some(force);
        self.items.index.forced.insert(id, Arc::clone(one));
    }

    fn set_weight(&mut self, id: PoolId, position: usize, weight: u16, one: &Arc<Override>) {
        let configured = &self.configured.pools[id.index()];
        let pool = self.items.pools.entry(id).or_insert_with(|| Pool::clone(configured));
        pool.members[position].weight = weight;
        if let MemberKind::Endpoint(endpoint) = configured.members[position].kind {
            // The SRV record has the weight of the member.
            if let EndpointTarget::Host(host) = &self.configured.endpoints[endpoint.index()].target
            {
                let target = EndpointTarget::Host(SrvHost { weight, ..host.clone() });
                self.endpoint(endpoint).target = target;
            }
        }
        self.items.index.weights.insert((id, position), Arc::clone(one));
    }

    fn endpoint(&mut self, id: EndpointId) -> &mut Endpoint {
        let configured = &self.configured.endpoints[id.index()];
        self.items.endpoints.entry(id).or_insert_with(|| Endpoint::clone(configured))
    }

    fn finish(self) -> Arc<Topology> {
        let OverlayChanges { datacenters, endpoints, pools, index } = self.items;
        let amendment = Amendment {
            datacenters: datacenters.into_iter().collect(),
            endpoints: endpoints.into_iter().collect(),
            pools: pools.into_iter().collect(),
            services: Vec::new(),
        };
        if amendment.is_empty() {
            return Arc::clone(self.configured);
        }
        Arc::new(Topology { overrides: Arc::new(index), ..self.configured.amended(amendment) })
    }
}

/// The state that an override sets; `None` if it leaves the one in the file.
fn overriding_state(one: &Override) -> Option<ServingState> {
    match one.value {
        OverrideValue::State(state) => Some(state),
        OverrideValue::Return | OverrideValue::Force(_) | OverrideValue::Weight(_) => None,
    }
}

/// Whether an override of the state concerns an item that has the state `written` in the files.
fn permits(written: ServingState, one: &Override) -> bool {
    let is_single = matches!(
        one.subject,
        OverrideSubject::Datacenter(_)
            | OverrideSubject::Member { .. }
            | OverrideSubject::ServiceMember { .. }
    );
    match one.value {
        OverrideValue::State(ServingState::Draining) => {
            is_single || matches!(written, ServingState::Active | ServingState::Draining)
        }
        OverrideValue::State(ServingState::Standby) => {
            is_single || written != ServingState::Disabled
        }
        _ => true,
    }
}

/// The ramp times under an override.
fn ramp_times(configured: RampTimes, one: &Override) -> RampTimes {
    match (one.over, one.value) {
        (Some(over), OverrideValue::State(ServingState::Draining)) => {
            RampTimes { drain_over: over, ..configured }
        }
        (Some(over), OverrideValue::Return | OverrideValue::State(ServingState::Active)) => {
            RampTimes { slow_start: over, ..configured }
        }
        _ => configured,
    }
}
