//! Files that are not in use as they are: since when and why, what the log says of them, and when
//! to read them again.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{config_load::HoldReport, file_selection::HeldFile, status::HeldStatus};

/// The first repetition of a load that failed for a passing reason comes after this long; each
/// further one after twice as long as the one before.
const FIRST_RETRY_DELAY: Duration = Duration::from_millis(500);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(60);
/// As many held files are logged one by one.
const MAX_LOGGED_FILES: usize = 50;

/// What the controller knows of held files.
#[derive(Debug, Default)]
pub(super) struct HoldTracker {
    report: HoldReport,
    since: BTreeMap<PathBuf, i64>,
    retries: u32,
}

impl HoldTracker {
    /// Takes note of a load. Whether a file is held that was not, or for another reason.
    pub(super) fn update(&mut self, outlook: HoldReport, now: i64) -> bool {
        let before = std::mem::replace(&mut self.report, outlook);
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
        // One record says it for all files that are held because of it.
        let is_said = |file: &&&HeldFile| {
            removal.is_none_or(|removal| file.errors.as_slice() != std::slice::from_ref(removal))
        };
        log(&news.iter().filter(is_said).copied().collect::<Vec<_>>());
        if let Some(removal) = removal
            && before.held_removal.as_ref() != Some(removal)
        {
            tracing::error!(%removal, "removal held: an operator has not accepted it");
        }
        !news.is_empty()
    }

    /// What the last load found.
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

    /// Since when the first of the held files is held.
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

    /// How long to wait before files are read again that could not be read for a passing reason.
    pub(super) fn next_retry(&mut self) -> Duration {
        let delay =
            FIRST_RETRY_DELAY.saturating_mul(1 << self.retries.min(16)).min(MAX_RETRY_DELAY);
        self.retries = self.retries.saturating_add(1);
        delay
    }

    /// The files could be read.
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

    fn outlook(files: &[(&str, &str)]) -> HoldReport {
        let file = |(path, error): &(&str, &str)| HeldFile {
            path: (*path).into(),
            errors: vec![(*error).to_owned()],
            is_transient: false,
            is_left_out: false,
        };
        HoldReport { held: files.iter().map(file).collect(), ..HoldReport::default() }
    }

    #[test]
    fn a_file_is_held_since_it_was_held_first() {
        let mut holding = HoldTracker::default();
        assert!(holding.update(outlook(&[("a", "one")]), 100));
        assert!(
            holding.update(outlook(&[("a", "two"), ("b", "one")]), 200),
            "another error, another file"
        );
        assert!(!holding.update(outlook(&[("a", "two"), ("b", "one")]), 300));
        let since: Vec<i64> = holding.status().iter().map(|file| file.since).collect();
        assert_eq!(since, [100, 200]);
        assert!(!holding.update(outlook(&[]), 400));
        assert_eq!((holding.since(), holding.errors()), (None, Vec::new()));
    }

    #[test]
    fn retries_come_at_doubling_intervals_of_at_most_a_minute() {
        let mut holding = HoldTracker::default();
        let delays: Vec<u128> = (0..9).map(|_| holding.next_retry().as_millis()).collect();
        assert_eq!(delays, [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
        holding.reset_retries();
        assert_eq!(holding.next_retry(), FIRST_RETRY_DELAY);
    }
}
