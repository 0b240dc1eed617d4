use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::health::{Failure, Monitor, tracker::tests::monitor};

/// A ledger of numbered targets, each probed once per interval of 5 s. Only the test moves the
/// clock.
struct LedgerSimulation {
    ledger: Ledger<usize>,
    targets: usize,
    now: Duration,
}

fn outcome(passed: bool) -> Outcome {
    let result = if passed { Ok(()) } else { Err(Failure::Refused) };
    Outcome::new(result, Duration::from_millis(1))
}

fn target(key: usize, monitor: &Arc<Monitor>, start: InitialVerdict<usize>) -> LedgerTarget<usize> {
    LedgerTarget { key, monitor: Arc::clone(monitor), start }
}

impl LedgerSimulation {
    fn new(targets: usize, rise: u8, fall: u8, has_canaries: bool) -> Self {
        let mut ledger = Ledger::new(has_canaries);
        let monitor = Arc::new(monitor(rise, fall));
        ledger.set_targets(
            (0..targets).map(|key| target(key, &monitor, InitialVerdict::Unknown)),
            Duration::ZERO,
        );
        Self { ledger, targets, now: Duration::ZERO }
    }

    /// Records one outcome of each target, evenly spread over one interval.
    fn probe_all(&mut self, answers: impl Fn(usize) -> bool) -> Vec<DoubtChange> {
        let step = Duration::from_secs(5) / self.targets as u32;
        let mut doubts = Vec::new();
        for key in 0..self.targets {
            self.now += step;
            doubts.extend(self.ledger.record(&key, outcome(answers(key)), self.now).doubt_change);
        }
        doubts
    }

    fn down(&self) -> usize {
        self.ledger.verdicts().filter(|(_, verdict, _)| *verdict == Verdict::Down).count()
    }
}

#[test]
fn losing_the_network_freezes_verdicts_and_its_return_changes_none() {
    let mut simulation = LedgerSimulation::new(10, 2, 3, false);
    simulation.probe_all(|_| true);
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.extend(simulation.probe_all(|_| false));
        assert_eq!(simulation.down(), 0);
    }
    assert_eq!(seen, [DoubtChange::Frozen]);
    assert_eq!(simulation.probe_all(|_| true), [DoubtChange::Thawed]);
    for _ in 0..5 {
        assert_eq!(simulation.probe_all(|_| true), []);
        assert_eq!(simulation.down(), 0);
    }
    assert_eq!(simulation.ledger.doubt(), Doubt::Trusting);
}

#[test]
fn targets_that_keep_failing_go_down_after_interval_times_fall() {
    let mut simulation = LedgerSimulation::new(10, 2, 3, false);
    simulation.probe_all(|_| true);
    let seen: Vec<_> = (0..6).flat_map(|_| simulation.probe_all(|_| false)).collect();
    assert_eq!(seen, [DoubtChange::Frozen, DoubtChange::Confirmed]);
    assert_eq!(simulation.down(), 10);
    assert_eq!(simulation.probe_all(|_| false), []);
    simulation.probe_all(|_| true);
    simulation.probe_all(|_| true);
    assert_eq!(simulation.down(), 0);
    assert_eq!(simulation.ledger.doubt(), Doubt::Trusting);
}

#[test]
fn with_canaries_targets_go_down_only_after_one_answers() {
    let mut simulation = LedgerSimulation::new(10, 2, 3, true);
    simulation.probe_all(|_| true);
    for _ in 0..20 {
        simulation.probe_all(|_| false);
        assert!(
            simulation
                .ledger
                .record_canary(&outcome(false), simulation.now)
                .verdict_changes
                .is_empty()
        );
    }
    assert_eq!(simulation.down(), 0);
    assert_eq!(
        simulation.ledger.health_status(&0, simulation.now).flips_in_secs,
        None,
        "TTLs must not be 1 s for hours"
    );
    let effect = simulation.ledger.record_canary(&outcome(true), simulation.now);
    assert_eq!(
        (effect.doubt_change, effect.verdict_changes.len()),
        (Some(DoubtChange::Confirmed), 10)
    );
    assert_eq!(simulation.down(), 10);
}

#[test]
fn with_fall_1_the_losses_before_the_freeze_are_reverted() {
    let mut simulation = LedgerSimulation::new(10, 1, 1, false);
    simulation.probe_all(|_| true);
    assert_eq!(simulation.probe_all(|_| false), [DoubtChange::Frozen]);
    assert_eq!(simulation.down(), 0);
    assert_eq!(simulation.probe_all(|_| true), [DoubtChange::Thawed]);
    assert_eq!(simulation.down(), 0);
}

