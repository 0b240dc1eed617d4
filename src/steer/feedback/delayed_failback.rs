//! A `failover` pool with a delayed failback: the member that holds the clients, and the clients'
//! gradual return.
//!
//! A slow start that ran while clients stay with the holder would protect nothing. So it begins
//! when clients begin to return: the member that they return to receives a rising fraction of them,
//! and the rest stays with the member that held them.

use std::time::Duration;

use super::{
    holder::Holder,
    members::{member_position, new_position},
    ramp::Ramp,
    saved::SavedFailback,
};
use crate::steer::{
    model::FailbackProgress,
    model::Fraction,
    model::{EndpointId, PoolId, Topology},
    model::{Failback, MemberKind},
};

/// A `failover` pool with a delayed failback.
#[derive(Debug)]
pub(super) struct DelayedFailback {
    pub id: PoolId,
    holder: Holder,
    failback: Failback,
    /// By member: the longest slow start that applies to it.
    slow_starts: Vec<Duration>,
    /// The holder after the latest update.
    last_holder: Option<u16>,
    failback_ramp: Option<FailbackRamp>,
    /// The time at which the next step of `failback_ramp` is due.
    next_step_at: Option<Duration>,
}

/// Clients that return gradually from one member to another.
#[derive(Debug, Clone, Copy, PartialEq)]
struct FailbackRamp {
    from: u16,
    to: u16,
    ramp: Ramp,
    /// The fraction that has returned, as of the latest update.
    returned: Fraction,
}

/// The present state of a gradual return.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct FailbackStatus {
    /// The member that held the clients.
    pub from: u16,
    /// The member that they return to.
    pub to: u16,
    /// The fraction of the clients that has returned, from 0 to 1.
    pub returned_fraction: f64,
    /// The time at which all clients will have returned.
    pub ends_at: Duration,
}

impl DelayedFailback {
    /// The pool in a new topology, with the state that it had in the old one, if any.
    pub(super) fn new(
        topology: &Topology,
        id: PoolId,
        old_topology: &Topology,
        old: Option<Self>,
    ) -> Self {
        let pool = &topology.pools[id.index()];
        let members = pool.members.len();
        let slow_starts =
            pool.members.iter().map(|member| longest_slow_start(topology, member.kind)).collect();
        let new = Self {
            id,
            holder: Holder::new(members),
            failback: pool.regulation.failback,
            slow_starts,
            last_holder: None,
            failback_ramp: None,
            next_step_at: None,
        };
        let Some(old) = old else { return new };
        let new_position =
            |member: u16| new_position(topology, id, old_topology, old.id, member.into());
        let remapped = |ramp: FailbackRamp| {
            let (from, to) = (new_position(ramp.from)?, new_position(ramp.to)?);
            Some(FailbackRamp { from: from as u16, to: to as u16, ..ramp })
        };
        Self {
            holder: old.holder.remapped(members, new_position),
            last_holder: old.last_holder.and_then(new_position).map(|member| member as u16),
            failback_ramp: old.failback_ramp.and_then(remapped),
            next_step_at: old.next_step_at,
            ..new
        }
    }

    /// Continues with the member that held the clients in the previous run.
    pub(super) fn restore_holder(&mut self, topology: &Topology, member: &str) {
        if let Some(member) = self.member_position(topology, member) {
            self.set_holder(member);
        }
    }

    /// Continues with a return that was in progress in the previous run.
    pub(super) fn restore_failback(&mut self, topology: &Topology, saved: &SavedFailback) {
        let from = self.member_position(topology, &saved.from);
        let to = self.member_position(topology, &saved.to);
        let (Some(from), Some(to)) = (from, to) else { return };
        self.set_holder(to);
        let returned = saved.returned_fraction.clamp(0.0, 1.0);
        self.failback_ramp = Some(FailbackRamp {
            from,
            to,
            ramp: Ramp::settled(returned),
            returned: Fraction::from_share(returned),
        });
    }

    fn set_holder(&mut self, member: u16) {
        self.holder = Holder::restored(self.slow_starts.len(), member);
        self.last_holder = Some(member);
    }

    fn member_position(&self, topology: &Topology, name: &str) -> Option<u16> {
        member_position(topology, self.id, name).map(|member| member as u16)
    }

    /// Records which members are usable at `now`. Returns the member that holds the clients if a
    /// member before it is usable.
    pub(super) fn update(&mut self, usable: &[bool], now: Duration) -> Option<u16> {
        let was_usable = self.holder.was_usable().to_vec();
        self.holder.update(usable, self.failback, now);
        let (old_holder, holder) = (self.last_holder, self.holder.member());
        self.last_holder = holder;
        match (old_holder, holder) {
            (Some(from), Some(to))
                if to < from && usable[usize::from(from)] && was_usable[usize::from(to)] =>
            {
                self.begin_failback(from, to);
            }
            _ => self.failback_ramp = self.failback_ramp.filter(|ramp| Some(ramp.to) == holder),
        }
        self.step_failback(now);
        self.holder.non_preferred_member()
    }

