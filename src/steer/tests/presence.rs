//! Presence: a drained datacenter is reported exactly if answers can name it.

use super::*;

/// The families in which presence finds a datacenter, and why.
fn found(bench: &ServiceBench, wanted: DatacenterId) -> Vec<(Family, AnswerCause)> {
    let presence = PresenceFinder::new(&bench.topology, &bench.conditions, |id| id == wanted);
    presence
        .answered_datacenters(&bench.chart)
        .iter()
        .map(|found| (found.family, found.cause))
        .collect()
}

/// Two datacenters behind one pool; `fra` has both families and `iad` the addresses given.
fn two_datacenters(iad: &str) -> (ServiceBench, DatacenterId, DatacenterId) {
    let mut draft = TopologyBuilder::default();
    let [first, second] = ["fra", "iad"].map(|name| draft.datacenter(name, ServingState::Active));
    let members =
        [draft.endpoint("192.0.2.1+2001:db8::1", Some(first)), draft.endpoint(iad, Some(second))]
            .map(|kind| (kind, 1));
    let pool = draft.pool(Policy::Weighted, &members);
    (draft.top(pool), first, second)
}

fn drain(bench: &mut ServiceBench, datacenter: DatacenterId, state: ServingState) {
    bench.conditions.datacenters[datacenter.index()] = state;
    bench.compile();
}

#[test]
fn a_datacenter_in_service_is_found_in_both_families() {
    let (bench, fra, _) = two_datacenters("192.0.2.2+2001:db8::2");
    assert_eq!(
        found(&bench, fra),
        [(Family::V4, AnswerCause::InService), (Family::V6, AnswerCause::InService)]
    );
}

#[test]
fn a_drained_datacenter_is_found_nowhere_while_another_is_usable() {
    let (mut bench, fra, _) = two_datacenters("192.0.2.2+2001:db8::2");
    drain(&mut bench, fra, ServingState::Draining);
    assert_eq!(found(&bench, fra), []);
}

#[test]
fn a_drained_datacenter_that_is_the_only_one_left_is_found_with_the_cause() {
    let (mut bench, fra, iad) = two_datacenters("192.0.2.2+2001:db8::2");
    drain(&mut bench, iad, ServingState::Disabled);
    drain(&mut bench, fra, ServingState::Draining);
    assert_eq!(
        found(&bench, fra),
        [(Family::V4, AnswerCause::OnlyDrainedLeft), (Family::V6, AnswerCause::OnlyDrainedLeft)]
    );
    assert_eq!(found(&bench, iad), [], "a drained member is preferred to a disabled one");
    let presence = PresenceFinder::new(&bench.topology, &bench.conditions, |id| id == fra);
    let answered = presence.answered_datacenters(&bench.chart)[0];
    let alternatives =
        count_alternatives(&bench.topology, &bench.conditions, ServiceId(0), &answered);
    assert_eq!(alternatives, AlternativeCounts { disabled: 1, ..AlternativeCounts::default() });
    drain(&mut bench, fra, ServingState::Disabled);
    assert_eq!(found(&bench, iad).first(), Some(&(Family::V4, AnswerCause::OnlyDisabledLeft)));
}

#[test]
fn a_draining_datacenter_is_found_until_its_ramp_leaves_it_no_slot() {
    let (mut bench, fra, _) = two_datacenters("192.0.2.2+2001:db8::2");
    bench.conditions.adjustments.datacenter_fractions.insert(fra, Fraction::from_share(0.25));
    drain(&mut bench, fra, ServingState::Draining);
    assert_eq!(
        found(&bench, fra),
        [(Family::V4, AnswerCause::Ramp(0.25)), (Family::V6, AnswerCause::Ramp(0.25))]
    );
    bench.conditions.adjustments.datacenter_fractions.insert(fra, Fraction::ZERO);
    drain(&mut bench, fra, ServingState::Draining);
    assert_eq!(found(&bench, fra), []);
}

#[test]
fn an_endpoint_of_a_region_is_answered_for_a_datacenter_in_service() {
    let mut draft = TopologyBuilder::default();
    let [first, second] = ["ber", "fra"].map(|name| draft.datacenter(name, ServingState::Active));
    let kind = draft.endpoint("192.0.2.1", Some(first));
    draft.endpoints[0].datacenters.push(second);
    let pool = draft.pool(Policy::Weighted, &[(kind, 1)]);
    let mut bench = draft.top(pool);
    assert_eq!(found(&bench, first).len(), 1);
    drain(&mut bench, first, ServingState::Draining);
    assert_eq!(
        (found(&bench, first).len(), found(&bench, second).len()),
        (0, 1),
        "counted for the datacenter in service"
    );
}

#[test]
fn queries_are_answered_by_exactly_the_datacenters_that_presence_finds() {
    let states = [
        ServingState::Active,
        ServingState::Standby,
        ServingState::Draining,
        ServingState::Disabled,
    ];
    for fra_state in states {
        for iad_state in states {
            let (mut bench, fra, iad) = two_datacenters("192.0.2.2");
            bench.conditions.datacenters = vec![fra_state, iad_state];
            bench.compile();
            let presence = PresenceFinder::new(&bench.topology, &bench.conditions, |_| true);
            let answered = presence.answered_datacenters(&bench.chart);
            for family in [Family::V4, Family::V6] {
                let mut drawn = std::collections::BTreeSet::new();
                for _ in 0..200 {
                    let route = bench.chart.route(family, None, &"203.0.113.1".parse().unwrap());
                    route.draw(&mut bench.draws, &mut |answer| drawn.extend(answer.datacenter));
                }
                let expected: std::collections::BTreeSet<_> = answered
                    .iter()
                    .filter(|found| found.family == family)
                    .map(|found| found.datacenter)
                    .collect();
                assert_eq!(
                    drawn, expected,
                    "{family:?} with fra {fra_state:?} ({fra:?}), iad {iad_state:?} ({iad:?})"
                );
            }
        }
    }
}
