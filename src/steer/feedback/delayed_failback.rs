//! A `failover` pool whose clients do not go back at once: the member that holds them, and their
//! way back.
//!
//! A slow start that runs while clients stay with the holder protects nobody. So it begins when
//! they begin to return: the member that they return to gets its share bit by bit, and the rest
//! stays with the member that held them.

use std::time::Duration;

use super::{holder::Holder, load_pool::new_position, ramp::Ramp};
use crate::steer::model::{
    EndpointId, Failback, FailbackProgress, Fraction, MemberKind, PoolId, Topology,
};

/// A `failover` pool whose clients do not go back at once.
#[derive(Debug)]
pub(super) struct DelayedFailback {
    pub id: PoolId,
    holder: Holder,
    failback: Failback,
    /// By member: the longest slow start that applies to it.
    slow_starts: Vec<Duration>,
    /// The member that held the clients at the last look.
    last_holder: Option<u16>,
    failback_ramp: Option<FailbackRamp>,
    /// When clients on their way back take their next step.
    next_step_at: Option<Duration>,
}

/// Clients on their way back from one member to another.
#[derive(Debug, Clone, Copy, PartialEq)]
struct FailbackRamp {
    from: u16,
    to: u16,
    ramp: Ramp,
    /// What the member that they return to takes, as of the last look.
    part: Fraction,
}

impl DelayedFailback {
    pub(super) fn new(
        topology: &Topology,
        id: PoolId,
        old_topology: &Topology,
        old: Option<Self>,
    ) -> Self {
        let pool = &topology.pools[id.index()];
        let count = pool.members.len();
        let slow_starts =
            pool.members.iter().map(|member| longest_slow_start(topology, member.kind)).collect();
        let new = Self {
            id,
            holder: Holder::new(count),
            failback: pool.regulation.failback,
            slow_starts,
            last_holder: None,
            failback_ramp: None,
            next_step_at: None,
        };
        let Some(old) = old else { return new };
        let now_at = |at: u16| new_position(topology, id, old_topology, old.id, at.into());
        let moved = |one: FailbackRamp| {
            Some(FailbackRamp { from: now_at(one.from)? as u16, to: now_at(one.to)? as u16, ..one })
        };
        Self {
            holder: old.holder.remapped(count, now_at),
            last_holder: old.last_holder.and_then(now_at).map(|at| at as u16),
            failback_ramp: old.failback_ramp.and_then(moved),
            next_step_at: old.next_step_at,
            ..new
        }
    }

    /// Goes on where the previous run ended: with the member that held the clients.
    pub(super) fn restore(&mut self, topology: &Topology, member: &str) {
        if let Some(at) = self.member_position(topology, member) {
            self.holder = Holder::restored(self.slow_starts.len(), at);
            self.last_holder = Some(at);
        }
    }

    /// Goes on where the previous run ended: with clients on their way back, of whom the share
    /// `value_at` has returned.
    pub(super) fn restore_failback(
        &mut self,
        topology: &Topology,
        (from, to): (&str, &str),
        at: f64,
    ) {
        if let (Some(from), Some(to)) =
            (self.member_position(topology, from), self.member_position(topology, to))
        {
            self.holder = Holder::restored(self.slow_starts.len(), to);
            self.last_holder = Some(to);
            self.failback_ramp = Some(FailbackRamp {
                from,
                to,
                ramp: Ramp::at_rest(at),
                part: Fraction::from_share(at),
            });
        }
    }

    fn member_position(&self, topology: &Topology, name: &str) -> Option<u16> {
        let members = &topology.pools[self.id.index()].members;
        members.iter().position(|one| topology.member_name(one.kind) == name).map(|at| at as u16)
    }

    /// Notes which members are usable at `now`. Returns the member that holds the clients, if a
    /// member before it is usable.
    pub(super) fn update(&mut self, usable: &[bool], now: Duration) -> Option<u16> {
        let was_usable = self.holder.was_usable().to_vec();
        self.holder.update(usable, self.failback, now);
        let (before, holder) = (self.last_holder, self.holder.member());
        self.last_holder = holder;
        match (before, holder) {
            (Some(from), Some(to))
                if to < from && usable[usize::from(from)] && was_usable[usize::from(to)] =>
            {
                self.begin_failback(from, to);
            }
            _ => self.failback_ramp = self.failback_ramp.filter(|one| Some(one.to) == holder),
        }
        self.step_failback(now);
        self.holder.non_preferred_member()
    }

    /// Clients begin to return. Where they were on their way back to yet another member, they come
    /// from the one that has more.
    fn begin_failback(&mut self, from: u16, to: u16) {
        let from = match self.failback_ramp {
            Some(one) if one.to == from && one.part.share() < 0.5 => one.from,
            _ => from,
        };
        let is_slow = !self.slow_starts[usize::from(to)].is_zero();
        self.failback_ramp = is_slow.then(|| FailbackRamp {
            from,
            to,
            ramp: Ramp::at_rest(0.0),
            part: Fraction::ZERO,
        });
    }