    /// Begins the return of clients. If they were returning to `from` already, they come from
    /// whichever member has more of them.
    fn begin_failback(&mut self, from: u16, to: u16) {
        let from = match self.failback_ramp {
            Some(ramp) if ramp.to == from && ramp.returned.share() < 0.5 => ramp.from,
            _ => from,
        };
        let has_slow_start = !self.slow_starts[usize::from(to)].is_zero();
        self.failback_ramp = has_slow_start.then(|| FailbackRamp {
            from,
            to,
            ramp: Ramp::settled(0.0),
            returned: Fraction::ZERO,
        });
    }

    fn step_failback(&mut self, now: Duration) {
        if let Some(failback) = &mut self.failback_ramp {
            failback.ramp.retarget(1.0, self.slow_starts[usize::from(failback.to)], now);
            failback.returned = failback.ramp.fraction_at(now);
            self.next_step_at = failback.ramp.next_step_at(now);
            self.failback_ramp = self.failback_ramp.filter(|failback| !failback.ramp.is_over(now));
        }
        self.next_step_at = self.next_step_at.filter(|_| self.failback_ramp.is_some());
    }

    /// Moves the clients to the first usable member. `false` if no member held them against the
    /// configured order.
    pub(super) fn fail_back(&mut self) -> bool {
        let is_held = self.holder.non_preferred_member().is_some();
        self.holder.fail_back();
        is_held
    }

    /// The member that holds the clients although a member before it is usable.
    pub(super) fn holder(&self) -> Option<u16> {
        self.holder.non_preferred_member()
    }

    /// The return in progress, as of the latest update.
    pub(super) fn failback_progress(&self) -> Option<FailbackProgress> {
        let FailbackRamp { from, to, returned, .. } = self.failback_ramp?;
        Some(FailbackProgress { from, to, fraction: returned })
    }

    /// The return in progress, as of `now`.
    pub(super) fn failback_status(&self, now: Duration) -> Option<FailbackStatus> {
        let FailbackRamp { from, to, ramp, .. } = self.failback_ramp?;
        Some(FailbackStatus {
            from,
            to,
            returned_fraction: ramp.value_at(now),
            ends_at: ramp.ends_at(),
        })
    }

    /// The fraction of the clients that has returned to `member`, from 0 to 1; `None` if another
    /// member holds them.
    pub(super) fn returned_fraction(&self, member: u16, now: Duration) -> Option<f64> {
        (self.last_holder == Some(member))
            .then(|| self.failback_ramp.map_or(1.0, |failback| failback.ramp.value_at(now)))
    }

    /// The time at which the next update is due without a change of verdicts or states.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.holder.next_due(self.failback).into_iter().chain(self.next_step_at).min()
    }
}

