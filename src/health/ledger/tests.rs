use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::health::{Failure, Monitor, tracker::tests::monitor};

/// A ledger over numbered targets, each probed once per interval of 5 s, under a clock that only
/// the test moves.
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

    /// One round: each target has one outcome, evenly spread over the interval.
    fn round(&mut self, answers: impl Fn(usize) -> bool) -> Vec<DoubtChange> {
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
fn losing_the_network_freezes_and_its_return_changes_nothing() {
    let mut world = LedgerSimulation::new(10, 2, 3, false);
    world.round(|_| true);
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.extend(world.round(|_| false));
        assert_eq!(world.down(), 0);
    }
    assert_eq!(seen, [DoubtChange::Frozen]);
    assert_eq!(world.round(|_| true), [DoubtChange::Thawed]);
    for _ in 0..5 {
        assert_eq!(world.round(|_| true), []);
        assert_eq!(world.down(), 0);
    }
    assert_eq!(world.ledger.doubt(), Doubt::Trusting);
}

#[test]
fn a_world_that_stays_down_is_believed_after_interval_times_fall_more() {
    let mut world = LedgerSimulation::new(10, 2, 3, false);
    world.round(|_| true);
    let seen: Vec<_> = (0..6).flat_map(|_| world.round(|_| false)).collect();
    assert_eq!(seen, [DoubtChange::Frozen, DoubtChange::Confirmed]);
    assert_eq!(world.down(), 10);
    assert_eq!(world.round(|_| false), []);
    world.round(|_| true);
    world.round(|_| true);
    assert_eq!(world.down(), 0);
    assert_eq!(world.ledger.doubt(), Doubt::Trusting);
}

#[test]
fn with_canaries_the_downs_wait_for_one_to_answer() {
    let mut world = LedgerSimulation::new(10, 2, 3, true);
    world.round(|_| true);
    for _ in 0..20 {
        world.round(|_| false);
        assert!(world.ledger.record_canary(&outcome(false), world.now).verdict_changes.is_empty());
    }
    assert_eq!(world.down(), 0);
    assert_eq!(
        world.ledger.health_status(&0, world.now).flips_in_secs,
        None,
        "no TTL of 1 s for hours"
    );
    let effect = world.ledger.record_canary(&outcome(true), world.now);
    assert_eq!(
        (effect.doubt_change, effect.verdict_changes.len()),
        (Some(DoubtChange::Confirmed), 10)
    );
    assert_eq!(world.down(), 10);
}

#[test]
fn with_fall_1_the_downs_before_the_doubt_are_taken_back() {
    let mut world = LedgerSimulation::new(10, 1, 1, false);
    world.round(|_| true);
    assert_eq!(world.round(|_| false), [DoubtChange::Frozen]);
    assert_eq!(world.down(), 0);
    assert_eq!(world.round(|_| true), [DoubtChange::Thawed]);
    assert_eq!(world.down(), 0);
}

#[test]
fn verdicts_of_a_previous_run_survive_a_start_without_network() {
    let mut world = LedgerSimulation::new(10, 2, 3, false);
    let saved = |&key: &usize| {
        Some(PreviousVerdict::SameCheck(if key == 0 { Verdict::Down } else { Verdict::Up }))
    };
    assert_eq!(world.ledger.restore(saved), 10);
    for _ in 0..2 {
        assert_eq!(world.round(|_| false), []);
        assert_eq!(world.down(), 1, "a restored up takes `fall` failures");
    }
    assert_eq!(world.round(|_| false), [DoubtChange::Frozen]);
    assert_eq!(world.down(), 1, "none was lost before the freeze");
    world.round(|_| true);
    world.round(|_| true);
    assert_eq!(world.down(), 0);
}

#[test]
fn a_restored_down_takes_rise_passes_unless_it_is_distrusted() {
    let mut world = LedgerSimulation::new(2, 2, 3, false);
    world.ledger.restore(|_| Some(PreviousVerdict::SameCheck(Verdict::Down)));
    assert!(world.ledger.is_restored_down(&0));
    world.ledger.distrust(&0);
    world.round(|_| true);
    let verdict = |key| world.ledger.health_status(&key, world.now).verdict;
    assert_eq!([0, 1].map(verdict), [Verdict::Up, Verdict::Down]);
    world.round(|_| true);
    assert_eq!(world.down(), 0);
}

