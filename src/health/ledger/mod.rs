//! The ledger: the trackers of all targets, and the doubt over all of them. One owner feeds it
//! outcomes and publishes the standings; nothing in it blocks, and each outcome costs the same
//! however many targets there are (a freeze, a thaw and a confirmation walk them once).

mod change;
mod target;
mod tracked_target;

pub use change::{OutcomeEffect, VerdictChange};
pub use target::{InitialVerdict, LedgerTarget};

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    time::Duration,
};

use super::{
    Doubt, DoubtChange, HealthStatus, Outcome, PreviousVerdict, Tracker, Verdict,
    census::{Census, CensusClass, census_class},
    pending::PendingTargets,
};
use tracked_target::TrackedTarget;

/// The trackers of all targets by key `K`: one (monitor, target).
#[derive(Debug)]
pub struct Ledger<K> {
    entries: HashMap<K, TrackedTarget>,
    census: Census,
    doubt: Doubt,
    has_canaries: bool,
    /// Changes to down that a doubt would take back, oldest first, each with the end of its
    /// interval.
    recent_downs: VecDeque<(Duration, K)>,
    pending: PendingTargets<K>,
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
            pending: PendingTargets::default(),
        }
    }

    /// Makes `targets` the targets from `now` on. Those known keep their trackers; new ones start
    /// as they say.
    pub fn set_targets(
        &mut self,
        targets: impl IntoIterator<Item = LedgerTarget<K>>,
        now: Duration,
    ) {
        let mut old = std::mem::take(&mut self.entries);
        let is_frozen = self.doubt.is_frozen();
        let (known, new): (Vec<_>, Vec<_>) =
            targets.into_iter().partition(|target| old.contains_key(&target.key));
        // New ones first: they may go on where a key left off that is known as well.
        self.entries = new
            .into_iter()
            .map(|target| {
                (target.key, TrackedTarget::new(target.monitor, target.start, &old, is_frozen, now))
            })
            .collect();
        let keep = |LedgerTarget { key, monitor, .. }| {
            old.remove_entry(&key).map(|(key, entry)| (key, TrackedTarget { monitor, ..entry }))
        };
        self.entries.extend(known.into_iter().filter_map(keep));
        self.recent_downs.retain(|(_, key)| self.entries.contains_key(key));
        let waiting = self.entries.iter().filter(|(_, entry)| entry.is_pending(now));
        self.pending.set(
            waiting.map(|(key, entry)| (entry.pending_until, key.clone())).collect::<Vec<_>>(),
        );
        self.recount();
    }

    /// When the next target stops waiting for its first outcome.
    pub fn next_pending_end(&self) -> Option<Duration> {
        self.pending.next_deadline()
    }

    /// The targets that have waited long enough for a first outcome by `now`; each is returned
    /// once. They count as up.
    pub fn end_pending(&mut self, now: Duration) -> Vec<K> {
        let mut ended = Vec::new();
        while let Some(key) = self.pending.pop_expired(now) {
            if self
                .entries
                .get(&key)
                .is_some_and(|entry| entry.tracker.verdict() == Verdict::Unknown)
            {
                ended.push(key);
            }
        }
        ended
    }

    /// Whether canaries are configured, from now on.
    pub fn set_has_canaries(&mut self, has_canaries: bool) {
        self.has_canaries = has_canaries;
    }

    /// Gives each target without outcomes what a previous run knew of it, and says of how many that
    /// run knew anything.
    pub fn restore(&mut self, saved: impl Fn(&K) -> Option<PreviousVerdict>) -> usize {
        let mut restored = 0;
        for (key, entry) in
            self.entries.iter_mut().filter(|(_, entry)| entry.last_outcome.is_none())
        {
            let Some(memory) = saved(key) else { continue };
            restored += 1;
            entry.tracker = match memory {
                PreviousVerdict::SameCheck(verdict) => Tracker::restored(verdict),
                PreviousVerdict::OtherCheck(verdict) => Tracker::inherited(verdict),
            };
        }
        self.recount();
        restored
    }

    /// Whether a target is down by the word of a previous run alone.
    pub fn is_restored_down(&self, key: &K) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.tracker.is_restored_down())
    }

    /// Makes a verdict of a previous run yield to the target's next outcome: its service has
    /// nothing better.
    pub fn distrust(&mut self, key: &K) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.tracker.distrust();
        }
    }

    /// Counts an outcome that came in at `now`. A key that is not (or no longer) in the ledger
    /// changes nothing.
    pub fn record(&mut self, key: &K, outcome: Outcome, now: Duration) -> OutcomeEffect<K> {
        let mut effect = OutcomeEffect::default();
        let before = self.health_status(key, now);
        let Some(entry) = self.entries.get_mut(key) else { return effect };
        let was = census_class(&entry.tracker);
        let passed = outcome.is_pass();
        let ripe = entry.tracker.count(passed, &entry.monitor);
        entry.last_outcome = Some((outcome, now));
        self.census.reclassify(was, census_class(&entry.tracker));
        let is_first_pass = ripe == Some(Verdict::Up) && before.verdict == Verdict::Unknown;
        match self.doubt {
            // Unknown counts as up: to say so changes nothing that is frozen.
            Doubt::Suspecting { .. } if is_first_pass => {
                self.change_verdict(key, Verdict::Up, now, &mut effect)
            }
            Doubt::Suspecting { .. } => self.reconsider(passed, now, &mut effect),
            Doubt::Trusting | Doubt::Convinced => {
                if let Some(verdict) = ripe {
                    self.change_unless_suspect(key, verdict, now, &mut effect);
                }
            }
        }
        if self.doubt == Doubt::Convinced
            && !self.census.suggests_own_fault(self.census.failing + self.census.down)
        {
            self.doubt = Doubt::Trusting;
        }
        effect.has_flip_time_changed =
            effect.verdict_changes.is_empty() && before != self.health_status(key, now);
        effect
    }

    /// Counts a canary's outcome. Only a pass while verdicts are frozen matters.
    pub fn record_canary(&mut self, outcome: &Outcome, now: Duration) -> OutcomeEffect<K> {
        let mut effect = OutcomeEffect::default();
        if let Doubt::Suspecting { canary_answered, .. } = &mut self.doubt {
            *canary_answered |= outcome.is_pass();
            self.reconsider(false, now, &mut effect);
        }
        effect
    }

    /// What steering needs to know of a target; unknown for one that is not in the ledger.
    pub fn health_status(&self, key: &K, now: Duration) -> HealthStatus {
        let Some(entry) = self.entries.get(key) else { return HealthStatus::default() };
        let verdict = entry.tracker.verdict();
        let is_pending = entry.is_pending(now);
        let flips_in = match self.doubt {
            // The first outcome may come at any time; by then at the latest the rank changes.
            _ if is_pending => Some(entry.pending_until - now),
            // Beyond the hold the flip waits for a canary, perhaps for hours: not a reason to ask
            // clients back each second.
            Doubt::Suspecting { until, .. } if entry.tracker.is_failing() => {
                until.checked_sub(now).filter(|rest| !rest.is_zero())
            }
            Doubt::Suspecting { .. } => None,
            Doubt::Trusting | Doubt::Convinced => {
                let latency = entry
                    .last_outcome
                    .as_ref()
                    .map_or(Duration::ZERO, |(outcome, _)| outcome.latency);
                entry.tracker.flips_in(&entry.monitor, latency)
            }
        };
        HealthStatus {
            verdict,
            flips_in_secs: flips_in.map(|time| whole_secs(time).max(1)),
            is_pending,
        }
    }

    /// How many targets there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no targets.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All targets, in no order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.entries.keys()
    }

    /// How many targets have an outcome.
    pub fn judged_count(&self) -> usize {
        self.entries.values().filter(|entry| entry.last_outcome.is_some()).count()
    }

    /// The latest outcome of a target and when it came in.
    pub fn last_outcome(&self, key: &K) -> Option<&(Outcome, Duration)> {
        self.entries.get(key)?.last_outcome.as_ref()
    }

    /// When a target's verdict was settled; `None` while it is unknown, or of a previous run or
    /// another check.
    pub fn verdict_since(&self, key: &K) -> Option<Duration> {
        self.entries.get(key)?.tracker.since()
    }

    /// The ledger's belief in itself.
    pub fn doubt(&self) -> Doubt {
        self.doubt
    }

    /// All targets with their verdicts and since when, in no order: what is to be saved.
    pub fn verdicts(&self) -> impl Iterator<Item = (&K, Verdict, Option<Duration>)> {
        self.entries
            .iter()
            .map(|(key, entry)| (key, entry.tracker.verdict(), entry.tracker.since()))
    }

    fn change_unless_suspect(
        &mut self,
        key: &K,
        verdict: Verdict,
        now: Duration,
        effect: &mut OutcomeEffect<K>,
    ) {
        let Some(entry) = self.entries.get(key) else { return };
        let is_loss = verdict == Verdict::Down && entry.tracker.verdict() == Verdict::Up;
        let window = entry.monitor.interval + entry.monitor.interval / 10;
        if is_loss && self.doubt == Doubt::Trusting {
            self.expire_recent_downs(now);
            if self.census.suggests_own_fault(self.census.failing + self.recent_downs.len()) {
                return self.freeze(now, effect);
            }
            self.recent_downs.push_back((now + window, key.clone()));
        }
        self.change_verdict(key, verdict, now, effect);
    }

    fn freeze(&mut self, now: Duration, effect: &mut OutcomeEffect<K>) {
        for (_, key) in std::mem::take(&mut self.recent_downs) {
            let entry =
                self.entries.get_mut(&key).filter(|entry| entry.tracker.verdict() == Verdict::Down);
            let Some(entry) = entry else { continue };
            entry.tracker.revert_to_up(&entry.monitor, now);
            effect.verdict_changes.push(VerdictChange {
                key,
                from: Verdict::Down,
                to: Verdict::Up,
            });
        }
        self.recount();
        let hold = self.entries.values().filter(|entry| entry.tracker.is_failing());
        let hold =
            hold.map(|entry| entry.monitor.interval * u32::from(entry.monitor.fall.get())).max();
        self.doubt = Doubt::Suspecting {
            since: now,
            until: now + hold.unwrap_or_default(),
            canary_answered: false,
        };
        effect.doubt_change = Some(DoubtChange::Frozen);
    }

    fn reconsider(&mut self, has_answered: bool, now: Duration, effect: &mut OutcomeEffect<K>) {
        let Doubt::Suspecting { until, canary_answered, .. } = self.doubt else { return };
        if !self.census.suggests_own_fault(self.census.failing) {
            return self.thaw(now, effect);
        }
        // A target that has just answered may be the first of many.
        if now >= until && !has_answered && (canary_answered || !self.has_canaries) {
            self.confirm(now, effect);
        }
    }

    fn thaw(&mut self, now: Duration, effect: &mut OutcomeEffect<K>) {
        for entry in self.entries.values_mut().filter(|entry| entry.tracker.is_failing()) {
            entry.tracker.require_one_more(&entry.monitor);
        }
        self.recount();
        self.apply_ripe_verdicts(now, effect);
        self.doubt = Doubt::Trusting;
        effect.doubt_change = Some(DoubtChange::Thawed);
    }

    fn confirm(&mut self, now: Duration, effect: &mut OutcomeEffect<K>) {
        self.apply_ripe_verdicts(now, effect);
        self.doubt = Doubt::Convinced;
        effect.doubt_change = Some(DoubtChange::Confirmed);
    }

    fn apply_ripe_verdicts(&mut self, now: Duration, effect: &mut OutcomeEffect<K>) {
        let ripe: Vec<_> = self
            .entries
            .iter()
            .filter_map(|(key, entry)| {
                Some((key.clone(), entry.tracker.ripe_verdict(&entry.monitor)?))
            })
            .collect();
        for (key, verdict) in ripe {
            self.change_verdict(&key, verdict, now, effect);
        }
    }

    fn change_verdict(
        &mut self,
        key: &K,
        to: Verdict,
        now: Duration,
        effect: &mut OutcomeEffect<K>,
    ) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let (from, was) = (entry.tracker.verdict(), census_class(&entry.tracker));
        entry.tracker.settle(to, now);
        if to == Verdict::Up {
            self.recent_downs.retain(|(_, down)| down != key);
        }
        self.census.reclassify(was, census_class(&entry.tracker));
        effect.verdict_changes.push(VerdictChange { key: key.clone(), from, to });
    }

    fn expire_recent_downs(&mut self, now: Duration) {
        while self.recent_downs.front().is_some_and(|(until, _)| *until < now) {
            self.recent_downs.pop_front();
        }
    }

    fn recount(&mut self) {
        self.census = Census { total: self.entries.len(), ..Census::default() };
        for entry in self.entries.values() {
            self.census.reclassify(CensusClass::Healthy, census_class(&entry.tracker));
        }
    }
}

fn whole_secs(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
