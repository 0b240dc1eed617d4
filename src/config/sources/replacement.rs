//! Replaces files of a configuration by other versions of them: so a load replaces a broken file by
//! its last good content. Each file keeps its [`FileId`], so that places stay valid from one
//! attempt to the next.

use std::{
    collections::BTreeSet,
    hash::Hasher as _,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use siphasher::sip128::{Hasher128 as _, SipHasher13};

use super::{
    Sources,
    file::{FileRole, SourceFile},
};
use crate::config::place::FileId;

impl Sources {
    /// Adds an entry for each of these files, which do not exist now, at the position where reading
    /// the directory would have put it.
    pub fn with_absent(self, absent: impl IntoIterator<Item = (PathBuf, FileRole)>) -> Self {
        let (locations, databases, zones) =
            (self.locations.clone(), self.databases.clone(), self.zones);
        let (directory, footprint) =
            (self.zones_directory().to_owned(), Arc::clone(&self.footprint));
        let (in_use, has_transient_error, tolerated) = (
            Arc::clone(&self.credentials_in_use),
            Arc::clone(&self.has_transient_error),
            self.tolerated_databases,
        );
        let existing = self.into_files().into_iter().map(|file| (file.role, file));
        let absent = absent.into_iter().map(|(path, role)| (role, SourceFile::absent(&path)));
        let mut all: Vec<(FileRole, SourceFile)> = existing.chain(absent).collect();
        all.sort_by(|(a, left), (b, right)| {
            (reading_order(*a), &left.path).cmp(&(reading_order(*b), &right.path))
        });
        let files: Vec<SourceFile> = all.into_iter().map(|(_, file)| file).collect();
        let position = |is_it: &dyn Fn(&SourceFile) -> bool| {
            files
                .iter()
                .position(is_it)
                .map(|index| FileId(u32::try_from(index).unwrap_or(u32::MAX)))
        };
        let config = position(&|file| file.role == FileRole::Settings);
        let zones = position(&|file| file.role == FileRole::Directory && file.path == directory)
            .unwrap_or(zones);
        Self {
            credentials_in_use: in_use,
            has_transient_error,
            tolerated_databases: tolerated,
            ..Self::new(files, config, zones, locations, databases, footprint)
        }
    }

    /// Replaces files by other versions of them. Returns the versions before, in the same order.
    pub fn replace_files(&mut self, versions: Vec<(FileId, SourceFile)>) -> Vec<SourceFile> {
        // Nothing else refers to the files between two attempts, so that nothing is copied.
        let files = Arc::make_mut(&mut self.files);
        let before = versions
            .into_iter()
            .map(|(id, file)| std::mem::replace(&mut files[id.index()], file))
            .collect();
        self.rebuild_index();
        before
    }

    /// Shares the octets of unchanged files with `earlier` versions of them, which are in memory
    /// anyway.
    pub fn share_octets<'f>(&mut self, earlier: impl Fn(&Path) -> Option<&'f SourceFile>) {
        // Nothing shares the files before they are checked.
        for file in Arc::get_mut(&mut self.files).into_iter().flatten() {
            if let Some(Ok(old)) = earlier(&file.path).map(|earlier| &earlier.content)
                && let Ok(new) = &mut file.content
                && old == new
            {
                *new = Arc::clone(old);
            }
        }
    }

    /// A hash of the paths and roles of all files, whatever their content.
    pub(in crate::config) fn file_set_hash(&self) -> u128 {
        let mut hasher = SipHasher13::new();
        for file in self.files.iter() {
            let path = file.path.as_os_str().as_bytes();
            hasher.write(&path.len().to_ne_bytes());
            hasher.write(path);
            hasher.write(&[
                reading_order(file.role),
                u8::from(file.role == FileRole::Absent),
                u8::from(file.content.is_ok()),
            ]);
        }
        hasher.finish128().as_u128()
    }

    /// The paths that tables and master files name.
    pub(in crate::config) fn named_paths(&self) -> Arc<Mutex<BTreeSet<PathBuf>>> {
        Arc::clone(&self.named_paths)
    }

    /// Adds paths that were named in an earlier load.
    pub(in crate::config) fn add_named_paths(&self, names: &Arc<Mutex<BTreeSet<PathBuf>>>) {
        if !Arc::ptr_eq(names, &self.named_paths) {
            let names = names.lock().unwrap_or_else(PoisonError::into_inner).clone();
            self.named_paths.lock().unwrap_or_else(PoisonError::into_inner).extend(names);
        }
    }

    /// All files with their identifiers.
    pub fn entries(&self) -> impl Iterator<Item = (FileId, &SourceFile)> {
        (0_u32..).map(FileId).zip(self.files.iter())
    }

    /// Takes the files out.
    pub fn into_files(mut self) -> Vec<SourceFile> {
        // As a rule nothing else refers to the files, so that nothing is copied.
        Arc::make_mut(&mut self.files)
            .iter_mut()
            .map(|file| std::mem::replace(file, SourceFile::absent(Path::new(""))))
            .collect()
    }
}

/// The order in which files are read: the settings, the directory, tables, everything else.
fn reading_order(role: FileRole) -> u8 {
    match role {
        FileRole::Settings => 0,
        FileRole::Directory => 1,
        FileRole::Tables => 2,
        FileRole::Master | FileRole::Absent => 3,
    }
}
