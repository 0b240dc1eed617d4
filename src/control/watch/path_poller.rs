//! The path poller: a thread that asks the kernel for events of the directories in scope, and once
//! a second compares paths with what the last load read.
//!
//! The comparisons are as few as the file system permits. Where the kernel reports events, the
//! poller checks only that each directory, and each path with a link, still leads to the same
//! object: that costs one `stat` for each. Files are compared by size and times where the kernel
//! does not report all changes: on NFS and other network file systems, on FUSE, where the kernel
//! has no watch left, and where a file is mounted on the path, because it is edited by another
//! path. While there are few files, all are compared in this way, because one of them may have a
//! second hard link. A difference counts once it has stayed the same from one round to the next.
//! Mounts on files are found in the kernel's list of mounts. Rounds use at most 4 % of one core:
//! the more paths there are, the longer the pause between rounds.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use arc_swap::ArcSwap;
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::{mpsc, oneshot};

use super::{
    events::{self, FileEvent},
    mounts::{Mount, mounts},
    watch_scope::WatchScope,
};
use crate::config::{FileStamp, Footprint, PathKind, PathState};

/// The pause between two rounds, if a round takes less than 4 % of it.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The minimum pause, as a multiple of the processor time of a round.
const MIN_IDLE_RATIO: u32 = 25;
/// The niceness of the thread: queries and loads are more urgent.
const NICENESS: i32 = 5;
/// Up to this number of files, all are compared, whatever the kernel reports: that takes some 2 ms
/// each second.
const MAX_FILES_FULLY_POLLED: usize = 1_000;

/// A request to watch other paths.
#[derive(Debug)]
pub(super) struct WatchRequest {
    pub(super) footprint: Footprint,
    /// Gets a message once the paths are watched.
    pub(super) started: Option<oneshot::Sender<()>>,
}

/// Compares files and links with what the last load read, at intervals.
pub(super) struct PathPoller {
    events: mpsc::Sender<FileEvent>,
    scope: Arc<ArcSwap<WatchScope>>,
    watcher: Option<RecommendedWatcher>,
    /// The directories that the kernel watches, and their state then: another directory may have
    /// the path now.
    watched: BTreeMap<PathBuf, Option<FileStamp>>,
    polled_paths: Vec<PolledPath>,
    /// The mounts at the last round.
    mounts: BTreeSet<Mount>,
}

/// A path that is compared.
#[derive(Debug)]
struct PolledPath {
    path: PathBuf,
    real: PathBuf,
    compared_by: ComparedBy,
    /// The state when a load read the path, or when a difference was last reported.
    reported_stamp: Option<FileStamp>,
    /// The state in the previous round, if it differed from `reported_stamp` and is not reported
    /// yet.
    unreported_stamp: Option<Option<FileStamp>>,
}

/// What is compared about a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ComparedBy {
    /// The object that the path leads to: device and inode.
    Object,
    /// The size and the times, which show whether the file was written to.
    Content,
}

impl ComparedBy {
    fn is_same(self, a: Option<FileStamp>, b: Option<FileStamp>) -> bool {
        match (a, b, self) {
            (Some(a), Some(b), Self::Object) => a.is_same_object(&b),
            (Some(a), Some(b), Self::Content) => a.has_same_content(&b),
            (a, b, _) => a.is_none() == b.is_none(),
        }
    }
}

impl PathPoller {
    /// Starts the thread. It ends when the channel of requests is closed.
    pub(super) fn start(
        requests: Receiver<WatchRequest>,
        events: mpsc::Sender<FileEvent>,
        scope: Arc<ArcSwap<WatchScope>>,
    ) {
        let watcher = kernel_watcher(events.clone(), Arc::clone(&scope));
        let poller = Self {
            events,
            scope,
            watcher,
            watched: BTreeMap::new(),
            polled_paths: Vec::new(),
            mounts: mounts(),
        };
        let started = thread::Builder::new().name("watch".to_owned()).spawn(move || {
            let _ = rustix::process::setpriority_process(None, NICENESS);
            poller.run(&requests);
        });
        if let Err(error) = started {
            tracing::error!(%error, "file watch not started: edits are applied on SIGHUP only");
        }
    }

