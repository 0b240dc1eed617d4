//! All ramps of a topology: datacenters and endpoints that drain gradually or start slowly.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use super::ramp::Ramp;
use crate::steer::model::{
    Conditions, DatacenterId, EndpointId, Fraction, HealthOverride, MemberKind, RampTimes,
    ServingState, Topology,
};

/// What a ramp belongs to, by name, so that it survives reloads and restarts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RampKey {
    /// The datacenter of this name.
    Datacenter(Box<str>),
    /// An endpoint of a pool.
    Endpoint {
        /// The name of the pool.
        pool: Box<str>,
        /// The name of the endpoint.
        endpoint: Box<str>,
    },
    /// The clients of a `failover` pool that return to a member.
    Failback {
        /// The name of the pool.
        pool: Box<str>,
        /// The name of the member.
        member: Box<str>,
    },
}

/// The ramps of one topology.
#[derive(Debug, Clone, Default)]
pub(super) struct Ramps {
    datacenters: Vec<(DatacenterId, RampKey)>,
    /// The endpoints that have ramp times.
    endpoints: Vec<(EndpointId, RampKey)>,
    ramps_by_key: HashMap<RampKey, Ramp>,
    /// The time at which the next step of any ramp is due.
    next_step_at: Option<Duration>,
}

/// What decides where a ramp moves, and how fast.
struct RampInput {
    state: ServingState,
    is_up: bool,
    times: RampTimes,
    /// The fraction of clients that stays at the end of a drain, from 0 to 1: above 0 if it pauses.
    drain_goal: f64,
}

impl RampInput {
    /// Whether a drain is in force, which leaves no clients without a fraction: one that is paused
    /// at the beginning keeps all of them.
    fn is_draining(&self) -> bool {
        self.state == ServingState::Draining
    }
}

impl Ramps {
    /// Follows every datacenter, since a drain may set its own ramp times, and the endpoints that
    /// have ramp times. Ramps in progress continue. An endpoint that gets ramp times starts at 1 if
    /// it was in service before, and at 0 if it was drained or disabled. Every other ramp starts at
    /// its goal.
    pub(super) fn apply_topology(&mut self, topology: &Topology, old: &Topology) {
        let datacenters = topology.datacenters.iter().zip((0..).map(DatacenterId));
        self.datacenters = datacenters
            .map(|(datacenter, id)| (id, RampKey::Datacenter(datacenter.name.clone())))
            .collect();
        self.endpoints.clear();
        for pool in &topology.pools {
            for member in &pool.members {
                let MemberKind::Endpoint(id) = member.kind else { continue };
                let endpoint = &topology.endpoints[id.index()];
                if endpoint.ramp_times != RampTimes::default() {
                    let key = RampKey::Endpoint {
                        pool: pool.name.clone(),
                        endpoint: endpoint.name.clone(),
                    };
                    self.endpoints.push((id, key));
                }
            }
        }
        let datacenter_keys = self.datacenters.iter().map(|(_, key)| key);
        let endpoint_keys = self.endpoints.iter().map(|(_, key)| key);
        let keys: HashSet<&RampKey> = datacenter_keys.chain(endpoint_keys).collect();
        self.ramps_by_key.retain(|key, _| keys.contains(key));
        if self.endpoints.iter().any(|(_, key)| !self.ramps_by_key.contains_key(key)) {
            for (key, value) in settled_values(old).filter(|(key, _)| keys.contains(key)) {
                self.ramps_by_key.entry(key).or_insert_with(|| Ramp::settled(value));
            }
        }
    }

    /// Continues with the value that a ramp had in a previous run.
    pub(super) fn restore(&mut self, key: RampKey, value: f64) {
        self.ramps_by_key.insert(key, Ramp::settled(value));
    }

