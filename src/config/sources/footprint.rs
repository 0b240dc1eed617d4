//! The footprint of a reading: every path that it depended on, and the state of each at that
//! moment.
//!
//! A comparison with the present shows whether another reading would give another result.

use std::{
    collections::BTreeSet,
    fs::{self, Metadata},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{links, read_error::SourceReadError};

/// Tells one state of a file or directory from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    device: u64,
    inode: u64,
    octets: u64,
    modified: (i64, i64),
    /// Also moves with owner and mode: a file may have become readable.
    changed: (i64, i64),
}

impl FileStamp {
    /// What `path` leads to now; `None` where nothing is there.
    pub fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|found| Self::from(&found))
    }

    /// Whether it is the same file or directory, whatever is in it. A directory on which a volume
    /// is mounted is another.
    pub fn is_same_object(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// Whether nothing was written to it. Inode numbers are left out: some file systems make them
    /// up at each look.
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

/// What a path is to a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathKind {
    /// Its tables, master files and directories matter.
    ZoneDirectory,
    /// A directory that is read for its databases.
    DatabaseDirectory,
    /// A file that is read for its content.
    File,
}

/// One path that a reading depended on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathState {
    /// As it is named.
    pub path: PathBuf,
    /// Where that leads, without links; the absolute path where nothing is there.
    pub real_path: PathBuf,
    /// What it is for.
    pub kind: PathKind,
    /// Whether it is a link, or one leads to it that leads to nothing else.
    pub is_link: bool,
    /// Its state when it was read; `None` where nothing was there.
    pub stamp: Option<FileStamp>,
}

impl PathState {
    /// Of a path that nothing was found at.
    pub(in crate::config) fn missing(path: &Path, kind: PathKind) -> Self {
        let real_path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        Self { path: path.to_path_buf(), real_path, kind, is_link: false, stamp: None }
    }

    /// Of a path that could not be read for this reason. Something may be there all the same.
    pub(in crate::config) fn unread(path: &Path, kind: PathKind, reason: &SourceReadError) -> Self {
        let is_absent = matches!(reason, SourceReadError::Io(Some(libc::ENOENT), _));
        let stamp = if is_absent { None } else { FileStamp::of(path) };
        Self { stamp, ..Self::missing(path, kind) }
    }

    /// Of a path by itself, as it is now.
    pub(super) fn inspect(path: &Path, kind: PathKind, links: &mut BTreeSet<PathBuf>) -> Self {
        match links::resolve(path, links) {
            Ok(real) => Self::resolved(path, real, kind),
            Err(reason) => Self::unread(path, kind, &reason),
        }
    }

    /// Of a path by itself, which leads to `real_path`.
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

    /// Of a file that is named and was not found, in a directory that may be there.
    pub(super) fn absent_file(path: &Path, links: &mut BTreeSet<PathBuf>) -> Self {
        let directory = path.parent().and_then(|directory| links::resolve(directory, links).ok());
        match (directory, path.file_name()) {
            (Some(directory), Some(name)) => {
                Self { real_path: directory.join(name), ..Self::missing(path, PathKind::File) }
            }
            _ => Self::missing(path, PathKind::File),
        }
    }

    /// Whether the path still leads to what was read.
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
    /// Files below the zones directory of which it is not known yet whether something names them.
    pub unnamed_files: Vec<PathState>,
    /// Every symbolic link on the way to one of them, by its own path without links.
    pub links: BTreeSet<PathBuf>,
}

impl Footprint {
    /// Whether every path still leads to what was read. If not, what was read may be parts of two
    /// versions.
    pub(in crate::config) fn is_consistent(&self) -> bool {
        let matters = |trace: &&PathState| trace.kind != PathKind::File || trace.is_link;
        self.paths.iter().filter(matters).all(PathState::is_same_object)
    }
}
