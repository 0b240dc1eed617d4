//! The last good set: every file that the configuration in force was made of, with the content that was applied.
//!
//! A file that breaks or disappears is held at this content. Files that no load reads are not in the set. The octets of a
//! file that did not change are shared from one set to the next.

mod saved;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    hash::Hasher as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::{
    config::{Config, FileId, Role, SourceFile, Sources},
    dns::Name,
};

pub(super) use saved::{Home, read as read_saved, write as write_saved};

/// The files of a configuration that was applied, and what it answered for.
#[derive(Debug, Clone, Default)]
pub(super) struct LastGood {
    pub files: BTreeMap<PathBuf, GoodFile>,
    pub inventory: Inventory,
}

/// One file as it was applied.
#[derive(Debug, Clone)]
pub(super) struct GoodFile {
    pub file: Arc<SourceFile>,
    pub digest: u128,
}

/// What a configuration answers for, and what it uses besides its own files; in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Inventory {
    pub zones: Vec<Name>,
    pub services: Vec<Name>,
    /// Certificates and keys of its monitors. One that breaks later is no error of the files that name it.
    pub credentials: BTreeSet<PathBuf>,
}

impl Inventory {
    pub(super) fn of(config: &Config) -> Self {
        let mut zones: Vec<Name> = config.zones.iter().map(|zone| zone.apex.clone()).collect();
        let mut services: Vec<Name> = config.topology.services.iter().map(|service| service.name.clone()).collect();
        zones.sort();
        services.sort();
        let credentials = config.topology.monitors.iter().flat_map(|at| at.check.credentials());
        Self { zones, services, credentials: credentials.map(Path::to_owned).collect() }
    }
}

impl LastGood {
    /// The set of a configuration that was made of `sources`; `read` are the master files among them that zones are made of.
    pub(super) fn of(sources: Sources, read: &[FileId], inventory: Inventory, previous: &Self) -> Self {
        let read: HashSet<usize> = read.iter().map(|id| id.index()).collect();
        let kept = |(index, file): (usize, SourceFile)| {
            if !is_read(&read, index, &file) || file.content.is_err() {
                return None;
            }
            let digest = digest(&file);
            let good = match previous.files.get(&file.path) {
                Some(old) if old.digest == digest && old.file.role == file.role => old.clone(),
                _ => GoodFile { file: Arc::new(file), digest },
            };
            Some((good.file.path.clone(), good))
        };
        let files = sources.into_files().into_iter().enumerate().filter_map(kept).collect();
        Self { files, inventory }
    }

    /// Whether there is no set: nothing was ever applied.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Whether `sources`, of which `read` are the master files that zones are made of, come to the same set.
    pub(super) fn is_made_of(&self, sources: &Sources, read: &[FileId]) -> bool {
        let read: HashSet<usize> = read.iter().map(|id| id.index()).collect();
        let mut count = 0;
        let is_same =
            sources.files().iter().enumerate().filter(|(index, file)| is_read(&read, *index, file)).all(|(_, file)| {
                count += 1;
                self.has(file)
            });
        is_same && count == self.files.len() && count > 0
    }

    /// Whether a file has the content that it has in the set.
    pub(super) fn has(&self, file: &SourceFile) -> bool {
        let same = |good: &GoodFile| good.file.role == file.role && good.digest == digest(file);
        file.content.is_ok() && self.files.get(&file.path).is_some_and(same)
    }

    /// A file as it was applied.
    pub(super) fn file(&self, path: &Path) -> Option<&SourceFile> {
        self.files.get(path).map(|good| &*good.file)
    }

    /// `portolan.toml` as it was applied.
    pub(super) fn settings(&self) -> Option<&SourceFile> {
        self.files.values().map(|good| &*good.file).find(|file| file.role == Role::Settings)
    }
}

/// Whether a load reads the file; `read` are the positions of the master files that it read.
fn is_read(read: &HashSet<usize>, index: usize, file: &SourceFile) -> bool {
    match file.role {
        Role::Settings | Role::Tables => true,
        Role::Master => read.contains(&index),
        Role::Directory | Role::Absent => false,
    }
}

/// Distinguishes the contents of a file. Collisions are not a concern: 128 bits.
pub(super) fn digest(file: &SourceFile) -> u128 {
    let mut hasher = SipHasher13::new();
    hasher.write(file.octets());
    hasher.finish128().as_u128()
}
