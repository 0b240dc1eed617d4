//! The timetable: when each target is next due. Pure arithmetic; the scheduler brings the clock.
//!
//! Each target has a fixed phase within its interval and starts at `origin + phase + n × interval`,
//! each start moved by up to ±5 % of the interval at random: from one start to the next that is ±10
//! %. As the jitter is around a fixed grid it never adds up, so targets once spread stay spread.
//! Phases come from the golden ratio's low-discrepancy sequence (Weyl): each new target falls into
//! one of the widest gaps, whatever was added or taken away before.
//!
//! New targets do not wait for their phase: a [`StartWindow`] of first probes goes before it, so
//! that a configuration is judged soon after it starts. The round takes 2 s at most, unless that
//! would be a herd: it never starts more than 100 probes a second, or 1.6 times as many as the new
//! targets need for good, whichever is more.

use std::time::Duration;

/// First probes started per second, where targets are few or their intervals long.
const MIN_FIRST_STARTS_PER_SEC: f64 = 100.0;
/// First probes started, as a multiple of the rate of all later ones. A round is followed by the
/// ordinary rate, so that any second has less than twice as many as another.
const FIRST_RATE_FACTOR: f64 = 1.6;

/// One target's place in the timetable. Times are since an epoch of the caller's.
#[derive(Debug, Clone)]
pub(super) struct TargetSchedule {
    interval: Duration,
    /// The most that a start is moved either way.
    jitter: Duration,
    /// The start after the one that is due, before jitter.
    next_start: Duration,
    has_skipped: bool,
}

/// What to do about a target whose time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DueAction {
    /// Probe it.
    Start,
    /// Probe it, though it should have been earlier.
    StartLate,
    /// Leave this round out: the process slept, and all that it missed must not start at once.
    Skip,
}

impl TargetSchedule {
    /// What to do at `now` about a start that was due at `due`. Two rounds in a row
    /// are never left out. Nor is one that is late by less than a quarter of the
    /// interval: a checker that is short of CPU would probe half as often as it is to.
    pub(super) fn action_at(&mut self, due: Duration, now: Duration) -> DueAction {
        let tolerance = (self.interval / 50).max(Duration::from_millis(50));
        let late = now.saturating_sub(due);
        self.has_skipped = late > (self.interval / 4).max(tolerance) && !self.has_skipped;
        match late > tolerance {
            _ if self.has_skipped => DueAction::Skip,
            true => DueAction::StartLate,
            false => DueAction::Start,
        }
    }

    /// The next start, after `now`: rounds that are wholly over are passed by.
    pub(super) fn advance(&mut self, now: Duration, random: &mut fastrand::Rng) -> Duration {
        if self.next_start < now {
            let missed = (now - self.next_start).div_duration_f64(self.interval).ceil();
            self.next_start += self.interval.mul_f64(missed);
        }
        // Jitter must not put it back into the past, where it would be late before it was due.
        let start =
            (self.next_start - self.jitter + self.jitter.mul_f64(2.0 * random.f64())).max(now);
        self.next_start += self.interval;
        start
    }
}

/// Gives out phases.
#[derive(Debug, Default)]
pub(super) struct PhaseAllocator {
    allocated_count: u64,
}

/// The first probes of targets that are added together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StartWindow {
    /// From the first start to the last.
    span: Duration,
}

impl StartWindow {
    /// A round of targets with these intervals.
    pub(super) fn for_intervals(intervals: impl Iterator<Item = Duration>) -> Self {
        let (count, mean) = intervals.fold((0.0, 0.0), |(count, mean), interval| {
            (count + 1.0, mean + 1.0 / interval.as_secs_f64().max(1e-3))
        });
        Self {
            span: Duration::from_secs_f64(
                count / f64::max(MIN_FIRST_STARTS_PER_SEC, FIRST_RATE_FACTOR * mean),
            ),
        }
    }

    /// How long the first start of a target may take.
    pub(super) fn span_for(self, interval: Duration) -> Duration {
        self.span.min(interval.div_f64(FIRST_RATE_FACTOR))
    }
}

impl PhaseAllocator {
    /// A slot for a target added at `now`, and its first start.
    pub(super) fn allocate(
        &mut self,
        interval: Duration,
        timeout: Duration,
        round: StartWindow,
        now: Duration,
    ) -> (TargetSchedule, Duration) {
        let share = self.next_fraction();
        let span = round.span_for(interval);
        let first = now + span.mul_f64(share);
        // Phases follow the round in the same order, so that its starts and the next ones never
        // come together.
        let phase = now + span + interval.mul_f64(share);
        // Two starts are never closer than the timeout, so that a target never has two probes at
        // once.
        let jitter = (interval / 20).min(interval.saturating_sub(timeout) / 2);
        // A phase that follows closely is left out, so that no gap is longer than the interval and
        // a tenth.
        let next = if phase - first > interval / 10 { phase } else { phase + interval };
        (TargetSchedule { interval, jitter, next_start: next, has_skipped: false }, first)
    }

