//! The ledger: the trackers of all targets, and the doubt over all of them. One owner feeds it outcomes and publishes
//! the standings; nothing in it blocks, and each outcome costs the same however many targets there are (a freeze, a
//! thaw and a confirmation walk them once).

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    sync::Arc,
    time::Duration,
};

use super::{Doubt, Doubts, Monitor, Outcome, Standing, Tracker, Verdict, doubt::Census};

/// The trackers of all targets by key `K`: one (monitor, target).
#[derive(Debug)]
pub struct Ledger<K> {
    entries: HashMap<K, Entry>,
    census: Census,
    doubt: Doubt,
    has_canaries: bool,
    /// Changes to down that a doubt would take back, oldest first, each with the end of its interval.
    recent_downs: VecDeque<(Duration, K)>,
}

#[derive(Debug)]
struct Entry {
    monitor: Arc<Monitor>,
    tracker: Tracker,
    last: Option<(Outcome, Duration)>,
}

/// A verdict that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn<K> {
    /// Whose.
    pub key: K,
    /// Before.
    pub from: Verdict,
    /// Now.
    pub to: Verdict,
}

/// What one outcome changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect<K> {
    /// Verdicts that changed: usually none or one; many after a freeze, a thaw or a confirmation.
    pub turns: Vec<Turn<K>>,
    /// Whether the target's [`Standing`] changed without a change of verdict, so that TTLs want to follow.
    pub is_nearer_or_farther: bool,
    /// Whether the ledger began or ceased to doubt itself.
    pub doubts: Option<Doubts>,
}

impl<K> Default for Effect<K> {
    fn default() -> Self {
        Self { turns: Vec::new(), is_nearer_or_farther: false, doubts: None }
    }
}

impl<K: Clone + Eq + Hash> Ledger<K> {
    /// An empty ledger. With canaries, a doubt is not overcome before one of them answers.
    pub fn new(has_canaries: bool) -> Self {
        Self {
            entries: HashMap::new(),
            census: Census::default(),
            doubt: Doubt::default(),
            has_canaries,
            recent_downs: VecDeque::new(),
        }
    }

    /// Makes `targets` the targets. Those known keep their trackers; new ones are unknown.
    pub fn set(&mut self, targets: impl IntoIterator<Item = (K, Arc<Monitor>)>) {
        let mut old = std::mem::take(&mut self.entries);
        self.entries = targets
            .into_iter()
            .map(|(key, monitor)| {
                let entry = match old.remove(&key) {
                    Some(entry) => Entry { monitor, ..entry },
                    None => Entry { monitor, tracker: Tracker::default(), last: None },
                };
                (key, entry)
            })
            .collect();
        self.recent_downs.retain(|(_, key)| self.entries.contains_key(key));
        self.take_census();
    }

    /// Whether canaries are configured, from now on.
    pub fn set_has_canaries(&mut self, has_canaries: bool) {
        self.has_canaries = has_canaries;
    }

    /// Gives each target without outcomes the verdict that `saved` has of it from an earlier life, and says whether it had
    /// one of every target. It holds until the first outcome.
    pub fn restore(&mut self, saved: impl Fn(&K) -> Option<Verdict>) -> bool {
        let mut is_known = true;
        for (key, entry) in self.entries.iter_mut().filter(|(_, entry)| entry.last.is_none()) {
            match saved(key) {
                Some(verdict) => entry.tracker = Tracker::restored(verdict),
                None => is_known = false,
            }
        }
        self.take_census();
        is_known
    }

