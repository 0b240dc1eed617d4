//! Every ramp that goes on: datacenters and endpoints that drain over a time or start slowly.

use std::{collections::HashMap, time::Duration};

use super::ramp::Ramp;
use crate::steer::model::{
    Conditions, DatacenterId, EndpointId, Fraction, HealthOverride, MemberKind, RampTimes,
    ServingState, Topology,
};

/// Whose ramp it is, over reloads and restarts: by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RampKey {
    /// A datacenter's.
    Datacenter(Box<str>),
    /// An endpoint's, and the pool that it is in.
    Endpoint(Box<str>, Box<str>),
    /// That of a `failover` pool's clients on their way back, and the member that they return to.
    Failback(Box<str>, Box<str>),
}

/// The ramps of one topology.
#[derive(Debug, Clone, Default)]
pub(super) struct Ramps {
    datacenters: Vec<(DatacenterId, RampKey)>,
    endpoints: Vec<(EndpointId, RampKey)>,
    ramps_by_key: HashMap<RampKey, Ramp>,
    /// When the next step of any ramp is due.
    next_step_at: Option<Duration>,
}

impl Ramps {
    /// Follows every datacenter, for a drain may bring its pace with it, and the endpoints that the
    /// topology paces. Ramps under way go on; an endpoint that was in service before it got a pace
    /// starts from there; the others begin where they are to end.
    pub(super) fn apply_topology(&mut self, topology: &Topology, old: &Topology) {
        let is_paced = |pace: &RampTimes| *pace != RampTimes::default();
        let datacenters = topology.datacenters.iter().zip((0..).map(DatacenterId));
        self.datacenters = datacenters
            .map(|(datacenter, id)| (id, RampKey::Datacenter(datacenter.name.clone())))
            .collect();
        self.endpoints.clear();
        for pool in &topology.pools {
            for member in &pool.members {
                let MemberKind::Endpoint(id) = member.kind else { continue };
                let endpoint = &topology.endpoints[id.index()];
                if is_paced(&endpoint.ramp_times) {
                    self.endpoints
                        .push((id, RampKey::Endpoint(pool.name.clone(), endpoint.name.clone())));
                }
            }
        }
        let keys: std::collections::HashSet<&RampKey> = self
            .datacenters
            .iter()
            .map(|(_, key)| key)
            .chain(self.endpoints.iter().map(|(_, key)| key))
            .collect();
        self.ramps_by_key.retain(|key, _| keys.contains(key));
        if self.endpoints.iter().any(|(_, key)| !self.ramps_by_key.contains_key(key)) {
            for key in keys_in_service(old).filter(|key| keys.contains(key)) {
                self.ramps_by_key.entry(key).or_insert_with(|| Ramp::at_rest(1.0));
            }
        }
    }

    /// Where a ramp of an earlier life was, and where it went.
    pub(super) fn restore(&mut self, key: RampKey, at: f64) {
        self.ramps_by_key.insert(key, Ramp::at_rest(at));
    }

    /// Turns each ramp to where states and verdicts say that it goes, and writes down where it is.
    pub(super) fn update(
        &mut self,
        topology: &Topology,
        conditions: &mut Conditions,
        now: Duration,
    ) {
        conditions.adjustments.datacenter_fractions.clear();
        for (id, key) in &self.datacenters {
            let datacenter = &topology.datacenters[id.index()];
            let hold = datacenter.drain_hold_fraction.map_or(0.0, Fraction::share);
            let state = conditions.datacenters.get(id.index()).copied().unwrap_or_default();
            let ramp = update_ramp(
                &mut self.ramps_by_key,
                key,
                state,
                true,
                (datacenter.ramp_times, hold),
                now,
            );
            if !ramp.is_over(now) || ramp.goal() < 1.0 {
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
                        .any(|probe| conditions.standing(*probe).verdict.is_usable());
            let ramp = update_ramp(
                &mut self.ramps_by_key,
                key,
                endpoint.state,
                is_up,
                (endpoint.ramp_times, 0.0),
                now,
            );
            if !ramp.is_over(now) || ramp.goal() < 1.0 && is_up {
                conditions.adjustments.endpoint_fractions.insert(*id, ramp.fraction_at(now));
            }
        }
        self.next_step_at =
            self.ramps_by_key.values().filter_map(|ramp| ramp.next_step_at(now)).min();
    }

    /// When the next step of any ramp is due.
    pub(super) fn next_step_at(&self) -> Option<Duration> {
        self.next_step_at
    }

    /// Whether a step of some ramp is due.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        self.next_step_at.is_some_and(|next| next <= now)
    }

    /// Where a ramp is.
    pub(super) fn value_at(&self, key: &RampKey, now: Duration) -> Option<f64> {
        self.ramps_by_key.get(key).map(|ramp| ramp.value_at(now))
    }

