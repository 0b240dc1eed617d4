//! The ledger: the trackers of all targets and the doubt about them. One owner records outcomes and
//! publishes the health statuses. Nothing in it blocks. The cost of an outcome does not depend on
//! the number of targets, except that the beginning and the end of a freeze visit each target once.

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

/// The trackers of all targets. A key `K` identifies one monitor of one target.
#[derive(Debug)]
pub struct Ledger<K> {
    targets: HashMap<K, TrackedTarget>,
    census: Census,
    doubt: Doubt,
    has_canaries: bool,
    /// Changes to down that a freeze would revert, oldest first, each with the end of its interval.
    recent_downs: VecDeque<(Duration, K)>,
    pending: PendingTargets<K>,
}

impl<K: Clone + Eq + Hash> Ledger<K> {
    /// An empty ledger. If canaries are configured, failing targets are not believed to be down
    /// before a canary answers.
    pub fn new(has_canaries: bool) -> Self {
        Self {
            targets: HashMap::new(),
            census: Census::default(),
            doubt: Doubt::default(),
            has_canaries,
            recent_downs: VecDeque::new(),
            pending: PendingTargets::default(),
        }
    }

    /// Replaces the targets. Known ones keep their trackers; new ones start with their initial
    /// verdict.
    pub fn set_targets(
        &mut self,
        targets: impl IntoIterator<Item = LedgerTarget<K>>,
        now: Duration,
    ) {
        let mut old = std::mem::take(&mut self.targets);
        let is_frozen = self.doubt.is_frozen();
        let (known, new): (Vec<_>, Vec<_>) =
            targets.into_iter().partition(|target| old.contains_key(&target.key));
        // New targets first: one may continue from a key that remains in the ledger.
        self.targets = new
            .into_iter()
            .map(|target| {
                (target.key, TrackedTarget::new(target.monitor, target.start, &old, is_frozen, now))
            })
            .collect();
        let kept = |LedgerTarget { key, monitor, .. }| {
            old.remove_entry(&key).map(|(key, target)| (key, TrackedTarget { monitor, ..target }))
        };
        self.targets.extend(known.into_iter().filter_map(kept));
        self.recent_downs.retain(|(_, key)| self.targets.contains_key(key));
        let pending = self.targets.iter().filter(|(_, target)| target.is_pending(now));
        self.pending.set(
            pending.map(|(key, target)| (target.pending_until, key.clone())).collect::<Vec<_>>(),
        );
        self.recount();
    }

    /// The time at which the next wait for a first outcome ends; `None` if no target waits.
    pub fn next_pending_end(&self) -> Option<Duration> {
        self.pending.next_deadline()
    }

    /// The targets whose wait for a first outcome has ended at `now`, each returned once. They now
    /// count as up.
    pub fn end_pending(&mut self, now: Duration) -> Vec<K> {
        let mut ended = Vec::new();
        while let Some(key) = self.pending.pop_expired(now) {
            if self
                .targets
                .get(&key)
                .is_some_and(|target| target.tracker.verdict() == Verdict::Unknown)
            {
                ended.push(key);
            }
        }
        ended
    }

    /// Sets whether canaries are configured.
    pub fn set_has_canaries(&mut self, has_canaries: bool) {
        self.has_canaries = has_canaries;
    }

    /// Sets the verdict of a previous run on each target without an outcome. Returns how many
    /// targets that run knew.
    pub fn restore(&mut self, saved: impl Fn(&K) -> Option<PreviousVerdict>) -> usize {
        let mut restored = 0;
        for (key, target) in
            self.targets.iter_mut().filter(|(_, target)| target.last_outcome.is_none())
        {
            let Some(previous) = saved(key) else { continue };
            restored += 1;
            target.tracker = match previous {
                PreviousVerdict::SameCheck(verdict) => Tracker::restored(verdict),
                PreviousVerdict::OtherCheck(verdict) => Tracker::inherited(verdict),
            };
        }
        self.recount();
        restored
    }

    /// Whether a target is down only because of the verdict of a previous run.
    pub fn is_restored_down(&self, key: &K) -> bool {
        self.targets.get(key).is_some_and(|target| target.tracker.is_restored_down())
    }

