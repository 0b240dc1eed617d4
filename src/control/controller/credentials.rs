//! Certificates and keys of monitors: checked every two seconds, and read again when one of them
//! has changed.
//!
//! They are not files of the configuration, so that a change of one causes no load. The checks run
//! apart from the controller's task, because a file system may hang.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{task::JoinHandle, time::Instant as TokioInstant};

use crate::{config::FileStamp, steer::Topology};

/// The pause between two checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// The files that monitors name, with their state when they were last read.
#[derive(Debug, Default)]
pub(super) struct CredentialFiles {
    last_read: CredentialStamps,
    check_at: Option<TokioInstant>,
    running_check: Option<JoinHandle<CredentialStamps>>,
}

type CredentialStamps = BTreeMap<PathBuf, Option<FileStamp>>;

impl CredentialFiles {
    /// Records the state of the files of the topology's monitors: to be called before the files are
    /// read.
    pub(super) async fn record_stamps(&mut self, topology: &Topology) {
        let files = topology.monitors.iter().flat_map(|monitor| monitor.check.credentials());
        let files: BTreeSet<PathBuf> = files.map(Path::to_owned).collect();
        self.running_check = None;
        self.check_at = (!files.is_empty()).then(|| TokioInstant::now() + CHECK_INTERVAL);
        self.last_read = match files.is_empty() {
            true => CredentialStamps::new(),
            // After a panic no state is recorded, so that the next check finds a change.
            false => tokio::task::spawn_blocking(move || stamps(files)).await.unwrap_or_default(),
        };
    }

    /// The time at which the next check is due.
    pub(super) fn due(&self) -> Option<TokioInstant> {
        self.check_at
    }

    /// Begins a check if one is due.
    pub(super) fn begin_check_if_due(&mut self, now: TokioInstant) {
        if self.check_at.is_some_and(|at| at <= now) {
            self.check_at = None;
            let files: Vec<PathBuf> = self.last_read.keys().cloned().collect();
            self.running_check = Some(tokio::task::spawn_blocking(move || stamps(files)));
        }
    }

    /// Waits for the end of the check in progress, and returns whether a file has changed. Never
    /// ends while no check is in progress.
    pub(super) async fn check_finished(&mut self) -> bool {
        let Some(check) = &mut self.running_check else { return std::future::pending().await };
        let found = check.await.unwrap_or_default();
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
    let with_stamp = |path: PathBuf| {
        let stamp = FileStamp::of(&path);
        (path, stamp)
    };
    files.into_iter().map(with_stamp).collect()
}
