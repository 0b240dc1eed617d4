//! Recovery from an outage of all members: no member gets all clients because it was the first to
//! recover.

use std::time::Duration;

use super::*;

const MEMBERS: u8 = 40;

fn address(member: u8) -> String {
    format!("192.0.2.{}", member + 1)
}

/// A service whose members were all up, then all down.
struct OutageBench {
    bench: ServiceBench,
    recovery: Recovery,
    now: Duration,
}

impl OutageBench {
    fn new(policy: Policy, weights: impl Fn(u8) -> u16) -> Self {
        let mut draft = TopologyBuilder::default();
        let members: Vec<_> =
            (0..MEMBERS).map(|at| (draft.endpoint(&address(at), None), weights(at))).collect();
        let pool = draft.pool(policy, &members);
        Self::all_down(draft.top(pool))
    }

    fn all_down(bench: ServiceBench) -> Self {
        let mut outage = Self { bench, recovery: Recovery::default(), now: Duration::ZERO };
        outage.recovery.set_topology(&outage.bench.topology);
        let down = HealthStatus { verdict: Verdict::Down, ..HealthStatus::default() };
        outage.bench.conditions.health_statuses.fill(down);
        outage.publish();
        assert_eq!(outage.bench.chart.fallback_stage(Family::V4), FallbackStage::AllDown);
        outage
    }

    /// Publishes the conditions as the controller does: first the recovery, then the charts, then
    /// the outages that these show.
    fn publish(&mut self) {
        let ServiceBench { compiler, conditions, .. } = &mut self.bench;
        self.recovery.follow(compiler, conditions, self.now);
        self.bench.compile();
        let ServiceBench { compiler, conditions, chart, .. } = &mut self.bench;
        let down = chart.is_down().then_some((ServiceId(0), &**chart));
        self.recovery.note_outages(compiler, conditions, down.into_iter());
    }

    fn set(&mut self, member: u8, verdict: Verdict) {
        let probe = self.bench.probe(&address(member));
        self.bench.conditions.health_statuses[probe.index()] =
            HealthStatus { verdict, ..HealthStatus::default() };
        self.publish();
    }

    fn is_recovering(&self) -> bool {
        !self.bench.conditions.recovering.is_empty()
    }

    /// The greatest share of queries that any member gets, in percent.
    fn largest_share(&mut self) -> f64 {
        self.bench.shares(2000).into_values().fold(0.0, f64::max)
    }
}

#[test]
fn forty_members_that_recover_one_by_one_never_get_more_than_two_shares_each() {
    let mut outage = OutageBench::new(Policy::Weighted, |_| 1);
    for member in 0..MEMBERS {
        outage.now += Duration::from_millis(100);
        outage.set(member, Verdict::Up);
        let up = member + 1;
        assert_eq!(outage.is_recovering(), up < MEMBERS / 2, "{up} are up");
        let greatest = outage.largest_share();
        assert!(greatest <= 100.0 / 20.0 * 1.6, "{up} are up, and one gets {greatest} %");
    }
    assert_eq!(outage.bench.chart.fallback_stage(Family::V4), FallbackStage::Normal);
}

#[test]
fn recovery_ends_after_rise_times_interval_and_then_only_healthy_members_are_answered() {
    let mut outage = OutageBench::new(Policy::Weighted, |_| 1);
    outage.now = Duration::from_secs(100);
    outage.set(7, Verdict::Up);
    assert!(outage.is_recovering() && outage.largest_share() < 10.0);
    assert!(outage.bench.ttl() <= 5, "no answer outlives the recovery");
    assert_eq!(
        outage.recovery.next_due(),
        Some(Duration::from_secs(105)),
        "rise x interval after the first"
    );
    outage.now = Duration::from_secs(103);
    outage.set(8, Verdict::Up);
    assert_eq!(
        outage.recovery.next_due(),
        Some(Duration::from_secs(105)),
        "the second does not restart it"
    );
    outage.now = Duration::from_secs(105);
    outage.publish();
    assert!(!outage.is_recovering());
    let shares = outage.bench.shares(200);
    assert_eq!(shares.keys().collect::<Vec<_>>(), [&address(7), &address(8)]);
    assert_eq!(outage.bench.chart.fallback_stage(Family::V4), FallbackStage::Normal);
}

