//! A `failover` pool whose clients do not go back at once: the member that holds them, and their
//! way back.
//!
//! A slow start that runs while clients stay with the holder protects nobody. So it begins when
//! they begin to return: the member that they return to gets its share bit by bit, and the rest
//! stays with the member that held them.

use std::time::Duration;

use super::{holder::Holder, pools::moved_to, ramp::Ramp};
use crate::steer::{
    conditions::FailbackProgress,
    fraction::Fraction,
    pool::{Failback, MemberKind},
    topology::{EndpointId, PoolId, Topology},
};

/// A `failover` pool whose clients do not go back at once.
#[derive(Debug)]
pub(super) struct Held {
    pub id: PoolId,
    holder: Holder,
    failback: Failback,
    /// By member: the longest slow start that applies to it.
    slow_starts: Vec<Duration>,
    /// The member that held the clients at the last look.
    held_by: Option<u16>,
    returning: Option<Returning>,
    /// When clients on their way back take their next step.
    next_step: Option<Duration>,
}

/// Clients on their way back from one member to another.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Returning {
    from: u16,
    to: u16,
    ramp: Ramp,
    /// What the member that they return to takes, as of the last look.
    part: Fraction,
}

impl Held {
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
            held_by: None,
            returning: None,
            next_step: None,
        };
        let Some(old) = old else { return new };
        let now_at = |at: u16| moved_to(topology, id, old_topology, old.id, at.into());
        let moved = |one: Returning| {
            Some(Returning { from: now_at(one.from)? as u16, to: now_at(one.to)? as u16, ..one })
        };
        Self {
            holder: old.holder.moved(count, now_at),
            held_by: old.held_by.and_then(now_at).map(|at| at as u16),
            returning: old.returning.and_then(moved),
            next_step: old.next_step,
            ..new
        }
    }

    /// Goes on where the previous run ended: with the member that held the clients.
    pub(super) fn restore(&mut self, topology: &Topology, member: &str) {
        if let Some(at) = self.member_at(topology, member) {
            self.holder = Holder::restored(self.slow_starts.len(), at);
            self.held_by = Some(at);
        }
    }

    /// Goes on where the previous run ended: with clients on their way back, of whom the share `at`
    /// has returned.
    pub(super) fn restore_return(
        &mut self,
        topology: &Topology,
        (from, to): (&str, &str),
        at: f64,
    ) {
        if let (Some(from), Some(to)) =
            (self.member_at(topology, from), self.member_at(topology, to))
        {
            self.holder = Holder::restored(self.slow_starts.len(), to);
            self.held_by = Some(to);
            self.returning = Some(Returning {
                from,
                to,
                ramp: Ramp::resting(at),
                part: Fraction::from_share(at),
            });
        }
    }

    fn member_at(&self, topology: &Topology, name: &str) -> Option<u16> {
        let members = &topology.pools[self.id.index()].members;
        members.iter().position(|one| topology.member_name(one.kind) == name).map(|at| at as u16)
    }

    /// Notes which members are usable at `now`. Returns the member that holds the clients, if a
    /// member before it is usable.
    pub(super) fn follow(&mut self, usable: &[bool], now: Duration) -> Option<u16> {
        let was_usable = self.holder.was_usable().to_vec();
        self.holder.follow(usable, self.failback, now);
        let (before, holder) = (self.held_by, self.holder.member());
        self.held_by = holder;
        match (before, holder) {
            (Some(from), Some(to))
                if to < from && usable[usize::from(from)] && was_usable[usize::from(to)] =>
            {
                self.begin(from, to);
            }
            _ => self.returning = self.returning.filter(|one| Some(one.to) == holder),
        }
        self.step(now);
        self.holder.out_of_order()
    }

    /// Clients begin to return. Where they were on their way back to yet another member, they come
    /// from the one that has more.
    fn begin(&mut self, from: u16, to: u16) {
        let from = match self.returning {
            Some(one) if one.to == from && one.part.share() < 0.5 => one.from,
            _ => from,
        };
        let is_slow = !self.slow_starts[usize::from(to)].is_zero();
        self.returning =
            is_slow.then(|| Returning { from, to, ramp: Ramp::resting(0.0), part: Fraction::ZERO });
    }

    fn step(&mut self, now: Duration) {
        if let Some(one) = &mut self.returning {
            one.ramp.turn(1.0, self.slow_starts[usize::from(one.to)], now);
            one.part = one.ramp.part(now);
            self.next_step = one.ramp.next_step(now);
            self.returning = self.returning.filter(|one| !one.ramp.is_over(now));
        }
        self.next_step = self.next_step.filter(|_| self.returning.is_some());
    }

    /// Gives the clients to the first usable member. `false` where no member holds them against the
    /// order written.
    pub(super) fn give_back(&mut self) -> bool {
        let is_held = self.holder.out_of_order().is_some();
        self.holder.give_back();
        is_held
    }

    /// The member that clients stay with, where the order written does not say so.
    pub(super) fn holder(&self) -> Option<u16> {
        self.holder.out_of_order()
    }

    /// Clients on their way back, as of the last look.
    pub(super) fn returning(&self) -> Option<FailbackProgress> {
        self.returning.map(|Returning { from, to, part, .. }| FailbackProgress {
            from,
            to,
            fraction: part,
        })
    }

    /// The member that clients return to, how many have, and when all will have.
    pub(super) fn progress(&self, now: Duration) -> Option<(u16, f64, Duration)> {
        self.returning.map(|one| (one.to, one.ramp.at(now), one.ramp.ends()))
    }

    /// How much of its share a member takes that clients went back to; `None` where they are with
    /// another one.
    pub(super) fn returned_to(&self, member: u16, now: Duration) -> Option<f64> {
        (self.held_by == Some(member)).then(|| self.returning.map_or(1.0, |one| one.ramp.at(now)))
    }

    pub(super) fn next_due(&self) -> Option<Duration> {
        self.holder.next_due(self.failback).into_iter().chain(self.next_step).min()
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
            topology.endpoints_below(id).into_iter().map(of_endpoint).max().unwrap_or_default()
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
    fn failed_over(topology: &Topology, failback: Failback) -> Held {
        let mut held = Held::new(topology, PoolId(0), &Topology::default(), None);
        for usable in [ALL, [false, true, true], ALL] {
            held.follow(&usable, SECOND);
            assert_eq!(held.returning(), None, "{failback:?}");
        }
        assert_eq!(held.holder(), Some(1));
        held
    }

    fn part(held: &Held) -> f64 {
        held.returning().map_or(1.0, |one| one.fraction.share())
    }

    #[test]
    fn a_slow_start_begins_when_clients_begin_to_return() {
        for failback in [Failback::After(30 * SECOND), Failback::Manual] {
            let topology = topology(failback);
            let mut held = failed_over(&topology, failback);
            held.follow(&ALL, 30 * SECOND);
            assert_eq!(
                (held.holder(), held.returning()),
                (Some(1), None),
                "{failback:?}: all still stay"
            );
            held.give_back();
            held.follow(&ALL, 31 * SECOND);
            assert_eq!(
                held.returning().map(|one| (one.from, one.to)),
                Some((1, 0)),
                "{failback:?}"
            );
            assert!(part(&held) < 0.01);
            for second in 32..41 {
                assert!(held.next_due().is_some_and(|due| due <= second * SECOND));
                held.follow(&ALL, second * SECOND);
                let wanted = f64::from(second - 31) / 10.0;
                assert!(
                    (part(&held) - wanted).abs() < 0.01,
                    "{failback:?}: {} after {second} s",
                    part(&held)
                );
            }
            held.follow(&ALL, 41 * SECOND);
            assert_eq!(
                (held.holder(), held.returning(), held.next_due()),
                (None, None, None),
                "{failback:?}: it is over"
            );
        }
    }

    #[test]
    fn a_member_without_a_slow_start_gets_its_clients_at_once() {
        let topology = topology(Failback::Manual);
        let mut held = Held::new(&topology, PoolId(0), &Topology::default(), None);
        for usable in [[false, true, true], [false, false, true], [false, true, true]] {
            held.follow(&usable, SECOND);
        }
        assert_eq!(held.holder(), Some(2));
        held.give_back();
        held.follow(&[false, true, true], 2 * SECOND);
        assert_eq!((held.holder(), held.returning()), (None, None));
    }

    #[test]
    fn a_return_ends_when_the_member_fails_again_and_begins_anew() {
        let topology = topology(Failback::After(30 * SECOND));
        let mut held = failed_over(&topology, Failback::After(30 * SECOND));
        held.follow(&ALL, 31 * SECOND);
        held.follow(&ALL, 36 * SECOND);
        assert!((part(&held) - 0.5).abs() < 0.01);
        held.follow(&[false, true, true], 37 * SECOND);
        assert_eq!((held.holder(), held.returning()), (None, None));
        held.follow(&ALL, 40 * SECOND);
        assert_eq!(
            (held.holder(), held.returning()),
            (Some(1), None),
            "it has to prove itself again"
        );
        held.follow(&ALL, 70 * SECOND);
        assert!(held.returning().is_some() && part(&held) < 0.01);
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
        let mut held = Held::new(&topology, PoolId(0), &Topology::default(), None);
        held.restore_return(&topology, ("192.0.2.2", "192.0.2.1"), 0.4);
        held.follow(&ALL, 100 * SECOND);
        assert!((part(&held) - 0.4).abs() < 0.01);
        held.follow(&ALL, 103 * SECOND);
        assert!((part(&held) - 0.7).abs() < 0.01);
        held.follow(&ALL, 106 * SECOND);
        assert_eq!(held.returning(), None);
    }
}
