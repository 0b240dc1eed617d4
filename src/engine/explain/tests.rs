//! Golden texts of typical explanations, and their round trip through JSON.

use std::time::Duration;

use super::*;
use crate::{
    engine::fixture::{DOWN, FixtureBuilder, UP},
    health::{HealthStatus, Verdict},
    steer::{
        DatacenterId, EndpointId, EndpointTarget, Failback, FailbackProgress, FamilyCoupling,
        Fraction, GeoRule, HealthOverride, LoadMeasure, LoadPolicy, MinUp, OnAllDown, Policy,
        PoolId, ServingState,
    },
};

fn ask(draft: FixtureBuilder, name: &str, rtype: &str, subnet: Option<&str>) -> Explanation {
    ask_from(draft, name, rtype, "30.1.2.3", subnet)
}

fn ask_from(
    draft: FixtureBuilder,
    name: &str,
    rtype: &str,
    client: &str,
    subnet: Option<&str>,
) -> Explanation {
    let request = ExplainRequest {
        name: format!("{name}.gslb.example.com").parse().unwrap(),
        rtype: rtype.parse().unwrap(),
        client: client.parse().unwrap(),
        subnet: subnet.map(|subnet| subnet.parse().unwrap()),
        seed: 1,
    };
    explain(&draft.build().context(), &request).unwrap()
}

fn text(explanation: &Explanation) -> String {
    render_text(explanation, false)
}

#[test]
fn the_nearest_pool_is_shown_with_its_members_and_the_farther_pools() {
    let mut draft = FixtureBuilder::new();
    draft.set_health("192.0.2.11", UP);
    let explanation = ask(draft, "www", "A", Some("20.1.2.0/24"));
    insta::assert_snapshot!(text(&explanation));
    assert_eq!(
        explanation.reply.scope,
        Some(5),
        "the unknown around Germany gets the first member, the same answer"
    );
}

#[test]
fn with_the_nearest_pool_down_the_next_answers_and_the_reason_is_shown() {
    let mut draft = FixtureBuilder::new();
    draft.set_health("192.0.2.11", DOWN);
    draft.set_health("192.0.2.12", DOWN);
    insta::assert_snapshot!(text(&ask(draft, "www", "A", Some("20.1.2.0/24"))));
}

#[test]
fn a_geo_rule_is_shown_by_the_key_that_matched() {
    insta::assert_snapshot!(text(&ask(FixtureBuilder::new(), "geo", "A", Some("40.1.2.0/24"))));
}

/// The explanation of the failover service after a change: `api-1` is in fra, `api-2` in iad, the
/// standby `api-3` in nrt.
fn failover(change: impl FnOnce(&mut FixtureBuilder, PoolId)) -> String {
    let mut draft = FixtureBuilder::new();
    let id = draft.pool_id("api.gslb.example.com");
    change(&mut draft, id);
    text(&ask(draft, "api", "A", None))
}

#[test]
fn a_drain_in_progress_is_shown_with_its_remaining_share_and_the_member_that_gets_the_rest() {
    insta::assert_snapshot!(failover(|draft, _| {
        draft.datacenters[0].state = ServingState::Draining;
        draft.adjustments.datacenter_fractions.insert(DatacenterId(0), Fraction::from_share(0.4));
    }));
}

#[test]
fn a_paused_drain_and_a_slow_start_are_distinguished() {
    insta::assert_snapshot!(failover(|draft, _| {
        draft.datacenters[0].state = ServingState::Draining;
        draft.datacenters[0].paused_drain_fraction = Some(Fraction::from_share(0.25));
        draft.adjustments.datacenter_fractions.insert(DatacenterId(0), Fraction::from_share(0.25));
        draft.endpoints[4].ramp_times.slow_start = Duration::from_secs(300);
        draft.adjustments.endpoint_fractions.insert(EndpointId(4), Fraction::from_share(0.5));
    }));
}

#[test]
fn a_trickle_and_the_member_that_holds_the_clients_are_shown() {
    insta::assert_snapshot!(failover(|draft, id| {
        draft.pools[id.index()].regulation.trickle = Some(0.01);
        draft.pools[id.index()].regulation.failback = Failback::Manual;
        draft.adjustments.holders.insert(id, 1);
    }));
}

