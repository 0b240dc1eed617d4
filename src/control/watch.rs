//! The watch over files: says when an edit is over.
//!
//! Directories are watched, not files: editors save by rename and Kubernetes swaps symlinks. An edit is over when nothing has
//! happened for a moment and no file is open for writing any more, as far as the kernel tells: a file that somebody writes
//! piece by piece is not taken up in part.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ffi::OsStr,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use notify::{
    Event, EventKind, PollWatcher, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, CreateKind, ModifyKind},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

/// Nothing has happened for this long: the edit is over.
const QUIET: Duration = Duration::from_millis(50);
/// A new file that nobody has written to for this long was not made to be written to (a link, say).
const NEWBORN: Duration = Duration::from_millis(300);
/// A writer that has been silent for this long no longer holds anybody up.
const ABANDONED: Duration = Duration::from_secs(5);
/// However much goes on, whole files are taken up after this long.
const IMPATIENCE: Duration = Duration::from_millis(500);
/// A writer that never pauses, of a log below the zones say, holds nobody up for longer than this.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often to look where the kernel does not tell.
const POLL: Duration = Duration::from_secs(1);

/// A directory, and what in it matters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Interest {
    /// Everything below it.
    Tree(PathBuf),
    /// One entry of it. Others, such as a log that is written all day, are nobody's edit.
    Entry(PathBuf),
}

impl Interest {
    /// With an absolute path, as events have them.
    fn absolute(self) -> Self {
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        match self {
            Self::Tree(directory) => Self::Tree(absolute(directory)),
            Self::Entry(path) => Self::Entry(absolute(path)),
        }
    }

    fn directory(&self) -> &Path {
        match self {
            Self::Tree(directory) => directory,
            Self::Entry(path) => path.parent().unwrap_or(path),
        }
    }

    fn holds(&self, path: &Path) -> bool {
        match self {
            Self::Tree(directory) => path.starts_with(directory),
            // Kubernetes swaps the link `..data`, through which every entry of the directory leads.
            Self::Entry(entry) => {
                let name = path.file_name();
                path.parent() == Some(self.directory())
                    && (name == entry.file_name() || name == Some(OsStr::new("..data")))
            }
        }
    }
}

/// Watches directories until dropped.
pub(super) struct Watch {
    watcher: Box<dyn Watcher + Send>,
    watched: BTreeMap<(PathBuf, bool), Identity>,
    interests: Arc<ArcSwap<Vec<Interest>>>,
    is_being_written: Arc<AtomicBool>,
}

/// Device and inode. The kernel watches these; what is found under a path may be another directory by now.
type Identity = (u64, u64);

fn identity(path: &Path) -> Option<Identity> {
    fs::metadata(path).ok().filter(fs::Metadata::is_dir).map(|found| (found.dev(), found.ino()))
}

impl Watch {
    /// Sends `()` after each edit; while one is unread the next is not sent.
    pub(super) fn start(settled: mpsc::Sender<()>) -> Self {
        let (events, inbox) = mpsc::channel(1024);
        let interests: Arc<ArcSwap<Vec<Interest>>> = Arc::default();
        let is_being_written = Arc::default();
        tokio::spawn(settle(inbox, settled, Arc::clone(&interests), Arc::clone(&is_being_written)));
        Self { watcher: watcher(events), watched: BTreeMap::new(), interests, is_being_written }
    }

    /// Whether somebody is amid writing a file. `()` is sent once that is over.
    pub(super) fn is_being_written(&self) -> bool {
        self.is_being_written.load(Relaxed)
    }