    fn next_fraction(&mut self) -> f64 {
        /// The fractional part of the golden ratio.
        const STEP: f64 = 0.618_033_988_749_894_9;
        let share = (self.allocated_count as f64 * STEP).fract();
        self.allocated_count += 1;
        share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// The starts of `allocated_count` targets, all added at once, over `horizon`.
    fn starts(
        count: usize,
        interval: Duration,
        horizon: Duration,
        sleep: Option<(Duration, Duration)>,
    ) -> Vec<Duration> {
        let (mut phases, mut random) = (PhaseAllocator::default(), fastrand::Rng::with_seed(1));
        let mut starts = Vec::new();
        let round = StartWindow::for_intervals(std::iter::repeat_n(interval, count));
        for _ in 0..count {
            let (mut slot, mut due) =
                phases.allocate(interval, interval * 2 / 5, round, Duration::ZERO);
            while due < horizon {
                let now = match sleep {
                    Some((from, to)) if (from..to).contains(&due) => to,
                    _ => due,
                };
                if slot.action_at(due, now) != DueAction::Skip {
                    starts.push(now);
                }
                due = slot.advance(now, &mut random);
            }
        }
        starts.sort();
        starts
    }

    fn most_within(starts: &[Duration], window: Duration) -> usize {
        let mut from = 0;
        (0..starts.len())
            .map(|to| {
                while starts[to] - starts[from] >= window {
                    from += 1;
                }
                to - from + 1
            })
            .max()
            .unwrap_or(0)
    }

    #[test]
    fn a_thousand_targets_are_no_herd_from_the_first_second_on() {
        let starts = starts(1000, 10 * SECOND, 100 * SECOND, None);
        // The first round and the rest: one probe of each target more than its interval alone would
        // ask for.
        assert!((10_300..=10_500).contains(&starts.len()), "{}", starts.len());
        assert!(most_within(&starts, SECOND) <= 190, "{}", most_within(&starts, SECOND));
        let most = most_within(&starts, Duration::from_millis(100));
        assert!(most <= 30, "{most}");
    }

    #[test]
    fn no_herd_follows_a_sleep() {
        let starts = starts(1000, 10 * SECOND, 100 * SECOND, Some((20 * SECOND, 50 * SECOND)));
        assert!(most_within(&starts, SECOND) <= 200, "{}", most_within(&starts, SECOND));
        let most = most_within(&starts, Duration::from_millis(100));
        assert!(most <= 40, "{most}");
        assert_eq!(
            starts.iter().filter(|start| (20 * SECOND..50 * SECOND).contains(*start)).count(),
            0
        );
    }

    #[test]
    fn gaps_stay_within_a_tenth_of_the_interval() {
        for (interval, timeout) in
            [(10 * SECOND, 2 * SECOND), (SECOND, SECOND / 2), (SECOND, SECOND * 99 / 100)]
        {
            let (mut phases, mut random) = (PhaseAllocator::default(), fastrand::Rng::with_seed(2));
            let round = StartWindow::for_intervals(std::iter::repeat_n(interval, 100));
            let (mut slot, _) = phases.allocate(interval, timeout, round, Duration::ZERO);
            let mut last = slot.advance(Duration::ZERO, &mut random);
            for _ in 0..10_000 {
                let next = slot.advance(last, &mut random);
                let gap = next - last;
                assert!(gap >= timeout.max(interval * 9 / 10), "{gap:?}");
                assert!(gap <= interval * 11 / 10, "{gap:?}");
                last = next;
            }
        }
    }

    #[test]
    fn the_first_round_takes_2_s_at_most_unless_that_were_a_herd() {
        for (count, interval, longest, why) in [
            (1, 30 * SECOND, SECOND / 100, "one target waits for nothing"),
            (20, 30 * SECOND, SECOND / 5, "a handful"),
            (200, 30 * SECOND, 2 * SECOND, "100 a second"),
            (1000, 10 * SECOND, 7 * SECOND, "160 a second, of 100 later on"),
            (10_000, 10 * SECOND, 7 * SECOND, "1600 a second, of 1000 later on"),
        ] {
            let round = StartWindow::for_intervals(std::iter::repeat_n(interval, count));
            let mut phases = PhaseAllocator::default();
            for index in 0..count {
                let (slot, first) = phases.allocate(interval, 2 * SECOND, round, SECOND);
                assert!(first - SECOND <= longest, "{why}: {first:?}");
                let gap = slot.next_start - first;
                assert!(
                    gap >= interval / 10 && gap <= interval * 11 / 10,
                    "{why}: {index}: {gap:?}"
                );
            }
        }
    }

    #[test]
    fn a_round_missed_is_left_out_once() {
        let mut slot = TargetSchedule {
            interval: SECOND,
            jitter: Duration::ZERO,
            next_start: SECOND,
            has_skipped: false,
        };
        assert_eq!(slot.action_at(SECOND, SECOND + SECOND / 100), DueAction::Start);
        assert_eq!(slot.action_at(SECOND, 2 * SECOND), DueAction::Skip);
        assert_eq!(slot.action_at(SECOND, 2 * SECOND), DueAction::StartLate);
        assert_eq!(slot.action_at(SECOND, SECOND), DueAction::Start);
    }

    #[test]
    fn no_round_is_left_out_by_a_checker_that_is_always_a_little_late() {
        let mut slot = TargetSchedule {
            interval: SECOND,
            jitter: Duration::ZERO,
            next_start: SECOND,
            has_skipped: false,
        };
        for _ in 0..5 {
            assert_eq!(slot.action_at(SECOND, SECOND + SECOND / 5), DueAction::StartLate);
        }
    }
}