    /// Lets the next outcome of a target replace the verdict of a previous run at once. Used if its
    /// service has no better target.
    pub fn distrust(&mut self, key: &K) {
        if let Some(target) = self.targets.get_mut(key) {
            target.tracker.distrust();
        }
    }

    /// Records an outcome at `now`. An outcome of a key that is not in the ledger changes nothing.
    pub fn record(&mut self, key: &K, outcome: Outcome, now: Duration) -> OutcomeEffect<K> {
        let mut effect = OutcomeEffect::default();
        let before = self.health_status(key, now);
        let Some(target) = self.targets.get_mut(key) else { return effect };
        let old_class = census_class(&target.tracker);
        let passed = outcome.is_pass();
        let ripe = target.tracker.count(passed, &target.monitor);
        target.last_outcome = Some((outcome, now));
        self.census.reclassify(old_class, census_class(&target.tracker));
        let is_first_pass = ripe == Some(Verdict::Up) && before.verdict == Verdict::Unknown;
        match self.doubt {
            // Unknown counts as up already, so this changes nothing that is frozen.
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

    /// Records the outcome of a canary. It matters only while verdicts are frozen.
    pub fn record_canary(&mut self, outcome: &Outcome, now: Duration) -> OutcomeEffect<K> {
        let mut effect = OutcomeEffect::default();
        if let Doubt::Suspecting { canary_answered, .. } = &mut self.doubt {
            *canary_answered |= outcome.is_pass();
            self.reconsider(false, now, &mut effect);
        }
        effect
    }

    /// The health status of a target; unknown for a key that is not in the ledger.
    pub fn health_status(&self, key: &K, now: Duration) -> HealthStatus {
        let Some(target) = self.targets.get(key) else { return HealthStatus::default() };
        let verdict = target.tracker.verdict();
        let is_pending = target.is_pending(now);
        let flips_in = match self.doubt {
            // The rank changes with the first outcome, at the end of the wait at the latest.
            _ if is_pending => Some(target.pending_until - now),
            // After the hold the change waits for a canary, perhaps for hours. Clients should not
            // ask again every second for that long.
            Doubt::Suspecting { until, .. } if target.tracker.is_failing() => {
                until.checked_sub(now).filter(|remaining| !remaining.is_zero())
            }
            Doubt::Suspecting { .. } => None,
            Doubt::Trusting | Doubt::Convinced => {
                let latency = target
                    .last_outcome
                    .as_ref()
                    .map_or(Duration::ZERO, |(outcome, _)| outcome.latency);
                target.tracker.flips_in(&target.monitor, latency)
            }
        };
        HealthStatus {
            verdict,
            flips_in_secs: flips_in.map(|time| whole_secs(time).max(1)),
            is_pending,
            is_held: false,
        }
    }

    /// The number of targets.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether the ledger has no targets.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// The keys of all targets, in no order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.targets.keys()
    }

    /// The number of targets with an outcome.
    pub fn checked_count(&self) -> usize {
        self.targets.values().filter(|target| target.last_outcome.is_some()).count()
    }

    /// The latest outcome of a target and when it was recorded.
    pub fn last_outcome(&self, key: &K) -> Option<&(Outcome, Duration)> {
        self.targets.get(key)?.last_outcome.as_ref()
    }

    /// When a target's verdict was settled; `None` if the verdict is unknown, or comes from a
    /// previous run or another check.
    pub fn verdict_since(&self, key: &K) -> Option<Duration> {
        self.targets.get(key)?.tracker.since()
    }

    /// Whether the ledger suspects its own network.
    pub fn doubt(&self) -> Doubt {
        self.doubt
    }

    /// The verdicts of all targets and when they were settled, in no order.
    pub fn verdicts(&self) -> impl Iterator<Item = (&K, Verdict, Option<Duration>)> {
        self.targets
            .iter()
            .map(|(key, target)| (key, target.tracker.verdict(), target.tracker.since()))
    }

    /// Changes a verdict. If that is a loss and too many targets fail at the same time, verdicts
    /// are frozen instead.
    fn change_unless_suspect(
        &mut self,
        key: &K,
        verdict: Verdict,
        now: Duration,
        effect: &mut OutcomeEffect<K>,
    ) {
        let Some(target) = self.targets.get(key) else { return };
        let is_loss = verdict == Verdict::Down && target.tracker.verdict() == Verdict::Up;
        let window = target.monitor.interval + target.monitor.interval / 10;
        if is_loss && self.doubt == Doubt::Trusting {
            self.expire_recent_downs(now);
            if self.census.suggests_own_fault(self.census.failing + self.recent_downs.len()) {
                return self.freeze(now, effect);
            }
            self.recent_downs.push_back((now + window, key.clone()));
        }
        self.change_verdict(key, verdict, now, effect);
    }

    /// Freezes all verdicts and reverts the losses of the last interval.
    fn freeze(&mut self, now: Duration, effect: &mut OutcomeEffect<K>) {
        for (_, key) in std::mem::take(&mut self.recent_downs) {
            let target = self
                .targets
                .get_mut(&key)
                .filter(|target| target.tracker.verdict() == Verdict::Down);
            let Some(target) = target else { continue };
            target.tracker.revert_to_up(&target.monitor, now);
            effect.verdict_changes.push(VerdictChange {
                key,
                from: Verdict::Down,
                to: Verdict::Up,
            });
        }
        self.recount();
        let failing = self.targets.values().filter(|target| target.tracker.is_failing());
        let hold = failing
            .map(|target| target.monitor.interval * u32::from(target.monitor.fall.get()))
            .max();
        self.doubt = Doubt::Suspecting {
            since: now,
            until: now + hold.unwrap_or_default(),
            canary_answered: false,
        };
        effect.doubt_change = Some(DoubtChange::Frozen);
    }

    /// Ends a freeze if targets answer again, or if they have failed for long enough.
    fn reconsider(&mut self, has_answered: bool, now: Duration, effect: &mut OutcomeEffect<K>) {
        let Doubt::Suspecting { until, canary_answered, .. } = self.doubt else { return };
        if !self.census.suggests_own_fault(self.census.failing) {
            return self.thaw(now, effect);
        }
        // Wait if a target has just answered: it may be the first of many.
        if now >= until && !has_answered && (canary_answered || !self.has_canaries) {
            self.confirm(now, effect);
        }
    }

    /// Ends a freeze because targets answer again.
    fn thaw(&mut self, now: Duration, effect: &mut OutcomeEffect<K>) {
        for target in self.targets.values_mut().filter(|target| target.tracker.is_failing()) {
            target.tracker.require_one_more(&target.monitor);
        }
        self.recount();
        self.apply_ripe_verdicts(now, effect);
        self.doubt = Doubt::Trusting;
        effect.doubt_change = Some(DoubtChange::Thawed);
    }

    /// Ends a freeze because the targets are really down.
    fn confirm(&mut self, now: Duration, effect: &mut OutcomeEffect<K>) {
        self.apply_ripe_verdicts(now, effect);
        self.doubt = Doubt::Convinced;
        effect.doubt_change = Some(DoubtChange::Confirmed);
    }

    /// Applies all changes that were held back.
    fn apply_ripe_verdicts(&mut self, now: Duration, effect: &mut OutcomeEffect<K>) {
        let ripe: Vec<_> = self
            .targets
            .iter()
            .filter_map(|(key, target)| {
                Some((key.clone(), target.tracker.ripe_verdict(&target.monitor)?))
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
        let Some(target) = self.targets.get_mut(key) else { return };
        let (from, old_class) = (target.tracker.verdict(), census_class(&target.tracker));
        target.tracker.settle(to, now);
        if to == Verdict::Up {
            self.recent_downs.retain(|(_, recent)| recent != key);
        }
        self.census.reclassify(old_class, census_class(&target.tracker));
        effect.verdict_changes.push(VerdictChange { key: key.clone(), from, to });
    }

    fn expire_recent_downs(&mut self, now: Duration) {
        while self.recent_downs.front().is_some_and(|(until, _)| *until < now) {
            self.recent_downs.pop_front();
        }
    }

    /// Counts all targets again.
    fn recount(&mut self) {
        self.census = Census { total: self.targets.len(), ..Census::default() };
        for target in self.targets.values() {
            self.census.reclassify(CensusClass::Healthy, census_class(&target.tracker));
        }
    }
}

fn whole_secs(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
