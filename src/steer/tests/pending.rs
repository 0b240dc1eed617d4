//! Targets without a verdict: under every policy they rank behind members known to be healthy, and
//! count as up if there are none.

use super::*;

const UP: HealthStatus =
    HealthStatus { verdict: Verdict::Up, flips_in_secs: None, is_pending: false, is_held: false };
const PENDING: HealthStatus = HealthStatus {
    verdict: Verdict::Unknown,
    flips_in_secs: Some(7),
    is_pending: true,
    is_held: false,
};

/// A service over one pool of `192.0.2.1`, which has no verdict yet, and `192.0.2.2`.
fn two(policy: Policy, weights: [u16; 2], second: HealthStatus) -> ServiceBench {
    let mut draft = TopologyBuilder::default();
    let members = [draft.endpoint("192.0.2.1", None), draft.endpoint("192.0.2.2", None)];
    let pool = draft.pool(policy, &[(members[0], weights[0]), (members[1], weights[1])]);
    let mut bench = draft.top(pool);
    bench.set_status("192.0.2.1", PENDING);
    bench.set_status("192.0.2.2", second);
    bench
}

fn policies() -> [Policy; 5] {
    let rule = GeoRule {
        subnets: vec!["0.0.0.0/0".parse().unwrap()],
        members: vec![0],
        ..GeoRule::default()
    };
    [
        Policy::Weighted,
        Policy::Failover,
        Policy::All,
        Policy::Nearest { tie: None },
        Policy::Geo { rules: vec![rule], default: vec![1] },
    ]
}

#[test]
fn members_without_a_verdict_rank_behind_healthy_ones_under_every_policy() {
    for policy in policies() {
        let word = policy.as_str();
        let mut bench = two(policy, [1, 1], UP);
        for _ in 0..20 {
            assert_eq!(bench.ask(), ["192.0.2.2"], "{word}");
        }
        assert_eq!(bench.ttl(), 7, "{word}: no answer outlives the wait for the first outcome");
        bench.set_status("192.0.2.1", UP);
        assert_eq!(bench.ttl(), 30, "{word}");
        assert!(
            (0..50).any(|_| bench.ask().contains(&"192.0.2.1".to_owned())),
            "{word}: with a verdict it is answered"
        );
    }
}

#[test]
fn members_without_a_verdict_count_as_up_if_none_is_known_to_be_healthy() {
    for policy in policies() {
        let word = policy.as_str();
        let mut bench = two(policy.clone(), [1, 1], PENDING);
        assert!(bench.ask().contains(&"192.0.2.1".to_owned()) || word == "weighted", "{word}");
        assert_eq!(bench.chart.fallback_stage(Family::V4), FallbackStage::Normal, "{word}");
        let mut bench = two(policy, [1, 1], HealthStatus { verdict: Verdict::Down, ..UP });
        assert_eq!(bench.ask(), ["192.0.2.1"], "{word}");
    }
}

#[test]
fn a_healthy_standby_precedes_a_member_without_a_verdict() {
    for policy in policies() {
        let word = policy.as_str();
        assert_eq!(two(policy.clone(), [1, 0], UP).ask(), ["192.0.2.2"], "{word}");
        assert_eq!(
            two(policy, [1, 0], PENDING).ask(),
            ["192.0.2.1"],
            "{word}: without verdicts the standby comes last"
        );
    }
}

#[test]
fn only_the_healthy_addresses_of_a_member_are_answered() {
    let mut draft = TopologyBuilder::default();
    let pool = draft.weighted(&[("192.0.2.1+192.0.2.2", 1)]);
    let mut bench = draft.top(pool);
    bench.set_status("192.0.2.1", PENDING);
    assert_eq!(bench.ask(), ["192.0.2.2"], "an address that is not pending counts as up");
    bench.set_status("192.0.2.2", PENDING);
    assert_eq!(bench.ask(), ["192.0.2.1", "192.0.2.2"]);
}

#[test]
fn a_pool_is_pending_while_it_depends_on_pending_members() {
    for (min_up, first, expected, why) in [
        (1, UP, "192.0.2.1", "one healthy member is enough"),
        (2, UP, "192.0.2.9", "the pool has enough members only if the pending one is up"),
        (1, PENDING, "192.0.2.9", "no member of the pool has a verdict"),
    ] {
        let mut draft = TopologyBuilder::default();
        let inner = draft.weighted(&[("192.0.2.1", 1), ("192.0.2.2", 1)]);
        draft.pools[inner.index()].min_up = MinUp::Members(NonZeroU32::new(min_up).unwrap());
        let spare = draft.endpoint("192.0.2.9", None);
        let pool = draft.pool(Policy::Failover, &[(MemberKind::Pool(inner), 1), (spare, 1)]);
        let mut bench = draft.top(pool);
        bench.set_status("192.0.2.1", first);
        bench.set_status("192.0.2.2", PENDING);
        bench.set_status("192.0.2.9", UP);
        assert_eq!(bench.ask(), [expected], "{why}");
        bench.down("192.0.2.9");
        assert_eq!(
            bench.chart.fallback_stage(Family::V4),
            FallbackStage::Normal,
            "{why}: it is usable if no better member is"
        );
    }
}

#[test]
fn a_member_that_is_no_longer_pending_counts_as_up() {
    let mut bench = two(Policy::Failover, [1, 1], UP);
    assert_eq!(bench.ask(), ["192.0.2.2"]);
    bench.set_status("192.0.2.1", HealthStatus::default());
    assert_eq!(bench.ask(), ["192.0.2.1"]);
}

#[test]
fn a_member_forced_up_waits_for_no_health_check() {
    let mut draft = TopologyBuilder::default();
    let members = [draft.endpoint("192.0.2.1", None), draft.endpoint("192.0.2.2", None)];
    draft.endpoints[0].force = Some(HealthOverride::Up);
    let pool = draft.pool(Policy::Failover, &[(members[0], 1), (members[1], 1)]);
    let mut bench = draft.top(pool);
    bench.set_status("192.0.2.1", PENDING);
    bench.set_status("192.0.2.2", UP);
    assert_eq!(bench.ask(), ["192.0.2.1"]);
}