    /// Makes `interests` what is watched. Directories that do not exist are left out. Whether one is watched that was not
    /// before: of edits there up to now nobody was told.
    pub(super) fn set(&mut self, interests: Vec<Interest>) -> bool {
        let interests: Vec<Interest> = interests.into_iter().map(Interest::absolute).collect();
        let mut wanted = BTreeSet::new();
        for interest in &interests {
            let is_deep = matches!(interest, Interest::Tree(_));
            wanted.insert((interest.directory().to_owned(), is_deep));
        }
        // A directory watched with all below it is not watched a second time by itself.
        let deep: BTreeSet<PathBuf> =
            wanted.iter().filter(|(_, is_deep)| *is_deep).map(|(path, _)| path.clone()).collect();
        wanted.retain(|(path, is_deep)| *is_deep || !deep.contains(path));
        let wanted: BTreeMap<_, _> =
            wanted.into_iter().filter_map(|of| identity(&of.0).map(|identity| (of, identity))).collect();
        self.interests.store(Arc::new(interests));
        let (kept, gone): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.watched).into_iter().partition(|(of, identity)| wanted.get(of) == Some(identity));
        self.watched = kept;
        for (path, _) in gone.keys() {
            // A directory that is gone has taken its watch along.
            let _ = self.watcher.unwatch(path);
        }
        let mut has_new = false;
        for ((path, is_deep), identity) in wanted {
            if self.watched.contains_key(&(path.clone(), is_deep)) {
                continue;
            }
            let mode = if is_deep { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
            match self.watcher.watch(&path, mode) {
                Ok(()) => {
                    has_new = true;
                    // A link may have been swapped meanwhile: whoever calls again, as one does for what is new, sees to it.
                    if self::identity(&path) == Some(identity) {
                        self.watched.insert((path, is_deep), identity);
                    } else {
                        let _ = self.watcher.unwatch(&path);
                    }
                }
                Err(error) => {
                    tracing::warn!(directory = %path.display(), %error, "directory not watched: edits in it need SIGHUP");
                }
            }
        }
        has_new
    }
}

fn watcher(events: mpsc::Sender<Event>) -> Box<dyn Watcher + Send> {
    let handler = move |event: notify::Result<Event>| match event {
        // A full queue holds enough to say that something changed.
        Ok(event) => _ = events.try_send(event),
        Err(error) => tracing::warn!(%error, "file watch failed: an edit may need SIGHUP"),
    };
    match RecommendedWatcher::new(handler.clone(), notify::Config::default()) {
        Ok(watcher) => Box::new(watcher),
        Err(error) => {
            tracing::warn!(%error, "kernel file events not available: files are checked every second");
            let config = notify::Config::default().with_poll_interval(POLL);
            match PollWatcher::new(handler, config) {
                Ok(watcher) => Box::new(watcher),
                Err(error) => {
                    tracing::error!(%error, "files not watched: edits need SIGHUP");
                    Box::new(notify::NullWatcher)
                }
            }
        }
    }
}

/// What is known of edits that go on.
#[derive(Debug, Default)]
struct Pending {
    /// The first and the latest sign of an edit that was not reported yet.
    since: Option<(Instant, Instant)>,
    /// Files that may be open for writing, and until when that is believed.
    writing: HashMap<PathBuf, Instant>,
}

impl Pending {
    fn note(&mut self, event: &Event, now: Instant) {
        match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => {
                for path in &event.paths {
                    self.writing.remove(path);
                }
            }
            EventKind::Access(_) => return,
            EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any) => self.written(&event.paths, now + ABANDONED),
            EventKind::Create(CreateKind::File) => self.written(&event.paths, now + NEWBORN),
            EventKind::Modify(_) | EventKind::Remove(_) => {
                for path in &event.paths {
                    self.writing.remove(path);
                }
            }
            _ => {}
        }
        let first = self.since.map_or(now, |(first, _)| first);
        self.since = Some((first, now));
    }

    fn written(&mut self, paths: &[PathBuf], until: Instant) {
        for path in paths.iter().filter(|path| !is_ignored(path)) {
            self.writing.insert(path.clone(), until);
        }
    }

    /// When the edit will be over if nothing more happens; `None` while there is none.
    fn over_at(&self) -> Option<Instant> {
        let (first, last) = self.since?;
        let quiet = (last + QUIET).min(first + IMPATIENCE);
        Some(self.writing.values().copied().fold(quiet, Instant::max).min(first + PATIENCE))
    }
}

/// Editors' own files: nobody waits for their being closed.
fn is_ignored(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.starts_with('.') || name.ends_with('~') || name.ends_with(".bak") || name.ends_with(".swp")
}

