//! The stopwatch: gives each attempt its whole timeout, counted in time during which this process
//! ran.
//!
//! A process that was suspended or short of CPU causes timeouts and closed connections itself. So
//! the time that the process lost ([`Pulse`]) is added to the deadline, up to [`EXTENSION`] times
//! the timeout from the start. A target that does not answer before that deadline has failed,
//! however busy the machine was.
//!
//! An attempt is inconclusive where the loss may still have caused its failure: the process ran for
//! less than the timeout, or a connection was closed during a loss. It is repeated at once; after
//! two inconclusive attempts the check is discarded. After [`MOST_STARVED`] discarded checks of a
//! target in a row its failures count, so that a lasting lack of CPU does not keep a dead target in
//! service. A target that is alive passes in the meantime: the kernel completes connections and
//! keeps replies whether this process runs or not.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{no_result::NoResult, pulse::Pulse};

/// Maximum time of an attempt, as a multiple of its timeout.
const EXTENSION: u32 = 3;
/// Attempts of one check.
const ATTEMPTS: usize = 2;
/// Discarded checks in a row after which failures count.
const MOST_STARVED: u32 = 2;
/// The pulse is accurate to a few milliseconds: a smaller rest of the timeout is none.
const TOLERANCE: Duration = Duration::from_millis(5);

/// Times the attempts of one check.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stopwatch<'a> {
    pulse: &'a Pulse,
    starved_before: u32,
}

/// The end of an attempt.
#[derive(Debug)]
pub(super) struct Timed<T> {
    /// What the attempt ended with; `None` at its timeout.
    pub(super) ended: Option<T>,
    /// From its start to its end, and never more than its timeout.
    pub(super) latency: Duration,
    /// Whether the process lost time that may have caused the failure.
    is_starved: bool,
}

impl<'a> Stopwatch<'a> {
    /// A stopwatch for a target whose latest `starved_before` checks in a row were discarded as
    /// starved.
    pub(super) fn new(pulse: &'a Pulse, starved_before: u32) -> Self {
        Self { pulse, starved_before }
    }

    /// Makes attempts until one is conclusive. `is_affected` says of an end whether a delay of this
    /// process can have caused it; that an attempt's time was over always can.
    ///
    /// # Errors
    /// [`NoResult::Starved`] where none is conclusive.
    pub(super) async fn time<T, W: Future<Output = T>>(
        &self,
        timeout: Duration,
        mut attempt: impl FnMut() -> W,
        is_affected: impl Fn(&T) -> bool,
    ) -> Result<Timed<T>, NoResult> {
        let mut left = ATTEMPTS;
        loop {
            let timed = self.attempt(timeout, attempt()).await;
            let is_conclusive =
                !timed.is_starved || timed.ended.as_ref().is_some_and(|end| !is_affected(end));
            left -= 1;
            if is_conclusive || left == 0 && self.starved_before >= MOST_STARVED {
                return Ok(timed);
            }
            if left == 0 {
                return Err(NoResult::Starved);
            }
        }
    }

    async fn attempt<T>(&self, timeout: Duration, work: impl Future<Output = T>) -> Timed<T> {
        let start = Instant::now();
        let lost_before = self.pulse.lost(start);
        let mut work = std::pin::pin!(work);
        let mut deadline = start + timeout;
        loop {
            let ended = tokio::select! {
                biased;
                ended = &mut work => Some(ended),
                () = sleep_until(deadline) => None,
            };
            let end = Instant::now();
            let lost = self.pulse.lost(end).saturating_sub(lost_before);
            let latency = (end - start).min(timeout);
            if ended.is_some() {
                return Timed { ended, latency, is_starved: lost > timeout / 4 };
            }
            deadline = start + (timeout + lost).min(timeout * EXTENSION);
            if deadline <= end + TOLERANCE {
                let is_starved = (end - start).saturating_sub(lost) + TOLERANCE < timeout;
                return Timed { ended, latency, is_starved };
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

    /// What comes of checks that never end while the pulse does not beat, as in a process that does
    /// not run.
    async fn without_pulse(starved_before: u32) -> Result<Timed<()>, NoResult> {
        Stopwatch::new(&Pulse::new(), starved_before).time(TIMEOUT, pending, ALWAYS).await
    }

    #[tokio::test]
    async fn a_failure_of_a_starved_process_is_discarded_twice_and_counts_from_then_on() {
        for starved_before in 0..MOST_STARVED {
            assert_eq!(without_pulse(starved_before).await.unwrap_err(), NoResult::Starved);
        }
        assert!(without_pulse(MOST_STARVED).await.unwrap().ended.is_none());
    }

    #[tokio::test]
    async fn an_answer_that_no_delay_can_cause_counts_whatever_the_process_lost() {
        let pulse = Pulse::new();
        let stopwatch = Stopwatch::new(&pulse, 0);
        let late = || tokio::time::sleep(TIMEOUT);
        assert!(stopwatch.time(2 * TIMEOUT, late, |()| false).await.unwrap().ended.is_some());
        assert_eq!(stopwatch.time(2 * TIMEOUT, late, ALWAYS).await.unwrap_err(), NoResult::Starved);
    }

    #[tokio::test]
    async fn a_check_that_was_starved_is_made_again_at_once() {
        let pulse = Pulse::new();
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
        let timed = Stopwatch::new(&pulse, 0).time(TIMEOUT, work, ALWAYS).await.unwrap();
        assert_eq!((timed.ended, attempts), (Some(()), 2));
    }

    #[tokio::test]
    async fn a_target_has_its_whole_timeout_after_a_stop_of_this_process() {
        let pulse = Pulse::new();
        let mut started = false;
        // The first poll blocks as long as the timeout: as if the process had been stopped once.
        let work = std::future::poll_fn(|context| {
            if std::mem::replace(&mut started, true) {
                return std::task::Poll::Pending;
            }
            std::thread::sleep(TIMEOUT);
            context.waker().wake_by_ref();
            std::task::Poll::<()>::Pending
        });
        let start = Instant::now();
        let stopwatch = Stopwatch::new(&pulse, 0);
        let timed = tokio::select! {
            timed = stopwatch.attempt(TIMEOUT, work) => timed,
            () = pulse.beat() => unreachable!("a pulse beats until dropped"),
        };
        assert!(timed.ended.is_none() && !timed.is_starved);
        let (lost, took) = (pulse.lost(Instant::now()), start.elapsed());
        assert!(took + TOLERANCE >= TIMEOUT + TIMEOUT / 2, "{took:?} of which {lost:?} were lost");
        assert_eq!(timed.latency, TIMEOUT);
    }

    #[tokio::test]
    async fn an_attempt_that_ends_in_time_has_its_own_latency() {
        let timed =
            Stopwatch::new(&Pulse::new(), 0).time(TIMEOUT, || ready(()), ALWAYS).await.unwrap();
        assert!(timed.ended.is_some() && timed.latency < TIMEOUT);
    }
}