#[test]
fn a_member_that_awaits_failback_shows_the_holder_and_the_condition() {
    let shown = failover(|draft, id| {
        draft.pools[id.index()].regulation.failback = Failback::After(Duration::from_secs(600));
        draft.adjustments.holders.insert(id, 2);
    });
    assert!(
        shown.contains("usable, but clients stay with api-3 until failback (after 10m)"),
        "{shown}"
    );
    assert!(
        shown.contains("because api-3, clients stay with it until failback (after 10m)"),
        "{shown}"
    );
}

#[test]
fn load_reports_are_shown_with_the_weights_that_they_change() {
    let draft = || {
        let mut draft = FixtureBuilder::new();
        draft.pool_named("web-fra").policy =
            Policy::Load(LoadPolicy { measure: LoadMeasure::Connections, soft: 0.7, hard: 0.9 });
        draft
    };
    let configured = text(&ask(draft(), "www", "A", Some("20.1.2.0/24")));
    assert!(
        configured.contains("weight 3 of 4, as configured: no load report changes it"),
        "{configured}"
    );
    let mut draft = draft();
    let id = draft.pool_id("web-fra");
    draft.adjustments.weights.insert(id, [512_u32, 512].as_slice().into());
    let explanation = ask(draft, "www", "A", Some("20.1.2.0/24"));
    insta::assert_snapshot!(text(&explanation));
    let fra = explanation.steps[0].steering.as_ref().unwrap().attempts[0].pool.members[0]
        .pool
        .as_ref()
        .unwrap();
    assert_eq!((fra.members[0].weight, fra.members[0].weight_by_load), (3, Some(512)));
}

#[test]
fn a_spill_shows_the_position_of_this_client_among_those_that_leave() {
    let spilling = |keep: f64| {
        let mut draft = FixtureBuilder::new();
        let id = draft.pool_id("web-fra");
        // The `keep` of the configuration has the compiler order areas by the loss of distance; the
        // kept fraction says how many clients leave.
        draft.pools[id.index()].regulation.keep = Fraction::from_share(0.99);
        draft.adjustments.kept_fractions.insert(id, Fraction::from_share(keep));
        ask(draft, "www", "A", Some("20.1.2.0/24"))
    };
    insta::assert_snapshot!(text(&spilling(0.8)));
    let gone = spilling(0.001);
    let web = &gone.steps[0].steering.as_ref().unwrap().attempts[0].pool;
    assert!(
        web.members[0].reason.contains("loaded above its capacity target: spills"),
        "{}",
        web.members[0].reason
    );
    let json = serde_json::to_value(&gone).unwrap();
    let member = &json["steps"][0]["steering"]["attempts"][0]["pool"]["members"][0];
    assert!(
        member["keeps-percent"].is_number() && member["keeps-here-percent"].is_number(),
        "{member}"
    );
}

#[test]
fn a_pool_that_is_configured_to_shed_all_clients_says_so() {
    let mut draft = FixtureBuilder::new();
    draft.pool_named("web-fra").regulation.keep = Fraction::ZERO;
    let explanation = ask(draft, "www", "A", Some("20.1.2.0/24"));
    let web = &explanation.steps[0].steering.as_ref().unwrap().attempts[0].pool;
    assert_eq!(explanation.reply.answers[0].rdata, "192.0.2.21");
    assert!(
        web.members[0].reason.contains("sheds 100% of its clients"),
        "{}",
        web.members[0].reason
    );
    assert!(
        web.members[1].reason.contains("receives the clients that web-fra does not accept"),
        "{}",
        web.members[1].reason
    );
}

#[test]
fn a_private_subnet_that_a_rule_names_decides() {
    insta::assert_snapshot!(text(&ask(FixtureBuilder::new(), "geo", "A", Some("10.9.1.0/24"))));
}

#[test]
fn with_a_private_subnet_that_no_rule_names_the_resolver_decides() {
    insta::assert_snapshot!(text(&ask(FixtureBuilder::new(), "www", "A", Some("10.0.0.0/24"))));
}