#[test]
fn verdicts_of_a_previous_run_survive_a_start_without_network() {
    let mut simulation = LedgerSimulation::new(10, 2, 3, false);
    let saved = |&key: &usize| {
        Some(PreviousVerdict::SameCheck(if key == 0 { Verdict::Down } else { Verdict::Up }))
    };
    assert_eq!(simulation.ledger.restore(saved), 10);
    for _ in 0..2 {
        assert_eq!(simulation.probe_all(|_| false), []);
        assert_eq!(simulation.down(), 1, "a restored up takes `fall` failures");
    }
    assert_eq!(simulation.probe_all(|_| false), [DoubtChange::Frozen]);
    assert_eq!(simulation.down(), 1, "no target went down before the freeze");
    simulation.probe_all(|_| true);
    simulation.probe_all(|_| true);
    assert_eq!(simulation.down(), 0);
}

#[test]
fn a_restored_down_takes_rise_passes_unless_it_is_distrusted() {
    let mut simulation = LedgerSimulation::new(2, 2, 3, false);
    simulation.ledger.restore(|_| Some(PreviousVerdict::SameCheck(Verdict::Down)));
    assert!(simulation.ledger.is_restored_down(&0));
    simulation.ledger.distrust(&0);
    simulation.probe_all(|_| true);
    let verdict = |key| simulation.ledger.health_status(&key, simulation.now).verdict;
    assert_eq!([0, 1].map(verdict), [Verdict::Up, Verdict::Down]);
    simulation.probe_all(|_| true);
    assert_eq!(simulation.down(), 0);
}

#[test]
fn an_edited_check_keeps_the_verdict_until_its_first_outcome() {
    let mut simulation = LedgerSimulation::new(2, 2, 3, false);
    simulation.probe_all(|key| key == 0);
    let edited = Arc::new(monitor(2, 3));
    let inherited = |key| {
        target(key + 10, &edited, InitialVerdict::Inherited([Verdict::Up, Verdict::Down][key]))
    };
    simulation.ledger.set_targets([0, 1].map(inherited), simulation.now);
    let verdict = |simulation: &LedgerSimulation, key| {
        simulation.ledger.health_status(&key, simulation.now).verdict
    };
    assert_eq!([10, 11].map(|key| verdict(&simulation, key)), [Verdict::Up, Verdict::Down]);
    simulation.ledger.record(&10, outcome(false), simulation.now);
    simulation.ledger.record(&11, outcome(true), simulation.now);
    assert_eq!([10, 11].map(|key| verdict(&simulation, key)), [Verdict::Down, Verdict::Up]);
}

#[test]
fn a_change_of_times_or_name_keeps_the_counts() {
    let mut simulation = LedgerSimulation::new(1, 2, 3, false);
    simulation.probe_all(|_| true);
    simulation.probe_all(|_| false);
    simulation.probe_all(|_| false);
    simulation.ledger.set_targets(
        [target(7, &Arc::new(monitor(2, 3)), InitialVerdict::Continued(0))],
        simulation.now,
    );
    assert!(simulation.ledger.last_outcome(&7).is_some());
    let effect = simulation.ledger.record(&7, outcome(false), simulation.now);
    assert_eq!(effect.verdict_changes.len(), 1, "the third failure in a row");
}

#[test]
fn an_edit_of_a_monitor_during_a_freeze_does_not_end_it() {
    let mut simulation = LedgerSimulation::new(10, 2, 3, false);
    simulation.probe_all(|_| true);
    (0..3).for_each(|_| drop(simulation.probe_all(|_| false)));
    assert!(simulation.ledger.doubt().is_frozen());
    let edited = Arc::new(monitor(2, 3));
    simulation.ledger.set_targets(
        (0..10).map(|key| target(key + 10, &edited, InitialVerdict::Inherited(Verdict::Up))),
        simulation.now,
    );
    let effect = simulation.ledger.record(&10, outcome(false), simulation.now);
    assert_eq!((effect.doubt_change, simulation.down()), (None, 0));
    assert!(simulation.ledger.doubt().is_frozen());
}

#[test]
fn a_target_never_checked_is_pending_for_one_interval_and_timeout_at_most() {
    let mut simulation = LedgerSimulation::new(2, 2, 3, false);
    let secs = Duration::from_secs;
    assert_eq!(simulation.ledger.next_pending_end(), Some(secs(7)));
    let status = simulation.ledger.health_status(&0, secs(3));
    assert!(status.is_pending);
    assert_eq!(status.flips_in_secs, Some(4), "no answer is cached beyond the wait");
    simulation.ledger.record(&0, outcome(true), secs(4));
    assert!(!simulation.ledger.health_status(&0, secs(4)).is_pending);
    assert!(simulation.ledger.end_pending(secs(6)).is_empty());
    assert_eq!(simulation.ledger.end_pending(secs(7)), [1], "without an outcome it counts as up");
    assert!(!simulation.ledger.health_status(&1, secs(7)).is_pending);
    simulation.ledger.set_targets(
        [0, 1].map(|key| target(key, &Arc::new(monitor(2, 3)), InitialVerdict::Unknown)),
        secs(9),
    );
    assert_eq!(simulation.ledger.next_pending_end(), None, "a reload starts no other wait");
}