    /// Counts an outcome that came in at `now`. A key that is not (or no longer) in the ledger changes nothing.
    pub fn record(&mut self, key: &K, outcome: Outcome, now: Duration) -> Effect<K> {
        let mut effect = Effect::default();
        let before = self.standing(key, now);
        let Some(entry) = self.entries.get_mut(key) else { return effect };
        let was = mark(&entry.tracker);
        let passed = outcome.is_pass();
        let ripe = entry.tracker.count(passed, &entry.monitor);
        entry.last = Some((outcome, now));
        self.census.shift(was, mark(&entry.tracker));
        let is_first_pass = ripe == Some(Verdict::Up) && before.verdict == Verdict::Unknown;
        match self.doubt {
            // Unknown counts as up: to say so changes nothing that is frozen.
            Doubt::Suspecting { .. } if is_first_pass => self.turn(key, Verdict::Up, now, &mut effect),
            Doubt::Suspecting { .. } => self.reconsider(passed, now, &mut effect),
            Doubt::Trusting | Doubt::Convinced => {
                if let Some(verdict) = ripe {
                    self.turn_unless_suspect(key, verdict, now, &mut effect);
                }
            }
        }
        if self.doubt == Doubt::Convinced && !self.census.is_suspect(self.census.failing + self.census.down) {
            self.doubt = Doubt::Trusting;
        }
        effect.is_nearer_or_farther = effect.turns.is_empty() && before != self.standing(key, now);
        effect
    }

    /// Counts a canary's outcome. Only a pass while verdicts are frozen matters.
    pub fn record_canary(&mut self, outcome: &Outcome, now: Duration) -> Effect<K> {
        let mut effect = Effect::default();
        if let Doubt::Suspecting { canary_answered, .. } = &mut self.doubt {
            *canary_answered |= outcome.is_pass();
            self.reconsider(false, now, &mut effect);
        }
        effect
    }

    /// What steering needs to know of a target; unknown for one that is not in the ledger.
    pub fn standing(&self, key: &K, now: Duration) -> Standing {
        let Some(entry) = self.entries.get(key) else { return Standing::default() };
        let verdict = entry.tracker.verdict();
        let flips_in = match self.doubt {
            // Beyond the hold the flip waits for a canary, perhaps for hours: not a reason to ask clients back each second.
            Doubt::Suspecting { until, .. } if entry.tracker.is_failing() => {
                until.checked_sub(now).filter(|rest| !rest.is_zero())
            }
            Doubt::Suspecting { .. } => None,
            Doubt::Trusting | Doubt::Convinced => {
                let latency = entry.last.as_ref().map_or(Duration::ZERO, |(outcome, _)| outcome.latency);
                entry.tracker.flips_in(&entry.monitor, latency)
            }
        };
        Standing { verdict, flips_in_secs: flips_in.map(|time| whole_secs(time).max(1)) }
    }

    /// The latest outcome of a target and when it came in.
    pub fn last_outcome(&self, key: &K) -> Option<&(Outcome, Duration)> {
        self.entries.get(key)?.last.as_ref()
    }

    /// When a target's verdict was settled; `None` while it is unknown or of an earlier life.
    pub fn since(&self, key: &K) -> Option<Duration> {
        self.entries.get(key)?.tracker.since()
    }

    /// The ledger's belief in itself.
    pub fn doubt(&self) -> Doubt {
        self.doubt
    }

    /// All targets with their verdicts and since when, in no order: what is to be saved.
    pub fn verdicts(&self) -> impl Iterator<Item = (&K, Verdict, Option<Duration>)> {
        self.entries.iter().map(|(key, entry)| (key, entry.tracker.verdict(), entry.tracker.since()))
    }

    fn turn_unless_suspect(&mut self, key: &K, verdict: Verdict, now: Duration, effect: &mut Effect<K>) {
        let Some(entry) = self.entries.get(key) else { return };
        let is_loss = verdict == Verdict::Down && entry.tracker.verdict() == Verdict::Up;
        let window = entry.monitor.interval + entry.monitor.interval / 10;
        if is_loss && self.doubt == Doubt::Trusting {
            self.forget_old_downs(now);
            if self.census.is_suspect(self.census.failing + self.recent_downs.len()) {
                return self.freeze(now, effect);
            }
            self.recent_downs.push_back((now + window, key.clone()));
        }
        self.turn(key, verdict, now, effect);
    }