#[test]
fn a_drain_is_shown_with_its_reason_and_end() {
    let mut draft = FixtureBuilder::new();
    draft.datacenters[0].state = ServingState::Draining;
    draft.datacenters[0].reason = Some("kernel upgrade".into());
    draft.datacenters[0].until = Some(1_796_104_800);
    insta::assert_snapshot!(text(&ask(draft, "api", "A", None)));
}

#[test]
fn with_everything_down_the_answer_is_shown_as_a_last_resort() {
    let mut draft = FixtureBuilder::new();
    for address in ["192.0.2.11", "192.0.2.12", "192.0.2.21", "2001:db8::11", "2001:db8::21"] {
        draft.set_health(address, DOWN);
    }
    insta::assert_snapshot!(text(&ask(draft, "www", "A", Some("20.1.2.0/24"))));
}

#[test]
fn nodata_for_one_family_names_the_family_that_is_served() {
    let mut draft = FixtureBuilder::new();
    for address in ["2001:db8::11", "2001:db8::21"] {
        draft.set_health(address, DOWN);
    }
    let explanation = ask(draft, "www", "AAAA", Some("20.1.2.0/24"));
    assert_eq!(explanation.because, "NODATA for AAAA: no usable IPv6 member, IPv4 has some");
    let attempts = &explanation.steps[0].steering.as_ref().unwrap().attempts;
    assert!(attempts.len() == 1 && attempts[0].serves_other_family, "{attempts:?}");
}

#[test]
fn a_family_that_no_member_for_the_client_has_is_not_called_unusable() {
    let mut draft = FixtureBuilder::new();
    let EndpointTarget::Addresses(iad_addresses) = &mut draft.endpoints[2].target else {
        unreachable!("iad has addresses")
    };
    iad_addresses.retain(|address| address.is_ipv4());
    let rule = |country: &str, member| GeoRule {
        countries: vec![country.into()],
        members: vec![member],
        ..GeoRule::default()
    };
    draft.pool_named("by-country").policy =
        Policy::Geo { rules: vec![rule("DE", 0), rule("JP", 1)], default: Vec::new() };
    let explanation = ask(draft, "geo", "AAAA", Some("40.1.2.0/24"));
    assert_eq!(
        explanation.because,
        "NODATA for AAAA: no member for this client has an IPv6 address"
    );
}

#[test]
fn nodata_of_a_published_type_has_at_most_the_ttl_of_an_answer() {
    let soa_ttl = |name: &str| {
        let mut draft = FixtureBuilder::new();
        draft.set_health("2001:db8::11", DOWN);
        draft.set_health("2001:db8::21", DOWN);
        ask(draft, name, "AAAA", None).reply.authorities[0].ttl
    };
    assert_eq!(soa_ttl("www"), 30, "AAAA may be back as soon as an address is up");
    assert_eq!(soa_ttl("sticky"), 60, "no member has IPv6: the zone's negative TTL");
}

#[test]
fn members_that_are_forced_down_are_not_called_draining() {
    let mut draft = FixtureBuilder::new();
    draft.endpoints[..3]
        .iter_mut()
        .for_each(|endpoint| endpoint.force = Some(HealthOverride::Down));
    let because = ask(draft, "www", "A", Some("20.1.2.0/24")).because;
    assert!(
        because.starts_with("nothing but members that are forced down is left: they are answered"),
        "{because}"
    );
    let mut draft = FixtureBuilder::new();
    draft.endpoints[0].force = Some(HealthOverride::Down);
    draft.datacenters[0].state = ServingState::Draining;
    let explanation = ask(draft, "www", "A", Some("20.1.2.0/24"));
    let web = &explanation.steps[0].steering.as_ref().unwrap().attempts[0].pool;
    let fra =
        web.members.iter().find(|member| member.name == "web-fra").unwrap().pool.as_ref().unwrap();
    assert_eq!(
        fra.members[0].reason.split(" (").next(),
        Some("forced down by the operator"),
        "{:?}",
        fra.members
    );
}

