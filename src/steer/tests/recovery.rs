//! Recovery from an outage of everything: no member gets the clients of all because it was the first to come back.

use std::time::Duration;

use super::*;

const MEMBERS: u8 = 40;

fn address(member: u8) -> String {
    format!("192.0.2.{}", member + 1)
}

/// A service whose members were all up, then all down.
struct Outage {
    bench: Bench,
    recovery: Recovery,
    now: Duration,
}

impl Outage {
    fn of(policy: Policy, weights: impl Fn(u8) -> u16) -> Self {
        let mut draft = Draft::default();
        let members: Vec<_> = (0..MEMBERS).map(|at| (draft.endpoint(&address(at), None), weights(at))).collect();
        let pool = draft.pool(policy, &members);
        Self::at(draft.top(pool))
    }

    fn at(bench: Bench) -> Self {
        let mut outage = Self { bench, recovery: Recovery::default(), now: Duration::ZERO };
        outage.recovery.adopt(&outage.bench.topology);
        let down = Standing { verdict: Verdict::Down, ..Standing::default() };
        outage.bench.conditions.standings.fill(down);
        outage.publish();
        assert_eq!(outage.bench.chart.plight(Family::V4), Plight::AllDown);
        outage
    }

    /// As the controller does it: recovery first, then the charts, then what they show.
    fn publish(&mut self) {
        let Bench { compiler, conditions, topology, .. } = &mut self.bench;
        self.recovery.follow(compiler, conditions, self.now);
        let root = topology.services[0].pool;
        self.bench.compile();
        let Bench { compiler, conditions, chart, .. } = &mut self.bench;
        let is_dark = chart.plight(Family::V4) != Plight::None;
        self.recovery.note_dark(compiler, conditions, is_dark.then_some(root).into_iter());
    }

    fn set(&mut self, member: u8, verdict: Verdict) {
        let probe = self.bench.probe(&address(member));
        self.bench.conditions.standings[probe.index()] = Standing { verdict, ..Standing::default() };
        self.publish();
    }

    fn is_recovering(&self) -> bool {
        !self.bench.conditions.recovering.is_empty()
    }

    /// The largest share of queries that one member gets, in percent.
    fn most(&mut self) -> f64 {
        self.bench.shares(2000).into_values().fold(0.0, f64::max)
    }
}

#[test]
fn forty_members_that_recover_one_by_one_never_get_more_than_two_shares_each() {
    let mut outage = Outage::of(Policy::Weighted, |_| 1);
    for member in 0..MEMBERS {
        outage.now += Duration::from_millis(100);
        outage.set(member, Verdict::Up);
        let back = member + 1;
        assert_eq!(outage.is_recovering(), back < MEMBERS / 2, "{back} are back");
        let most = outage.most();
        assert!(most <= 100.0 / 20.0 * 1.6, "{back} are back, and one gets {most} %");
    }
    assert_eq!(outage.bench.chart.plight(Family::V4), Plight::None);
}

#[test]
fn recovery_is_over_after_rise_times_interval_and_the_members_that_are_back_are_answered() {
    let mut outage = Outage::of(Policy::Weighted, |_| 1);
    outage.now = Duration::from_secs(100);
    outage.set(7, Verdict::Up);
    assert!(outage.is_recovering() && outage.most() < 10.0);
    assert!(outage.bench.ttl() <= 5, "no answer outlives the recovery");
    assert_eq!(outage.recovery.next_due(), Some(Duration::from_secs(105)), "rise x interval after the first");
    outage.now = Duration::from_secs(103);
    outage.set(8, Verdict::Up);
    assert_eq!(outage.recovery.next_due(), Some(Duration::from_secs(105)), "the second does not begin it again");
    outage.now = Duration::from_secs(105);
    outage.publish();
    assert!(!outage.is_recovering());
    let shares = outage.bench.shares(200);
    assert_eq!(shares.keys().collect::<Vec<_>>(), [&address(7), &address(8)]);
    assert_eq!(outage.bench.chart.plight(Family::V4), Plight::None);
}

#[test]
fn half_is_by_weight_and_a_relapse_begins_again() {
    let mut outage = Outage::of(Policy::Weighted, |at| if at == 0 { 39 } else { 1 });
    outage.set(1, Verdict::Up);
    assert!(outage.is_recovering());
    outage.set(1, Verdict::Down);
    assert!(!outage.is_recovering(), "none is back: all are answered as before");
    outage.set(1, Verdict::Up);
    assert!(outage.is_recovering());
    outage.set(0, Verdict::Up);
    assert!(!outage.is_recovering(), "one member is half of the weight");
}

#[test]
fn a_service_that_never_lost_all_of_its_members_does_not_recover() {
    let mut outage = Outage::of(Policy::Weighted, |_| 1);
    (0..MEMBERS).for_each(|member| outage.set(member, Verdict::Up));
    (1..MEMBERS).for_each(|member| outage.set(member, Verdict::Down));
    assert!(!outage.is_recovering());
    assert_eq!(outage.bench.ask(), [address(0)]);
    outage.set(1, Verdict::Up);
    assert!(!outage.is_recovering());
}

#[test]
fn every_policy_that_divides_clients_recovers_and_failover_does_not() {
    for (policy, recovers) in [
        (Policy::Weighted, true),
        (Policy::All, true),
        (Policy::Nearest { tie: None }, true),
        (Policy::Failover, false),
    ] {
        let word = policy.word();
        let mut outage = Outage::of(policy, |_| 1);
        outage.set(9, Verdict::Up);
        assert_eq!(outage.is_recovering(), recovers, "{word}");
        let is_narrow = (0..20).all(|_| outage.bench.ask() == [address(9)]);
        assert_eq!(is_narrow, !recovers, "{word}");
    }
}

#[test]
fn a_failover_of_pools_recovers_as_they_do() {
    let mut draft = Draft::default();
    let mut pools = Vec::new();
    for half in 0..2 {
        let members: Vec<_> = (0..MEMBERS / 2).map(|at| (draft.endpoint(&address(half * 20 + at), None), 1)).collect();
        pools.push((MemberKind::Pool(draft.pool(Policy::Weighted, &members)), 1));
    }
    let pool = draft.pool(Policy::Failover, &pools);
    let mut outage = Outage::at(draft.top(pool));
    for member in 0..19 {
        outage.set(member, Verdict::Up);
        assert!(outage.is_recovering() && outage.most() < 15.0, "{member}");
    }
    outage.set(19, Verdict::Up);
    assert!(!outage.is_recovering(), "the first pool is back");
}

#[test]
fn a_recovery_outlives_a_reload() {
    let mut outage = Outage::of(Policy::Weighted, |_| 1);
    outage.set(3, Verdict::Up);
    let topology = Arc::clone(&outage.bench.topology);
    outage.recovery.adopt(&topology);
    outage.publish();
    assert!(outage.is_recovering());
}
