//! Held files: since when and why each is held, the log records about them, and when to read them
//! again.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    held_file::{HeldFile, HoldReport},
    status::HeldStatus,
};

/// The delay before the first repetition of a load that failed for a transient reason. The delay
/// doubles with each further repetition.
const FIRST_RETRY_DELAY: Duration = Duration::from_millis(500);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(60);
/// The maximum number of held files that are logged one by one.
const MAX_LOGGED_FILES: usize = 50;

/// The report of the last load, and since when each of its files is held.
#[derive(Debug, Default)]
pub(super) struct HoldTracker {
    report: HoldReport,
    since: BTreeMap<PathBuf, i64>,
    retries: u32,
}

impl HoldTracker {
    /// Records the held files of a load, at `now` in seconds since 1970. Returns whether a file is
    /// held that was not held before, or for another reason.
    pub(super) fn update(&mut self, report: HoldReport, now: i64) -> bool {
        let before = std::mem::replace(&mut self.report, report);
        let held: BTreeMap<&Path, &HeldFile> =
            self.report.held.iter().map(|file| (&*file.path, file)).collect();
        let was_held: BTreeMap<&Path, &HeldFile> =
            before.held.iter().map(|file| (&*file.path, file)).collect();
        for file in before.held.iter().filter(|file| !held.contains_key(&*file.path)) {
            let since = self.since.get(&file.path).map_or(0, |since| now - since);
            if file.path.symlink_metadata().is_ok() {
                tracing::info!(file = %file.path.display(), held_secs = since, "held file is fixed: its new content is in use");
            } else {
                tracing::info!(file = %file.path.display(), held_secs = since, "held file is gone: nothing of it is in use");
            }
        }
        self.since.retain(|path, _| held.contains_key(&**path));
        for path in held.keys() {
            self.since.entry(path.to_path_buf()).or_insert(now);
        }
        let is_news =
            |file: &&HeldFile| was_held.get(&*file.path).is_none_or(|before| before != file);
        let news: Vec<&HeldFile> = held.into_values().filter(is_news).collect();
        let removal = self.report.held_removal.as_ref();
        // One record about the removal is enough for all files that are held because of it.
        let is_logged_alone = |file: &&&HeldFile| {
            removal.is_none_or(|removal| file.errors.as_slice() != std::slice::from_ref(removal))
        };
        log(&news.iter().filter(is_logged_alone).copied().collect::<Vec<_>>());
        if let Some(removal) = removal
            && before.held_removal.as_ref() != Some(removal)
        {
            tracing::error!(%removal, "removal held: an operator has not accepted it");
        }
        !news.is_empty()
    }

    /// The report of the last load.
    pub(super) fn report(&self) -> &HoldReport {
        &self.report
    }

    /// Why files are held, one line each.
    pub(super) fn errors(&self) -> Vec<String> {
        let mut errors: Vec<String> =
            self.report.held.iter().flat_map(|file| file.errors.iter().cloned()).collect();
        errors.dedup();
        errors
    }

    /// The time since which any file is held, in seconds since 1970.
    pub(super) fn since(&self) -> Option<i64> {
        self.since.values().copied().min()
    }

    /// The held files, in order of path.
    pub(super) fn status(&self) -> Vec<HeldStatus> {
        let status = |file: &HeldFile| HeldStatus {
            file: file.path.display().to_string(),
            since: self.since.get(&file.path).copied().unwrap_or_default(),
            errors: file.errors.clone(),
            is_left_out: file.is_left_out,
        };
        self.report.held.iter().map(status).collect()
    }

    /// The delay before files are read again that could not be read for a transient reason.
    pub(super) fn next_retry(&mut self) -> Duration {
        let delay =
            FIRST_RETRY_DELAY.saturating_mul(1 << self.retries.min(16)).min(MAX_RETRY_DELAY);
        self.retries = self.retries.saturating_add(1);
        delay
    }

    /// Records that all files could be read.
    pub(super) fn reset_retries(&mut self) {
        self.retries = 0;
    }
}

fn log(held: &[&HeldFile]) {
    for file in held.iter().take(MAX_LOGGED_FILES) {
        for error in &file.errors {
            if file.is_left_out {
                tracing::error!(file = %file.path.display(), %error, "new file left out: it has no earlier content to use");
            } else {
                tracing::error!(file = %file.path.display(), %error, "file held at its last good content");
            }
        }
    }
    if let Some(more) = held.len().checked_sub(MAX_LOGGED_FILES).filter(|more| *more > 0) {
        tracing::error!(files = more, "more files are not in use as they are");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(files: &[(&str, &str)]) -> HoldReport {
        let file = |(path, error): &(&str, &str)| HeldFile {
            path: (*path).into(),
            errors: vec![(*error).to_owned()],
            is_transient: false,
            is_left_out: false,
        };
        HoldReport { held: files.iter().map(file).collect(), ..HoldReport::default() }
    }

    #[test]
    fn a_file_is_held_since_the_first_load_that_held_it() {
        let mut tracker = HoldTracker::default();
        assert!(tracker.update(report(&[("a", "one")]), 100));
        assert!(
            tracker.update(report(&[("a", "two"), ("b", "one")]), 200),
            "another error, another file"
        );
        assert!(!tracker.update(report(&[("a", "two"), ("b", "one")]), 300));
        let since: Vec<i64> = tracker.status().iter().map(|file| file.since).collect();
        assert_eq!(since, [100, 200]);
        assert!(!tracker.update(report(&[]), 400));
        assert_eq!((tracker.since(), tracker.errors()), (None, Vec::new()));
    }

    #[test]
    fn retries_come_at_doubling_intervals_of_at_most_a_minute() {
        let mut tracker = HoldTracker::default();
        let delays: Vec<u128> = (0..9).map(|_| tracker.next_retry().as_millis()).collect();
        assert_eq!(delays, [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
        tracker.reset_retries();
        assert_eq!(tracker.next_retry(), FIRST_RETRY_DELAY);
    }
}
