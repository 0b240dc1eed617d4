//! The walk over the zones directory: which files there are.
//!
//! Nothing is left out in silence. A directory that cannot be listed, an entry whose kind the system does not tell, and
//! whatever exceeds a bound is a failure with its path: a missing entry would look like a zone that the operator removed.

use std::{
    collections::HashSet,
    fs::{self, DirEntry},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{
    disk::{is_master, is_tables},
    unreadable::Unreadable,
};

/// How many directories may be inside each other.
const DEEPEST: usize = 32;
/// How many files the zones directory may hold.
const MOST_FILES: usize = 1_000_000;

/// What a walk found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Everything that is not a directory, and links whose target is missing.
    pub(super) files: Vec<PathBuf>,
    /// Directories and entries that could not be read.
    pub(super) failures: Vec<(PathBuf, Unreadable)>,
}

/// Walks the directory `root`, which exists.
pub(super) fn walk(root: &Path) -> Found {
    Walk::bounded(root, MOST_FILES)
}

struct Walk {
    /// Canonical paths of directories, so that no link leads in a circle or to the same files twice.
    seen: HashSet<PathBuf>,
    most_files: usize,
    found: Found,
}

impl Walk {
    fn bounded(root: &Path, most_files: usize) -> Found {
        let mut found = Found::default();
        match fs::canonicalize(root) {
            Ok(real_root) => {
                let mut walk = Self { seen: HashSet::from([real_root]), most_files, found };
                walk.directory(root, 0);
                walk.found
            }
            Err(error) => {
                found.failures.push((root.to_path_buf(), error.into()));
                found
            }
        }
    }

    fn fail(&mut self, path: &Path, reason: impl Into<Unreadable>) {
        self.found.failures.push((path.to_path_buf(), reason.into()));
    }

    fn directory(&mut self, directory: &Path, depth: usize) {
        if depth > DEEPEST {
            return self.fail(directory, Unreadable::TooDeep);
        }
        // Listed whole before anything below is opened: one descriptor serves the whole walk.
        let mut linked = Vec::new();
        for entry in self.entries(directory) {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => self.enter(&path, depth),
                Ok(kind) if kind.is_symlink() => match leads_to_directory(&path) {
                    Ok(true) => linked.push(path),
                    Ok(false) => self.file(path),
                    Err(reason) => self.fail(&path, reason),
                },
                Ok(_) => self.file(path),
                Err(error) => self.fail(&path, error),
            }
        }
        // Links last: a directory's own name is preferred to that of a link to it.
        for path in linked {
            self.enter(&path, depth);
        }
    }

    fn file(&mut self, path: PathBuf) {
        if self.found.files.len() < self.most_files {
            self.found.files.push(path);
        } else if !self.found.failures.iter().any(|(_, reason)| *reason == Unreadable::TooMany) {
            self.fail(&path, Unreadable::TooMany);
        }
    }

    fn entries(&mut self, directory: &Path) -> Vec<DirEntry> {
        let listed = match fs::read_dir(directory) {
            Ok(listed) => listed,
            Err(error) => {
                self.fail(directory, error);
                return Vec::new();
            }
        };
        let mut entries = Vec::new();
        for entry in listed {
            match entry {
                Ok(entry) if is_ignored(&entry.file_name().to_string_lossy()) => {}
                Ok(entry) => entries.push(entry),
                Err(error) => self.fail(directory, error),
            }
        }
        entries
    }

    fn enter(&mut self, directory: &Path, depth: usize) {
        match fs::canonicalize(directory) {
            Ok(real) => {
                if self.seen.insert(real) {
                    self.directory(directory, depth + 1);
                }
            }
            Err(error) => self.fail(directory, error),
        }
    }
}

/// Whether a link leads to a directory. A link whose target cannot be examined may have led to one, whose zones are missing
/// then; only where its name says that it is a file is that left to the reading of the file.
fn leads_to_directory(link: &Path) -> Result<bool, Unreadable> {
    if let Some(directory) = link.parent().filter(|directory| is_open_to_everybody(directory)) {
        return Err(Unreadable::UnsafeLink(directory.to_path_buf()));
    }
    match fs::metadata(link) {
        Ok(target) => Ok(target.is_dir()),
        Err(_) if is_tables(link) || is_master(link) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether every user may replace entries of this directory: it is writable for others, without the sticky bit.
fn is_open_to_everybody(directory: &Path) -> bool {
    const OTHERS_WRITE: u32 = 0o002;
    const STICKY: u32 = 0o1000;
    fs::metadata(directory).is_ok_and(|found| found.mode() & (OTHERS_WRITE | STICKY) == OTHERS_WRITE)
}

/// Hidden files, and what editors leave behind.
fn is_ignored(name: &str) -> bool {
    name.starts_with('.') || name.ends_with('~') || name.ends_with(".bak")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(root: &Path, most_files: usize) -> Vec<(String, Unreadable)> {
        let inside = |path: PathBuf| path.strip_prefix(root).unwrap().display().to_string();
        let found = Walk::bounded(root, most_files);
        found.failures.into_iter().map(|(path, reason)| (inside(path), reason)).collect()
    }

    #[test]
    fn a_directory_beyond_the_greatest_depth_is_a_failure_by_name() {
        let root = tempfile::tempdir().unwrap();
        let deepest = vec!["d"; DEEPEST].join("/");
        fs::create_dir_all(root.path().join(&deepest)).unwrap();
        assert_eq!(failures(root.path(), 10), []);
        let too_deep = format!("{deepest}/d");
        fs::create_dir(root.path().join(&too_deep)).unwrap();
        assert_eq!(failures(root.path(), 10), [(too_deep, Unreadable::TooDeep)]);
    }

    #[test]
    fn a_file_beyond_the_greatest_number_is_a_failure_by_name() {
        let root = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            fs::write(root.path().join(name), "").unwrap();
        }
        assert_eq!(failures(root.path(), 3), []);
        let failures = failures(root.path(), 2);
        assert!(matches!(&failures[..], [(_, Unreadable::TooMany)]), "{failures:?}");
    }

    #[test]
    fn a_root_that_is_gone_is_a_failure_and_not_an_empty_directory() {
        let root = tempfile::tempdir().unwrap();
        let gone = root.path().join("gone");
        let found = walk(&gone);
        assert!(found.files.is_empty());
        assert!(matches!(&found.failures[..], [(path, Unreadable::Io(Some(libc::ENOENT), _))] if *path == gone));
    }
}
