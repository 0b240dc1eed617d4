//! Walks the zones directory and lists its files.
//!
//! Nothing is skipped silently. A directory that cannot be listed, an entry whose kind the system
//! does not report, and everything beyond a bound is a failure with its path: a missing entry would
//! look like a zone that the operator removed.
//!
//! Links are resolved once, at the start of the walk and where one is found, and everything is then
//! read by its path without links: so a link that is replaced during the walk does not lead from
//! one version into another.

use std::{
    collections::HashSet,
    fs::{self, DirEntry},
    path::{Path, PathBuf},
};

use super::{
    file_names::{is_ignored, is_master, is_tables},
    footprint::{FileStamp, Footprint, PathKind, PathState},
    links::resolve,
    read_error::SourceReadError,
    resolved_path::ResolvedPath,
};
use crate::files::with_reserved_descriptors;

/// The maximum depth of nested directories.
const MAX_DEPTH: usize = 32;
/// The maximum number of files in the zones directory.
const MAX_FILES: usize = 1_000_000;

/// The files that a walk found, and its failures.
#[derive(Debug, Default)]
pub(super) struct WalkResult {
    /// All entries that are not directories.
    pub(super) files: Vec<ResolvedPath>,
    /// Directories and entries that could not be read, each with the reason.
    pub(super) failures: Vec<(PathBuf, SourceReadError)>,
}

/// Walks the directory `root`, and adds directories and links to `footprint`.
pub(super) fn walk(root: &Path, footprint: &mut Footprint) -> WalkResult {
    DirectoryWalk::run(root, MAX_FILES, footprint)
}

struct DirectoryWalk<'f> {
    footprint: &'f mut Footprint,
    /// The visited directories by their paths without links, so that no link causes a cycle or
    /// lists the same files twice.
    visited: HashSet<PathBuf>,
    max_files: usize,
    found: WalkResult,
}

impl<'f> DirectoryWalk<'f> {
    fn run(root: &Path, max_files: usize, footprint: &'f mut Footprint) -> WalkResult {
        let mut walk =
            Self { footprint, visited: HashSet::new(), max_files, found: WalkResult::default() };
        match resolve(root, &mut walk.footprint.links) {
            Ok(real) => walk.walk_directory(
                &ResolvedPath { path: root.to_path_buf(), real, is_link: false },
                0,
            ),
            Err(reason) => {
                walk.footprint.paths.push(PathState::unread(
                    root,
                    PathKind::ZoneDirectory,
                    &reason,
                ));
                walk.fail(root, reason);
            }
        }
        walk.found
    }

    fn fail(&mut self, path: &Path, reason: impl Into<SourceReadError>) {
        self.found.failures.push((path.to_path_buf(), reason.into()));
    }

