//! The scope of the watch: which paths a load would read. Everything else, such as a log below
//! `zones/`, is no edit.

use std::{
    collections::{BTreeSet, HashSet},
    fs,
    path::{Path, PathBuf},
};

use crate::config::{Footprint, PathKind, is_database, is_ignored, is_master, is_tables};

/// The paths that a load depends on. All are without links, as kernel events name them.
#[derive(Debug, Default)]
pub(super) struct WatchScope {
    /// Files, directories and links that the last load depended on, and files that it looked for
    /// and did not find.
    paths: HashSet<PathBuf>,
    /// Directories of which a load reads tables, master files and directories.
    zone_directories: HashSet<PathBuf>,
    /// Directories of which a load reads databases.
    database_directories: HashSet<PathBuf>,
}

impl WatchScope {
    pub(super) fn from_footprint(footprint: &Footprint) -> Self {
        let mut scope =
            Self { paths: footprint.links.iter().cloned().collect(), ..Self::default() };
        for state in &footprint.paths {
            match state.kind {
                PathKind::ZoneDirectory => {
                    _ = scope.zone_directories.insert(state.real_path.clone())
                }
                PathKind::DatabaseDirectory => {
                    _ = scope.database_directories.insert(state.real_path.clone())
                }
                // Files that a load finds by their name need no entry, which saves memory for a
                // million of them.
                PathKind::File if scope.is_watched_by_name(&state.real_path) => continue,
                PathKind::File => {}
            }
            scope.paths.insert(state.real_path.clone());
        }
        scope
    }

    /// The directories with anything that a load depends on.
    pub(super) fn directories(&self) -> BTreeSet<PathBuf> {
        let parents = self.paths.iter().filter_map(|path| path.parent().map(Path::to_path_buf));
        self.zone_directories
            .iter()
            .chain(&self.database_directories)
            .cloned()
            .chain(parents)
            .collect()
    }

    /// Whether a load reads the file at this path, or would if it were there.
    pub(super) fn is_watched(&self, path: &Path) -> bool {
        self.is_watched_by_name(path) || self.paths.contains(path)
    }

    /// Whether a load depends on an entry of a directory: on a file as in
    /// [`WatchScope::is_watched`], on a directory, or on a link, which may lead to a directory.
    pub(super) fn is_watched_entry(&self, path: &Path) -> bool {
        self.is_watched(path)
            || (self.is_in(&self.zone_directories, path) && is_directory_or_link(path))
    }

    fn is_watched_by_name(&self, path: &Path) -> bool {
        (is_tables(path) || is_master(path)) && self.is_in(&self.zone_directories, path)
            || is_database(path) && self.is_in(&self.database_directories, path)
    }

    fn is_in(&self, directories: &HashSet<PathBuf>, path: &Path) -> bool {
        let is_read = path.file_name().is_some_and(|name| !is_ignored(&name.to_string_lossy()));
        is_read && path.parent().is_some_and(|directory| directories.contains(directory))
    }
}

fn is_directory_or_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir() || found.is_symlink())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::config::PathState;

    #[test]
    fn only_paths_that_a_load_would_read_are_watched() {
        let directory = tempfile::tempdir().unwrap();
        let zones = fs::canonicalize(directory.path()).unwrap();
        let trace = |path: &Path, kind| PathState {
            path: path.into(),
            real_path: path.into(),
            kind,
            is_link: false,
            stamp: None,
        };
        let footprint = Footprint {
            paths: vec![
                trace(&zones, PathKind::ZoneDirectory),
                trace(&zones.join("records"), PathKind::File),
                trace(Path::new("/etc/portolan/portolan.toml"), PathKind::File),
                trace(Path::new("/srv/geoip"), PathKind::DatabaseDirectory),
            ],
            links: [PathBuf::from("/srv/current")].into(),
            ..Footprint::default()
        };
        let scope = WatchScope::from_footprint(&footprint);
        for (path, counts, why) in [
            ("a.toml", true, "tables"),
            ("A.ZONE", true, "a zone, in capitals"),
            ("records", true, "named by a zone"),
            ("access.log", false, "a log"),
            ("a.toml~", false, "an editor's copy"),
            (".a.toml.swp", false, "an editor's own file"),
            (".hidden.toml", false, "a hidden file"),
            ("sub/a.toml", false, "a directory that was not read"),
        ] {
            assert_eq!(scope.is_watched(&zones.join(path)), counts, "{path}: {why}");
        }
        for (path, counts) in [
            ("/etc/portolan/portolan.toml", true),
            ("/etc/portolan/other.toml", false),
            ("/srv/current", true),
            ("/srv/geoip/city.mmdb", true),
            ("/srv/geoip/city.mmdb.tmp", false),
        ] {
            assert_eq!(scope.is_watched(Path::new(path)), counts, "{path}");
        }
        fs::write(zones.join("file"), "").unwrap();
        fs::create_dir(zones.join("directory")).unwrap();
        symlink("nowhere", zones.join("link")).unwrap();
        for (name, counts) in
            [("file", false), ("directory", true), ("link", true), ("gone", false)]
        {
            assert_eq!(scope.is_watched_entry(&zones.join(name)), counts, "{name}");
        }
        let directories = ["/etc/portolan", "/srv", "/srv/geoip"].map(PathBuf::from);
        assert!(
            directories
                .iter()
                .chain([&zones])
                .all(|directory| scope.directories().contains(directory))
        );
    }
}