#[test]
fn half_is_by_weight_and_a_relapse_restarts_the_recovery() {
    let mut outage = OutageBench::new(Policy::Weighted, |at| if at == 0 { 39 } else { 1 });
    outage.set(1, Verdict::Up);
    assert!(outage.is_recovering());
    outage.set(1, Verdict::Down);
    assert!(!outage.is_recovering(), "none is up: all are answered as before");
    outage.set(1, Verdict::Up);
    assert!(outage.is_recovering());
    outage.set(0, Verdict::Up);
    assert!(!outage.is_recovering(), "one member is half of the weight");
}

#[test]
fn a_service_that_never_lost_all_of_its_members_does_not_recover() {
    let mut outage = OutageBench::new(Policy::Weighted, |_| 1);
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
        let word = policy.as_str();
        let mut outage = OutageBench::new(policy, |_| 1);
        outage.set(9, Verdict::Up);
        assert_eq!(outage.is_recovering(), recovers, "{word}");
        let is_narrow = (0..20).all(|_| outage.bench.ask() == [address(9)]);
        assert_eq!(is_narrow, !recovers, "{word}");
    }
}

#[test]
fn a_failover_of_pools_recovers_as_its_pools_do() {
    let mut draft = TopologyBuilder::default();
    let mut pools = Vec::new();
    for half in 0..2 {
        let members: Vec<_> = (0..MEMBERS / 2)
            .map(|at| (draft.endpoint(&address(half * 20 + at), None), 1))
            .collect();
        pools.push((MemberKind::Pool(draft.pool(Policy::Weighted, &members)), 1));
    }
    let pool = draft.pool(Policy::Failover, &pools);
    let mut outage = OutageBench::all_down(draft.top(pool));
    for member in 0..19 {
        outage.set(member, Verdict::Up);
        assert!(outage.is_recovering() && outage.largest_share() < 15.0, "{member}");
    }
    outage.set(19, Verdict::Up);
    assert!(!outage.is_recovering(), "the first pool has recovered");
}

#[test]
fn a_recovery_continues_after_a_reload() {
    let mut outage = OutageBench::new(Policy::Weighted, |_| 1);
    outage.set(3, Verdict::Up);
    let topology = Arc::clone(&outage.bench.topology);
    outage.recovery.set_topology(&topology);
    outage.publish();
    assert!(outage.is_recovering());
}

#[test]
fn a_standby_that_serves_all_clients_ends_the_outage() {
    let mut outage = OutageBench::new(Policy::Weighted, |at| u16::from(at < 4));
    let standby = 9;
    outage.set(standby, Verdict::Up);
    assert_eq!(outage.bench.ask(), [address(standby)]);
    outage.set(0, Verdict::Up);
    assert!(!outage.is_recovering());
    assert!(
        (0..40).all(|_| outage.bench.ask() == [address(0)]),
        "no client is sent to a member that is down"
    );
}

#[test]
fn another_pool_that_serves_all_clients_ends_the_outage() {
    let mut draft = TopologyBuilder::default();
    let mut pools = Vec::new();
    for third in 0..3 {
        let members: Vec<_> =
            (0..10).map(|at| (draft.endpoint(&address(third * 10 + at), None), 1)).collect();
        pools.push((MemberKind::Pool(draft.pool(Policy::Weighted, &members)), 1));
    }
    let pool = draft.pool(Policy::Failover, &pools);
    let mut outage = OutageBench::all_down(draft.top(pool));
    outage.set(10, Verdict::Up);
    assert!(
        (0..40).all(|_| outage.bench.ask() == [address(10)]),
        "the first pool is down, the second one serves"
    );
    outage.set(0, Verdict::Up);
    assert!(!outage.is_recovering());
}