    /// Sets the goal of each ramp by states and verdicts, and writes the present fractions into the
    /// adjustments of `conditions`.
    pub(super) fn update(
        &mut self,
        topology: &Topology,
        conditions: &mut Conditions,
        now: Duration,
    ) {
        conditions.adjustments.datacenter_fractions.clear();
        for (id, key) in &self.datacenters {
            let datacenter = &topology.datacenters[id.index()];
            let input = RampInput {
                state: conditions.datacenters.get(id.index()).copied().unwrap_or_default(),
                is_up: true,
                times: datacenter.ramp_times,
                drain_goal: datacenter.paused_drain_fraction.map_or(0.0, Fraction::share),
            };
            let ramp = update_ramp(&mut self.ramps_by_key, key, &input, now);
            if !ramp.is_over(now) || ramp.goal() < 1.0 || input.is_draining() {
                conditions.adjustments.datacenter_fractions.insert(*id, ramp.fraction_at(now));
            }
        }
        conditions.adjustments.endpoint_fractions.clear();
        for (id, key) in &self.endpoints {
            let endpoint = &topology.endpoints[id.index()];
            let is_up = endpoint.force == Some(HealthOverride::Up)
                || endpoint.force.is_none()
                    && topology.endpoint_probes[id.index()]
                        .iter()
                        .any(|probe| conditions.health_status(*probe).verdict.is_usable());
            let input = RampInput {
                state: endpoint.state,
                is_up,
                times: endpoint.ramp_times,
                drain_goal: topology
                    .overrides
                    .paused_drain_fraction(*id)
                    .map_or(0.0, Fraction::share),
            };
            let ramp = update_ramp(&mut self.ramps_by_key, key, &input, now);
            if !ramp.is_over(now) || (ramp.goal() < 1.0 || input.is_draining()) && is_up {
                conditions.adjustments.endpoint_fractions.insert(*id, ramp.fraction_at(now));
            }
        }
        self.next_step_at =
            self.ramps_by_key.values().filter_map(|ramp| ramp.next_step_at(now)).min();
    }

    /// The time at which the next step of any ramp is due; `None` while all are over.
    pub(super) fn next_step_at(&self) -> Option<Duration> {
        self.next_step_at
    }

    /// Whether a step of any ramp is due.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        self.next_step_at.is_some_and(|next| next <= now)
    }

    /// The value of a ramp, from 0 to 1.
    pub(super) fn value_at(&self, key: &RampKey, now: Duration) -> Option<f64> {
        self.ramps_by_key.get(key).map(|ramp| ramp.value_at(now))
    }

    /// The ramps in progress, including drains that are paused between 0 and 1.
    pub(super) fn in_progress(&self, now: Duration) -> impl Iterator<Item = (&RampKey, &Ramp)> {
        let is_paused = |ramp: &Ramp| ramp.goal() > 0.0 && ramp.goal() < 1.0;
        self.ramps_by_key.iter().filter(move |(_, ramp)| !ramp.is_over(now) || is_paused(ramp))
    }

    /// The ramps whose value is below 1, each with that value: those that have to be saved.
    pub(super) fn below_full(&self, now: Duration) -> impl Iterator<Item = (&RampKey, f64)> {
        self.ramps_by_key
            .iter()
            .map(move |(key, ramp)| (key, ramp.value_at(now)))
            .filter(|(_, value)| *value < 1.0)
    }
}

/// The value that the ramp of each endpoint settles at in the endpoint's own state.
fn settled_values(topology: &Topology) -> impl Iterator<Item = (RampKey, f64)> {
    let members = topology
        .pools
        .iter()
        .flat_map(|pool| pool.members.iter().map(move |member| (pool, member.kind)));
    members.filter_map(|(pool, kind)| {
        let MemberKind::Endpoint(id) = kind else { return None };
        let endpoint = &topology.endpoints[id.index()];
        let is_in_service = matches!(endpoint.state, ServingState::Active | ServingState::Standby);
        let key = RampKey::Endpoint { pool: pool.name.clone(), endpoint: endpoint.name.clone() };
        Some((key, if is_in_service { 1.0 } else { 0.0 }))
    })
}