async fn settle(
    mut events: mpsc::Receiver<Event>,
    settled: mpsc::Sender<()>,
    interests: Arc<ArcSwap<Vec<Interest>>>,
    is_being_written: Arc<AtomicBool>,
) {
    let mut pending = Pending::default();
    loop {
        is_being_written.store(!pending.writing.is_empty(), Relaxed);
        let over_at = pending.over_at();
        tokio::select! {
            event = events.recv() => match event {
                Some(event) => {
                    let interests = interests.load();
                    if event.paths.iter().any(|path| interests.iter().any(|interest| interest.holds(path))) {
                        pending.note(&event, Instant::now());
                    }
                }
                None => return,
            },
            () = sleep_until(over_at.unwrap_or_else(Instant::now)), if over_at.is_some() => {
                pending = Pending::default();
                if let Err(mpsc::error::TrySendError::Closed(())) = settled.try_send(()) {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use notify::event::{DataChange, RenameMode};

    use super::*;

    fn event(kind: EventKind, path: &str) -> Event {
        Event::new(kind).add_path(path.into())
    }

    #[test]
    fn a_file_that_is_being_written_holds_the_edit_open_until_it_is_closed() {
        let mut pending = Pending::default();
        let start = Instant::now();
        pending.note(&event(EventKind::Modify(ModifyKind::Data(DataChange::Any)), "zones/a.toml"), start);
        assert_eq!(pending.over_at(), Some(start + ABANDONED));
        let closed = start + Duration::from_secs(2);
        pending.note(&event(EventKind::Access(AccessKind::Close(AccessMode::Write)), "zones/a.toml"), closed);
        assert!(pending.over_at().unwrap() <= closed + QUIET);
    }

    #[test]
    fn a_rename_over_a_file_is_over_in_a_moment() {
        let mut pending = Pending::default();
        let start = Instant::now();
        pending.note(&event(EventKind::Modify(ModifyKind::Name(RenameMode::To)), "zones/a.toml"), start);
        assert_eq!(pending.over_at(), Some(start + QUIET));
    }

    #[test]
    fn reading_a_file_is_no_edit_and_an_editors_swap_file_holds_nobody_up() {
        let mut pending = Pending::default();
        let start = Instant::now();
        pending.note(&event(EventKind::Access(AccessKind::Close(AccessMode::Read)), "zones/a.toml"), start);
        assert_eq!(pending.over_at(), None);
        pending.note(&event(EventKind::Modify(ModifyKind::Data(DataChange::Any)), "zones/.a.toml.swp"), start);
        assert_eq!(pending.over_at(), Some(start + QUIET));
    }

    #[tokio::test]
    async fn an_edit_below_a_watched_directory_is_told_of_once_it_is_over() {
        let directory = tempfile::tempdir().unwrap();
        let (settled, mut told) = mpsc::channel(1);
        let mut watch = Watch::start(settled);
        watch.set(vec![Interest::Tree(directory.path().to_owned())]);
        let path = directory.path().join("a.toml");
        std::fs::write(directory.path().join("new"), b"x").unwrap();
        std::fs::rename(directory.path().join("new"), path).unwrap();
        told.recv().await.unwrap();
    }

    #[test]
    fn a_writer_that_never_pauses_holds_nobody_up_forever() {
        let mut pending = Pending::default();
        let start = Instant::now();
        for second in 0..60 {
            let written = event(EventKind::Modify(ModifyKind::Data(DataChange::Any)), "zones/log");
            pending.note(&written, start + Duration::from_secs(second));
        }
        assert_eq!(pending.over_at(), Some(start + PATIENCE));
    }

    #[tokio::test]
    async fn a_directory_that_went_and_came_back_is_watched_again() {
        let parent = tempfile::tempdir().unwrap();
        let zones = parent.path().join("zones");
        let (settled, mut told) = mpsc::channel(1);
        let mut watch = Watch::start(settled);
        let interests = vec![Interest::Tree(zones.clone())];
        fs::create_dir(&zones).unwrap();
        assert!(watch.set(interests.clone()), "it is new");
        assert!(!watch.set(interests.clone()), "it is known");
        fs::rename(&zones, parent.path().join("away")).unwrap();
        assert!(!watch.set(interests.clone()), "it is gone");
        fs::create_dir(&zones).unwrap();
        assert!(watch.set(interests), "it is another one");
        fs::write(zones.join("a.toml"), b"x").unwrap();
        told.recv().await.unwrap();
    }

    #[test]
    fn a_log_beside_the_zones_is_nobodys_edit() {
        let zones = Interest::Entry("zones".into()).absolute();
        let here = std::env::current_dir().unwrap();
        assert!(zones.holds(&here.join("zones")) && zones.holds(&here.join("..data")));
        assert!(!zones.holds(&here.join("err.log")) && !zones.holds(&here.join("zones/a.toml")));
    }
}