#[test]
fn only_verdicts_of_present_targets_are_restored() {
    let mut simulation = LedgerSimulation::new(3, 2, 3, false);
    let saved = |&key: &usize| (key < 2).then_some(PreviousVerdict::SameCheck(Verdict::Down));
    assert_eq!(simulation.ledger.restore(saved), 2);
    simulation.ledger.set_targets(
        (0..2).map(|key| target(key, &Arc::new(monitor(2, 3)), InitialVerdict::Unknown)),
        simulation.now,
    );
    assert_eq!(simulation.down(), 2);
}

#[test]
fn half_of_the_targets_or_two_of_three_raise_no_doubt() {
    for (targets, failing) in [(10, 5), (3, 2), (2, 2), (1, 1)] {
        let mut simulation = LedgerSimulation::new(targets, 2, 3, false);
        simulation.probe_all(|_| true);
        for _ in 0..3 {
            assert_eq!(simulation.probe_all(|key| key >= failing), [], "{failing} of {targets}");
        }
        assert_eq!(simulation.down(), failing, "{failing} of {targets}");
    }
    let mut simulation = LedgerSimulation::new(3, 2, 3, false);
    simulation.probe_all(|_| true);
    for _ in 0..4 {
        simulation.probe_all(|_| false);
    }
    assert_eq!(simulation.down(), 0, "three of three raise a doubt");
}

#[test]
fn a_target_that_still_fails_after_a_thaw_goes_down_with_the_next_failure() {
    let mut simulation = LedgerSimulation::new(10, 2, 3, false);
    simulation.probe_all(|_| true);
    for _ in 0..4 {
        simulation.probe_all(|_| false);
    }
    assert_eq!(simulation.probe_all(|key| key != 9), [DoubtChange::Thawed]);
    assert!(simulation.down() <= 1);
    simulation.probe_all(|key| key != 9);
    assert_eq!(simulation.ledger.health_status(&9, simulation.now).verdict, Verdict::Down);
    assert_eq!(simulation.down(), 1);
}

#[test]
fn first_outcomes_that_fail_raise_no_doubt() {
    let mut simulation = LedgerSimulation::new(10, 2, 3, false);
    assert_eq!(simulation.probe_all(|_| false), []);
    assert_eq!(simulation.down(), 10);
}

#[test]
fn a_new_set_keeps_the_trackers_of_known_targets() {
    let mut simulation = LedgerSimulation::new(4, 2, 3, false);
    simulation.probe_all(|key| key != 0);
    let shared = Arc::new(monitor(2, 3));
    simulation.ledger.set_targets(
        [0, 1, 7].map(|key| target(key, &shared, InitialVerdict::Unknown)),
        simulation.now,
    );
    let verdict = |key| simulation.ledger.health_status(&key, simulation.now).verdict;
    assert_eq!(
        [0, 1, 2, 7].map(verdict),
        [Verdict::Down, Verdict::Up, Verdict::Unknown, Verdict::Unknown]
    );
}

#[test]
fn a_health_status_says_when_the_verdict_could_change() {
    let mut simulation = LedgerSimulation::new(10, 2, 3, false);
    simulation.probe_all(|_| true);
    assert_eq!(simulation.ledger.health_status(&0, simulation.now).flips_in_secs, None);
    let effect = simulation.ledger.record(&0, outcome(false), simulation.now);
    assert!(effect.has_flip_time_changed);
    assert_eq!(simulation.ledger.health_status(&0, simulation.now).flips_in_secs, Some(8));
    simulation.ledger.record(&0, outcome(false), simulation.now);
    assert_eq!(simulation.ledger.health_status(&0, simulation.now).flips_in_secs, Some(4));
}

proptest! {
    /// For any outcomes, the census equals that of a count of all trackers, and no verdict changes
    /// during a freeze except from unknown.
    #[test]
    fn the_census_is_exact_and_a_freeze_holds(
        fall in 1u8..4, rise in 1u8..4, targets in 1usize..12,
        rounds in proptest::collection::vec(any::<u16>(), 1..60)
    ) {
        let mut simulation = LedgerSimulation::new(targets, rise, fall, false);
        for bits in rounds {
            for key in 0..targets {
                simulation.now += Duration::from_millis(400);
                let was_frozen = simulation.ledger.doubt().is_frozen();
                let effect = simulation.ledger.record(&key, outcome(bits >> key & 1 == 1), simulation.now);
                let census = simulation.ledger.census;
                simulation.ledger.recount();
                prop_assert_eq!(census, simulation.ledger.census);
                if was_frozen && simulation.ledger.doubt().is_frozen() {
                    prop_assert!(effect.verdict_changes.iter().all(|change| change.from == Verdict::Unknown));
                }
            }
        }
    }
}