#[test]
fn a_member_that_an_operator_puts_into_service_ends_the_outage() {
    let outage = |state: ServingState| {
        let mut draft = TopologyBuilder::default();
        let members: Vec<_> = (0..3).map(|at| (draft.endpoint(&address(at), None), 1)).collect();
        draft.endpoints[1].state = state;
        let pool = draft.pool(Policy::Weighted, &members);
        draft.top(pool)
    };
    let mut before = outage(ServingState::Draining);
    let (up, down) = (Verdict::Up, Verdict::Down);
    for (at, verdict) in [(0, down), (1, up), (2, down)] {
        let probe = before.probe(&address(at));
        before.conditions.health_statuses[probe.index()] =
            HealthStatus { verdict, ..HealthStatus::default() };
    }
    let health_statuses = before.conditions.health_statuses.clone();
    let mut outage_of_two =
        OutageBench { bench: before, recovery: Recovery::default(), now: Duration::ZERO };
    outage_of_two.recovery.set_topology(&outage_of_two.bench.topology);
    outage_of_two.publish();
    assert_ne!(outage_of_two.bench.ask(), [address(1)], "it drains, so the others are answered");
    let mut after = outage(ServingState::Active);
    after.conditions.health_statuses = health_statuses;
    outage_of_two.bench = after;
    outage_of_two.recovery.set_topology(&outage_of_two.bench.topology);
    outage_of_two.publish();
    assert!(
        (0..40).all(|_| outage_of_two.bench.ask() == [address(1)]),
        "the only healthy member gets every client"
    );
}

#[test]
fn clients_of_a_strict_rule_have_their_own_recovery() {
    let mut draft = TopologyBuilder::default();
    let pools = [0, 20].map(|first| {
        let members: Vec<_> =
            (0..10).map(|at| (draft.endpoint(&address(first + at), None), 1)).collect();
        (MemberKind::Pool(draft.pool(Policy::Weighted, &members)), 1)
    });
    let rule = GeoRule {
        subnets: vec!["8.0.0.0/8".parse().unwrap()],
        members: vec![0],
        strict: true,
        ..GeoRule::default()
    };
    let pool = draft.pool(Policy::Geo { rules: vec![rule], default: vec![1] }, &pools);
    draft.on_all_down = OnAllDown::All;
    let mut bench = draft.top(pool);
    for at in 0..10 {
        bench.down(&address(at));
    }
    let mut outage = OutageBench { bench, recovery: Recovery::default(), now: Duration::ZERO };
    outage.recovery.set_topology(&outage.bench.topology);
    outage.publish();
    outage.set(3, Verdict::Up);
    assert!(
        outage.is_recovering() && outage.largest_share() < 25.0,
        "all of its ten members are answered as before"
    );
    let (elsewhere, ..) = outage.bench.ask_from(Family::V4, "9.8.8.0/24");
    assert!((20..30).any(|at| elsewhere == [address(at)]), "{elsewhere:?}");
    for at in 4..8 {
        outage.set(at, Verdict::Up);
    }
    assert!(!outage.is_recovering(), "half of the rule's members are up");
}

#[test]
fn a_service_that_answers_nodata_in_an_outage_does_not_share_another_services_recovery() {
    let mut draft = TopologyBuilder { on_all_down: OnAllDown::Empty, ..TopologyBuilder::default() };
    let members: Vec<_> = (0..MEMBERS).map(|at| (draft.endpoint(&address(at), None), 1)).collect();
    let pool = draft.pool(Policy::Weighted, &members);
    let mut bench = draft.top(pool);
    bench
        .conditions
        .health_statuses
        .fill(HealthStatus { verdict: Verdict::Down, ..HealthStatus::default() });
    bench.set_status(&address(0), HealthStatus { verdict: Verdict::Up, ..HealthStatus::default() });
    let group = ClientGroup { pool, members: (0..u16::from(MEMBERS)).collect(), is_strict: false };
    bench.conditions.recovering.insert(group, 5);
    bench.compile();
    assert_eq!(bench.ask(), [address(0)]);
}

#[test]
fn a_recovery_continues_after_a_restart() {
    let mut outage = OutageBench::new(Policy::Weighted, |_| 1);
    outage.now = Duration::from_secs(100);
    outage.set(3, Verdict::Up);
    outage.now = Duration::from_secs(102);
    let saved = outage.recovery.saved(outage.now);
    outage.recovery = Recovery::default();
    outage.recovery.set_topology(&outage.bench.topology);
    outage.recovery.restore(&saved, Duration::from_secs(1));
    outage.now = Duration::from_secs(1);
    outage.publish();
    assert!(outage.is_recovering());
    assert_eq!(
        outage.recovery.next_due(),
        Some(Duration::from_secs(4)),
        "it ends when it would have ended without the restart"
    );
    outage.now = Duration::from_secs(4);
    outage.publish();
    assert!(!outage.is_recovering());
}