    fn run(mut self, requests: &Receiver<WatchRequest>) {
        let mut pause = POLL_INTERVAL;
        loop {
            match requests.recv_timeout(pause) {
                Ok(request) => {
                    // Only the newest load matters.
                    let WatchRequest { footprint, started } =
                        requests.try_iter().last().unwrap_or(request);
                    self.follow(footprint);
                    if let Some(started) = started {
                        let _ = started.send(());
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let before = processor_time();
            self.poll();
            pause = POLL_INTERVAL.max(processor_time().saturating_sub(before) * MIN_IDLE_RATIO);
        }
    }

    /// Watches what a load depended on. Files that have changed since in directories that were not
    /// watched before are compared until they are reported.
    fn follow(&mut self, footprint: Footprint) {
        let scope = WatchScope::from_footprint(&footprint);
        let directories = scope.directories();
        self.scope.store(Arc::new(scope));
        let current = |path: &PathBuf| (path.clone(), FileStamp::of(path));
        let wanted: BTreeMap<PathBuf, Option<FileStamp>> =
            directories.iter().map(current).collect();
        self.unwatch_all_but(&wanted);
        let mut new = Vec::new();
        for (directory, stamp) in wanted {
            if !self.watched.contains_key(&directory) && self.watch(&directory) {
                self.watched.insert(directory.clone(), stamp);
                new.push(directory);
            }
        }
        if !new.is_empty() {
            tracing::debug!(
                directories = new.len(),
                watched = self.watched.len(),
                "watching directories"
            );
        }
        let mut polled_paths = changed_before_watch(&footprint, &new);
        let are_few = footprint.paths.iter().filter(|state| state.kind == PathKind::File).count()
            <= MAX_FILES_FULLY_POLLED;
        let mounted: BTreeSet<PathBuf> = mounts().into_iter().map(|mount| mount.path).collect();
        let is_compared = |path: &Path| are_few || mounted.contains(path);
        polled_paths.extend(
            footprint.paths.into_iter().filter_map(|state| self.polled_path(state, is_compared)),
        );
        self.polled_paths = polled_paths;
    }

    fn unwatch_all_but(&mut self, wanted: &BTreeMap<PathBuf, Option<FileStamp>>) {
        let is_kept = |path: &PathBuf, stamp: &Option<FileStamp>| {
            wanted
                .get(path)
                .is_some_and(|now| now.is_some() && ComparedBy::Object.is_same(*now, *stamp))
        };
        let (kept, gone): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(&mut self.watched)
            .into_iter()
            .partition(|(path, stamp)| is_kept(path, stamp));
        self.watched = kept;
        for path in gone.keys() {
            if let Some(watcher) = &mut self.watcher {
                // The kernel has removed the watch of a directory that no longer exists.
                let _ = watcher.unwatch(path);
            }
        }
    }

    /// Asks the kernel for events of a directory; returns whether there will be any.
    fn watch(&mut self, directory: &Path) -> bool {
        if !directory.is_dir() || !has_events(directory) {
            return false;
        }
        let Some(watcher) = &mut self.watcher else { return false };
        match watcher.watch(directory, RecursiveMode::NonRecursive) {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(directory = %directory.display(), %error, "no events for this directory: it is compared each second");
                false
            }
        }
    }

    /// The comparison of a path; `None` if the kernel reports all changes of it. `is_compared` says
    /// for which files the content is compared although the kernel reports events.
    fn polled_path(
        &self,
        state: PathState,
        is_compared: impl Fn(&Path) -> bool,
    ) -> Option<PolledPath> {
        let directory = if state.kind == PathKind::File {
            state.real_path.parent()
        } else {
            Some(&*state.real_path)
        };
        let has_events = directory.is_some_and(|directory| self.watched.contains_key(directory));
        let compared_by = match (has_events, state.kind) {
            (false, _) => ComparedBy::Content,
            (true, PathKind::File) if state.stamp.is_some() && is_compared(&state.real_path) => {
                ComparedBy::Content
            }
            (true, PathKind::File) if !state.is_link && state.stamp.is_some() => return None,
            (true, _) => ComparedBy::Object,
        };
        Some(PolledPath {
            path: state.path,
            real: state.real_path,
            compared_by,
            reported_stamp: state.stamp,
            unreported_stamp: None,
        })
    }

    fn poll(&mut self) {
        let mut polled_paths = std::mem::take(&mut self.polled_paths);
        for polled in &mut polled_paths {
            if polled.is_due_for_report(FileStamp::of(&polled.path)) {
                let path = polled.real.clone();
                self.report(if polled.compared_by == ComparedBy::Object {
                    FileEvent::Changed(path)
                } else {
                    FileEvent::Differs(path)
                });
            }
        }
        self.polled_paths = polled_paths;
        self.compare_mounts();
    }

    /// Reports the watched files on which something was mounted or unmounted.
    fn compare_mounts(&mut self) {
        let now = mounts();
        let scope = self.scope.load();
        for mount in
            now.symmetric_difference(&self.mounts).filter(|mount| scope.is_watched(&mount.path))
        {
            self.report(FileEvent::Changed(mount.path.clone()));
        }
        self.mounts = now;
    }

    fn report(&self, event: FileEvent) {
        // A full queue has other events, so that a load follows in any case.
        let _ = self.events.try_send(event);
    }
}

impl PolledPath {
    /// Compares the path with its state `now`; returns whether a difference is to be reported.
    fn is_due_for_report(&mut self, now: Option<FileStamp>) -> bool {
        if self.compared_by.is_same(now, self.reported_stamp) {
            self.unreported_stamp = None;
            return false;
        }
        // A file that is being written differs from one round to the next. A missing file, or
        // another file of the same path, is the result of a rename, which is complete at once.
        let is_other = match (now, self.reported_stamp) {
            (Some(now), Some(known)) => !now.is_same_object(&known),
            (now, _) => now.is_none(),
        };
        let is_at_once = self.compared_by == ComparedBy::Object || is_other;
        let is_settled =
            self.unreported_stamp.is_some_and(|new| ComparedBy::Content.is_same(new, now));
        if !is_at_once && !is_settled {
            self.unreported_stamp = Some(now);
            return false;
        }
        (self.reported_stamp, self.unreported_stamp) = (now, None);
        true
    }
}

/// The paths in newly watched directories that changed after the load read them and before the
/// watch began. They are reported if they stay the same for a round: the kernel reports a file that
/// is still being written when it is closed.
fn changed_before_watch(footprint: &Footprint, new: &[PathBuf]) -> Vec<PolledPath> {
    let is_new = |path: &Path| new.binary_search_by(|directory| (**directory).cmp(path)).is_ok();
    let polled = |state: &PathState| {
        let directory = if state.kind == PathKind::File {
            state.real_path.parent()
        } else {
            Some(&*state.real_path)
        };
        let now =
            directory.filter(|directory| is_new(directory)).map(|_| FileStamp::of(&state.path))?;
        let (path, real) = (state.path.clone(), state.real_path.clone());
        let polled = PolledPath {
            path,
            real,
            compared_by: ComparedBy::Content,
            reported_stamp: state.stamp,
            unreported_stamp: None,
        };
        (!ComparedBy::Content.is_same(now, state.stamp)).then_some(polled)
    };
    if new.is_empty() { Vec::new() } else { footprint.paths.iter().filter_map(polled).collect() }
}

/// Whether the kernel reports all changes in this directory. A network file system, or one that a
/// program provides, changes without events.
fn has_events(directory: &Path) -> bool {
    const NFS: u64 = 0x6969;
    const SMB: u64 = 0x517b;
    const SMB2: u64 = 0xfe53_4d42;
    const CIFS: u64 = 0xff53_4d42;
    const FUSE: u64 = 0x6573_5546;
    const NINE_P: u64 = 0x0102_1997;
    const CEPH: u64 = 0x00c3_6400;
    const AFS: u64 = 0x5346_414f;
    const CODA: u64 = 0x7375_7245;
    const NCP: u64 = 0x564c;
    const OCFS2: u64 = 0x7461_636f;
    const GFS2: u64 = 0x0116_1970;
    const LUSTRE: u64 = 0x0bd0_0bd0;
    const VBOXSF: u64 = 0x786f_4256;
    const WITHOUT: [u64; 14] =
        [NFS, SMB, SMB2, CIFS, FUSE, NINE_P, CEPH, AFS, CODA, NCP, OCFS2, GFS2, LUSTRE, VBOXSF];
    // The kernel's type is signed on some architectures; the magic numbers are 32 bits wide.
    let kind = rustix::fs::statfs(directory).map(|found| found.f_type as u64 & 0xffff_ffff);
    kind.is_ok_and(|kind| !WITHOUT.contains(&kind))
}

fn kernel_watcher(
    sender: mpsc::Sender<FileEvent>,
    scope: Arc<ArcSwap<WatchScope>>,
) -> Option<RecommendedWatcher> {
    let handler = move |event: notify::Result<Event>| match event {
        // Events about other files are dropped here, so that a busy log does not fill the queue.
        Ok(event) => {
            for event in events::file_events(event, &scope.load()) {
                // No event is dropped: the kernel reports only once that a file was closed. The
                // receiver empties the queue without waiting for anything.
                let _ = sender.blocking_send(event);
            }
        }
        Err(error) => {
            tracing::warn!(%error, "file events were lost: edits are found by the comparison of paths each second")
        }
    };
    match RecommendedWatcher::new(handler, notify::Config::default()) {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            tracing::warn!(%error, "the kernel reports no edits: files are compared each second (help: raise fs.inotify.max_user_instances)");
            None
        }
    }
}

/// The processor time that this thread has used.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn stamps(directory: &Path) -> [Option<FileStamp>; 3] {
        ["a", "ab", "abc"].map(|text| {
            fs::write(directory.join("file"), text).unwrap();
            FileStamp::of(&directory.join("file"))
        })
    }

    #[test]
    fn changed_content_is_reported_once_it_stays_the_same_for_a_round() {
        let directory = tempfile::tempdir().unwrap();
        let [old, half, whole] = stamps(directory.path());
        let mut polled = PolledPath {
            path: "file".into(),
            real: "/file".into(),
            compared_by: ComparedBy::Content,
            reported_stamp: old,
            unreported_stamp: None,
        };
        let reports =
            [old, half, whole, whole, whole, None, old].map(|now| polled.is_due_for_report(now));
        assert_eq!(
            reports,
            [false, false, false, true, false, true, false],
            "a file that is gone counts at once"
        );
        assert!(polled.is_due_for_report(old), "it is back");
    }

    #[test]
    fn a_file_renamed_over_another_is_reported_at_once_without_events() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let [one, two] = ["one", "three"].map(|name| {
            fs::write(path(name), name.repeat(name.len())).unwrap();
            FileStamp::of(&path(name))
        });
        let mut polled = PolledPath {
            path: "a".into(),
            real: "/a".into(),
            compared_by: ComparedBy::Content,
            reported_stamp: one,
            unreported_stamp: None,
        };
        assert_eq!([two, two].map(|now| polled.is_due_for_report(now)), [true, false]);
    }

    #[test]
    fn a_path_that_leads_to_another_object_is_reported_at_once_and_each_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let [one, two] = ["one", "two"].map(|name| {
            fs::create_dir(path(name)).unwrap();
            FileStamp::of(&path(name))
        });
        let mut polled = PolledPath {
            path: "zones".into(),
            real: "/zones".into(),
            compared_by: ComparedBy::Object,
            reported_stamp: one,
            unreported_stamp: None,
        };
        let reports =
            [one, two, two, one, None, None, one].map(|now| polled.is_due_for_report(now));
        assert_eq!(reports, [false, true, false, true, true, false, true]);
    }

    #[test]
    fn a_local_directory_has_events_and_a_missing_one_has_none() {
        let directory = tempfile::tempdir().unwrap();
        assert!(has_events(directory.path()));
        assert!(!has_events(&directory.path().join("gone")));
    }
}
