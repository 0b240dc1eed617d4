//! When an edit is complete.
//!
//! An edit is complete when nothing has happened for a moment and the file is closed, as far as the
//! kernel says: a file that is written piece by piece is never used in part. A file that stays open
//! delays only itself. Edits of others are reported meanwhile, and the load leaves the open one
//! out.

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

use super::{events::Sign, scope::Scope};

/// Nothing has happened for this long: the edit is complete.
const QUIET: Duration = Duration::from_millis(50);
/// A new file that nothing was written to for this long was not made to be written to (a link,
/// say).
const NEWBORN: Duration = Duration::from_millis(300);
/// A complete edit is reported after this long, however much goes on elsewhere.
pub(in crate::control) const IMPATIENCE: Duration = Duration::from_millis(500);
/// A file that stays open without being written to is reported after this long: it is left out, and
/// that is an error.
const ABANDONED: Duration = Duration::from_secs(5);
/// The same for a file that is written to without a pause.
const ENDLESS: Duration = Duration::from_secs(30);

/// What is known of edits that are not reported yet.
#[derive(Debug, Default)]
struct Pending {
    /// The first and the latest sign that an edit is complete.
    complete: Option<(Instant, Instant)>,
    /// Files that are open for writing.
    open: HashMap<PathBuf, Open>,
    /// New files, and until when they may be opened for writing.
    newborn: HashMap<PathBuf, Instant>,
}

/// A file that is open for writing.
#[derive(Debug, Clone, Copy)]
struct Open {
    first_written: Instant,
    last_written: Instant,
    is_reported: bool,
}

impl Open {
    fn overdue_at(&self) -> Option<Instant> {
        let at = (self.last_written + ABANDONED).min(self.first_written + ENDLESS);
        (!self.is_reported).then_some(at)
    }
}

impl Pending {
    fn note(&mut self, sign: Sign, now: Instant) {
        match sign {
            Sign::Created(path) => _ = self.newborn.insert(path, now + NEWBORN),
            Sign::Written(path) => {
                self.newborn.remove(&path);
                let new = Open { first_written: now, last_written: now, is_reported: false };
                self.open.entry(path).or_insert(new).last_written = now;
            }
            Sign::Closed(path) | Sign::Changed(path) => {
                self.newborn.remove(&path);
                self.open.remove(&path);
                self.complete(now);
            }
            // The kernel will say when it is closed.
            Sign::Differs(path) if self.open.contains_key(&path) => {}
            Sign::Differs(path) => {
                self.newborn.remove(&path);
                self.complete(now);
            }
            Sign::Lost => {
                // That a file was closed may be among what was lost.
                self.open.clear();
                self.complete(now);
            }
        }
    }

    fn complete(&mut self, now: Instant) {
        let first = self.complete.map_or(now, |(first, _)| first);
        self.complete = Some((first, now));
    }

    /// When to report if nothing more happens; `None` while there is nothing to report.
    fn due_at(&self) -> Option<Instant> {
        let overdue = self.open.values().filter_map(Open::overdue_at).min();
        let born = self.newborn.values().max().copied();
        let complete = match (self.complete, born) {
            (Some((first, last)), born) => {
                let (quiet, latest) = (last + QUIET, first + IMPATIENCE);
                let at = if self.is_any_awaited() {
                    latest
                } else {
                    born.map_or(quiet, |born| quiet.max(born))
                };
                Some(at.min(latest))
            }
            (None, born) => born,
        };
        [complete, overdue].into_iter().flatten().min()
    }

    /// Whether a file is open that may still be closed in time.
    fn is_any_awaited(&self) -> bool {
        self.open.values().any(|open| !open.is_reported)
    }

    /// Forgets what was reported. Open files stay known until they are closed.
    fn report(&mut self, now: Instant) {
        self.complete = None;
        self.newborn.retain(|_, until| *until > now);
        for open in self.open.values_mut() {
            open.is_reported |= open.overdue_at().is_some_and(|at| at <= now);
        }
    }

    /// Files that are not to be read now.
    fn open_files(&self) -> BTreeSet<PathBuf> {
        self.open.keys().chain(self.newborn.keys()).cloned().collect()
    }

    /// Forgets files that are not there any more or do not count: their end is not reported.
    fn retain(&mut self, scope: &Scope) {
        self.open.retain(|path, _| scope.counts(path) && fs::symlink_metadata(path).is_ok());
    }
}

