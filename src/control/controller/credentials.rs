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

use crate::{config::Stamp, steer::Topology};

/// The pause between two looks.
const PAUSE: Duration = Duration::from_secs(2);

/// The files that monitors name, as they were when they were last read.
#[derive(Debug, Default)]
pub(super) struct Credentials {
    known: Stamps,
    look_at: Option<TokioInstant>,
    looking: Option<JoinHandle<Stamps>>,
}

type Stamps = BTreeMap<PathBuf, Option<Stamp>>;

impl Credentials {
    /// Notes the files of the topology's monitors as they are now: to be called before they are
    /// read.
    pub(super) async fn note(&mut self, topology: &Topology) {
        let files = topology.monitors.iter().flat_map(|monitor| monitor.check.credentials());
        let files: BTreeSet<PathBuf> = files.map(Path::to_owned).collect();
        self.looking = None;
        self.look_at = (!files.is_empty()).then(|| TokioInstant::now() + PAUSE);
        self.known = match files.is_empty() {
            true => Stamps::new(),
            // A panic leaves nothing known, and the next look finds a change.
            false => tokio::task::spawn_blocking(move || stamps(files)).await.unwrap_or_default(),
        };
    }

    /// When to look next.
    pub(super) fn due(&self) -> Option<TokioInstant> {
        self.look_at
    }

    /// Begins to look if it is time.
    pub(super) fn look(&mut self, now: TokioInstant) {
        if self.look_at.is_some_and(|at| at <= now) {
            self.look_at = None;
            let files: Vec<PathBuf> = self.known.keys().cloned().collect();
            self.looking = Some(tokio::task::spawn_blocking(move || stamps(files)));
        }
    }

    /// Ends when a look does; never while there is none. Whether a file has changed.
    pub(super) async fn looked(&mut self) -> bool {
        let Some(looking) = &mut self.looking else { return std::future::pending().await };
        let found = looking.await.unwrap_or_default();
        self.looking = None;
        self.look_at = Some(TokioInstant::now() + PAUSE);
        let is_same = |(path, stamp): (&PathBuf, &Option<Stamp>)| match (stamp, found.get(path)) {
            (Some(old), Some(Some(new))) => old.has_same_content(new),
            (old, new) => old.is_none() == new.is_none_or(Option::is_none),
        };
        !self.known.iter().all(is_same)
    }
}

fn stamps(files: impl IntoIterator<Item = PathBuf>) -> Stamps {
    let of = |path: PathBuf| {
        let stamp = Stamp::of(&path);
        (path, stamp)
    };
    files.into_iter().map(of).collect()
}