/// The longest slow start that applies to a member: of an endpoint, its own or that of one of its
/// datacenters; of a pool, that of any endpoint below it, so that no endpoint receives its clients
/// faster than it should.
fn longest_slow_start(topology: &Topology, kind: MemberKind) -> Duration {
    let endpoint_slow_start = |id: EndpointId| {
        let endpoint = &topology.endpoints[id.index()];
        let datacenters = endpoint.datacenters.iter();
        datacenters
            .map(|datacenter| topology.datacenters[datacenter.index()].ramp_times.slow_start)
            .fold(endpoint.ramp_times.slow_start, Duration::max)
    };
    match kind {
        MemberKind::Endpoint(id) => endpoint_slow_start(id),
        MemberKind::Pool(id) => {
            let endpoints = topology.endpoints_below([id]).into_iter();
            endpoints.map(endpoint_slow_start).max().unwrap_or_default()
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

    /// A failover pool of three members, of which the first has a slow start of ten seconds.
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
        let member =
            |number| Member { kind: MemberKind::Endpoint(EndpointId(number)), weight: 1, bias: 0 };
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

    /// The pool after its first member failed and became usable again: the second holds the
    /// clients.
    fn failed_over(topology: &Topology, failback: Failback) -> DelayedFailback {
        let mut pool = DelayedFailback::new(topology, PoolId(0), &Topology::default(), None);
        for usable in [ALL, [false, true, true], ALL] {
            pool.update(&usable, SECOND);
            assert_eq!(pool.failback_progress(), None, "{failback:?}");
        }
        assert_eq!(pool.holder(), Some(1));
        pool
    }

    fn returned(pool: &DelayedFailback) -> f64 {
        pool.failback_progress().map_or(1.0, |progress| progress.fraction.share())
    }

    #[test]
    fn a_slow_start_begins_when_clients_begin_to_return() {
        for failback in [Failback::After(30 * SECOND), Failback::Manual] {
            let topology = topology(failback);
            let mut pool = failed_over(&topology, failback);
            pool.update(&ALL, 30 * SECOND);
            assert_eq!(
                (pool.holder(), pool.failback_progress()),
                (Some(1), None),
                "{failback:?}: all clients still stay"
            );
            pool.fail_back();
            pool.update(&ALL, 31 * SECOND);
            assert_eq!(
                pool.failback_progress().map(|progress| (progress.from, progress.to)),
                Some((1, 0)),
                "{failback:?}"
            );
            assert!(returned(&pool) < 0.01);
            for second in 32..41 {
                assert!(pool.next_due().is_some_and(|due| due <= second * SECOND));
                pool.update(&ALL, second * SECOND);
                let expected = f64::from(second - 31) / 10.0;
                assert!(
                    (returned(&pool) - expected).abs() < 0.01,
                    "{failback:?}: {} after {second} s",
                    returned(&pool)
                );
            }
            pool.update(&ALL, 41 * SECOND);
            assert_eq!(
                (pool.holder(), pool.failback_progress(), pool.next_due()),
                (None, None, None),
                "{failback:?}: it is over"
            );
        }
    }

    #[test]
    fn a_member_without_a_slow_start_gets_its_clients_at_once() {
        let topology = topology(Failback::Manual);
        let mut pool = DelayedFailback::new(&topology, PoolId(0), &Topology::default(), None);
        for usable in [[false, true, true], [false, false, true], [false, true, true]] {
            pool.update(&usable, SECOND);
        }
        assert_eq!(pool.holder(), Some(2));
        pool.fail_back();
        pool.update(&[false, true, true], 2 * SECOND);
        assert_eq!((pool.holder(), pool.failback_progress()), (None, None));
    }

    #[test]
    fn a_return_ends_when_the_member_fails_and_starts_again_later() {
        let topology = topology(Failback::After(30 * SECOND));
        let mut pool = failed_over(&topology, Failback::After(30 * SECOND));
        pool.update(&ALL, 31 * SECOND);
        pool.update(&ALL, 36 * SECOND);
        assert!((returned(&pool) - 0.5).abs() < 0.01);
        pool.update(&[false, true, true], 37 * SECOND);
        assert_eq!((pool.holder(), pool.failback_progress()), (None, None));
        pool.update(&ALL, 40 * SECOND);
        assert_eq!(
            (pool.holder(), pool.failback_progress()),
            (Some(1), None),
            "the waiting time starts again"
        );
        pool.update(&ALL, 70 * SECOND);
        assert!(pool.failback_progress().is_some() && returned(&pool) < 0.01);
    }

    #[test]
    fn the_longest_slow_start_that_applies_to_a_member_counts() {
        let mut topology = topology(Failback::Manual);
        let slow_start =
            |seconds| RampTimes { slow_start: seconds * SECOND, ..RampTimes::default() };
        for (seconds, expected, why) in [(30, 30, "its datacenter's"), (5, 10, "its own")] {
            let datacenter = Datacenter {
                name: "fra".into(),
                ramp_times: slow_start(seconds),
                ..Datacenter::default()
            };
            topology.datacenters = vec![datacenter];
            let endpoints = topology.endpoints.iter().map(|endpoint| {
                let datacenters = vec![DatacenterId(0)];
                Arc::new(Endpoint { datacenters, ..(**endpoint).clone() })
            });
            topology.endpoints = endpoints.collect();
            let slow_start_of = |kind| longest_slow_start(&topology, kind);
            assert_eq!(
                slow_start_of(MemberKind::Endpoint(EndpointId(0))),
                expected * SECOND,
                "{why}"
            );
            assert_eq!(
                slow_start_of(MemberKind::Pool(PoolId(0))),
                expected * SECOND,
                "that of any endpoint below a pool"
            );
        }
    }

    #[test]
    fn a_return_continues_after_a_restart() {
        let topology = topology(Failback::Manual);
        let mut pool = DelayedFailback::new(&topology, PoolId(0), &Topology::default(), None);
        let saved = SavedFailback {
            pool: "web".into(),
            from: "192.0.2.2".into(),
            to: "192.0.2.1".into(),
            returned_fraction: 0.4,
        };
        pool.restore_failback(&topology, &saved);
        pool.update(&ALL, 100 * SECOND);
        assert!((returned(&pool) - 0.4).abs() < 0.01);
        pool.update(&ALL, 103 * SECOND);
        assert!((returned(&pool) - 0.7).abs() < 0.01);
        pool.update(&ALL, 106 * SECOND);
        assert_eq!(pool.failback_progress(), None);
    }
}
