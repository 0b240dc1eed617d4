//! The single-flight cache: an expensive document is made once for all requests at the same time,
//! and takes at most a fifth of the time.
//!
//! A document that is returned was begun after it was requested, so that it never contradicts the
//! reply to an earlier request. The exception: while recent documents have taken more than a fifth
//! of the time, requests get the last one made.

use std::time::Duration;

use tokio::{sync::Mutex, time::Instant};

/// Work that may be done at once, before it is limited.
const MAX_WORK_BURST: Duration = Duration::from_millis(500);
/// Work may take 1/5 of the time.
const WORK_DIVISOR: u32 = 5;

/// A document that is made on request.
#[derive(Debug)]
pub(super) struct SingleFlight<T> {
    /// Locked while the document is made, so that other requests wait for it.
    cached: Mutex<CachedDocument<T>>,
}

#[derive(Debug)]
struct CachedDocument<T> {
    /// The last document, and the time at which it was begun.
    latest: Option<(Instant, T)>,
    work: WorkBucket,
}

/// A leaky bucket: filled by the time spent on work, drained at a fifth of the time that passes.
#[derive(Debug)]
struct WorkBucket {
    level: Duration,
    as_of: Instant,
}

impl WorkBucket {
    fn is_over_burst(&mut self, now: Instant) -> bool {
        self.level = self.level.saturating_sub((now - self.as_of) / WORK_DIVISOR);
        self.as_of = now;
        self.level > MAX_WORK_BURST
    }
}

impl<T: Clone> SingleFlight<T> {
    pub(super) fn new() -> Self {
        let work = WorkBucket { level: Duration::ZERO, as_of: Instant::now() };
        Self { cached: Mutex::new(CachedDocument { latest: None, work }) }
    }

    /// The document: the last one if it may be returned, else a new one that `make` makes.
    ///
    /// # Errors
    /// The errors of `make`, which are not cached.
    pub(super) async fn fetch<E>(&self, make: impl AsyncFnOnce() -> Result<T, E>) -> Result<T, E> {
        let requested_at = Instant::now();
        let mut cached = self.cached.lock().await;
        let begun_at = Instant::now();
        let is_limited = cached.work.is_over_burst(begun_at);
        if let Some((latest_begun_at, document)) = &cached.latest
            && (*latest_begun_at >= requested_at || is_limited)
        {
            return Ok(document.clone());
        }
        let document = make().await?;
        cached.work.level += begun_at.elapsed();
        cached.latest = Some((begun_at, document.clone()));
        Ok(document)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tokio::sync::Notify;

    use super::*;

    #[test]
    fn work_drains_in_five_times_its_duration() {
        let start = Instant::now();
        let mut work = WorkBucket { level: Duration::from_millis(600), as_of: start };
        let states =
            [0, 400, 499, 500].map(|ms| work.is_over_burst(start + Duration::from_millis(ms)));
        assert_eq!(states, [true, true, true, false]);
    }

    #[tokio::test]
    async fn each_request_gets_a_new_document_while_work_is_not_limited() {
        let cache = SingleFlight::new();
        for number in 0..10 {
            assert_eq!(cache.fetch(async || Ok::<_, Infallible>(number)).await, Ok(number));
        }
    }

    #[tokio::test]
    async fn while_work_is_limited_the_last_document_is_returned() {
        let cache = SingleFlight::new();
        assert_eq!(cache.fetch(async || Ok::<_, Infallible>(1)).await, Ok(1));
        cache.cached.lock().await.work.level = Duration::from_secs(3600);
        assert_eq!(cache.fetch(async || Ok::<_, Infallible>(2)).await, Ok(1));
    }

    #[tokio::test]
    async fn requests_that_wait_for_a_document_share_the_next_one() {
        let (cache, have_requested) = (SingleFlight::new(), Notify::new());
        let first = cache.fetch(async || {
            have_requested.notified().await;
            Ok::<_, Infallible>(1)
        });
        let second = cache.fetch(async || Ok::<_, Infallible>(2));
        let third = cache.fetch(async || Ok::<_, Infallible>(3));
        // Polled in this order: both others wait before the first may finish.
        let (first, second, third, ()) =
            tokio::join!(biased; first, second, third, async { have_requested.notify_one() });
        assert_eq!((first, second, third), (Ok(1), Ok(2), Ok(2)));
    }

    #[tokio::test]
    async fn an_error_is_not_cached() {
        let cache = SingleFlight::new();
        assert_eq!(cache.fetch(async || Err("busy")).await, Err("busy"));
        assert_eq!(cache.fetch(async || Ok::<_, &str>(1)).await, Ok(1));
    }
}
