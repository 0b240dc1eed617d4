//! Overrides: the effective topology, its answers, and what it shares with the configured one.

use std::time::Duration;

use super::*;

const NOW: i64 = 1_800_000_000;

/// `fra` is active and `iad` disabled until later; `web` has a member in each, and is a member of
/// `top` beside one of its own.
fn configured() -> (TopologyBuilder, PoolId) {
    let mut draft = TopologyBuilder::default();
    let fra = draft.datacenter("fra", ServingState::Active);
    let iad = draft.datacenter("iad", ServingState::Disabled);
    draft.datacenters[iad.index()].until = Some(NOW + 1000);
    draft.datacenters.iter_mut().for_each(|datacenter| datacenter.region = Some("world".into()));
    let members = [draft.endpoint("192.0.2.1", Some(fra)), draft.endpoint("192.0.2.2", Some(iad))];
    let web = draft.pool(Policy::Weighted, &members.map(|kind| (kind, 1)));
    draft.pools[web.index()].name = "web".into();
    let own = draft.endpoint("192.0.2.3", None);
    let top = draft.pool(Policy::Weighted, &[(MemberKind::Pool(web), 1), (own, 1)]);
    draft.pools[top.index()].name = "top".into();
    (draft, top)
}

fn topology() -> Arc<Topology> {
    let (draft, top) = configured();
    draft.top(top).topology
}

fn subject(text: &str) -> OverrideSubject {
    let last = || OverrideSubject::candidates(text).pop();
    OverrideSubject::find(text, &topology()).or_else(last).unwrap()
}

fn one(text: &str, value: OverrideValue) -> Override {
    Override {
        subject: subject(text),
        value,
        author: "anna".into(),
        peer: None,
        reason: None,
        set_at: NOW,
        starts: None,
        ends: None,
        over: None,
        hold: None,
        accepted: Vec::new(),
    }
}

fn state(text: &str, state: ServingState) -> Override {
    one(text, OverrideValue::State(state))
}

