//! The timetable: when each target is next due. Pure arithmetic; the scheduler supplies the time.
//!
//! Each target has a fixed phase within its interval. Its starts are at
//! `origin + phase + n × interval`, each moved at random by up to ±5 % of the interval, so the gap
//! between two starts varies by up to ±10 %. The jitter is relative to a fixed grid and never adds
//! up, so targets that are spread stay spread. Phases follow the low-discrepancy sequence of the
//! golden ratio (Weyl): each new target falls into one of the widest gaps, whatever was added or
//! removed before.
//!
//! New targets do not wait for their phase. Their first probes are spread over a [`StartWindow`],
//! so that the targets of a new configuration have verdicts soon. The window is at most 2 s, unless
//! that would be a burst: first probes start at no more than 100 a second, or 1.6 times the later
//! rate of the new targets, whichever is more.

use std::time::Duration;

/// First probes started per second, if targets are few or intervals long.
const MIN_FIRST_STARTS_PER_SEC: f64 = 100.0;
/// The rate of first probes as a multiple of the rate of later ones. With 1.6, no second has twice
/// as many starts as another.
const FIRST_RATE_FACTOR: f64 = 1.6;

/// The schedule of one target. Times count from the epoch of the caller.
#[derive(Debug, Clone)]
pub(super) struct TargetSchedule {
    interval: Duration,
    /// The maximum time by which a start is moved forwards or backwards.
    jitter: Duration,
    /// The start after the due one, without jitter.
    next_start: Duration,
    has_skipped: bool,
}

/// What to do with a target that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DueAction {
    /// The probe is due and starts.
    Start,
    /// Probe it, and count the probe as late.
    StartLate,
    /// Skip this probe: after a suspension, the missed probes of all targets must not start at
    /// once.
    Skip,
}

impl TargetSchedule {
    /// What to do at `now` with a start that was due at `due`. Never skips two starts in a row, nor
    /// a start that is late by less than a quarter of the interval: a process that is short of CPU
    /// would otherwise probe half as often as configured.
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

    /// The next start after `now`. Starts whose whole interval has passed are dropped.
    pub(super) fn advance(&mut self, now: Duration, random: &mut fastrand::Rng) -> Duration {
        if self.next_start < now {
            let missed = (now - self.next_start).div_duration_f64(self.interval).ceil();
            self.next_start += self.interval.mul_f64(missed);
        }
        // Jitter must not move the start into the past, where it would be late at once.
        let start =
            (self.next_start - self.jitter + self.jitter.mul_f64(2.0 * random.f64())).max(now);
        self.next_start += self.interval;
        start
    }
}

/// Allocates the phases of new targets.
#[derive(Debug, Default)]
pub(super) struct PhaseAllocator {
    allocated_count: u64,
}

/// The time over which the first probes of targets that are added together are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StartWindow {
    /// From the first start to the last.
    span: Duration,
}

impl StartWindow {
    /// The window for targets with these intervals.
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

    /// The part of the window that a target with this interval uses.
    pub(super) fn span_for(self, interval: Duration) -> Duration {
        self.span.min(interval.div_f64(FIRST_RATE_FACTOR))
    }
}

impl PhaseAllocator {
    /// The schedule of a target added at `now`, and its first start.
    pub(super) fn allocate(
        &mut self,
        interval: Duration,
        timeout: Duration,
        window: StartWindow,
        now: Duration,
    ) -> (TargetSchedule, Duration) {
        let fraction = self.next_fraction();
        let span = window.span_for(interval);
        let first = now + span.mul_f64(fraction);
        // Phases follow the window in the same order, so that first and second starts never
        // coincide.
        let phase = now + span + interval.mul_f64(fraction);
        // Two starts are never closer than the timeout, so a target never has two probes at once.
        let jitter = (interval / 20).min(interval.saturating_sub(timeout) / 2);
        // A phase within a tenth of the interval is skipped, so that no gap is longer than 1.1
        // intervals.
        let next = if phase - first > interval / 10 { phase } else { phase + interval };
        (TargetSchedule { interval, jitter, next_start: next, has_skipped: false }, first)
    }

