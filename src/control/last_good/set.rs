//! The last good set in memory: what it consists of, and whether a load comes to the same set.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    config::{Config, FileId, FileRole, LoadMode, SourceFile, Sources},
    dns::Name,
};

/// The files of a configuration that was applied, and its inventory.
#[derive(Debug, Clone, Default)]
pub(in crate::control) struct LastGood {
    /// The files by path, each with the content that was applied.
    pub files: BTreeMap<PathBuf, Arc<SourceFile>>,
    pub inventory: Inventory,
}

/// The zones, services and credentials of a configuration, each list in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::control) struct Inventory {
    /// The apexes of the zones. Successive loads share an equal list.
    pub zones: Arc<[Name]>,
    /// The names of the services. Successive loads share an equal list.
    pub services: Arc<[Name]>,
    /// The certificates and keys of monitors. One that breaks later is no error of the files that
    /// name it.
    pub credentials: Arc<BTreeSet<PathBuf>>,
}

impl Inventory {
    pub(in crate::control) fn of(config: &Config) -> Self {
        let mut zones: Vec<Name> = config.zones.iter().map(|zone| zone.apex.clone()).collect();
        let mut services: Vec<Name> =
            config.topology.services.iter().map(|service| service.name.clone()).collect();
        zones.sort();
        services.sort();
        let credentials =
            config.topology.monitors.iter().flat_map(|monitor| monitor.check.credentials());
        let credentials = Arc::new(credentials.map(Path::to_owned).collect());
        Self { zones: zones.into(), services: services.into(), credentials }
    }

    /// The inventory of a configuration, which may be an amendment of the one that `before`
    /// describes.
    pub(in crate::control) fn after_load(before: &Self, config: &Config) -> Self {
        match config.load_mode {
            // An amendment takes no name away and adds none.
            LoadMode::Amended { .. } => before.clone(),
            LoadMode::Full { .. } => Self::of(config),
        }
    }
}

impl LastGood {
    /// The set of a configuration that was made from `sources`. `read` are the master files that
    /// zones are made from.
    pub(in crate::control) fn of(
        sources: Sources,
        read: &[FileId],
        inventory: Inventory,
        previous: &Self,
    ) -> Self {
        let read: HashSet<usize> = read.iter().map(|id| id.index()).collect();
        let kept = |(index, file): (usize, SourceFile)| {
            if !is_read(&read, index, &file) || file.content.is_err() {
                return None;
            }
            let good = match previous.files.get(&file.path) {
                Some(old) if is_same(old, &file) => Arc::clone(old),
                _ => Arc::new(file),
            };
            Some((good.path.clone(), good))
        };
        let files = sources.into_files().into_iter().enumerate().filter_map(kept).collect();
        Self { files, inventory }
    }

    /// Whether the set is empty, because nothing was ever applied.
    pub(in crate::control) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Whether a configuration made from `sources` has the same set. `read` are the master files
    /// that zones are made from.
    pub(in crate::control) fn matches_sources(&self, sources: &Sources, read: &[FileId]) -> bool {
        let read: HashSet<usize> = read.iter().map(|id| id.index()).collect();
        let mut count = 0;
        let is_same = sources
            .files()
            .iter()
            .enumerate()
            .filter(|(index, file)| is_read(&read, *index, file))
            .all(|(_, file)| {
                count += 1;
                self.contains(file)
            });
        is_same && count == self.files.len() && count > 0
    }

    /// Whether a file has the same content in the set.
    pub(in crate::control) fn contains(&self, file: &SourceFile) -> bool {
        file.content.is_ok() && self.files.get(&file.path).is_some_and(|good| is_same(good, file))
    }

    /// The last good version of a file; `None` if the file is not in the set.
    pub(in crate::control) fn file(&self, path: &Path) -> Option<&SourceFile> {
        self.files.get(path).map(|good| &**good)
    }

    /// `portolan.toml` as it was applied.
    pub(in crate::control) fn settings(&self) -> Option<&SourceFile> {
        self.files.values().map(|good| &**good).find(|file| file.role == FileRole::Settings)
    }
}

/// Whether a load reads the file; `read` are the positions of the master files that it read.
fn is_read(read: &HashSet<usize>, index: usize, file: &SourceFile) -> bool {
    match file.role {
        FileRole::Settings | FileRole::Tables => true,
        FileRole::Master => read.contains(&index),
        FileRole::Directory | FileRole::Absent => false,
    }
}

/// Whether two versions of a file are the same. Most versions share their octets, so that the
/// comparison is cheap.
fn is_same(a: &SourceFile, b: &SourceFile) -> bool {
    let is_equal = |a: &Arc<Vec<u8>>, b: &Arc<Vec<u8>>| Arc::ptr_eq(a, b) || a == b;
    let has_same_octets = matches!((&a.content, &b.content), (Ok(a), Ok(b)) if is_equal(a, b));
    a.role == b.role && has_same_octets
}
