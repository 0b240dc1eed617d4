//! The patrol: one thread that asks the kernel for events of the directories in scope, and once a
//! second compares paths with what the last load read.
//!
//! What is compared is as little as the file system permits. Where the kernel reports events,
//! whether each directory, and each path that leads through a link, still leads to the same place:
//! that costs one `stat` for each. Files are compared by size and times where the kernel does not
//! report what happens to them: on NFS and other network file systems, on FUSE, where no watch is
//! left, and where a file is mounted on the path, which is edited by another path. While there are
//! few files, all are compared so: one of them may have a second hard link. A difference counts
//! once it has stayed the same from one round to the next. That something was mounted on a file, or
//! taken away, is read from the kernel's list of mounts. Rounds use at most 4 % of one core: the
//! more paths there are, the longer the pause between them.

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
/// The pause is at least as many times the processor time of a round.
const MIN_IDLE_RATIO: u32 = 25;
/// Of the thread: queries and loads are more urgent.
const NICENESS: i32 = 5;
/// Up to so many files are all compared, whatever the kernel reports: some 2 ms each second.
const MAX_FILES_FULLY_POLLED: usize = 1_000;

/// What is to be watched from now on.
#[derive(Debug)]
pub(super) struct WatchRequest {
    pub(super) footprint: Footprint,
    /// Is sent to once it is watched.
    pub(super) started: Option<oneshot::Sender<()>>,
}

/// Compares files and links with what a load found of them, at intervals.
pub(super) struct PathPoller {
    events: mpsc::Sender<FileEvent>,
    scope: Arc<ArcSwap<WatchScope>>,
    watcher: Option<RecommendedWatcher>,
    /// Directories that the kernel watches, and which directory that was: another one may have
    /// their path by now.
    watched: BTreeMap<PathBuf, Option<FileStamp>>,
    polled_paths: Vec<PolledPath>,
    /// What was mounted at the last round.
    mounts: BTreeSet<Mount>,
}

/// A path that is compared.
#[derive(Debug)]
struct PolledPath {
    path: PathBuf,
    real: PathBuf,
    compared_by: ComparedBy,
    /// Its state as it was read, or as it was reported since.
    reported_stamp: Option<FileStamp>,
    /// A state that differs and is not reported yet.
    unreported_stamp: Option<Option<FileStamp>>,
}

/// What of a path is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ComparedBy {
    /// The object that the path leads to: device and inode.
    Object,
    /// Whether it was written to.
    Content,
}

impl ComparedBy {
    fn is_same(self, one: Option<FileStamp>, other: Option<FileStamp>) -> bool {
        match (one, other, self) {
            (Some(one), Some(other), Self::Object) => one.is_same_object(&other),
            (Some(one), Some(other), Self::Content) => one.has_same_content(&other),
            (one, other, _) => one.is_none() == other.is_none(),
        }
    }
}

impl PathPoller {
    /// Starts the thread. It ends when nothing can send orders any more.
    pub(super) fn start(
        orders: Receiver<WatchRequest>,
        signs: mpsc::Sender<FileEvent>,
        scope: Arc<ArcSwap<WatchScope>>,
    ) {
        let kernel = kernel_watcher(signs.clone(), Arc::clone(&scope));
        let (watched, glances) = (BTreeMap::new(), Vec::new());
        let patrol = Self {
            events: signs,
            scope,
            watcher: kernel,
            watched,
            polled_paths: glances,
            mounts: mounts(),
        };
        let started = thread::Builder::new().name("watch".to_owned()).spawn(move || {
            let _ = rustix::process::setpriority_process(None, NICENESS);
            patrol.run(&orders);
        });
        if let Err(error) = started {
            tracing::error!(%error, "no thread to watch files with: edits are applied on SIGHUP only");
        }
    }

