//! The attempts to read a certificate again: how many have failed, since when, and which failures
//! are logged.

use std::time::{Duration, Instant};

/// How long a failure that continues is not logged again.
const LOG_INTERVAL: Duration = Duration::from_secs(3600);
/// The maximum number of different errors that are remembered as logged.
const MAX_LOGGED_ERRORS: usize = 16;

/// Why the files on disk are not in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenewalFailure {
    /// The file that cannot be used, the cause and the remedy, on one line.
    pub error: String,
    /// The time of the first failed attempt after the last success, in seconds since
    /// 1970-01-01T00:00:00Z.
    pub since: i64,
}

/// The attempts to read the certificate since the start.
#[derive(Debug, Default)]
pub(super) struct Renewal {
    pub(super) failure: Option<RenewalFailure>,
    /// The number of failed attempts.
    pub(super) failures: u64,
    /// The errors since the last success, each with the time when it was last logged.
    logged: Vec<(String, Instant)>,
}

impl Renewal {
    /// Records that the files can be used. Returns whether the previous attempt failed.
    pub(super) fn succeeded(&mut self) -> bool {
        self.logged.clear();
        self.failure.take().is_some()
    }

    /// Records an attempt that failed at `now`, which is `unix_secs`. Returns whether the error is
    /// to be logged: each error is logged once, and again after an hour.
    pub(super) fn failed(&mut self, error: String, now: Instant, unix_secs: i64) -> bool {
        self.failures += 1;
        let since = self.failure.as_ref().map_or(unix_secs, |failure| failure.since);
        let is_logged = |(known, logged_at): &(String, Instant)| {
            *known == error && now.duration_since(*logged_at) < LOG_INTERVAL
        };
        let is_due = !self.logged.iter().any(is_logged);
        if is_due {
            self.logged.retain(|(known, _)| *known != error);
            self.logged.truncate(MAX_LOGGED_ERRORS - 1);
            self.logged.insert(0, (error.clone(), now));
        }
        self.failure = Some(RenewalFailure { error, since });
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_logged_once_an_hour_and_its_first_time_is_kept() {
        let mut renewal = Renewal::default();
        let start = Instant::now();
        let mut failed = |error: &str, secs: u64| {
            renewal.failed(
                error.to_owned(),
                start + Duration::from_secs(secs),
                1_000 + secs.cast_signed(),
            )
        };
        for (error, secs, is_logged, why) in [
            ("key missing", 0, true, "new"),
            ("key missing", 5, false, "the same"),
            ("not the key", 10, true, "another"),
            ("key missing", 15, false, "logged already, though another came between"),
            ("key missing", 3_599, false, "not yet an hour"),
            ("key missing", 3_600, true, "an hour"),
            ("key missing", 3_605, false, "logged again just now"),
        ] {
            assert_eq!(failed(error, secs), is_logged, "{why}");
        }
        assert_eq!((renewal.failures, renewal.failure.as_ref().unwrap().since), (7, 1_000));
        assert!(renewal.succeeded() && !renewal.succeeded());
        assert!(renewal.failed("key missing".into(), start, 9), "a new failure after a success");
        assert_eq!(renewal.failure.unwrap().since, 9);
    }

    #[test]
    fn at_most_16_errors_are_remembered() {
        let mut renewal = Renewal::default();
        let now = Instant::now();
        (0..1_000).for_each(|number| assert!(renewal.failed(format!("error {number}"), now, 0)));
        assert_eq!(renewal.logged.len(), MAX_LOGGED_ERRORS);
    }
}
