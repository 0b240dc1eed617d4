//! Aliases: their addresses are conditions, like health.

use super::*;

/// A service over a `failover` pool: the alias, then an address.
fn bench() -> ServiceBench {
    let mut draft = TopologyBuilder::default();
    let alias = draft.endpoint("lb", None);
    draft.endpoints[0].target = EndpointTarget::Alias("lb.example.net".parse().unwrap());
    let spare = draft.endpoint("192.0.2.9", None);
    let pool = draft.pool(Policy::Failover, &[(alias, 1), (spare, 1)]);
    draft.top(pool)
}

fn resolve(bench: &mut ServiceBench, addresses: &[&str], ttl_secs: u32) {
    let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
    bench.conditions.aliases[0] = Arc::new(ResolvedAlias::new(addresses, ttl_secs));
    bench.follow();
}

#[test]
fn an_alias_is_answered_with_its_addresses_and_no_longer_than_they_may_be_cached() {
    let mut bench = bench();
    for (addresses, ttl_secs, answers, ttl, why) in [
        (&[][..], 0, &["192.0.2.9"][..], 5, "not resolved: the next choice, with a low TTL"),
        (
            &["192.0.2.2", "192.0.2.1"],
            12,
            &["192.0.2.1", "192.0.2.2"],
            12,
            "in an order that does not rotate",
        ),
        (&["192.0.2.3", "2001:db8::3"], 3600, &["192.0.2.3"], 30, "never above the service's TTL"),
        (&["192.0.2.3"], 0, &["192.0.2.3"], 1, "at least a second"),
        (&["2001:db8::3"], 20, &["192.0.2.9"], 20, "none of the family: the next choice"),
    ] {
        resolve(&mut bench, addresses, ttl_secs);
        assert!(!bench.chart.is_unresolved(), "some member can be answered: {why}");
        assert_eq!(
            (bench.ask(), bench.ttl()),
            (answers.iter().map(ToString::to_string).collect(), ttl),
            "{why}"
        );
    }
}

#[test]
fn a_family_that_an_alias_does_not_have_is_no_outage() {
    let mut draft = TopologyBuilder::default();
    let alias = draft.endpoint("lb", None);
    draft.endpoints[0].target = EndpointTarget::Alias("lb.example.net".parse().unwrap());
    let pool = draft.pool(Policy::Weighted, &[(alias, 1)]);
    let mut bench = draft.top(pool);
    let stages = |bench: &ServiceBench| {
        [Family::V4, Family::V6].map(|family| bench.chart.fallback_stage(family))
    };
    assert_eq!(stages(&bench), [FallbackStage::AllDown; 2], "the alias was never resolved");
    assert!(bench.chart.is_unresolved());
    assert_eq!(bench.ask(), [""; 0], "no address is known");
    resolve(&mut bench, &["192.0.2.1"], 60);
    assert_eq!(stages(&bench), [FallbackStage::Normal; 2]);
    assert!(!bench.chart.is_unresolved());
    assert_eq!((bench.ask().len(), bench.ask_from(Family::V6, "8.8.8.0/24").0.len()), (1, 0));
}

#[test]
fn an_alias_is_probed_by_its_name() {
    let mut bench = bench();
    resolve(&mut bench, &["192.0.2.1", "2001:db8::1"], 60);
    assert_eq!(
        bench.topology.probes[0].target,
        ProbeTarget::Host("lb.example.net".parse().unwrap())
    );
    bench.conditions.health_statuses[0] =
        HealthStatus { verdict: Verdict::Down, flips_in_secs: None, ..HealthStatus::default() };
    bench.compile();
    assert_eq!(bench.ask(), ["192.0.2.9"]);
}