    fn run(mut self, orders: &Receiver<WatchRequest>) {
        let mut pause = POLL_INTERVAL;
        loop {
            match orders.recv_timeout(pause) {
                Ok(order) => {
                    // Only the newest load matters.
                    let WatchRequest { footprint, started: begun } =
                        orders.try_iter().last().unwrap_or(order);
                    self.follow(footprint);
                    if let Some(begun) = begun {
                        let _ = begun.send(());
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

    /// Watches what a load depended on, and compares what was changed since in directories that
    /// were not watched before.
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
        let mut glances = changed_before_watch(&footprint, &new);
        let are_few = footprint.paths.iter().filter(|trace| trace.kind == PathKind::File).count()
            <= MAX_FILES_FULLY_POLLED;
        let mounted: BTreeSet<PathBuf> = mounts().into_iter().map(|mount| mount.path).collect();
        let is_compared = |path: &Path| are_few || mounted.contains(path);
        glances.extend(
            footprint.paths.into_iter().filter_map(|trace| self.polled_path(trace, is_compared)),
        );
        self.polled_paths = glances;
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
            if let Some(kernel) = &mut self.watcher {
                // A directory that is gone has taken its watch along.
                let _ = kernel.unwatch(path);
            }
        }
    }

    /// Asks the kernel for events; whether there will be any.
    fn watch(&mut self, directory: &Path) -> bool {
        if !directory.is_dir() || !has_events(directory) {
            return false;
        }
        let Some(kernel) = &mut self.watcher else { return false };
        match kernel.watch(directory, RecursiveMode::NonRecursive) {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(directory = %directory.display(), %error, "no events for this directory: it is compared each second");
                false
            }
        }
    }

    /// How a path is compared from now on; `None` where the kernel reports everything that can
    /// happen to it.
    fn polled_path(
        &self,
        trace: PathState,
        is_compared: impl Fn(&Path) -> bool,
    ) -> Option<PolledPath> {
        let directory = if trace.kind == PathKind::File {
            trace.real_path.parent()
        } else {
            Some(&*trace.real_path)
        };
        let has_events = directory.is_some_and(|directory| self.watched.contains_key(directory));
        let by = match (has_events, trace.kind) {
            (false, _) => ComparedBy::Content,
            (true, PathKind::File) if trace.stamp.is_some() && is_compared(&trace.real_path) => {
                ComparedBy::Content
            }
            (true, PathKind::File) if !trace.is_link && trace.stamp.is_some() => return None,
            (true, _) => ComparedBy::Object,
        };
        Some(PolledPath {
            path: trace.path,
            real: trace.real_path,
            compared_by: by,
            reported_stamp: trace.stamp,
            unreported_stamp: None,
        })
    }

    fn poll(&mut self) {
        let mut glances = std::mem::take(&mut self.polled_paths);
        for glance in &mut glances {
            if glance.is_due_for_report(FileStamp::of(&glance.path)) {
                let path = glance.real.clone();
                self.report(if glance.compared_by == ComparedBy::Object {
                    FileEvent::Changed(path)
                } else {
                    FileEvent::Differs(path)
                });
            }
        }
        self.polled_paths = glances;
        self.compare_mounts();
    }

    /// Reports files on which something was mounted or that came to light again.
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

    fn report(&self, sign: FileEvent) {
        // A full queue holds enough to say that something changed.
        let _ = self.events.try_send(sign);
    }
}

impl PolledPath {
    /// Compares; whether that is to be reported.
    fn is_due_for_report(&mut self, now: Option<FileStamp>) -> bool {
        if self.compared_by.is_same(now, self.reported_stamp) {
            self.unreported_stamp = None;
            return false;
        }
        // A file that is being written differs from one round to the next. One that is gone, or
        // another file by now, was renamed, which is complete at once.
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

/// What was written to newly watched directories after the load read them and before the watch
/// began. It is reported if it stays the same for a round: a file that is still being written is
/// reported by the kernel when it is closed.
fn changed_before_watch(footprint: &Footprint, new: &[PathBuf]) -> Vec<PolledPath> {
    let is_new = |path: &Path| new.binary_search_by(|directory| (**directory).cmp(path)).is_ok();
    let glance = |trace: &PathState| {
        let directory = if trace.kind == PathKind::File {
            trace.real_path.parent()
        } else {
            Some(&*trace.real_path)
        };
        let now =
            directory.filter(|directory| is_new(directory)).map(|_| FileStamp::of(&trace.path))?;
        let (path, real) = (trace.path.clone(), trace.real_path.clone());
        let glance = PolledPath {
            path,
            real,
            compared_by: ComparedBy::Content,
            reported_stamp: trace.stamp,
            unreported_stamp: None,
        };
        (!ComparedBy::Content.is_same(now, trace.stamp)).then_some(glance)
    };
    if new.is_empty() { Vec::new() } else { footprint.paths.iter().filter_map(glance).collect() }
}

/// Whether the kernel reports all changes of this directory: a file system of another host, or of a
/// program, changes by itself.
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
    signs: mpsc::Sender<FileEvent>,
    scope: Arc<ArcSwap<WatchScope>>,
) -> Option<RecommendedWatcher> {
    let handler = move |event: notify::Result<Event>| match event {
        // What does not count is dropped here, so that a busy log does not fill the queue.
        Ok(event) => {
            for sign in events::file_events(event, &scope.load()) {
                // Never dropped: the kernel reports only once that a file was closed. The queue is
                // emptied without waiting.
                let _ = signs.blocking_send(sign);
            }
        }
        Err(error) => {
            tracing::warn!(%error, "events of files were lost; paths are compared each second all the same")
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
    fn content_that_differs_counts_once_it_stays_the_same_for_a_round() {
        let directory = tempfile::tempdir().unwrap();
        let [old, half, whole] = stamps(directory.path());
        let mut glance = PolledPath {
            path: "file".into(),
            real: "/file".into(),
            compared_by: ComparedBy::Content,
            reported_stamp: old,
            unreported_stamp: None,
        };
        let reports =
            [old, half, whole, whole, whole, None, old].map(|now| glance.is_due_for_report(now));
        assert_eq!(
            reports,
            [false, false, false, true, false, true, false],
            "a file that is gone counts at once"
        );
        assert!(glance.is_due_for_report(old), "it is back");
    }

    #[test]
    fn a_file_that_was_renamed_over_another_counts_at_once_without_events() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let [one, two] = ["one", "three"].map(|name| {
            fs::write(path(name), name.repeat(name.len())).unwrap();
            FileStamp::of(&path(name))
        });
        let mut glance = PolledPath {
            path: "a".into(),
            real: "/a".into(),
            compared_by: ComparedBy::Content,
            reported_stamp: one,
            unreported_stamp: None,
        };
        assert_eq!([two, two].map(|now| glance.is_due_for_report(now)), [true, false]);
    }

    #[test]
    fn a_path_that_leads_elsewhere_counts_at_once_and_each_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let [one, two] = ["one", "two"].map(|name| {
            fs::create_dir(path(name)).unwrap();
            FileStamp::of(&path(name))
        });
        let mut glance = PolledPath {
            path: "zones".into(),
            real: "/zones".into(),
            compared_by: ComparedBy::Object,
            reported_stamp: one,
            unreported_stamp: None,
        };
        let reports =
            [one, two, two, one, None, None, one].map(|now| glance.is_due_for_report(now));
        assert_eq!(reports, [false, true, false, true, true, false, true]);
    }

    #[test]
    fn a_local_directory_has_events_and_one_that_is_not_there_has_none() {
        let directory = tempfile::tempdir().unwrap();
        assert!(has_events(directory.path()));
        assert!(!has_events(&directory.path().join("gone")));
    }
}
