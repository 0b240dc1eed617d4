//! The footprint of a reading: every path that it depended on, and the state of each path at that
//! moment.
//!
//! Comparing a footprint with the present state shows whether another reading would have another
//! result.

use std::{
    collections::BTreeSet,
    fs::{self, Metadata},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{links, read_error::SourceReadError};

/// The state of a file or directory, as far as it can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    device: u64,
    inode: u64,
    octets: u64,
    modified: (i64, i64),
    /// The inode's time of change. It also changes with owner and mode: a file may have become
    /// readable.
    changed: (i64, i64),
}

impl FileStamp {
    /// The present state of what `path` leads to; `None` where nothing exists.
    pub fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|found| Self::from(&found))
    }

    /// Whether both are the same file or directory, whatever its content. A directory on which a
    /// volume is mounted is another.
    pub fn is_same_object(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// Whether nothing was written between the two states. Inode numbers are not compared: some
    /// file systems assign them again at each look.
    pub fn has_same_content(&self, other: &Self) -> bool {
        (self.device, self.octets, self.modified, self.changed)
            == (other.device, other.octets, other.modified, other.changed)
    }
}

impl From<&Metadata> for FileStamp {
    fn from(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            octets: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

/// The use of a path in a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathKind {
    /// A directory that is read for tables, master files and directories.
    ZoneDirectory,
    /// A directory that is read for its databases.
    DatabaseDirectory,
    /// A file that is read for its content.
    File,
}

/// One path that a reading depended on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathState {
    /// The path before links are resolved.
    pub path: PathBuf,
    /// The path without links; the absolute path where nothing exists.
    pub real_path: PathBuf,
    /// What the load used the path for.
    pub kind: PathKind,
    /// Whether the last component is a link, or the path is reached only through a link.
    pub is_link: bool,
    /// The state when it was read; `None` where nothing existed.
    pub stamp: Option<FileStamp>,
}

impl PathState {
    /// The state of a path at which nothing was found.
    pub(in crate::config) fn missing(path: &Path, kind: PathKind) -> Self {
        let real_path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        Self { path: path.to_path_buf(), real_path, kind, is_link: false, stamp: None }
    }

    /// The state of a path that could not be read for this reason. Something may exist there
    /// nevertheless.
    pub(in crate::config) fn unread(path: &Path, kind: PathKind, reason: &SourceReadError) -> Self {
        let is_absent = matches!(reason, SourceReadError::Io(Some(libc::ENOENT), _));
        let stamp = if is_absent { None } else { FileStamp::of(path) };
        Self { stamp, ..Self::missing(path, kind) }
    }

    /// The present state of a path.
    pub(super) fn inspect(path: &Path, kind: PathKind, links: &mut BTreeSet<PathBuf>) -> Self {
        match links::resolve(path, links) {
            Ok(real) => Self::resolved(path, real, kind),
            Err(reason) => Self::unread(path, kind, &reason),
        }
    }

    /// The present state of a path that leads to `real_path`.
    pub(super) fn resolved(path: &Path, real_path: PathBuf, kind: PathKind) -> Self {
        let is_link = std::path::absolute(path).is_ok_and(|absolute| absolute != real_path);
        Self {
            path: path.to_path_buf(),
            stamp: FileStamp::of(&real_path),
            real_path,
            kind,
            is_link,
        }
    }

    /// The state of a named file that was not found; its directory may exist.
    pub(super) fn absent_file(path: &Path, links: &mut BTreeSet<PathBuf>) -> Self {
        let directory = path.parent().and_then(|directory| links::resolve(directory, links).ok());
        match (directory, path.file_name()) {
            (Some(directory), Some(name)) => {
                Self { real_path: directory.join(name), ..Self::missing(path, PathKind::File) }
            }
            _ => Self::missing(path, PathKind::File),
        }
    }

    /// Whether the path still leads to the file or directory that was read.
    pub fn is_same_object(&self) -> bool {
        match (FileStamp::of(&self.path), self.stamp) {
            (Some(now), Some(then)) => now.is_same_object(&then),
            (None, None) => true,
            _ => false,
        }
    }
}

/// Everything that a reading depended on.
#[derive(Debug, Clone, Default)]
pub struct Footprint {
    /// The directories and files that were read or looked for.
    pub paths: Vec<PathState>,
    /// Files below the zones directory that nothing has named so far.
    pub unnamed_files: Vec<PathState>,
    /// Every symbolic link on one of these paths, by its own path without links.
    pub links: BTreeSet<PathBuf>,
}

impl Footprint {
    /// Whether every path still leads to what was read. Otherwise the files may be of two versions.
    pub(in crate::config) fn is_consistent(&self) -> bool {
        let matters = |state: &&PathState| state.kind != PathKind::File || state.is_link;
        self.paths.iter().filter(matters).all(PathState::is_same_object)
    }
}
