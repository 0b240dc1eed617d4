//! The last good set: every file that the configuration in force was made of, with the content that
//! was applied.
//!
//! A file that breaks or disappears is held at this content. Files that no load reads are not in
//! the set. The octets of a file that did not change are shared from one set to the next.

mod saved;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    config::{Config, FileId, FileRole, LoadMode, SourceFile, Sources},
    dns::Name,
};

pub(super) use saved::{LastGoodOrigin, read as read_saved, write as write_saved};

/// The files of a configuration that was applied, and what it answered for.
#[derive(Debug, Clone, Default)]
pub(super) struct LastGood {
    /// By path; each as it was applied.
    pub files: BTreeMap<PathBuf, Arc<SourceFile>>,
    pub inventory: Inventory,
}

/// What a configuration answers for, and what it uses besides its own files; in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Inventory {
    /// Shared by the configurations of successive loads, where equal.
    pub zones: Arc<[Name]>,
    /// Shared like the zones.
    pub services: Arc<[Name]>,
    /// Certificates and keys of its monitors. One that breaks later is no error of the files that
    /// name it.
    pub credentials: Arc<BTreeSet<PathBuf>>,
}

impl Inventory {
    pub(super) fn of(config: &Config) -> Self {
        let mut zones: Vec<Name> = config.zones.iter().map(|zone| zone.apex.clone()).collect();
        let mut services: Vec<Name> =
            config.topology.services.iter().map(|service| service.name.clone()).collect();
        zones.sort();
        services.sort();
        let credentials = config.topology.monitors.iter().flat_map(|at| at.check.credentials());
        let credentials = Arc::new(credentials.map(Path::to_owned).collect());
        Self { zones: zones.into(), services: services.into(), credentials }
    }

    /// The inventory of a configuration, which may be an amendment of the one that `before`
    /// describes.
    pub(super) fn after_load(before: &Self, config: &Config) -> Self {
        match config.load_mode {
            // An amendment takes no name away and adds none.
            LoadMode::Amended { .. } => before.clone(),
            LoadMode::Full { .. } => Self::of(config),
        }
    }
}

impl LastGood {
    /// The set of a configuration that was made of `sources`; `read` are the master files among
    /// them that zones are made of.
    pub(super) fn of(
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

    /// Whether there is no set: nothing was ever applied.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Whether `sources`, of which `read` are the master files that zones are made of, come to the
    /// same set.
    pub(super) fn matches_sources(&self, sources: &Sources, read: &[FileId]) -> bool {
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

    /// Whether a file has the content that it has in the set.
    pub(super) fn contains(&self, file: &SourceFile) -> bool {
        file.content.is_ok() && self.files.get(&file.path).is_some_and(|good| is_same(good, file))
    }

    /// A file as it was applied.
    pub(super) fn file(&self, path: &Path) -> Option<&SourceFile> {
        self.files.get(path).map(|good| &**good)
    }

    /// `portolan.toml` as it was applied.
    pub(super) fn settings(&self) -> Option<&SourceFile> {
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

/// Whether two versions of a file are the same: most share their octets.
fn is_same(one: &SourceFile, other: &SourceFile) -> bool {
    let is_shared =
        |one: &Arc<Vec<u8>>, other: &Arc<Vec<u8>>| Arc::ptr_eq(one, other) || one == other;
    let has_same_octets =
        matches!((&one.content, &other.content), (Ok(one), Ok(other)) if is_shared(one, other));
    one.role == other.role && has_same_octets
}
