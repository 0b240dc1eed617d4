//! The attempt timer gives each attempt of a check its whole timeout, counted in time during which
//! this process ran.
//!
//! A process that was suspended or short of CPU causes timeouts and closed connections itself.
//! Therefore the stalled time ([`StallDetector`]) is added to the deadline, up to
//! [`MAX_TIMEOUT_FACTOR`] times the timeout from the start. A target that does not reply before
//! that deadline has failed, however busy the machine was.
//!
//! An attempt is inconclusive if a stall may still have caused its failure: the process ran for
//! less than the timeout, or a connection was closed during a stall. The attempt is repeated at
//! once; after two inconclusive attempts the check is discarded. After [`MAX_STARVED_CHECKS`]
//! discarded checks of a target in a row, its failures count, so that a lasting lack of CPU does
//! not keep a dead target in service. A live target still passes: the kernel completes connections
//! and keeps replies whether this process runs or not.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{no_result::NoResult, stall_detector::StallDetector};

/// Maximum time of an attempt, as a multiple of its timeout.
const MAX_TIMEOUT_FACTOR: u32 = 3;
/// The maximum number of attempts of one check.
const MAX_ATTEMPTS: usize = 2;
/// Number of discarded checks in a row after which failures count.
const MAX_STARVED_CHECKS: u32 = 2;
/// The stall detector is accurate to a few milliseconds: a smaller rest of a timeout counts as 0.
const STALL_TOLERANCE: Duration = Duration::from_millis(5);

/// Times the attempts of one check.
#[derive(Debug, Clone, Copy)]
pub struct AttemptTimer<'a> {
    stall_detector: &'a StallDetector,
    starved_before: u32,
}

/// The end of an attempt.
#[derive(Debug)]
pub(super) struct TimedAttempt<T> {
    /// The result of the attempt; `None` if it timed out.
    pub(super) result: Option<T>,
    /// From start to end; at most the timeout.
    pub(super) latency: Duration,
    /// Whether the process stalled for so long that it may have caused the failure.
    is_starved: bool,
}

impl<'a> AttemptTimer<'a> {
    /// A timer for a target whose latest `starved_before` checks in a row were discarded as
    /// starved.
    pub(super) fn new(stall_detector: &'a StallDetector, starved_before: u32) -> Self {
        Self { stall_detector, starved_before }
    }

    /// Makes attempts until one is conclusive. `is_affected` decides whether a delay of this
    /// process may have caused a result; a timeout always counts as affected.
    ///
    /// # Errors
    /// [`NoResult::Starved`] if no attempt is conclusive.
    pub(super) async fn run<T, W: Future<Output = T>>(
        &self,
        timeout: Duration,
        mut attempt: impl FnMut() -> W,
        is_affected: impl Fn(&T) -> bool,
    ) -> Result<TimedAttempt<T>, NoResult> {
        let mut attempts_left = MAX_ATTEMPTS;
        loop {
            let timed = self.run_once(timeout, attempt()).await;
            let is_conclusive =
                !timed.is_starved || timed.result.as_ref().is_some_and(|end| !is_affected(end));
            attempts_left -= 1;
            if is_conclusive || attempts_left == 0 && self.starved_before >= MAX_STARVED_CHECKS {
                return Ok(timed);
            }
            if attempts_left == 0 {
                return Err(NoResult::Starved);
            }
        }
    }

