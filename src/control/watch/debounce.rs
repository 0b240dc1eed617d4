//! Detection of the end of an edit.
//!
//! An edit is complete when no event has come for a moment and the file is closed, as far as the
//! kernel reports that: a file that is written piece by piece is never used in part. A file that
//! stays open delays only itself. Edits of other files are reported meanwhile, and the load leaves
//! the open one out.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{events::FileEvent, watch_scope::WatchScope};

/// An edit is complete when no event has come for this time.
const QUIET_PERIOD: Duration = Duration::from_millis(50);
/// A new file that is not written to within this time will not be, such as a hard link.
const NEW_FILE_GRACE: Duration = Duration::from_millis(300);
/// A complete edit is reported after this time, whatever happens to other files.
pub(in crate::control) const MAX_REPORT_DELAY: Duration = Duration::from_millis(500);
/// A file that stays open without being written to is reported after this time. The load leaves it
/// out, with an error.
const IDLE_OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// A file that is written to without a pause is reported after this time, in the same way.
const BUSY_OPEN_TIMEOUT: Duration = Duration::from_secs(30);

/// Edits that are not reported yet, and files that are open.
#[derive(Debug, Default)]
struct UnreportedEdits {
    /// The time of the first and of the latest event that completes an edit.
    completed: Option<(Instant, Instant)>,
    /// Files that are open for writing.
    open_files_by_path: HashMap<PathBuf, OpenFile>,
    /// New files, and the time until which they may be opened for writing.
    new_files: HashMap<PathBuf, Instant>,
}

/// A file that is open for writing.
#[derive(Debug, Clone, Copy)]
struct OpenFile {
    first_written: Instant,
    last_written: Instant,
    is_reported: bool,
}

impl OpenFile {
    fn overdue_at(&self) -> Option<Instant> {
        let overdue_at =
            (self.last_written + IDLE_OPEN_TIMEOUT).min(self.first_written + BUSY_OPEN_TIMEOUT);
        (!self.is_reported).then_some(overdue_at)
    }
}

impl UnreportedEdits {
    fn record(&mut self, event: FileEvent, now: Instant) {
        match event {
            FileEvent::Created(path) => _ = self.new_files.insert(path, now + NEW_FILE_GRACE),
            FileEvent::Written(path) => {
                self.new_files.remove(&path);
                let new = OpenFile { first_written: now, last_written: now, is_reported: false };
                self.open_files_by_path.entry(path).or_insert(new).last_written = now;
            }
            FileEvent::Closed(path) | FileEvent::Changed(path) => {
                self.new_files.remove(&path);
                self.open_files_by_path.remove(&path);
                self.mark_complete(now);
            }
            // The kernel will report when the file is closed.
            FileEvent::Differs(path) if self.open_files_by_path.contains_key(&path) => {}
            FileEvent::Differs(path) => {
                self.new_files.remove(&path);
                self.mark_complete(now);
            }
            FileEvent::Lost => {
                // The lost events may include that a file was closed.
                self.open_files_by_path.clear();
                self.mark_complete(now);
            }
        }
    }

    fn mark_complete(&mut self, now: Instant) {
        let first = self.completed.map_or(now, |(first, _)| first);
        self.completed = Some((first, now));
    }

    /// The time at which to report if no further event comes; `None` while there is nothing to
    /// report.
    fn due_at(&self) -> Option<Instant> {
        let overdue = self.open_files_by_path.values().filter_map(OpenFile::overdue_at).min();
        let new_until = self.new_files.values().max().copied();
        let complete = match (self.completed, new_until) {
            (Some((first, last)), new_until) => {
                let (quiet, latest) = (last + QUIET_PERIOD, first + MAX_REPORT_DELAY);
                let complete_at = if self.is_any_awaited() {
                    latest
                } else {
                    new_until.map_or(quiet, |new_until| quiet.max(new_until))
                };
                Some(complete_at.min(latest))
            }
            (None, new_until) => new_until,
        };
        [complete, overdue].into_iter().flatten().min()
    }

    /// Whether a file is open that may still be closed in time.
    fn is_any_awaited(&self) -> bool {
        self.open_files_by_path.values().any(|open| !open.is_reported)
    }

    /// Forgets the edits that were reported. Open files are remembered until they are closed.
    fn mark_reported(&mut self, now: Instant) {
        self.completed = None;
        self.new_files.retain(|_, until| *until > now);
        for open in self.open_files_by_path.values_mut() {
            open.is_reported |= open.overdue_at().is_some_and(|at| at <= now);
        }
    }

    /// The files that a load must not read now.
    fn open_files(&self) -> BTreeSet<PathBuf> {
        self.open_files_by_path.keys().chain(self.new_files.keys()).cloned().collect()
    }

    /// Forgets open files that no longer exist or that no load reads: the kernel does not report
    /// that they are closed.
    fn forget_irrelevant(&mut self, scope: &WatchScope) {
        self.open_files_by_path
            .retain(|path, _| scope.is_watched(path) && fs::symlink_metadata(path).is_ok());
    }
}

