//! Files that are not in use as they are: since when and why, what the log says of them, and when
//! to read them again.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{held::HeldFile, load::Outlook, status::HeldStatus};

/// The first repetition of a load that failed for a passing reason comes after this long; each
/// further one after twice as long as the one before.
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LONGEST_RETRY: Duration = Duration::from_secs(60);
/// As many held files are logged one by one.
const LOGGED: usize = 50;

/// What the controller knows of held files.
#[derive(Debug, Default)]
pub(super) struct Holding {
    outlook: Outlook,
    since: BTreeMap<PathBuf, i64>,
    retries: u32,
}

impl Holding {
    /// Takes note of a load. Whether a file is held that was not, or for another reason.
    pub(super) fn note(&mut self, outlook: Outlook, now: i64) -> bool {
        let before = std::mem::replace(&mut self.outlook, outlook);
        let held: BTreeMap<&Path, &HeldFile> =
            self.outlook.held.iter().map(|file| (&*file.path, file)).collect();
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
        let removal = self.outlook.removal.as_ref();
        // One record says it for all files that are held because of it.
        let is_said = |file: &&&HeldFile| {
            removal.is_none_or(|removal| file.errors.as_slice() != std::slice::from_ref(removal))
        };
        log(&news.iter().filter(is_said).copied().collect::<Vec<_>>());
        if let Some(removal) = removal
            && before.removal.as_ref() != Some(removal)
        {
            tracing::error!(%removal, "removal held: an operator has not accepted it");
        }
        !news.is_empty()
    }

    /// What the last load found.
    pub(super) fn outlook(&self) -> &Outlook {
        &self.outlook
    }

    /// Why files are held, one line each.
    pub(super) fn errors(&self) -> Vec<String> {
        let mut errors: Vec<String> =
            self.outlook.held.iter().flat_map(|file| file.errors.iter().cloned()).collect();
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
        self.outlook.held.iter().map(status).collect()
    }

    /// How long to wait before files are read again that could not be read for a passing reason.
    pub(super) fn next_retry(&mut self) -> Duration {
        let delay = FIRST_RETRY.saturating_mul(1 << self.retries.min(16)).min(LONGEST_RETRY);
        self.retries = self.retries.saturating_add(1);
        delay
    }

    /// The files could be read.
    pub(super) fn has_read(&mut self) {
        self.retries = 0;
    }
}

fn log(held: &[&HeldFile]) {
    for file in held.iter().take(LOGGED) {
        for error in &file.errors {
            if file.is_left_out {
                tracing::error!(file = %file.path.display(), %error, "new file left out: it has no earlier content to use");
            } else {
                tracing::error!(file = %file.path.display(), %error, "file held at its last good content");
            }
        }
    }
    if let Some(more) = held.len().checked_sub(LOGGED).filter(|more| *more > 0) {
        tracing::error!(files = more, "more files are not in use as they are");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outlook(files: &[(&str, &str)]) -> Outlook {
        let file = |(path, error): &(&str, &str)| HeldFile {
            path: (*path).into(),
            errors: vec![(*error).to_owned()],
            is_passing: false,
            is_left_out: false,
        };
        Outlook { held: files.iter().map(file).collect(), ..Outlook::default() }
    }

    #[test]
    fn a_file_is_held_since_it_was_held_first() {
        let mut holding = Holding::default();
        assert!(holding.note(outlook(&[("a", "one")]), 100));
        assert!(
            holding.note(outlook(&[("a", "two"), ("b", "one")]), 200),
            "another error, another file"
        );
        assert!(!holding.note(outlook(&[("a", "two"), ("b", "one")]), 300));
        let since: Vec<i64> = holding.status().iter().map(|file| file.since).collect();
        assert_eq!(since, [100, 200]);
        assert!(!holding.note(outlook(&[]), 400));
        assert_eq!((holding.since(), holding.errors()), (None, Vec::new()));
    }

    #[test]
    fn retries_come_at_doubling_intervals_of_at_most_a_minute() {
        let mut holding = Holding::default();
        let delays: Vec<u128> = (0..9).map(|_| holding.next_retry().as_millis()).collect();
        assert_eq!(delays, [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
        holding.has_read();
        assert_eq!(holding.next_retry(), FIRST_RETRY);
    }
}
