//! One alias followed: resolved, reported, and resolved again when what was found may no longer be
//! kept.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::sync::{Semaphore, mpsc};

use super::{AliasReport, lookup::lookup};
use crate::dns::Name;

/// Records that may be kept shorter are kept this long: some names have a TTL of 0, and nobody
/// wants a query a second.
pub(super) const MIN_REFRESH_INTERVAL: Duration = Duration::from_secs(5);
/// Records that may be kept longer are looked at so often: a day's TTL is no promise that the
/// address stays.
const MAX_REFRESH_INTERVAL: Duration = Duration::from_secs(3600);
/// After a failure: at first so soon, since most are gone at once,
const FIRST_RETRY_DELAY: Duration = Duration::from_secs(1);
/// then twice as long each time, up to this.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(30);
/// How much longer a wait may become, so that aliases of one age spread out. Never shorter: a
/// resolver still has the record then, and would give it with a second left to live.
const JITTER: f64 = 0.1;

/// Resolves an alias until nobody listens any more.
pub(super) async fn keep_resolved(
    alias: Name,
    servers: Arc<[SocketAddr]>,
    permits: Arc<Semaphore>,
    reports: mpsc::Sender<AliasReport>,
) {
    let mut failures = 0;
    let mut random = fastrand::Rng::new();
    loop {
        let report = {
            let Ok(_permit) = permits.acquire().await else { return };
            lookup(&alias, &servers).await
        };
        failures = if report.ttl_secs().is_some() { 0 } else { failures + 1 };
        let pause = next_delay(report.ttl_secs(), failures, random.f64());
        if reports.send(report).await.is_err() {
            return;
        }
        tokio::time::sleep(pause).await;
    }
}

/// How long to wait after a success, or after so many failures in a row; `chance` is from 0 to 1.
fn next_delay(ttl_secs: Option<u32>, failures: u32, chance: f64) -> Duration {
    let pause = match ttl_secs {
        Some(secs) => {
            Duration::from_secs(secs.into()).clamp(MIN_REFRESH_INTERVAL, MAX_REFRESH_INTERVAL)
        }
        None => (FIRST_RETRY_DELAY * (1 << failures.saturating_sub(1).min(5))).min(MAX_RETRY_DELAY),
    };
    pause.mul_f64(1.0 + JITTER * chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_the_ttl_within_bounds_and_doubles_with_failures() {
        for (ttl_secs, failures, secs, why) in [
            (Some(0), 0, 5, "a TTL of 0"),
            (Some(60), 0, 60, "the TTL"),
            (Some(86_400), 0, 3600, "a day"),
            (Some(u32::MAX), 0, 3600, "the longest"),
            (None, 1, 1, "the first failure"),
            (None, 2, 2, "the second"),
            (None, 5, 16, "the fifth"),
            (None, 6, 30, "the longest wait"),
            (None, u32::MAX, 30, "failures without end"),
        ] {
            assert_eq!(next_delay(ttl_secs, failures, 0.0), Duration::from_secs(secs), "{why}");
            let longest = next_delay(ttl_secs, failures, 1.0);
            assert!(
                longest > Duration::from_secs(secs)
                    && longest <= Duration::from_secs(secs).mul_f64(1.11),
                "{why}"
            );
        }
    }
}