/// Turns signs into reports, until nothing sends or receives any more.
pub(super) async fn run(
    mut signs: mpsc::Receiver<Sign>,
    settled: mpsc::Sender<()>,
    scope: Arc<ArcSwap<Scope>>,
    open: Arc<ArcSwap<BTreeSet<PathBuf>>>,
) {
    let mut pending = Pending::default();
    loop {
        let due = pending.due_at();
        tokio::select! {
            sign = signs.recv() => match sign {
                Some(sign) => pending.note(sign, Instant::now()),
                None => return,
            },
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                pending.report(Instant::now());
                pending.retain(&scope.load());
                open.store(Arc::new(pending.open_files()));
                if let Err(mpsc::error::TrySendError::Closed(())) = settled.try_send(()) {
                    return;
                }
            }
        }
        // Stored only when it differs: a large file is written in many pieces.
        if pending.open.len() + pending.newborn.len() != open.load().len()
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
        let (mut pending, start) = (Pending::default(), Instant::now());
        for millis in (0..4000).step_by(100) {
            pending.note(Sign::Written(A.into()), after(start, millis));
        }
        assert_eq!(pending.due_at(), Some(after(start, 3900) + ABANDONED));
        pending.note(Sign::Closed(A.into()), after(start, 4000));
        assert_eq!(pending.due_at(), Some(after(start, 4000) + QUIET));
        assert!(pending.open_files().is_empty());
    }

    #[test]
    fn an_open_file_delays_the_edit_of_another_by_half_a_second_and_is_left_out() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        pending.note(Sign::Written(A.into()), start);
        for millis in (0..10_000).step_by(100) {
            pending.note(Sign::Written(A.into()), after(start, millis));
        }
        pending.note(Sign::Changed(B.into()), after(start, 10_000));
        assert_eq!(pending.due_at(), Some(after(start, 10_000) + IMPATIENCE));
        pending.report(after(start, 10_500));
        assert_eq!(pending.open_files(), BTreeSet::from([PathBuf::from(A)]));
    }

    #[test]
    fn a_file_that_stays_open_is_reported_once_and_no_longer_delays_others() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        pending.note(Sign::Written(A.into()), start);
        let overdue = start + ABANDONED;
        assert_eq!(pending.due_at(), Some(overdue));
        pending.report(overdue);
        assert_eq!(pending.due_at(), None, "once");
        assert_eq!(
            pending.open_files(),
            BTreeSet::from([PathBuf::from(A)]),
            "it is still not to be read"
        );
        pending.note(Sign::Changed(B.into()), after(overdue, 100));
        assert_eq!(pending.due_at(), Some(after(overdue, 100) + QUIET));
    }

    #[test]
    fn a_file_that_is_written_without_a_pause_is_reported_in_the_end() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        for second in 0..60 {
            pending.note(Sign::Written(A.into()), start + Duration::from_secs(second));
        }
        assert_eq!(pending.due_at(), Some(start + ENDLESS));
    }

    #[test]
    fn many_edits_in_a_row_are_one_report_and_wait_no_longer_than_half_a_second() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        for millis in (0..300).step_by(30) {
            pending.note(Sign::Changed(A.into()), after(start, millis));
        }
        assert_eq!(pending.due_at(), Some(after(start, 270) + QUIET));
        for millis in (300..900).step_by(30) {
            pending.note(Sign::Changed(A.into()), after(start, millis));
        }
        assert_eq!(pending.due_at(), Some(start + IMPATIENCE));
    }

    #[test]
    fn a_new_file_is_not_read_before_it_is_written_and_closed() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        pending.note(Sign::Created(A.into()), start);
        assert_eq!(pending.due_at(), Some(start + NEWBORN), "it may stay empty");
        assert_eq!(pending.open_files(), BTreeSet::from([PathBuf::from(A)]));
        pending.note(Sign::Written(A.into()), after(start, 10));
        pending.note(Sign::Closed(A.into()), after(start, 20));
        assert_eq!(pending.due_at(), Some(after(start, 20) + QUIET));
    }

    #[test]
    fn a_file_that_was_found_to_differ_is_not_complete_while_it_is_open() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        pending.note(Sign::Written(A.into()), start);
        pending.note(Sign::Differs(A.into()), start);
        assert_eq!(pending.due_at(), Some(start + ABANDONED));
        pending.note(Sign::Differs(B.into()), start);
        assert_eq!(pending.due_at(), Some(start + IMPATIENCE));
        assert_eq!(pending.open_files(), BTreeSet::from([PathBuf::from(A)]));
    }

    #[test]
    fn lost_events_are_an_edit_and_no_file_counts_as_open_for_ever() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        pending.note(Sign::Written(A.into()), start);
        pending.note(Sign::Lost, start);
        assert_eq!(pending.due_at(), Some(start + QUIET));
        assert!(pending.open_files().is_empty());
    }
}