/// The states of `fra`, `iad` and the three endpoints.
fn states(topology: &Topology, now: i64) -> String {
    let datacenters = topology.datacenters.iter().map(|datacenter| datacenter.state_at(now));
    let endpoints = topology.endpoints.iter().map(|endpoint| endpoint.state);
    datacenters.chain(endpoints).map(ServingState::as_str).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_most_specific_override_wins_and_a_group_spares_what_the_file_disables() {
    use ServingState::{Active, Disabled, Draining, Standby};
    for (overrides, expected, why) in [
        (vec![], "active disabled active active active", "as configured"),
        (vec![state("fra", Draining)], "draining disabled active active active", "one"),
        (vec![state("world", Draining)], "draining disabled active active active", "a region"),
        (vec![state("iad", Draining)], "active draining active active active", "by its name"),
        (vec![state("iad", Active)], "active active active active active", "over the file"),
        (
            vec![state("world", Disabled), state("fra", Standby)],
            "standby disabled active active active",
            "a datacenter before its region",
        ),
        (
            vec![state("top", Draining), state("web", Standby), state("web/192.0.2.1", Active)],
            "active disabled active standby draining",
            "a member before its pool, and a pool before the one above it",
        ),
        (
            vec![state("service:www.example.com/x", Draining)],
            "active disabled active active active",
            "a name that nothing has",
        ),
    ] {
        let set: OverrideSet = overrides.into_iter().collect();
        let effective = apply_overrides(&topology(), &set, NOW);
        assert_eq!(states(&effective, NOW), expected, "{why}");
    }
}

#[test]
fn an_override_ends_into_what_the_file_says_even_before_the_timer_runs() {
    let until = |ends: i64| Override { ends: Some(ends), ..state("iad", ServingState::Active) };
    for (ends, after, why) in
        [(NOW + 10, "disabled", "the file disables it"), (NOW + 2000, "active", "until passed")]
    {
        let set: OverrideSet = [until(ends)].into_iter().collect();
        let effective = apply_overrides(&topology(), &set, NOW);
        let iad = &effective.datacenters[1];
        assert_eq!(
            [ends - 1, ends].map(|now| iad.state_at(now).as_str()),
            ["active", after],
            "{why}"
        );
        assert_eq!(
            states(&apply_overrides(&topology(), &set, ends), ends),
            states(&topology(), ends)
        );
    }
}

#[test]
fn overrides_start_and_end_at_their_times() {
    let drain = Override {
        starts: Some(NOW + 10),
        ends: Some(NOW + 20),
        ..state("fra", ServingState::Draining)
    };
    let mut set: OverrideSet = [drain].into_iter().collect();
    let at = |set: &OverrideSet, now: i64| {
        apply_overrides(&topology(), set, now).datacenters[0].state.as_str()
    };
    assert_eq!(
        [9, 10, 19, 20].map(|secs| at(&set, NOW + secs)),
        ["active", "draining", "draining", "active"]
    );
    assert_eq!(
        [0, 10, 20].map(|secs| set.next_change(NOW + secs)),
        [Some(NOW + 10), Some(NOW + 20), None]
    );
    for (now, before, differs) in [
        (10, 9, true),
        (19, 10, false),
        (20, 19, true),
        (9, 10, true), // the clock was set back
        (30, 0, false),
    ] {
        assert_eq!(set.differs_at(NOW + now, NOW + before), differs, "{now} after {before}");
    }
    assert!(set.remove_ended(NOW + 19).is_empty());
    assert_eq!((set.remove_ended(NOW + 20).len(), set.len()), (1, 0));
}

#[test]
fn what_no_override_concerns_is_shared_and_keeps_its_number() {
    let configured = topology();
    let set: OverrideSet = [state("web/192.0.2.1", ServingState::Draining)].into_iter().collect();
    let effective = apply_overrides(&configured, &set, NOW);
    let shared: Vec<bool> = std::iter::zip(&configured.endpoints, &effective.endpoints)
        .map(|(old, new)| Arc::ptr_eq(old, new))
        .collect();
    assert_eq!(shared, [false, true, true]);
    assert!(
        std::iter::zip(&configured.pools, &effective.pools).all(|(old, new)| Arc::ptr_eq(old, new))
    );
    assert!(Arc::ptr_eq(&configured.endpoint_probes, &effective.endpoint_probes));
    let none = apply_overrides(&configured, &OverrideSet::default(), NOW);
    assert!(Arc::ptr_eq(&configured, &none), "without overrides nothing is copied");
}

#[test]
fn answers_follow_states_forced_health_and_weights() {
    use OverrideValue::{Force, Weight};
    for (overrides, expected) in [
        (vec![], "192.0.2.1: 50, 192.0.2.3: 50"),
        (vec![state("web/192.0.2.1", ServingState::Draining)], "192.0.2.3: 100"),
        (vec![one("web/192.0.2.1", Force(HealthOverride::Down))], "192.0.2.3: 100"),
        (vec![one("fra", Force(HealthOverride::Down))], "192.0.2.3: 100"),
        (vec![one("top/web", Weight(3))], "192.0.2.1: 75, 192.0.2.3: 25"),
        (vec![one("top/192.0.2.3", Weight(0))], "192.0.2.1: 100"),
        (
            vec![state("iad", ServingState::Active), one("web/192.0.2.2", Weight(3))],
            "192.0.2.1: 13, 192.0.2.2: 38, 192.0.2.3: 50",
        ),
    ] {
        let (draft, top) = configured();
        let mut bench = draft.top(top);
        let shown = format!("{overrides:?}");
        let effective = apply_overrides(&bench.topology, &overrides.into_iter().collect(), NOW);
        let conditions = bench.conditions.carried_over(&bench.topology, &effective, NOW);
        bench.compiler =
            bench.compiler.next(Arc::clone(&effective), &Databases::default(), &mut bench.surveys);
        (bench.topology, bench.conditions) = (effective, conditions);
        bench.follow();
        let shares = bench.shares(20_000);
        let shares: Vec<String> =
            shares.iter().map(|(address, share)| format!("{address}: {share:.0}")).collect();
        // Shares within 1 %: 12 or 13, 37 or 38.
        let shares = shares.join(", ").replace(": 12", ": 13").replace(": 37", ": 38");
        let near = |text: &str| text.replace("49", "50").replace("51", "50").replace("74", "75");
        let shares =
            near(&shares).replace("76", "75").replace(": 24", ": 25").replace(": 26", ": 25");
        assert_eq!(shares, expected, "{shown}");
    }
}

/// The fraction of its clients that the first endpoint receives, under these overrides at a second.
fn fraction(feedback: &mut Feedback, overrides: Vec<Override>, second: u32) -> f64 {
    let (draft, top) = configured();
    let bench = draft.top(top);
    let effective = apply_overrides(&bench.topology, &overrides.into_iter().collect(), NOW);
    let mut conditions = Conditions::unprobed(&effective, NOW);
    let mut surveys = Surveys::default();
    let compiler = Compiler::new(Arc::clone(&effective), &Databases::default(), &mut surveys);
    conditions.adjustments = feedback.apply_topology(&effective);
    feedback.update(&compiler, &mut conditions, true, Duration::from_secs(second.into()));
    let known = conditions.adjustments.endpoint_fractions.get(&EndpointId(0)).copied();
    let is_drained = effective.endpoints[0].state == ServingState::Draining;
    known.unwrap_or(if is_drained { Fraction::ZERO } else { Fraction::FULL }).share()
}

#[test]
fn the_clients_of_a_member_leave_and_return_over_the_time_of_the_override() {
    let over = Some(Duration::from_secs(100));
    let member = "web/192.0.2.1";
    let drain = || Override { over, ..state(member, ServingState::Draining) };
    let mut feedback = Feedback::default();
    let mut at = |overrides: Vec<Override>, second| fraction(&mut feedback, overrides, second);
    assert_eq!(at(vec![], 0), 1.0);
    assert_eq!(at(vec![drain()], 10), 1.0);
    assert!((at(vec![drain()], 60) - 0.5).abs() < 0.01);
    let paused = || Override { hold: Some(Fraction::from_share(0.5)), ..drain() };
    assert!((at(vec![paused()], 90) - 0.5).abs() < 0.01, "it is held");
    assert_eq!(at(vec![drain()], 300), 0.5, "it continues");
    assert_eq!(at(vec![drain()], 400), 0.0);
    let back = || Override { over, ..one(member, OverrideValue::Return) };
    assert!(at(vec![back()], 500) < 0.01);
    assert!((at(vec![back()], 525) - 0.25).abs() < 0.01);
    assert_eq!(at(vec![], 700), 1.0);
    // A drain at once, and a gradual return.
    assert_eq!(at(vec![state(member, ServingState::Draining)], 800), 0.0);
    assert!(at(vec![back()], 900) < 0.01, "a member without ramp times returns gradually too");
    assert!((at(vec![back()], 950) - 0.5).abs() < 0.01);
}
