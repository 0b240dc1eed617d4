//! Every ramp that goes on: datacenters and endpoints that drain over a time or start slowly.

use std::{collections::HashMap, time::Duration};

use super::ramp::Ramp;
use crate::steer::{
    Conditions,
    datacenter::State,
    endpoint::Force,
    part::Part,
    pool::{MemberKind, Pace},
    topology::{DatacenterId, EndpointId, Topology},
};

/// Whose ramp it is, over reloads and restarts: by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RampKey {
    /// A datacenter's.
    Datacenter(Box<str>),
    /// An endpoint's, and the pool that it is in.
    Endpoint(Box<str>, Box<str>),
}

/// The ramps of one topology.
#[derive(Debug, Clone, Default)]
pub(super) struct Ramps {
    datacenters: Vec<(DatacenterId, RampKey)>,
    endpoints: Vec<(EndpointId, RampKey)>,
    known: HashMap<RampKey, Ramp>,
    /// When the next step of any ramp is due.
    next: Option<Duration>,
}

impl Ramps {
    /// Follows every datacenter, lest a drain whose table has just been given a pace be over at once, and the endpoints that the
    /// topology paces. Ramps under way go on; those of what was in `old` begin where it was, the others where they are to end.
    pub(super) fn adopt(&mut self, topology: &Topology, old: &Topology) {
        let is_paced = |pace: &Pace| *pace != Pace::default();
        let datacenters = topology.datacenters.iter().zip((0..).map(DatacenterId));
        self.datacenters =
            datacenters.map(|(datacenter, id)| (id, RampKey::Datacenter(datacenter.name.clone()))).collect();
        self.endpoints.clear();
        for pool in &topology.pools {
            for member in &pool.members {
                let MemberKind::Endpoint(id) = member.kind else { continue };
                let endpoint = &topology.endpoints[id.index()];
                if is_paced(&endpoint.pace) {
                    self.endpoints.push((id, RampKey::Endpoint(pool.name.clone(), endpoint.name.clone())));
                }
            }
        }
        let keys: std::collections::HashSet<&RampKey> =
            self.datacenters.iter().map(|(_, key)| key).chain(self.endpoints.iter().map(|(_, key)| key)).collect();
        self.known.retain(|key, _| keys.contains(key));
        self.begin_where_they_were(old);
    }

    /// Endpoints that were there without a pace took all of their share or nothing.
    fn begin_where_they_were(&mut self, old: &Topology) {
        let unknown = self.endpoints.iter().map(|(_, key)| key).filter(|key| !self.known.contains_key(key));
        let mut unknown: std::collections::HashSet<RampKey> = unknown.cloned().collect();
        if unknown.is_empty() {
            return;
        }
        for pool in &old.pools {
            for member in &pool.members {
                let MemberKind::Endpoint(id) = member.kind else { continue };
                let endpoint = &old.endpoints[id.index()];
                let key = RampKey::Endpoint(pool.name.clone(), endpoint.name.clone());
                if unknown.remove(&key) {
                    let is_open = matches!(endpoint.state, State::Active | State::Standby);
                    self.known.insert(key, Ramp::resting(if is_open { 1.0 } else { 0.0 }));
                }
            }
        }
    }

    /// Where a ramp of an earlier life was, and where it went.
    pub(super) fn restore(&mut self, key: RampKey, at: f64) {
        self.known.insert(key, Ramp::resting(at));
    }

    /// Turns each ramp to where states and verdicts say that it goes, and writes down where it is.
    pub(super) fn follow(&mut self, topology: &Topology, conditions: &mut Conditions, now: Duration) {
        conditions.steering.datacenter_parts.clear();
        for (id, key) in &self.datacenters {
            let datacenter = &topology.datacenters[id.index()];
            let hold = datacenter.drain_hold.map_or(0.0, Part::share);
            let state = conditions.datacenters.get(id.index()).copied().unwrap_or_default();
            let ramp = turned(&mut self.known, key, state, true, (datacenter.pace, hold), now);
            if !ramp.is_over(now) || ramp.goal() < 1.0 {
                conditions.steering.datacenter_parts.insert(*id, ramp.part(now));
            }
        }
        conditions.steering.endpoint_parts.clear();
        for (id, key) in &self.endpoints {
            let endpoint = &topology.endpoints[id.index()];
            let is_up = endpoint.force == Some(Force::Up)
                || endpoint.force.is_none()
                    && topology.probes_of[id.index()]
                        .iter()
                        .any(|probe| conditions.standing(*probe).verdict.is_usable());
            let ramp = turned(&mut self.known, key, endpoint.state, is_up, (endpoint.pace, 0.0), now);
            if !ramp.is_over(now) || ramp.goal() < 1.0 && is_up {
                conditions.steering.endpoint_parts.insert(*id, ramp.part(now));
            }
        }
        self.next = self.known.values().filter_map(|ramp| ramp.next_step(now)).min();
    }

