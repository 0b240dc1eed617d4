//! Certificates and keys of monitors: looked at every few seconds, and read again when one of them
//! has changed.
//!
//! They are no files of the configuration: a change of one is no load. Looking happens off the
//! controller's task, since a file system may hang.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{task::JoinHandle, time::Instant as TokioInstant};

use crate::{config::FileStamp, steer::Topology};

/// The pause between two looks.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// The files that monitors name, as they were when they were last read.
#[derive(Debug, Default)]
pub(super) struct CredentialFiles {
    last_read: CredentialStamps,
    check_at: Option<TokioInstant>,
    running_check: Option<JoinHandle<CredentialStamps>>,
}

type CredentialStamps = BTreeMap<PathBuf, Option<FileStamp>>;

impl CredentialFiles {
    /// Notes the files of the topology's monitors as they are now: to be called before they are
    /// read.
    pub(super) async fn record_stamps(&mut self, topology: &Topology) {
        let files = topology.monitors.iter().flat_map(|monitor| monitor.check.credentials());
        let files: BTreeSet<PathBuf> = files.map(Path::to_owned).collect();
        self.running_check = None;
        self.check_at = (!files.is_empty()).then(|| TokioInstant::now() + CHECK_INTERVAL);
        self.last_read = match files.is_empty() {
            true => CredentialStamps::new(),
            // A panic leaves nothing known, and the next look finds a change.
            false => tokio::task::spawn_blocking(move || stamps(files)).await.unwrap_or_default(),
        };
    }

    /// When to look next.
    pub(super) fn due(&self) -> Option<TokioInstant> {
        self.check_at
    }

    /// Begins to look if it is time.
    pub(super) fn begin_check_if_due(&mut self, now: TokioInstant) {
        if self.check_at.is_some_and(|at| at <= now) {
            self.check_at = None;
            let files: Vec<PathBuf> = self.last_read.keys().cloned().collect();
            self.running_check = Some(tokio::task::spawn_blocking(move || stamps(files)));
        }
    }

    /// Ends when a look does; never while there is none. Whether a file has changed.
    pub(super) async fn check_finished(&mut self) -> bool {
        let Some(looking) = &mut self.running_check else { return std::future::pending().await };
        let found = looking.await.unwrap_or_default();
        self.running_check = None;
        self.check_at = Some(TokioInstant::now() + CHECK_INTERVAL);
        let is_same = |(path, stamp): (&PathBuf, &Option<FileStamp>)| match (stamp, found.get(path))
        {
            (Some(old), Some(Some(new))) => old.has_same_content(new),
            (old, new) => old.is_none() == new.is_none_or(Option::is_none),
        };
        !self.last_read.iter().all(is_same)
    }
}

fn stamps(files: impl IntoIterator<Item = PathBuf>) -> CredentialStamps {
    let of = |path: PathBuf| {
        let stamp = FileStamp::of(&path);
        (path, stamp)
    };
    files.into_iter().map(of).collect()
}