    /// Ramps under way, held ones among them: where each is, where it goes, and when it is there.
    pub(super) fn in_progress(
        &self,
        now: Duration,
    ) -> impl Iterator<Item = (&RampKey, f64, f64, Duration)> {
        let is_held = |ramp: &Ramp| ramp.goal() > 0.0 && ramp.goal() < 1.0;
        let known =
            self.ramps_by_key.iter().filter(move |(_, ramp)| !ramp.is_over(now) || is_held(ramp));
        known.map(move |(key, ramp)| (key, ramp.value_at(now), ramp.goal(), ramp.ends_at()))
    }

    /// Every ramp that is not at its usual place, to be saved.
    pub(super) fn below_full(&self, now: Duration) -> impl Iterator<Item = (&RampKey, f64)> {
        self.ramps_by_key
            .iter()
            .map(move |(key, ramp)| (key, ramp.value_at(now)))
            .filter(|(_, at)| *at < 1.0)
    }
}

/// The endpoints that their own state has in service.
fn keys_in_service(topology: &Topology) -> impl Iterator<Item = RampKey> {
    let members = topology
        .pools
        .iter()
        .flat_map(|pool| pool.members.iter().map(move |member| (pool, member.kind)));
    members.filter_map(|(pool, kind)| {
        let MemberKind::Endpoint(id) = kind else { return None };
        let endpoint = &topology.endpoints[id.index()];
        let is_in_service = matches!(endpoint.state, ServingState::Active | ServingState::Standby);
        is_in_service.then(|| RampKey::Endpoint(pool.name.clone(), endpoint.name.clone()))
    })
}

/// The ramp of `key`, turned to where its state and its verdict say that it goes. A ramp seen for
/// the first time is there.
fn update_ramp<'k>(
    known: &'k mut HashMap<RampKey, Ramp>,
    key: &RampKey,
    state: ServingState,
    is_up: bool,
    (pace, hold): (RampTimes, f64),
    now: Duration,
) -> &'k Ramp {
    let goal = match state {
        ServingState::Active | ServingState::Standby if is_up => 1.0,
        ServingState::Draining if is_up => hold,
        _ => 0.0,
    };
    let ramp = known.entry(key.clone()).or_insert_with(|| Ramp::at_rest(goal));
    match state {
        // Who is down or disabled gives nothing at once, and starts slowly when it is back.
        _ if !is_up => ramp.jump_to(0.0),
        ServingState::Disabled => ramp.jump_to(0.0),
        ServingState::Draining => {
            // A hold that was moved up gives clients back as a slow start does.
            let whole = if goal < ramp.value_at(now) { pace.drain_over } else { pace.slow_start };
            ramp.retarget(goal, whole, now);
        }
        ServingState::Active | ServingState::Standby => ramp.retarget(goal, pace.slow_start, now),
    }
    ramp
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steer::model::Datacenter;

    const SECOND: Duration = Duration::from_secs(1);

    fn topology(state: ServingState, drain_over: Duration) -> Topology {
        let pace = RampTimes { drain_over, ..RampTimes::default() };
        let datacenters = vec![Datacenter {
            name: "fra".into(),
            state,
            ramp_times: pace,
            ..Datacenter::default()
        }];
        Topology { datacenters, ..Topology::default() }
    }

    /// What the datacenter takes at `second`.
    fn part_at(ramps: &mut Ramps, topology: &Topology, second: u32) -> f64 {
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
    fn a_drain_that_brings_its_pace_with_it_starts_from_the_whole() {
        let active = topology(ServingState::Active, Duration::ZERO);
        let draining = topology(ServingState::Draining, 100 * SECOND);
        let mut ramps = Ramps::default();
        ramps.apply_topology(&active, &Topology::default());
        assert_eq!(part_at(&mut ramps, &active, 1), 1.0);
        ramps.apply_topology(&draining, &active);
        assert_eq!(part_at(&mut ramps, &draining, 10), 1.0);
        assert!((part_at(&mut ramps, &draining, 60) - 0.5).abs() < 0.01);
        ramps.apply_topology(&active, &draining);
        assert_eq!(part_at(&mut ramps, &active, 70), 1.0, "it comes back at once");
    }

    #[test]
    fn a_drain_found_at_the_start_is_over_unless_an_earlier_life_knows_better() {
        let draining = topology(ServingState::Draining, 100 * SECOND);
        for (saved, wanted) in [(None, 0.0), (Some(0.5), 0.5)] {
            let mut ramps = Ramps::default();
            ramps.apply_topology(&draining, &Topology::default());
            saved.into_iter().for_each(|at| ramps.restore(RampKey::Datacenter("fra".into()), at));
            assert_eq!(part_at(&mut ramps, &draining, 1), wanted);
        }
    }
}