/// Sets the goal of the ramp with this key. A new ramp starts at its goal.
fn update_ramp<'r>(
    ramps: &'r mut HashMap<RampKey, Ramp>,
    key: &RampKey,
    input: &RampInput,
    now: Duration,
) -> &'r Ramp {
    let RampInput { state, is_up, times, drain_goal } = *input;
    let goal = match state {
        ServingState::Active | ServingState::Standby if is_up => 1.0,
        ServingState::Draining if is_up => drain_goal,
        _ => 0.0,
    };
    let ramp = ramps.entry(key.clone()).or_insert_with(|| Ramp::settled(goal));
    match state {
        // A target that is down or disabled loses its clients at once. It starts slowly once it is
        // back.
        _ if !is_up => ramp.jump_to(0.0),
        ServingState::Disabled => ramp.jump_to(0.0),
        ServingState::Draining => {
            // When a drain's hold fraction is raised, clients return as in a slow start.
            let is_falling = goal < ramp.value_at(now);
            let full_duration = if is_falling { times.drain_over } else { times.slow_start };
            ramp.retarget(goal, full_duration, now);
        }
        ServingState::Active | ServingState::Standby => ramp.retarget(goal, times.slow_start, now),
    }
    ramp
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steer::model::Datacenter;

    const SECOND: Duration = Duration::from_secs(1);

    fn topology(state: ServingState, drain_over: Duration) -> Topology {
        let ramp_times = RampTimes { drain_over, ..RampTimes::default() };
        let datacenters =
            vec![Datacenter { name: "fra".into(), state, ramp_times, ..Datacenter::default() }];
        Topology { datacenters, ..Topology::default() }
    }

    /// The fraction of its clients that the datacenter receives at `second`.
    fn fraction_at(ramps: &mut Ramps, topology: &Topology, second: u32) -> f64 {
        let mut conditions = Conditions::unprobed(topology, 0);
        ramps.update(topology, &mut conditions, second * SECOND);
        conditions
            .adjustments
            .datacenter_fractions
            .get(&DatacenterId(0))
            .copied()
            .unwrap_or_default()
            .share()
    }

    #[test]
    fn a_drain_that_sets_its_own_ramp_time_starts_at_full() {
        let active = topology(ServingState::Active, Duration::ZERO);
        let draining = topology(ServingState::Draining, 100 * SECOND);
        let mut ramps = Ramps::default();
        ramps.apply_topology(&active, &Topology::default());
        assert_eq!(fraction_at(&mut ramps, &active, 1), 1.0);
        ramps.apply_topology(&draining, &active);
        assert_eq!(fraction_at(&mut ramps, &draining, 10), 1.0);
        assert!((fraction_at(&mut ramps, &draining, 60) - 0.5).abs() < 0.01);
        ramps.apply_topology(&active, &draining);
        assert_eq!(
            fraction_at(&mut ramps, &active, 70),
            1.0,
            "without a slow start all clients return at once"
        );
    }

    #[test]
    fn a_drain_that_is_paused_before_a_client_left_keeps_all_clients() {
        let active = topology(ServingState::Active, Duration::ZERO);
        let mut paused = topology(ServingState::Draining, 100 * SECOND);
        paused.datacenters[0].paused_drain_fraction = Some(Fraction::FULL);
        let mut ramps = Ramps::default();
        ramps.apply_topology(&active, &Topology::default());
        assert_eq!(fraction_at(&mut ramps, &active, 1), 1.0);
        ramps.apply_topology(&paused, &active);
        let mut conditions = Conditions::unprobed(&paused, 0);
        ramps.update(&paused, &mut conditions, 2 * SECOND);
        let fractions = &conditions.adjustments.datacenter_fractions;
        assert_eq!(fractions.get(&DatacenterId(0)), Some(&Fraction::FULL));
    }

    #[test]
    fn a_drain_in_force_at_the_start_is_over_unless_its_ramp_was_saved() {
        let draining = topology(ServingState::Draining, 100 * SECOND);
        for (saved, expected) in [(None, 0.0), (Some(0.5), 0.5)] {
            let mut ramps = Ramps::default();
            ramps.apply_topology(&draining, &Topology::default());
            if let Some(value) = saved {
                ramps.restore(RampKey::Datacenter("fra".into()), value);
            }
            assert_eq!(fraction_at(&mut ramps, &draining, 1), expected);
        }
    }
}