    fn next_fraction(&mut self) -> f64 {
        /// The fractional part of the golden ratio.
        const STEP: f64 = 0.618_033_988_749_894_9;
        let fraction = (self.allocated_count as f64 * STEP).fract();
        self.allocated_count += 1;
        fraction
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// The starts of `count` targets, all added at once, over `horizon`. The process does not run
    /// during `sleep`.
    fn starts(
        count: usize,
        interval: Duration,
        horizon: Duration,
        sleep: Option<(Duration, Duration)>,
    ) -> Vec<Duration> {
        let (mut phases, mut random) = (PhaseAllocator::default(), fastrand::Rng::with_seed(1));
        let mut starts = Vec::new();
        let window = StartWindow::for_intervals(std::iter::repeat_n(interval, count));
        for _ in 0..count {
            let (mut schedule, mut due) =
                phases.allocate(interval, interval * 2 / 5, window, Duration::ZERO);
            while due < horizon {
                let now = match sleep {
                    Some((from, to)) if (from..to).contains(&due) => to,
                    _ => due,
                };
                if schedule.action_at(due, now) != DueAction::Skip {
                    starts.push(now);
                }
                due = schedule.advance(now, &mut random);
            }
        }
        starts.sort();
        starts
    }

    fn max_within(starts: &[Duration], window: Duration) -> usize {
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
    fn a_thousand_targets_cause_no_burst_from_the_first_second_on() {
        let starts = starts(1000, 10 * SECOND, 100 * SECOND, None);
        // The first probes add one to the probes that the interval alone would give.
        assert!((10_300..=10_500).contains(&starts.len()), "{}", starts.len());
        assert!(max_within(&starts, SECOND) <= 190, "{}", max_within(&starts, SECOND));
        let densest = max_within(&starts, Duration::from_millis(100));
        assert!(densest <= 30, "{densest}");
    }

    #[test]
    fn a_suspension_is_followed_by_no_burst() {
        let starts = starts(1000, 10 * SECOND, 100 * SECOND, Some((20 * SECOND, 50 * SECOND)));
        assert!(max_within(&starts, SECOND) <= 200, "{}", max_within(&starts, SECOND));
        let densest = max_within(&starts, Duration::from_millis(100));
        assert!(densest <= 40, "{densest}");
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
            let window = StartWindow::for_intervals(std::iter::repeat_n(interval, 100));
            let (mut schedule, _) = phases.allocate(interval, timeout, window, Duration::ZERO);
            let mut last = schedule.advance(Duration::ZERO, &mut random);
            for _ in 0..10_000 {
                let next = schedule.advance(last, &mut random);
                let gap = next - last;
                assert!(gap >= timeout.max(interval * 9 / 10), "{gap:?}");
                assert!(gap <= interval * 11 / 10, "{gap:?}");
                last = next;
            }
        }
    }

    #[test]
    fn the_first_round_takes_at_most_2_s_unless_that_were_a_burst() {
        for (count, interval, longest, why) in [
            (1, 30 * SECOND, SECOND / 100, "one target waits for nothing"),
            (20, 30 * SECOND, SECOND / 5, "a handful"),
            (200, 30 * SECOND, 2 * SECOND, "100 a second"),
            (1000, 10 * SECOND, 7 * SECOND, "160 a second, of 100 later on"),
            (10_000, 10 * SECOND, 7 * SECOND, "1600 a second, of 1000 later on"),
        ] {
            let window = StartWindow::for_intervals(std::iter::repeat_n(interval, count));
            let mut phases = PhaseAllocator::default();
            for index in 0..count {
                let (schedule, first) = phases.allocate(interval, 2 * SECOND, window, SECOND);
                assert!(first - SECOND <= longest, "{why}: {first:?}");
                let gap = schedule.next_start - first;
                assert!(
                    gap >= interval / 10 && gap <= interval * 11 / 10,
                    "{why}: {index}: {gap:?}"
                );
            }
        }
    }

    #[test]
    fn a_missed_probe_is_skipped_once() {
        let mut schedule = TargetSchedule {
            interval: SECOND,
            jitter: Duration::ZERO,
            next_start: SECOND,
            has_skipped: false,
        };
        assert_eq!(schedule.action_at(SECOND, SECOND + SECOND / 100), DueAction::Start);
        assert_eq!(schedule.action_at(SECOND, 2 * SECOND), DueAction::Skip);
        assert_eq!(schedule.action_at(SECOND, 2 * SECOND), DueAction::StartLate);
        assert_eq!(schedule.action_at(SECOND, SECOND), DueAction::Start);
    }

    #[test]
    fn no_probe_is_skipped_by_a_process_that_is_always_a_little_late() {
        let mut schedule = TargetSchedule {
            interval: SECOND,
            jitter: Duration::ZERO,
            next_start: SECOND,
            has_skipped: false,
        };
        for _ in 0..5 {
            assert_eq!(schedule.action_at(SECOND, SECOND + SECOND / 5), DueAction::StartLate);
        }
    }
}
