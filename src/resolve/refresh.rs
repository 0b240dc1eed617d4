//! The task of one alias: resolves it, reports the result, and resolves it again when its TTL has
//! passed.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::sync::{Semaphore, mpsc};

use super::{lookup::lookup, report::AliasReport};
use crate::dns::Name;

/// The shortest wait after a success. Some names have a TTL of 0, which would mean continuous
/// queries.
pub(super) const MIN_REFRESH_INTERVAL: Duration = Duration::from_secs(5);
/// The longest wait after a success. Even with a TTL of a day, the address may change earlier.
const MAX_REFRESH_INTERVAL: Duration = Duration::from_secs(3600);
/// The wait after the first failure; most failures are short. It doubles with each further failure.
const FIRST_RETRY_DELAY: Duration = Duration::from_secs(1);
/// The longest wait after a failure.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(30);
/// The maximum extension of a wait, as a fraction of it; it spreads the lookups of several aliases.
/// A wait is never shortened: the resolver would still have the old record, with a TTL of a second.
const JITTER: f64 = 0.1;

/// Resolves an alias until the receiver of the reports is dropped.
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
        let delay = next_delay(report.ttl_secs(), failures, random.f64());
        if reports.send(report).await.is_err() {
            return;
        }
        tokio::time::sleep(delay).await;
    }
}

/// The wait after a success with this TTL, or after this number of failures in a row. `random` is
/// from 0 to 1.
fn next_delay(ttl_secs: Option<u32>, failures: u32, random: f64) -> Duration {
    let delay = match ttl_secs {
        Some(secs) => {
            Duration::from_secs(secs.into()).clamp(MIN_REFRESH_INTERVAL, MAX_REFRESH_INTERVAL)
        }
        None => (FIRST_RETRY_DELAY * (1 << failures.saturating_sub(1).min(5))).min(MAX_RETRY_DELAY),
    };
    delay.mul_f64(1.0 + JITTER * random)
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