    fn freeze(&mut self, now: Duration, effect: &mut Effect<K>) {
        for (_, key) in std::mem::take(&mut self.recent_downs) {
            let entry = self.entries.get_mut(&key).filter(|entry| entry.tracker.verdict() == Verdict::Down);
            let Some(entry) = entry else { continue };
            entry.tracker.take_back(&entry.monitor, now);
            effect.turns.push(Turn { key, from: Verdict::Down, to: Verdict::Up });
        }
        self.take_census();
        let hold = self.entries.values().filter(|entry| entry.tracker.is_failing());
        let hold = hold.map(|entry| entry.monitor.interval * u32::from(entry.monitor.fall.get())).max();
        self.doubt = Doubt::Suspecting { since: now, until: now + hold.unwrap_or_default(), canary_answered: false };
        effect.doubts = Some(Doubts::Frozen);
    }

    fn reconsider(&mut self, has_answered: bool, now: Duration, effect: &mut Effect<K>) {
        let Doubt::Suspecting { until, canary_answered, .. } = self.doubt else { return };
        if !self.census.is_suspect(self.census.failing) {
            return self.thaw(now, effect);
        }
        // A target that has just answered may be the first of many.
        if now >= until && !has_answered && (canary_answered || !self.has_canaries) {
            self.confirm(now, effect);
        }
    }

    fn thaw(&mut self, now: Duration, effect: &mut Effect<K>) {
        for entry in self.entries.values_mut().filter(|entry| entry.tracker.is_failing()) {
            entry.tracker.unripen(&entry.monitor);
        }
        self.take_census();
        self.turn_ripe(now, effect);
        self.doubt = Doubt::Trusting;
        effect.doubts = Some(Doubts::Thawed);
    }

    fn confirm(&mut self, now: Duration, effect: &mut Effect<K>) {
        self.turn_ripe(now, effect);
        self.doubt = Doubt::Convinced;
        effect.doubts = Some(Doubts::Confirmed);
    }

    fn turn_ripe(&mut self, now: Duration, effect: &mut Effect<K>) {
        let ripe: Vec<_> = self
            .entries
            .iter()
            .filter_map(|(key, entry)| Some((key.clone(), entry.tracker.ripe(&entry.monitor)?)))
            .collect();
        for (key, verdict) in ripe {
            self.turn(&key, verdict, now, effect);
        }
    }

    fn turn(&mut self, key: &K, to: Verdict, now: Duration, effect: &mut Effect<K>) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let (from, was) = (entry.tracker.verdict(), mark(&entry.tracker));
        entry.tracker.settle(to, now);
        if to == Verdict::Up {
            self.recent_downs.retain(|(_, down)| down != key);
        }
        self.census.shift(was, mark(&entry.tracker));
        effect.turns.push(Turn { key: key.clone(), from, to });
    }

    fn forget_old_downs(&mut self, now: Duration) {
        while self.recent_downs.front().is_some_and(|(until, _)| *until < now) {
            self.recent_downs.pop_front();
        }
    }

    fn take_census(&mut self) {
        self.census = Census { all: self.entries.len(), ..Census::default() };
        for entry in self.entries.values() {
            self.census.shift(Mark::Fine, mark(&entry.tracker));
        }
    }
}

/// What a target counts as in the census.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Fine,
    Failing,
    Down,
}

fn mark(tracker: &Tracker) -> Mark {
    match tracker.verdict() {
        Verdict::Down => Mark::Down,
        _ if tracker.is_failing() => Mark::Failing,
        _ => Mark::Fine,
    }
}

impl Census {
    fn shift(&mut self, from: Mark, to: Mark) {
        match from {
            Mark::Failing => self.failing -= 1,
            Mark::Down => self.down -= 1,
            Mark::Fine => {}
        }
        match to {
            Mark::Failing => self.failing += 1,
            Mark::Down => self.down += 1,
            Mark::Fine => {}
        }
    }
}