#[test]
fn a_rule_that_ends_the_search_is_named() {
    let mut draft = FixtureBuilder::new();
    if let Policy::Geo { rules, .. } = &mut draft.pool_named("by-country").policy {
        rules[0].members.clear();
    }
    let explanation = ask(draft, "geo", "A", Some("40.1.2.0/24"));
    let wanted = "NODATA by pool by-country: the search ends at the rule for country JP, which has members = []";
    assert_eq!(explanation.because, wanted);
}

#[test]
fn a_strict_rule_whose_members_are_down_is_named_as_the_end_of_the_search() {
    let mut draft = FixtureBuilder::new();
    if let Policy::Geo { rules, .. } = &mut draft.pool_named("by-country").policy {
        rules[0].strict = true;
    }
    draft.services.iter_mut().for_each(|service| service.on_all_down = OnAllDown::Empty);
    for address in ["192.0.2.11", "192.0.2.12", "192.0.2.21", "2001:db8::11", "2001:db8::21"] {
        draft.set_health(address, DOWN);
    }
    let explanation = ask(draft, "geo", "A", Some("40.1.2.0/24"));
    assert_eq!(
        explanation.because,
        "nothing is usable: the search ends at the rule for country JP, which has strict = true, \
         and on-all-down answers nothing"
    );
    let text = text(&explanation);
    assert!(text.contains("the search ends at the rule for country JP"), "{text}");
}

#[test]
fn everything_down_with_on_all_down_empty_is_nodata() {
    let mut draft = FixtureBuilder::new();
    draft.services.iter_mut().for_each(|service| service.on_all_down = OnAllDown::Empty);
    for address in ["192.0.2.31", "192.0.2.32", "192.0.2.33"] {
        draft.set_health(address, DOWN);
    }
    insta::assert_snapshot!(text(&ask(draft, "api", "A", None)));
}

#[test]
fn an_alias_is_followed_to_the_service_behind_it() {
    insta::assert_snapshot!(text(&ask(
        FixtureBuilder::new(),
        "alias",
        "AAAA",
        Some("20.1.2.0/24")
    )));
}

#[test]
fn a_service_that_answers_an_alias_of_another_is_followed_too() {
    let explanation = ask(FixtureBuilder::new(), "moved", "A", None);
    let kinds: Vec<&str> = explanation.steps.iter().map(|step| step.kind.as_str()).collect();
    assert_eq!(kinds, ["service", "service"]);
    assert!(explanation.steps.iter().all(|step| step.steering.is_some()));
}

#[test]
fn a_ttl_that_is_lowered_names_the_verdict_that_may_flip() {
    let mut draft = FixtureBuilder::new();
    draft.set_health(
        "192.0.2.31",
        HealthStatus { verdict: Verdict::Up, flips_in_secs: Some(6), ..HealthStatus::default() },
    );
    let explanation = ask(draft, "api", "A", None);
    assert_eq!(explanation.reply.answers[0].ttl, 6);
    let ttl = &explanation.steps[0].steering.as_ref().unwrap().ttl;
    assert_eq!((ttl.secs, ttl.configured_secs), (6, 30));
    assert_eq!(ttl.lowered_because.as_deref(), Some("192.0.2.31 is up and may be down in 6 s"));
}

#[test]
fn a_pool_below_its_min_up_says_so() {
    let mut draft = FixtureBuilder::new();
    draft.pool_named("web-fra").min_up = MinUp::Share(0.5);
    draft.set_health("192.0.2.11", DOWN);
    draft.set_health("2001:db8::11", DOWN);
    let explanation = ask(draft, "www", "A", Some("20.1.2.0/24"));
    let fra = &explanation.steps[0].steering.as_ref().unwrap().attempts[0].pool.members[0];
    assert_eq!(
        (fra.name.as_str(), fra.reason.as_str()),
        ("web-fra", "below its min-up of 50% (423 km)")
    );
}