    fn step_failback(&mut self, now: Duration) {
        if let Some(one) = &mut self.failback_ramp {
            one.ramp.retarget(1.0, self.slow_starts[usize::from(one.to)], now);
            one.part = one.ramp.fraction_at(now);
            self.next_step_at = one.ramp.next_step_at(now);
            self.failback_ramp = self.failback_ramp.filter(|one| !one.ramp.is_over(now));
        }
        self.next_step_at = self.next_step_at.filter(|_| self.failback_ramp.is_some());
    }

    /// Gives the clients to the first usable member. `false` where no member holds them against the
    /// order written.
    pub(super) fn fail_back(&mut self) -> bool {
        let is_held = self.holder.non_preferred_member().is_some();
        self.holder.fail_back();
        is_held
    }

    /// The member that clients stay with, where the order written does not say so.
    pub(super) fn holder(&self) -> Option<u16> {
        self.holder.non_preferred_member()
    }

    /// Clients on their way back, as of the last look.
    pub(super) fn failback_progress(&self) -> Option<FailbackProgress> {
        self.failback_ramp.map(|FailbackRamp { from, to, part, .. }| FailbackProgress {
            from,
            to,
            fraction: part,
        })
    }

    /// The member that clients return to, how many have, and when all will have.
    pub(super) fn failback_report(&self, now: Duration) -> Option<(u16, f64, Duration)> {
        self.failback_ramp.map(|one| (one.to, one.ramp.value_at(now), one.ramp.ends_at()))
    }

    /// How much of its share a member takes that clients went back to; `None` where they are with
    /// another one.
    pub(super) fn returned_fraction(&self, member: u16, now: Duration) -> Option<f64> {
        (self.last_holder == Some(member))
            .then(|| self.failback_ramp.map_or(1.0, |one| one.ramp.value_at(now)))
    }

    pub(super) fn next_due(&self) -> Option<Duration> {
        self.holder.next_due(self.failback).into_iter().chain(self.next_step_at).min()
    }
}