#[test]
fn an_edited_check_keeps_the_verdict_until_its_first_outcome() {
    let mut world = LedgerSimulation::new(2, 2, 3, false);
    world.round(|key| key == 0);
    let edited = Arc::new(monitor(2, 3));
    let inherited = |key| {
        target(key + 10, &edited, InitialVerdict::Inherited([Verdict::Up, Verdict::Down][key]))
    };
    world.ledger.set_targets([0, 1].map(inherited), world.now);
    let verdict =
        |world: &LedgerSimulation, key| world.ledger.health_status(&key, world.now).verdict;
    assert_eq!([10, 11].map(|key| verdict(&world, key)), [Verdict::Up, Verdict::Down]);
    world.ledger.record(&10, outcome(false), world.now);
    world.ledger.record(&11, outcome(true), world.now);
    assert_eq!([10, 11].map(|key| verdict(&world, key)), [Verdict::Down, Verdict::Up]);
}

#[test]
fn a_change_of_times_or_name_keeps_the_counts() {
    let mut world = LedgerSimulation::new(1, 2, 3, false);
    world.round(|_| true);
    world.round(|_| false);
    world.round(|_| false);
    world.ledger.set_targets(
        [target(7, &Arc::new(monitor(2, 3)), InitialVerdict::Continued(0))],
        world.now,
    );
    assert!(world.ledger.last_outcome(&7).is_some());
    let effect = world.ledger.record(&7, outcome(false), world.now);
    assert_eq!(effect.verdict_changes.len(), 1, "the third failure in a row");
}

#[test]
fn an_edit_of_a_monitor_during_a_freeze_does_not_end_it() {
    let mut world = LedgerSimulation::new(10, 2, 3, false);
    world.round(|_| true);
    (0..3).for_each(|_| drop(world.round(|_| false)));
    assert!(world.ledger.doubt().is_frozen());
    let edited = Arc::new(monitor(2, 3));
    world.ledger.set_targets(
        (0..10).map(|key| target(key + 10, &edited, InitialVerdict::Inherited(Verdict::Up))),
        world.now,
    );
    let effect = world.ledger.record(&10, outcome(false), world.now);
    assert_eq!((effect.doubt_change, world.down()), (None, 0));
    assert!(world.ledger.doubt().is_frozen());
}

#[test]
fn a_target_never_judged_is_pending_for_one_interval_and_timeout_at_most() {
    let mut world = LedgerSimulation::new(2, 2, 3, false);
    let secs = Duration::from_secs;
    assert_eq!(world.ledger.next_pending_end(), Some(secs(7)));
    let standing = world.ledger.health_status(&0, secs(3));
    assert!(standing.is_pending);
    assert_eq!(standing.flips_in_secs, Some(4), "no answer outlives the wait");
    world.ledger.record(&0, outcome(true), secs(4));
    assert!(!world.ledger.health_status(&0, secs(4)).is_pending);
    assert!(world.ledger.end_pending(secs(6)).is_empty());
    assert_eq!(world.ledger.end_pending(secs(7)), [1], "no outcome came: it counts as up again");
    assert!(!world.ledger.health_status(&1, secs(7)).is_pending);
    world.ledger.set_targets(
        [0, 1].map(|key| target(key, &Arc::new(monitor(2, 3)), InitialVerdict::Unknown)),
        secs(9),
    );
    assert_eq!(world.ledger.next_pending_end(), None, "a reload does not begin another wait");
}

#[test]
fn a_previous_run_is_asked_only_of_what_is_probed() {
    let mut world = LedgerSimulation::new(3, 2, 3, false);
    let saved = |&key: &usize| (key < 2).then_some(PreviousVerdict::SameCheck(Verdict::Down));
    assert_eq!(world.ledger.restore(saved), 2);
    world.ledger.set_targets(
        (0..2).map(|key| target(key, &Arc::new(monitor(2, 3)), InitialVerdict::Unknown)),
        world.now,
    );
    assert_eq!(world.down(), 2);
}