#[test]
fn a_member_with_one_family_down_says_so_if_the_pool_couples_families() {
    let mut draft = FixtureBuilder::new();
    draft.pool_named("web").families = FamilyCoupling::Coupled;
    draft.set_health("2001:db8::11", DOWN);
    let explanation = ask(draft, "www", "A", Some("20.1.2.0/24"));
    let members = &explanation.steps[0].steering.as_ref().unwrap().attempts[0].pool.members;
    let reason = "its IPv6 is down, and the pool keeps families together (423 km)";
    assert_eq!((members[0].name.as_str(), members[0].reason.as_str()), ("web-fra", reason));
    assert!(members[1].is_answered, "{members:?}");
    let mut draft = FixtureBuilder::new();
    draft.pool_named("web").families = FamilyCoupling::Coupled;
    draft.set_health("2001:db8::11", DOWN);
    draft.set_health("2001:db8::21", DOWN);
    let explanation = ask(draft, "www", "A", Some("20.1.2.0/24"));
    let reason =
        &explanation.steps[0].steering.as_ref().unwrap().attempts[0].pool.members[0].reason;
    assert!(
        reason.ends_with("; its IPv6 is down, and no member has all of its families"),
        "{reason}"
    );
}

#[test]
fn clients_that_returned_after_failback_are_shown_with_those_that_have_not() {
    let text = failover(|draft, pool| {
        draft.adjustments.failbacks.insert(
            pool,
            FailbackProgress { from: 1, to: 0, fraction: Fraction::from_share(0.25) },
        );
    });
    let returned = "25.0 %  first in order; clients of api.gslb.example.com return after failback: receives 25% of its normal traffic";
    assert!(text.contains(returned), "{text}");
    assert!(text.contains("75.0 %  receives the clients that api-1 does not accept"), "{text}");
}

#[test]
fn a_type_that_no_member_has_an_address_for_is_nodata_regardless_of_health() {
    let explanation = ask(FixtureBuilder::new(), "api", "AAAA", None);
    assert_eq!(
        explanation.because,
        "no member has an IPv6 address: no AAAA records, whatever the health"
    );
}

#[test]
fn every_kind_of_name_is_distinguished() {
    for (name, rtype, kind) in [
        ("plain", "A", "static"),
        ("plain", "TXT", "static"),
        ("x.wild", "A", "wildcard"),
        ("wild", "A", "empty"),
        ("host.sub", "A", "delegation"),
        ("nope", "A", "missing"),
        ("www", "MX", "service"),
        ("alias", "CNAME", "alias"),
    ] {
        assert_eq!(
            ask(FixtureBuilder::new(), name, rtype, None).steps[0].kind,
            kind,
            "{name} {rtype}"
        );
    }
    let away = ask(FixtureBuilder::new(), "away", "A", None);
    assert_eq!(away.steps[1].kind, "elsewhere");
}

#[test]
fn a_name_in_no_zone_is_refused() {
    let request = ExplainRequest {
        name: "www.example.org".parse().unwrap(),
        rtype: Rtype::A,
        client: "20.1.2.3".parse().unwrap(),
        subnet: None,
        seed: 1,
    };
    let refused = explain(&FixtureBuilder::new().build().context(), &request).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "www.example.org is in none of the 1 zones served here (gslb.example.com)"
    );
}

#[test]
fn json_preserves_every_field() {
    for subnet in ["20.1.2.0/24", "40.1.2.0/24", "2a00:1::/56"] {
        for name in ["www", "geo", "sticky", "alias", "plain", "nope"] {
            let explanation = ask(FixtureBuilder::new(), name, "A", Some(subnet));
            let json = serde_json::to_string(&explanation).unwrap();
            assert_eq!(
                serde_json::from_str::<Explanation>(&json).unwrap(),
                explanation,
                "{name} {subnet}"
            );
        }
    }
}

#[test]
fn colours_do_not_change_the_text() {
    let explanation = ask(FixtureBuilder::new(), "www", "A", Some("20.1.2.0/24"));
    let mut plain = String::new();
    let mut is_escape = false;
    for c in render_text(&explanation, true).chars() {
        match c {
            '\x1b' => is_escape = true,
            'm' if is_escape => is_escape = false,
            _ if is_escape => {}
            c => plain.push(c),
        }
    }
    assert_eq!(plain, text(&explanation));
}