fn whole_secs(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::health::{Failure, tracker::tests::monitor};

    /// A ledger over numbered targets, each probed once per interval of 5 s, under a clock that only the test moves.
    struct World {
        ledger: Ledger<usize>,
        targets: usize,
        now: Duration,
    }

    fn outcome(passed: bool) -> Outcome {
        let result = if passed { Ok(()) } else { Err(Failure::Refused) };
        Outcome::new(result, Duration::from_millis(1))
    }

    impl World {
        fn new(targets: usize, rise: u8, fall: u8, has_canaries: bool) -> Self {
            let mut ledger = Ledger::new(has_canaries);
            let monitor = Arc::new(monitor(rise, fall));
            ledger.set((0..targets).map(|key| (key, Arc::clone(&monitor))));
            Self { ledger, targets, now: Duration::ZERO }
        }

        /// One round: each target has one outcome, evenly spread over the interval.
        fn round(&mut self, answers: impl Fn(usize) -> bool) -> Vec<Doubts> {
            let step = Duration::from_secs(5) / self.targets as u32;
            let mut doubts = Vec::new();
            for key in 0..self.targets {
                self.now += step;
                doubts.extend(self.ledger.record(&key, outcome(answers(key)), self.now).doubts);
            }
            doubts
        }

        fn down(&self) -> usize {
            self.ledger.verdicts().filter(|(_, verdict, _)| *verdict == Verdict::Down).count()
        }
    }

    #[test]
    fn losing_the_network_freezes_and_its_return_changes_nothing() {
        let mut world = World::new(10, 2, 3, false);
        world.round(|_| true);
        let mut seen = Vec::new();
        for _ in 0..5 {
            seen.extend(world.round(|_| false));
            assert_eq!(world.down(), 0);
        }
        assert_eq!(seen, [Doubts::Frozen]);
        assert_eq!(world.round(|_| true), [Doubts::Thawed]);
        for _ in 0..5 {
            assert_eq!(world.round(|_| true), []);
            assert_eq!(world.down(), 0);
        }
        assert_eq!(world.ledger.doubt(), Doubt::Trusting);
    }

    #[test]
    fn a_world_that_stays_down_is_believed_after_interval_times_fall_more() {
        let mut world = World::new(10, 2, 3, false);
        world.round(|_| true);
        let seen: Vec<_> = (0..6).flat_map(|_| world.round(|_| false)).collect();
        assert_eq!(seen, [Doubts::Frozen, Doubts::Confirmed]);
        assert_eq!(world.down(), 10);
        assert_eq!(world.round(|_| false), []);
        world.round(|_| true);
        world.round(|_| true);
        assert_eq!(world.down(), 0);
        assert_eq!(world.ledger.doubt(), Doubt::Trusting);
    }

    #[test]
    fn with_canaries_the_downs_wait_for_one_to_answer() {
        let mut world = World::new(10, 2, 3, true);
        world.round(|_| true);
        for _ in 0..20 {
            world.round(|_| false);
            assert!(world.ledger.record_canary(&outcome(false), world.now).turns.is_empty());
        }
        assert_eq!(world.down(), 0);
        assert_eq!(world.ledger.standing(&0, world.now).flips_in_secs, None, "no TTL of 1 s for hours");
        let effect = world.ledger.record_canary(&outcome(true), world.now);
        assert_eq!((effect.doubts, effect.turns.len()), (Some(Doubts::Confirmed), 10));
        assert_eq!(world.down(), 10);
    }

    #[test]
    fn with_fall_1_the_downs_before_the_doubt_are_taken_back() {
        let mut world = World::new(10, 1, 1, false);
        world.round(|_| true);
        assert_eq!(world.round(|_| false), [Doubts::Frozen]);
        assert_eq!(world.down(), 0);
        assert_eq!(world.round(|_| true), [Doubts::Thawed]);
        assert_eq!(world.down(), 0);
    }

    #[test]
    fn verdicts_of_an_earlier_life_survive_a_start_without_network() {
        let mut world = World::new(10, 2, 3, false);
        assert!(world.ledger.restore(|&key| Some(if key == 0 { Verdict::Down } else { Verdict::Up })));
        assert_eq!(world.round(|_| false), [Doubts::Frozen]);
        assert_eq!(world.down(), 1);
        world.round(|_| true);
        world.round(|_| true);
        assert_eq!(world.down(), 0);
    }

    #[test]
    fn only_what_is_probed_can_lack_a_verdict_of_an_earlier_life() {
        let mut world = World::new(3, 2, 3, false);
        let saved = |&key: &usize| (key < 2).then_some(Verdict::Down);
        assert!(!world.ledger.restore(saved), "the third was never judged");
        world.ledger.set((0..2).map(|key| (key, Arc::new(monitor(2, 3)))));
        assert!(world.ledger.restore(saved), "the third is probed no more");
        assert_eq!(world.down(), 2);
    }

    #[test]
    fn half_of_the_targets_or_two_of_three_raise_no_doubt() {
        for (targets, failing) in [(10, 5), (3, 2), (2, 2), (1, 1)] {
            let mut world = World::new(targets, 2, 3, false);
            world.round(|_| true);
            for _ in 0..3 {
                assert_eq!(world.round(|key| key >= failing), [], "{failing} of {targets}");
            }
            assert_eq!(world.down(), failing, "{failing} of {targets}");
        }
        let mut world = World::new(3, 2, 3, false);
        world.round(|_| true);
        for _ in 0..4 {
            world.round(|_| false);
        }
        assert_eq!(world.down(), 0, "three of three do");
    }

    #[test]
    fn what_fails_on_after_a_thaw_goes_down_by_one_more_failure() {
        let mut world = World::new(10, 2, 3, false);
        world.round(|_| true);
        for _ in 0..4 {
            world.round(|_| false);
        }
        assert_eq!(world.round(|key| key != 9), [Doubts::Thawed]);
        assert!(world.down() <= 1);
        world.round(|key| key != 9);
        assert_eq!(world.ledger.standing(&9, world.now).verdict, Verdict::Down);
        assert_eq!(world.down(), 1);
    }

    #[test]
    fn a_first_outcome_that_fails_is_believed_for_all() {
        let mut world = World::new(10, 2, 3, false);
        assert_eq!(world.round(|_| false), []);
        assert_eq!(world.down(), 10);
    }

    #[test]
    fn a_new_set_keeps_the_trackers_of_known_targets() {
        let mut world = World::new(4, 2, 3, false);
        world.round(|key| key != 0);
        let shared = Arc::new(monitor(2, 3));
        world.ledger.set([0, 1, 7].map(|key| (key, Arc::clone(&shared))));
        let verdict = |key| world.ledger.standing(&key, world.now).verdict;
        assert_eq!([0, 1, 2, 7].map(verdict), [Verdict::Down, Verdict::Up, Verdict::Unknown, Verdict::Unknown]);
    }

    #[test]
    fn a_standing_says_when_the_verdict_could_flip() {
        let mut world = World::new(10, 2, 3, false);
        world.round(|_| true);
        assert_eq!(world.ledger.standing(&0, world.now).flips_in_secs, None);
        let effect = world.ledger.record(&0, outcome(false), world.now);
        assert!(effect.is_nearer_or_farther);
        assert_eq!(world.ledger.standing(&0, world.now).flips_in_secs, Some(8));
        world.ledger.record(&0, outcome(false), world.now);
        assert_eq!(world.ledger.standing(&0, world.now).flips_in_secs, Some(4));
    }

    proptest! {
        /// Whatever the targets do: the census that the ledger keeps is the one that a walk over all trackers finds,
        /// and while verdicts are frozen none changes for the worse.
        #[test]
        fn the_census_is_exact_and_a_freeze_is_one(
            fall in 1u8..4, rise in 1u8..4, targets in 1usize..12,
            rounds in proptest::collection::vec(any::<u16>(), 1..60)
        ) {
            let mut world = World::new(targets, rise, fall, false);
            for bits in rounds {
                for key in 0..targets {
                    world.now += Duration::from_millis(400);
                    let was_frozen = world.ledger.doubt().is_frozen();
                    let effect = world.ledger.record(&key, outcome(bits >> key & 1 == 1), world.now);
                    let kept = world.ledger.census;
                    world.ledger.take_census();
                    prop_assert_eq!(kept, world.ledger.census);
                    if was_frozen && world.ledger.doubt().is_frozen() {
                        prop_assert!(effect.turns.iter().all(|turn| turn.from == Verdict::Unknown));
                    }
                }
            }
        }
    }
}
