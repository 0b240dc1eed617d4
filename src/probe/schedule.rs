//! The timetable: when each target is next due. Pure arithmetic; the scheduler brings the clock.
//!
//! Each target has a fixed phase within its interval and starts at `origin + phase + n × interval`, each start moved by up to
//! ±5 % of the interval at random: from one start to the next that is ±10 %. As the jitter is around a fixed grid it never
//! adds up, so targets once spread stay spread. Phases come from the golden ratio's low-discrepancy sequence (Weyl): each new
//! target falls into one of the widest gaps, whatever was added or taken away before.
//!
//! A handful of new targets does not wait for its phase: the first probes follow each other closely, so that a small
//! configuration is judged as soon as it starts. That is no herd.

use std::time::Duration;

/// New targets, added at once, that are few enough to be probed at once.
const HANDFUL: usize = 20;
const HANDFUL_GAP: Duration = Duration::from_millis(20);

/// One target's place in the timetable. Times are since an epoch of the caller's.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    interval: Duration,
    /// The most that a start is moved either way.
    jitter: Duration,
    /// The start after the one that is due, before jitter.
    next: Duration,
    has_skipped: bool,
}

/// What to do about a target whose time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Probe it.
    Start,
    /// Probe it, though it should have been earlier.
    StartLate,
    /// Leave this round out: the process slept, and all that it missed must not start at once.
    Skip,
}

impl Slot {
    /// What to do at `now` about a start that was due at `due`. Two rounds in a row are never left out.
    pub(super) fn judge(&mut self, due: Duration, now: Duration) -> Due {
        let tolerance = (self.interval / 50).max(Duration::from_millis(50));
        let is_late = now.saturating_sub(due) > tolerance;
        self.has_skipped = is_late && !self.has_skipped;
        match (is_late, self.has_skipped) {
            (false, _) => Due::Start,
            (true, true) => Due::Skip,
            (true, false) => Due::StartLate,
        }
    }

    /// The next start, after `now`: rounds that are wholly over are passed by.
    pub(super) fn advance(&mut self, now: Duration, random: &mut fastrand::Rng) -> Duration {
        if self.next < now {
            let missed = (now - self.next).div_duration_f64(self.interval).ceil();
            self.next += self.interval.mul_f64(missed);
        }
        // Jitter must not put it back into the past, where it would be late before it was due.
        let start = (self.next - self.jitter + self.jitter.mul_f64(2.0 * random.f64())).max(now);
        self.next += self.interval;
        start
    }
}

/// Gives out phases.
#[derive(Debug, Default)]
pub(super) struct Phases {
    count: u64,
}

/// One of several targets that are added together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Newcomer {
    /// Which of them, from 0.
    pub(super) index: usize,
    /// How many they are.
    pub(super) count: usize,
}

impl Phases {
    /// A slot for a target added at `now`, and its first start.
    pub(super) fn place(
        &mut self,
        interval: Duration,
        timeout: Duration,
        newcomer: Newcomer,
        now: Duration,
    ) -> (Slot, Duration) {
        let phase = now + interval.mul_f64(self.next_share());
        // Two starts are never closer than the timeout, so that a target never has two probes at once.
        let jitter = (interval / 20).min(interval.saturating_sub(timeout) / 2);
        let early = now + HANDFUL_GAP * newcomer.index as u32;
        let is_early = newcomer.count <= HANDFUL && early < phase;
        // A phase that follows closely is left to the early start, so that no gap is longer than the interval and a tenth.
        let next = if is_early && phase - early > interval / 10 { phase } else { phase + interval };
        (Slot { interval, jitter, next, has_skipped: false }, if is_early { early } else { phase })
    }

    fn next_share(&mut self) -> f64 {
        /// The fractional part of the golden ratio.
        const STEP: f64 = 0.618_033_988_749_894_9;
        let share = (self.count as f64 * STEP).fract();
        self.count += 1;
        share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// The starts of `count` targets, all added at once, over `horizon`.
    fn starts(
        count: usize,
        interval: Duration,
        horizon: Duration,
        sleep: Option<(Duration, Duration)>,
    ) -> Vec<Duration> {
        let (mut phases, mut random) = (Phases::default(), fastrand::Rng::with_seed(1));
        let mut starts = Vec::new();
        for index in 0..count {
            let newcomer = Newcomer { index, count };
            let (mut slot, mut due) = phases.place(interval, interval * 2 / 5, newcomer, Duration::ZERO);
            while due < horizon {
                let now = match sleep {
                    Some((from, to)) if (from..to).contains(&due) => to,
                    _ => due,
                };
                if slot.judge(due, now) != Due::Skip {
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
        assert!((9_950..=10_050).contains(&starts.len()), "{}", starts.len());
        assert!(most_within(&starts, SECOND) <= 150, "{}", most_within(&starts, SECOND));
        let most = most_within(&starts, Duration::from_millis(100));
        assert!(most <= 30, "{most}");
    }

    #[test]
    fn no_herd_follows_a_sleep() {
        let starts = starts(1000, 10 * SECOND, 100 * SECOND, Some((20 * SECOND, 50 * SECOND)));
        assert!(most_within(&starts, SECOND) <= 200, "{}", most_within(&starts, SECOND));
        let most = most_within(&starts, Duration::from_millis(100));
        assert!(most <= 40, "{most}");
        assert_eq!(starts.iter().filter(|start| (20 * SECOND..50 * SECOND).contains(*start)).count(), 0);
    }

    #[test]
    fn gaps_stay_within_a_tenth_of_the_interval() {
        for (interval, timeout) in [(10 * SECOND, 2 * SECOND), (SECOND, SECOND / 2), (SECOND, SECOND * 99 / 100)] {
            let (mut phases, mut random) = (Phases::default(), fastrand::Rng::with_seed(2));
            let (mut slot, _) = phases.place(interval, timeout, Newcomer { index: 0, count: 100 }, Duration::ZERO);
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
    fn a_handful_is_probed_at_once_and_then_in_turn() {
        for count in 1..=HANDFUL {
            let mut phases = Phases::default();
            for index in 0..count {
                let (slot, first) = phases.place(5 * SECOND, 2 * SECOND, Newcomer { index, count }, SECOND);
                assert!(first - SECOND <= HANDFUL_GAP * 20);
                let gap = slot.next - first;
                assert!(gap <= 5 * SECOND * 11 / 10, "{count} {index}: {gap:?}");
            }
        }
    }

    #[test]
    fn a_round_missed_is_left_out_once() {
        let mut slot = Slot { interval: SECOND, jitter: Duration::ZERO, next: SECOND, has_skipped: false };
        assert_eq!(slot.judge(SECOND, SECOND + SECOND / 100), Due::Start);
        assert_eq!(slot.judge(SECOND, 2 * SECOND), Due::Skip);
        assert_eq!(slot.judge(SECOND, 2 * SECOND), Due::StartLate);
        assert_eq!(slot.judge(SECOND, SECOND), Due::Start);
    }
}