/// The longest slow start of an endpoint: its own, or of a datacenter that it is in. Of a pool: of
/// any endpoint below it, so that none gets its clients faster than it is to.
fn longest_slow_start(topology: &Topology, kind: MemberKind) -> Duration {
    let of_endpoint = |id: EndpointId| {
        let endpoint = &topology.endpoints[id.index()];
        let places = endpoint
            .datacenters
            .iter()
            .map(|at| topology.datacenters[at.index()].ramp_times.slow_start);
        places.fold(endpoint.ramp_times.slow_start, Duration::max)
    };
    match kind {
        MemberKind::Endpoint(id) => of_endpoint(id),
        MemberKind::Pool(id) => {
            topology.endpoints_below([id]).into_iter().map(of_endpoint).max().unwrap_or_default()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, sync::Arc};

    use super::*;
    use crate::steer::{
        AnswerCount, Datacenter, DatacenterId, Endpoint, EndpointTarget, Member, MinUp, Policy,
        Pool, RampTimes, Regulation, ServingState, Spread,
    };

    const SECOND: Duration = Duration::from_secs(1);
    const ALL: [bool; 3] = [true, true, true];

    /// A failover pool of three members, the first of which starts over ten seconds.
    fn topology(failback: Failback) -> Topology {
        let endpoint = |host: u8| Endpoint {
            name: format!("192.0.2.{host}").into(),
            target: EndpointTarget::Addresses(vec![[192, 0, 2, host].into()]),
            datacenters: Vec::new(),
            monitor: None,
            state: ServingState::Active,
            force: None,
            load: None,
            ramp_times: RampTimes {
                slow_start: if host == 1 { 10 * SECOND } else { Duration::ZERO },
                ..RampTimes::default()
            },
        };
        let member = |at| Member { kind: MemberKind::Endpoint(EndpointId(at)), weight: 1, bias: 0 };
        let pool = Pool {
            name: "web".into(),
            policy: Policy::Failover,
            spread: Spread::Query,
            answers: AnswerCount::Count(NonZeroU32::MIN),
            min_up: MinUp::Members(NonZeroU32::MIN),
            families: Default::default(),
            members: (0..3).map(member).collect(),
            regulation: Regulation { failback, ..Regulation::default() },
        };
        Topology::new(
            Vec::new(),
            Vec::new(),
            (1..=3).map(endpoint).collect(),
            vec![pool],
            Vec::new(),
        )
    }

    /// The pool after its first member failed, and its clients went to the second.
    fn failed_over(topology: &Topology, failback: Failback) -> DelayedFailback {
        let mut held = DelayedFailback::new(topology, PoolId(0), &Topology::default(), None);
        for usable in [ALL, [false, true, true], ALL] {
            held.update(&usable, SECOND);
            assert_eq!(held.failback_progress(), None, "{failback:?}");
        }
        assert_eq!(held.holder(), Some(1));
        held
    }

    fn part(held: &DelayedFailback) -> f64 {
        held.failback_progress().map_or(1.0, |one| one.fraction.share())
    }

    #[test]
    fn a_slow_start_begins_when_clients_begin_to_return() {
        for failback in [Failback::After(30 * SECOND), Failback::Manual] {
            let topology = topology(failback);
            let mut held = failed_over(&topology, failback);
            held.update(&ALL, 30 * SECOND);
            assert_eq!(
                (held.holder(), held.failback_progress()),
                (Some(1), None),
                "{failback:?}: all still stay"
            );
            held.fail_back();
            held.update(&ALL, 31 * SECOND);
            assert_eq!(
                held.failback_progress().map(|one| (one.from, one.to)),
                Some((1, 0)),
                "{failback:?}"
            );
            assert!(part(&held) < 0.01);
            for second in 32..41 {
                assert!(held.next_due().is_some_and(|due| due <= second * SECOND));
                held.update(&ALL, second * SECOND);
                let wanted = f64::from(second - 31) / 10.0;
                assert!(
                    (part(&held) - wanted).abs() < 0.01,
                    "{failback:?}: {} after {second} s",
                    part(&held)
                );
            }
            held.update(&ALL, 41 * SECOND);
            assert_eq!(
                (held.holder(), held.failback_progress(), held.next_due()),
                (None, None, None),
                "{failback:?}: it is over"
            );
        }
    }

    #[test]
    fn a_member_without_a_slow_start_gets_its_clients_at_once() {
        let topology = topology(Failback::Manual);
        let mut held = DelayedFailback::new(&topology, PoolId(0), &Topology::default(), None);
        for usable in [[false, true, true], [false, false, true], [false, true, true]] {
            held.update(&usable, SECOND);
        }
        assert_eq!(held.holder(), Some(2));
        held.fail_back();
        held.update(&[false, true, true], 2 * SECOND);
        assert_eq!((held.holder(), held.failback_progress()), (None, None));
    }

    #[test]
    fn a_return_ends_when_the_member_fails_again_and_begins_anew() {
        let topology = topology(Failback::After(30 * SECOND));
        let mut held = failed_over(&topology, Failback::After(30 * SECOND));
        held.update(&ALL, 31 * SECOND);
        held.update(&ALL, 36 * SECOND);
        assert!((part(&held) - 0.5).abs() < 0.01);
        held.update(&[false, true, true], 37 * SECOND);
        assert_eq!((held.holder(), held.failback_progress()), (None, None));
        held.update(&ALL, 40 * SECOND);
        assert_eq!(
            (held.holder(), held.failback_progress()),
            (Some(1), None),
            "it has to prove itself again"
        );
        held.update(&ALL, 70 * SECOND);
        assert!(held.failback_progress().is_some() && part(&held) < 0.01);
    }

    #[test]
    fn the_longest_slow_start_of_a_member_counts() {
        let mut topology = topology(Failback::Manual);
        let slow_start =
            |seconds| RampTimes { slow_start: seconds * SECOND, ..RampTimes::default() };
        for (seconds, wanted, why) in [(30, 30, "its datacenter's"), (5, 10, "its own")] {
            let place = Datacenter {
                name: "fra".into(),
                ramp_times: slow_start(seconds),
                ..Datacenter::default()
            };
            topology.datacenters = vec![place];
            let endpoints = topology.endpoints.iter().map(|endpoint| {
                let datacenters = vec![DatacenterId(0)];
                Arc::new(Endpoint { datacenters, ..(**endpoint).clone() })
            });
            topology.endpoints = endpoints.collect();
            let of = |kind| longest_slow_start(&topology, kind);
            assert_eq!(of(MemberKind::Endpoint(EndpointId(0))), wanted * SECOND, "{why}");
            assert_eq!(
                of(MemberKind::Pool(PoolId(0))),
                wanted * SECOND,
                "of any endpoint of a pool"
            );
        }
    }

    #[test]
    fn a_return_goes_on_after_a_restart() {
        let topology = topology(Failback::Manual);
        let mut held = DelayedFailback::new(&topology, PoolId(0), &Topology::default(), None);
        held.restore_failback(&topology, ("192.0.2.2", "192.0.2.1"), 0.4);
        held.update(&ALL, 100 * SECOND);
        assert!((part(&held) - 0.4).abs() < 0.01);
        held.update(&ALL, 103 * SECOND);
        assert!((part(&held) - 0.7).abs() < 0.01);
        held.update(&ALL, 106 * SECOND);
        assert_eq!(held.failback_progress(), None);
    }
}