#[test]
fn half_of_the_targets_or_two_of_three_raise_no_doubt() {
    for (targets, failing) in [(10, 5), (3, 2), (2, 2), (1, 1)] {
        let mut world = LedgerSimulation::new(targets, 2, 3, false);
        world.round(|_| true);
        for _ in 0..3 {
            assert_eq!(world.round(|key| key >= failing), [], "{failing} of {targets}");
        }
        assert_eq!(world.down(), failing, "{failing} of {targets}");
    }
    let mut world = LedgerSimulation::new(3, 2, 3, false);
    world.round(|_| true);
    for _ in 0..4 {
        world.round(|_| false);
    }
    assert_eq!(world.down(), 0, "three of three do");
}

#[test]
fn what_fails_on_after_a_thaw_goes_down_by_one_more_failure() {
    let mut world = LedgerSimulation::new(10, 2, 3, false);
    world.round(|_| true);
    for _ in 0..4 {
        world.round(|_| false);
    }
    assert_eq!(world.round(|key| key != 9), [DoubtChange::Thawed]);
    assert!(world.down() <= 1);
    world.round(|key| key != 9);
    assert_eq!(world.ledger.health_status(&9, world.now).verdict, Verdict::Down);
    assert_eq!(world.down(), 1);
}

#[test]
fn a_first_outcome_that_fails_is_believed_for_all() {
    let mut world = LedgerSimulation::new(10, 2, 3, false);
    assert_eq!(world.round(|_| false), []);
    assert_eq!(world.down(), 10);
}

#[test]
fn a_new_set_keeps_the_trackers_of_known_targets() {
    let mut world = LedgerSimulation::new(4, 2, 3, false);
    world.round(|key| key != 0);
    let shared = Arc::new(monitor(2, 3));
    world
        .ledger
        .set_targets([0, 1, 7].map(|key| target(key, &shared, InitialVerdict::Unknown)), world.now);
    let verdict = |key| world.ledger.health_status(&key, world.now).verdict;
    assert_eq!(
        [0, 1, 2, 7].map(verdict),
        [Verdict::Down, Verdict::Up, Verdict::Unknown, Verdict::Unknown]
    );
}

#[test]
fn a_standing_says_when_the_verdict_could_flip() {
    let mut world = LedgerSimulation::new(10, 2, 3, false);
    world.round(|_| true);
    assert_eq!(world.ledger.health_status(&0, world.now).flips_in_secs, None);
    let effect = world.ledger.record(&0, outcome(false), world.now);
    assert!(effect.has_flip_time_changed);
    assert_eq!(world.ledger.health_status(&0, world.now).flips_in_secs, Some(8));
    world.ledger.record(&0, outcome(false), world.now);
    assert_eq!(world.ledger.health_status(&0, world.now).flips_in_secs, Some(4));
}

proptest! {
    /// Whatever the targets do: the census that the ledger keeps is the one that a walk over all
    /// trackers finds, and while verdicts are frozen none changes for the worse.
    #[test]
    fn the_census_is_exact_and_a_freeze_is_one(
        fall in 1u8..4, rise in 1u8..4, targets in 1usize..12,
        rounds in proptest::collection::vec(any::<u16>(), 1..60)
    ) {
        let mut world = LedgerSimulation::new(targets, rise, fall, false);
        for bits in rounds {
            for key in 0..targets {
                world.now += Duration::from_millis(400);
                let was_frozen = world.ledger.doubt().is_frozen();
                let effect = world.ledger.record(&key, outcome(bits >> key & 1 == 1), world.now);
                let kept = world.ledger.census;
                world.ledger.recount();
                prop_assert_eq!(kept, world.ledger.census);
                if was_frozen && world.ledger.doubt().is_frozen() {
                    prop_assert!(effect.verdict_changes.iter().all(|turn| turn.from == Verdict::Unknown));
                }
            }
        }
    }
}