/// Turns events into reports, until one of the channels is closed.
pub(super) async fn run(
    mut events: mpsc::Receiver<FileEvent>,
    reports: mpsc::Sender<()>,
    scope: Arc<ArcSwap<WatchScope>>,
    open: Arc<ArcSwap<BTreeSet<PathBuf>>>,
) {
    let mut pending = UnreportedEdits::default();
    loop {
        let due = pending.due_at();
        tokio::select! {
            event = events.recv() => match event {
                Some(event) => pending.record(event, Instant::now()),
                None => return,
            },
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                pending.mark_reported(Instant::now());
                pending.forget_irrelevant(&scope.load());
                open.store(Arc::new(pending.open_files()));
                if let Err(mpsc::error::TrySendError::Closed(())) = reports.try_send(()) {
                    return;
                }
            }
        }
        // The list is stored only if it differs: a large file is written in many pieces.
        if pending.open_files_by_path.len() + pending.new_files.len() != open.load().len()
            || pending.open_files() != **open.load()
        {
            open.store(Arc::new(pending.open_files()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "/zones/a.toml";
    const B: &str = "/zones/b.toml";

    fn after(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    #[test]
    fn a_file_that_is_open_for_writing_is_reported_once_it_is_closed() {
        let (mut pending, start) = (UnreportedEdits::default(), Instant::now());
        for millis in (0..4000).step_by(100) {
            pending.record(FileEvent::Written(A.into()), after(start, millis));
        }
        assert_eq!(pending.due_at(), Some(after(start, 3900) + IDLE_OPEN_TIMEOUT));
        pending.record(FileEvent::Closed(A.into()), after(start, 4000));
        assert_eq!(pending.due_at(), Some(after(start, 4000) + QUIET_PERIOD));
        assert!(pending.open_files().is_empty());
    }

    #[test]
    fn an_open_file_delays_the_edit_of_another_by_half_a_second_and_is_left_out() {
        let (mut pending, start) = (UnreportedEdits::default(), Instant::now());
        pending.record(FileEvent::Written(A.into()), start);
        for millis in (0..10_000).step_by(100) {
            pending.record(FileEvent::Written(A.into()), after(start, millis));
        }
        pending.record(FileEvent::Changed(B.into()), after(start, 10_000));
        assert_eq!(pending.due_at(), Some(after(start, 10_000) + MAX_REPORT_DELAY));
        pending.mark_reported(after(start, 10_500));
        assert_eq!(pending.open_files(), BTreeSet::from([PathBuf::from(A)]));
    }

    #[test]
    fn a_file_that_stays_open_is_reported_once_and_no_longer_delays_others() {
        let (mut pending, start) = (UnreportedEdits::default(), Instant::now());
        pending.record(FileEvent::Written(A.into()), start);
        let overdue = start + IDLE_OPEN_TIMEOUT;
        assert_eq!(pending.due_at(), Some(overdue));
        pending.mark_reported(overdue);
        assert_eq!(pending.due_at(), None, "once");
        assert_eq!(
            pending.open_files(),
            BTreeSet::from([PathBuf::from(A)]),
            "it is still not to be read"
        );
        pending.record(FileEvent::Changed(B.into()), after(overdue, 100));
        assert_eq!(pending.due_at(), Some(after(overdue, 100) + QUIET_PERIOD));
    }

    #[test]
    fn a_file_that_is_written_without_a_pause_is_reported_in_the_end() {
        let (mut pending, start) = (UnreportedEdits::default(), Instant::now());
        for second in 0..60 {
            pending.record(FileEvent::Written(A.into()), start + Duration::from_secs(second));
        }
        assert_eq!(pending.due_at(), Some(start + BUSY_OPEN_TIMEOUT));
    }

    #[test]
    fn many_edits_in_a_row_are_one_report_within_half_a_second() {
        let (mut pending, start) = (UnreportedEdits::default(), Instant::now());
        for millis in (0..300).step_by(30) {
            pending.record(FileEvent::Changed(A.into()), after(start, millis));
        }
        assert_eq!(pending.due_at(), Some(after(start, 270) + QUIET_PERIOD));
        for millis in (300..900).step_by(30) {
            pending.record(FileEvent::Changed(A.into()), after(start, millis));
        }
        assert_eq!(pending.due_at(), Some(start + MAX_REPORT_DELAY));
    }

    #[test]
    fn a_new_file_is_not_read_before_it_is_written_and_closed() {
        let (mut pending, start) = (UnreportedEdits::default(), Instant::now());
        pending.record(FileEvent::Created(A.into()), start);
        assert_eq!(pending.due_at(), Some(start + NEW_FILE_GRACE), "it may stay empty");
        assert_eq!(pending.open_files(), BTreeSet::from([PathBuf::from(A)]));
        pending.record(FileEvent::Written(A.into()), after(start, 10));
        pending.record(FileEvent::Closed(A.into()), after(start, 20));
        assert_eq!(pending.due_at(), Some(after(start, 20) + QUIET_PERIOD));
    }

    #[test]
    fn a_file_that_was_found_to_differ_is_not_complete_while_it_is_open() {
        let (mut pending, start) = (UnreportedEdits::default(), Instant::now());
        pending.record(FileEvent::Written(A.into()), start);
        pending.record(FileEvent::Differs(A.into()), start);
        assert_eq!(pending.due_at(), Some(start + IDLE_OPEN_TIMEOUT));
        pending.record(FileEvent::Differs(B.into()), start);
        assert_eq!(pending.due_at(), Some(start + MAX_REPORT_DELAY));
        assert_eq!(pending.open_files(), BTreeSet::from([PathBuf::from(A)]));
    }

    #[test]
    fn lost_events_are_an_edit_and_no_file_counts_as_open_forever() {
        let (mut pending, start) = (UnreportedEdits::default(), Instant::now());
        pending.record(FileEvent::Written(A.into()), start);
        pending.record(FileEvent::Lost, start);
        assert_eq!(pending.due_at(), Some(start + QUIET_PERIOD));
        assert!(pending.open_files().is_empty());
    }
}