    fn walk_directory(&mut self, directory: &ResolvedPath, depth: usize) {
        if !self.visited.insert(directory.real.clone()) {
            return;
        }
        self.footprint.paths.push(PathState {
            path: directory.path.clone(),
            real_path: directory.real.clone(),
            kind: PathKind::ZoneDirectory,
            is_link: directory.is_link,
            // The stamp is taken before the listing: what is written during the walk makes it
            // differ.
            stamp: FileStamp::of(&directory.real),
        });
        if depth > MAX_DEPTH {
            return self.fail(&directory.path, SourceReadError::TooDeep);
        }
        // The directory is listed completely before anything below it is opened: one descriptor
        // serves the whole walk.
        let (mut below, mut linked) = (Vec::new(), Vec::new());
        for entry in self.entries(directory) {
            let place = directory.entry(&entry.file_name());
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => below.push(place),
                Ok(kind) if kind.is_symlink() => self.follow_link(place, &mut linked),
                Ok(_) => self.add_file(place),
                Err(error) => self.fail(&place.path, error),
            }
        }
        // Links last: a directory's own name is preferred to the name of a link to it.
        for place in below.into_iter().chain(linked) {
            self.walk_directory(&place, depth + 1);
        }
    }

    fn entries(&mut self, directory: &ResolvedPath) -> Vec<DirEntry> {
        let listed = match with_reserved_descriptors(|| fs::read_dir(&directory.real)) {
            Ok(listed) => listed,
            Err(error) => {
                self.fail(&directory.path, error);
                return Vec::new();
            }
        };
        let mut entries = Vec::new();
        for entry in listed {
            match entry {
                Ok(entry) if is_ignored(&entry.file_name().to_string_lossy()) => {}
                Ok(entry) if entries.len() >= self.max_files => {
                    self.too_many(&directory.path.join(entry.file_name()));
                    break;
                }
                Ok(entry) => entries.push(entry),
                Err(error) => self.fail(&directory.path, error),
            }
        }
        entries
    }

    /// Follows a link. If its target cannot be examined, it may have led to a directory, whose
    /// zones are then missing, so this is a failure. But if the link has the name of a zone file,
    /// it is added as a file, and reading it reports the error.
    fn follow_link(&mut self, place: ResolvedPath, linked: &mut Vec<ResolvedPath>) {
        let followed = resolve(&place.real, &mut self.footprint.links).and_then(|real| {
            Ok((
                fs::metadata(&real)?.is_dir(),
                ResolvedPath { path: place.path.clone(), real, is_link: true },
            ))
        });
        match followed {
            Ok((true, target)) => linked.push(target),
            Ok((false, target)) => self.add_file(target),
            Err(SourceReadError::Io(..)) if is_tables(&place.path) || is_master(&place.path) => {
                self.add_file(place)
            }
            Err(reason) => {
                self.footprint.paths.push(PathState::unread(
                    &place.real,
                    PathKind::ZoneDirectory,
                    &reason,
                ));
                self.fail(&place.path, reason);
            }
        }
    }

    fn add_file(&mut self, place: ResolvedPath) {
        if self.found.files.len() < self.max_files {
            self.found.files.push(place);
        } else {
            self.too_many(&place.path);
        }
    }

    /// Records the first path beyond the bound.
    fn too_many(&mut self, path: &Path) {
        if !self.found.failures.iter().any(|(_, reason)| *reason == SourceReadError::TooMany) {
            self.fail(path, SourceReadError::TooMany);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(root: &Path, max_files: usize) -> Vec<(String, SourceReadError)> {
        let inside = |path: PathBuf| path.strip_prefix(root).unwrap().display().to_string();
        let found = DirectoryWalk::run(root, max_files, &mut Footprint::default());
        found.failures.into_iter().map(|(path, reason)| (inside(path), reason)).collect()
    }

    #[test]
    fn a_directory_beyond_the_maximum_depth_is_a_failure_by_name() {
        let root = tempfile::tempdir().unwrap();
        let deepest = vec!["d"; MAX_DEPTH].join("/");
        fs::create_dir_all(root.path().join(&deepest)).unwrap();
        assert_eq!(failures(root.path(), 10), []);
        let too_deep = format!("{deepest}/d");
        fs::create_dir(root.path().join(&too_deep)).unwrap();
        assert_eq!(failures(root.path(), 10), [(too_deep, SourceReadError::TooDeep)]);
    }

    #[test]
    fn a_file_beyond_the_maximum_number_is_a_failure_by_name() {
        let root = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            fs::write(root.path().join(name), "").unwrap();
        }
        assert_eq!(failures(root.path(), 3), []);
        let failures = failures(root.path(), 2);
        assert!(matches!(&failures[..], [(_, SourceReadError::TooMany)]), "{failures:?}");
    }

    #[test]
    fn a_missing_root_is_a_failure_and_not_an_empty_directory() {
        let root = tempfile::tempdir().unwrap();
        let gone = root.path().join("gone");
        let found = walk(&gone, &mut Footprint::default());
        assert!(found.files.is_empty());
        assert!(
            matches!(&found.failures[..], [(path, SourceReadError::Io(Some(libc::ENOENT), _))] if *path == gone)
        );
    }

    #[test]
    fn the_footprint_of_a_walk_has_every_directory_and_every_link_on_the_path() {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        fs::create_dir_all(root.join("releases/1/zones/sub")).unwrap();
        fs::create_dir(root.join("shared")).unwrap();
        std::os::unix::fs::symlink("releases/1", root.join("current")).unwrap();
        std::os::unix::fs::symlink("../../../shared", root.join("releases/1/zones/link")).unwrap();
        let mut footprint = Footprint::default();
        walk(&root.join("current/zones"), &mut footprint);
        let below = |path: &Path| path.strip_prefix(&root).unwrap().display().to_string();
        let states: Vec<_> = footprint
            .paths
            .iter()
            .map(|state| (below(&state.path), below(&state.real_path)))
            .collect();
        let expected = [
            ("current/zones", "releases/1/zones"),
            ("current/zones/sub", "releases/1/zones/sub"),
            ("current/zones/link", "shared"),
        ];
        assert_eq!(states, expected.map(|(path, real)| (path.to_owned(), real.to_owned())));
        let links: Vec<_> = footprint.links.iter().map(|link| below(link)).collect();
        assert_eq!(links, ["current", "releases/1/zones/link"]);
        assert!(footprint.is_consistent());
        fs::remove_file(root.join("current")).unwrap();
        fs::create_dir_all(root.join("releases/2/zones/sub")).unwrap();
        std::os::unix::fs::symlink("releases/2", root.join("current")).unwrap();
        assert!(!footprint.is_consistent(), "the link was swapped");
    }
}