    async fn run_once<T>(
        &self,
        timeout: Duration,
        work: impl Future<Output = T>,
    ) -> TimedAttempt<T> {
        let start = Instant::now();
        let stalled_before = self.stall_detector.stalled_until(start);
        let mut work = std::pin::pin!(work);
        let mut deadline = start + timeout;
        loop {
            let result = tokio::select! {
                biased;
                result = &mut work => Some(result),
                () = sleep_until(deadline) => None,
            };
            let end = Instant::now();
            let stalled = self.stall_detector.stalled_until(end).saturating_sub(stalled_before);
            let latency = (end - start).min(timeout);
            if result.is_some() {
                return TimedAttempt { result, latency, is_starved: stalled > timeout / 4 };
            }
            deadline = start + (timeout + stalled).min(timeout * MAX_TIMEOUT_FACTOR);
            if deadline <= end + STALL_TOLERANCE {
                let is_starved = (end - start).saturating_sub(stalled) + STALL_TOLERANCE < timeout;
                return TimedAttempt { result, latency, is_starved };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(100);
    const ALWAYS: fn(&()) -> bool = |()| true;

    /// The result of checks that never end, while the detector does not tick, as in a process that
    /// does not run.
    async fn run_without_ticks(starved_before: u32) -> Result<TimedAttempt<()>, NoResult> {
        AttemptTimer::new(&StallDetector::new(), starved_before).run(TIMEOUT, pending, ALWAYS).await
    }

    #[tokio::test]
    async fn failures_of_a_starved_process_are_discarded_twice_and_count_from_then_on() {
        for starved_before in 0..MAX_STARVED_CHECKS {
            assert_eq!(run_without_ticks(starved_before).await.unwrap_err(), NoResult::Starved);
        }
        assert!(run_without_ticks(MAX_STARVED_CHECKS).await.unwrap().result.is_none());
    }

    #[tokio::test]
    async fn a_reply_that_no_delay_can_cause_counts_however_long_the_stall() {
        let detector = StallDetector::new();
        let timer = AttemptTimer::new(&detector, 0);
        let late = || tokio::time::sleep(TIMEOUT);
        assert!(timer.run(2 * TIMEOUT, late, |()| false).await.unwrap().result.is_some());
        assert_eq!(timer.run(2 * TIMEOUT, late, ALWAYS).await.unwrap_err(), NoResult::Starved);
    }

    #[tokio::test]
    async fn a_starved_check_is_repeated_at_once() {
        let detector = StallDetector::new();
        let mut attempts = 0;
        let work = || {
            attempts += 1;
            let is_first = attempts == 1;
            async move {
                if is_first {
                    pending().await
                }
            }
        };
        let timed = AttemptTimer::new(&detector, 0).run(TIMEOUT, work, ALWAYS).await.unwrap();
        assert_eq!((timed.result, attempts), (Some(()), 2));
    }

    #[tokio::test]
    async fn a_target_has_its_whole_timeout_after_a_stall_of_this_process() {
        let detector = StallDetector::new();
        let mut started = false;
        // The first poll blocks for the timeout, as if the process had been suspended once.
        let work = std::future::poll_fn(|context| {
            if std::mem::replace(&mut started, true) {
                return std::task::Poll::Pending;
            }
            std::thread::sleep(TIMEOUT);
            context.waker().wake_by_ref();
            std::task::Poll::<()>::Pending
        });
        let start = Instant::now();
        let timer = AttemptTimer::new(&detector, 0);
        let timed = tokio::select! {
            timed = timer.run_once(TIMEOUT, work) => timed,
            () = detector.run() => unreachable!("the detector runs until dropped"),
        };
        assert!(timed.result.is_none() && !timed.is_starved);
        let (stalled, took) = (detector.stalled_until(Instant::now()), start.elapsed());
        assert!(
            took + STALL_TOLERANCE >= TIMEOUT + TIMEOUT / 2,
            "{took:?} of which {stalled:?} were a stall"
        );
        assert_eq!(timed.latency, TIMEOUT);
    }

    #[tokio::test]
    async fn an_attempt_that_ends_in_time_has_its_own_latency() {
        let timed = AttemptTimer::new(&StallDetector::new(), 0)
            .run(TIMEOUT, || ready(()), ALWAYS)
            .await
            .unwrap();
        assert!(timed.result.is_some() && timed.latency < TIMEOUT);
    }
}