    /// When the next step of any ramp is due.
    pub(super) fn next_step(&self) -> Option<Duration> {
        self.next
    }

    /// Whether a step of some ramp is due.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        self.next.is_some_and(|next| next <= now)
    }

    /// Ramps under way: where each is, where it goes, and when it is there.
    pub(super) fn under_way(&self, now: Duration) -> impl Iterator<Item = (&RampKey, f64, f64, Duration)> {
        let known = self.known.iter().filter(move |(_, ramp)| !ramp.is_over(now));
        known.map(move |(key, ramp)| (key, ramp.at(now), ramp.goal(), ramp.ends()))
    }

    /// Every ramp that is not at its usual place, to be saved.
    pub(super) fn unusual(&self, now: Duration) -> impl Iterator<Item = (&RampKey, f64)> {
        self.known.iter().map(move |(key, ramp)| (key, ramp.at(now))).filter(|(_, at)| *at < 1.0)
    }
}

/// The ramp of `key`, turned to where its state and its verdict say that it goes. A ramp seen for the first time is there.
fn turned<'k>(
    known: &'k mut HashMap<RampKey, Ramp>,
    key: &RampKey,
    state: State,
    is_up: bool,
    (pace, hold): (Pace, f64),
    now: Duration,
) -> &'k Ramp {
    let goal = match state {
        State::Active | State::Standby if is_up => 1.0,
        State::Draining if is_up => hold,
        _ => 0.0,
    };
    let ramp = known.entry(key.clone()).or_insert_with(|| Ramp::resting(goal));
    match state {
        // Who is down or disabled gives nothing at once, and starts slowly when it is back.
        _ if !is_up => ramp.jump(0.0),
        State::Disabled => ramp.jump(0.0),
        State::Draining => {
            // A hold that was moved up gives clients back as a slow start does.
            let whole = if goal < ramp.at(now) { pace.drain_over } else { pace.slow_start };
            ramp.turn(goal, whole, now);
        }
        State::Active | State::Standby => ramp.turn(goal, pace.slow_start, now),
    }
    ramp
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steer::{Endpoint, Member, Policy, Pool, Target};

    const MINUTE: Duration = Duration::from_secs(60);

    /// A datacenter, and an endpoint that is in none.
    fn topology(state: State, pace: Pace) -> Topology {
        let datacenter = crate::steer::Datacenter { name: "fra".into(), state, pace, ..Default::default() };
        let endpoint = Endpoint {
            name: "lb".into(),
            target: Target::Addresses(["192.0.2.1".parse().unwrap()].into()),
            datacenters: Vec::new(),
            monitor: None,
            state,
            force: None,
            load: None,
            pace,
        };
        let pool = Pool {
            name: "web".into(),
            policy: Policy::Weighted,
            spread: crate::steer::Spread::Query,
            answers: crate::steer::Answers::All,
            min_up: crate::steer::MinUp::Share(0.0),
            members: vec![Member { kind: MemberKind::Endpoint(EndpointId(0)), weight: 1, bias: 0 }],
            regulation: crate::steer::Regulation::default(),
        };
        Topology::new(vec![datacenter], Vec::new(), vec![endpoint], vec![pool], Vec::new())
    }

    #[test]
    fn a_drain_is_ramped_though_its_pace_comes_in_the_same_edit() {
        let over = Pace { drain_over: 10 * MINUTE, ..Pace::default() };
        let (before, after) = (topology(State::Active, Pace::default()), topology(State::Draining, over));
        let mut ramps = Ramps::default();
        ramps.adopt(&before, &Topology::default());
        ramps.follow(&before, &mut Conditions::unknown(&before, 0), MINUTE);
        ramps.adopt(&after, &before);
        let mut conditions = Conditions::unknown(&after, 0);
        for (minute, share) in [(1, 1.0), (6, 0.5), (11, 0.0)] {
            ramps.follow(&after, &mut conditions, minute * MINUTE);
            let steering = &conditions.steering;
            assert_eq!(steering.datacenter_parts[&DatacenterId(0)], Part::of(share), "minute {minute}");
            assert_eq!(steering.endpoint_parts[&EndpointId(0)], Part::of(share), "minute {minute}");
        }
    }
}
