//! Rations: expensive documents, made once for all who ask at the same time and no more often than
//! the server can spare.
//!
//! What a caller gets was begun after it asked, so that a document never contradicts the reply to
//! an earlier request. Only once making documents took more than a fifth of the time lately,
//! callers get the last one made.

use std::time::Duration;

use tokio::{sync::Mutex, time::Instant};

/// Work that may be done before the ration bites.
const BURST: Duration = Duration::from_millis(500);
/// One part in so many of the time may be spent on work.
const SHARE: u32 = 5;

/// A document and the work that went into it lately.
#[derive(Debug)]
pub(super) struct Rationed<T> {
    /// Held while the document is made, which lets everybody else wait for it.
    kept: Mutex<Kept<T>>,
}

#[derive(Debug)]
struct Kept<T> {
    latest: Option<(Instant, T)>,
    debt: Debt,
}

/// Work done and not yet rested from.
#[derive(Debug)]
struct Debt {
    work: Duration,
    as_of: Instant,
}

impl Debt {
    fn is_too_high(&mut self, now: Instant) -> bool {
        self.work = self.work.saturating_sub((now - self.as_of) / SHARE);
        self.as_of = now;
        self.work > BURST
    }
}

impl<T: Clone> Rationed<T> {
    pub(super) fn new() -> Self {
        let debt = Debt { work: Duration::ZERO, as_of: Instant::now() };
        Self { kept: Mutex::new(Kept { latest: None, debt }) }
    }

    /// The document, made by `make` unless somebody else's will do.
    ///
    /// # Errors
    /// Those of `make`; they are not kept.
    pub(super) async fn take<E>(&self, make: impl AsyncFnOnce() -> Result<T, E>) -> Result<T, E> {
        let asked = Instant::now();
        let mut kept = self.kept.lock().await;
        let begun = Instant::now();
        let is_resting = kept.debt.is_too_high(begun);
        if let Some((made, document)) = &kept.latest
            && (*made >= asked || is_resting)
        {
            return Ok(document.clone());
        }
        let document = make().await?;
        kept.debt.work += begun.elapsed();
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
        let mut debt = Debt { work: Duration::from_millis(600), as_of: start };
        let states =
            [0, 400, 499, 500].map(|ms| debt.is_too_high(start + Duration::from_millis(ms)));
        assert_eq!(states, [true, true, true, false]);
    }

    #[tokio::test]
    async fn one_document_after_the_other_is_new_while_there_is_time() {
        let ration = Rationed::new();
        for number in 0..10 {
            assert_eq!(ration.take(async || Ok::<_, Infallible>(number)).await, Ok(number));
        }
    }

    #[tokio::test]
    async fn while_work_is_rested_from_the_last_document_is_given_out() {
        let ration = Rationed::new();
        assert_eq!(ration.take(async || Ok::<_, Infallible>(1)).await, Ok(1));
        ration.kept.lock().await.debt.work = Duration::from_secs(3600);
        assert_eq!(ration.take(async || Ok::<_, Infallible>(2)).await, Ok(1));
    }

    #[tokio::test]
    async fn those_who_wait_while_it_is_made_share_the_next_one() {
        let (ration, have_asked) = (Rationed::new(), Notify::new());
        let first = ration.take(async || {
            have_asked.notified().await;
            Ok::<_, Infallible>(1)
        });
        let second = ration.take(async || Ok::<_, Infallible>(2));
        let third = ration.take(async || Ok::<_, Infallible>(3));
        // Polled in this order: both others wait before the first is let go on.
        let (first, second, third, ()) =
            tokio::join!(biased; first, second, third, async { have_asked.notify_one() });
        assert_eq!((first, second, third), (Ok(1), Ok(2), Ok(2)));
    }

    #[tokio::test]
    async fn an_error_is_not_kept() {
        let ration = Rationed::new();
        assert_eq!(ration.take(async || Err("busy")).await, Err("busy"));
        assert_eq!(ration.take(async || Ok::<_, &str>(1)).await, Ok(1));
    }
}
