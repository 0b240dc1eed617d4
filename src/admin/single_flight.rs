//! Rations: expensive documents, made once for all who ask at the same time and no more often than
//! the server can spare.
//!
//! What a caller gets was begun after it asked, so that a document never contradicts the reply to
//! an earlier request. Only once making documents took more than a fifth of the time lately,
//! callers get the last one made.

use std::time::Duration;

use tokio::{sync::Mutex, time::Instant};

/// Work that may be done before the ration bites.
const MAX_WORK_BURST: Duration = Duration::from_millis(500);
/// One part in so many of the time may be spent on work.
const WORK_DIVISOR: u32 = 5;

/// A document and the work that went into it lately.
#[derive(Debug)]
pub(super) struct SingleFlight<T> {
    /// Held while the document is made, which lets everybody else wait for it.
    cached: Mutex<CachedDocument<T>>,
}

#[derive(Debug)]
struct CachedDocument<T> {
    latest: Option<(Instant, T)>,
    work: WorkBucket,
}

/// Work done and not yet rested from.
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
        let debt = WorkBucket { level: Duration::ZERO, as_of: Instant::now() };
        Self { cached: Mutex::new(CachedDocument { latest: None, work: debt }) }
    }

    /// The document, made by `make` unless somebody else's will do.
    ///
    /// # Errors
    /// Those of `make`; they are not kept.
    pub(super) async fn fetch<E>(&self, make: impl AsyncFnOnce() -> Result<T, E>) -> Result<T, E> {
        let asked = Instant::now();
        let mut kept = self.cached.lock().await;
        let begun = Instant::now();
        let is_resting = kept.work.is_over_burst(begun);
        if let Some((made, document)) = &kept.latest
            && (*made >= asked || is_resting)
        {
            return Ok(document.clone());
        }
        let document = make().await?;
        kept.work.level += begun.elapsed();
        kept.latest = Some((begun, document.clone()));
        Ok(document)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tokio::sync::Notify;

    use super::*;

    #[test]
    fn work_is_rested_from_five_times_as_long() {
        let start = Instant::now();
        let mut debt = WorkBucket { level: Duration::from_millis(600), as_of: start };
        let states =
            [0, 400, 499, 500].map(|ms| debt.is_over_burst(start + Duration::from_millis(ms)));
        assert_eq!(states, [true, true, true, false]);
    }

    #[tokio::test]
    async fn one_document_after_the_other_is_new_while_there_is_time() {
        let ration = SingleFlight::new();
        for number in 0..10 {
            assert_eq!(ration.fetch(async || Ok::<_, Infallible>(number)).await, Ok(number));
        }
    }

    #[tokio::test]
    async fn while_work_is_rested_from_the_last_document_is_given_out() {
        let ration = SingleFlight::new();
        assert_eq!(ration.fetch(async || Ok::<_, Infallible>(1)).await, Ok(1));
        ration.cached.lock().await.work.level = Duration::from_secs(3600);
        assert_eq!(ration.fetch(async || Ok::<_, Infallible>(2)).await, Ok(1));
    }

    #[tokio::test]
    async fn those_who_wait_while_it_is_made_share_the_next_one() {
        let (ration, have_asked) = (SingleFlight::new(), Notify::new());
        let first = ration.fetch(async || {
            have_asked.notified().await;
            Ok::<_, Infallible>(1)
        });
        let second = ration.fetch(async || Ok::<_, Infallible>(2));
        let third = ration.fetch(async || Ok::<_, Infallible>(3));
        // Polled in this order: both others wait before the first is let go on.
        let (first, second, third, ()) =
            tokio::join!(biased; first, second, third, async { have_asked.notify_one() });
        assert_eq!((first, second, third), (Ok(1), Ok(2), Ok(2)));
    }

    #[tokio::test]
    async fn an_error_is_not_kept() {
        let ration = SingleFlight::new();
        assert_eq!(ration.fetch(async || Err("busy")).await, Err("busy"));
        assert_eq!(ration.fetch(async || Ok::<_, &str>(1)).await, Ok(1));
    }
}
