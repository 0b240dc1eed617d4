//! Reading from the disk within bounds: sizes, and only what is a regular file.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use super::{Role, SourceFile, unreadable::Unreadable, walk};
use crate::config::settings::Paths;

/// The largest file that is read.
const LARGEST_FILE: u64 = 64 << 20;
/// How many octets all files may have together.
const LARGEST_TOTAL: u64 = 512 << 20;
/// How often a file that changes while it is read is read again.
const ATTEMPTS: usize = 5;

/// Reads one file, whatever directory it is in.
pub(in crate::config) fn read_file(path: &Path, role: Role) -> SourceFile {
    let (content, modified) = match read_regular(path, LARGEST_FILE) {
        Ok((octets, metadata)) => (Ok(octets), metadata.modified().ok()),
        Err(reason) => (Err(reason), None),
    };
    SourceFile::new(path, role, modified, content)
}

/// Reads a regular file that does not change meanwhile.
fn read_regular(path: &Path, largest: u64) -> Result<(Vec<u8>, Metadata), Unreadable> {
    for _ in 0..ATTEMPTS {
        // Asked before it is opened: opening a FIFO would wait for a writer.
        let named = fs::metadata(path)?;
        if let Some(what) = other_than_file(&named) {
            return Err(Unreadable::NotAFile(what));
        }
        if named.len() > largest {
            return Err(Unreadable::TooLarge);
        }
        let mut file = File::open(path)?;
        let before = file.metadata()?;
        let mut octets = Vec::with_capacity(before.len().min(largest) as usize + 1);
        file.by_ref().take(largest + 1).read_to_end(&mut octets)?;
        if octets.len() as u64 > largest {
            return Err(Unreadable::TooLarge);
        }
        let after = file.metadata()?;
        let is_same = before.modified().ok() == after.modified().ok() && before.len() == after.len();
        if is_same && octets.len() as u64 == after.len() {
            return Ok((octets, after));
        }
    }
    Err(Unreadable::KeepsChanging)
}

/// Whether something may be at `path`: only the system's word that nothing is there counts as absence. A directory that may
/// not be searched hides a file, and does not remove it.
pub(in crate::config) fn may_exist(path: &Path) -> bool {
    !matches!(fs::symlink_metadata(path), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

fn other_than_file(metadata: &Metadata) -> Option<&'static str> {
    use std::os::unix::fs::FileTypeExt as _;
    let kind = metadata.file_type();
    match () {
        () if kind.is_file() => None,
        () if kind.is_dir() => Some("a directory"),
        () if kind.is_fifo() => Some("a FIFO"),
        () if kind.is_socket() => Some("a socket"),
        () => Some("a device"),
    }
}

/// Reads a zones directory: itself first, then what of it cannot be listed, then what lies below it, in the order of paths.
pub(super) fn read_directory(root: &Path, files: &mut Vec<SourceFile>) {
    let directory = |path: &Path, content| SourceFile::new(path, Role::Directory, None, content);
    let content = match fs::metadata(root) {
        Ok(metadata) if metadata.is_dir() => Ok(Vec::new()),
        Ok(_) => Err(Unreadable::NotADirectory),
        Err(error) => Err(error.into()),
    };
    let is_there = content.is_ok();
    files.push(directory(root, content));
    if !is_there {
        return;
    }
    let walked = walk::walk(root);
    files.extend(walked.failures.into_iter().map(|(path, reason)| directory(&path, Err(reason))));
    let mut found = walked.files;
    let mut total = 0;
    // Tables first, then master files: should the bound on the total be met, it is better met by a file that nothing names.
    found.sort_by_cached_key(|path| (!is_tables(path), !is_master(path), path.clone()));
    for path in found {
        files.push(read_below(&path, &mut total));
    }
}

/// Whether a file of this name is read as tables: `*.toml`, in any case.
pub(in crate::config) fn is_tables(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"))
}

/// Whether a file of this name is a zone by itself: `NAME.zone`, in any case.
pub(in crate::config) fn is_master(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("zone"))
}

fn role_of(path: &Path) -> Role {
    if is_tables(path) { Role::Tables } else { Role::Master }
}

/// Reads a file below the zones directory, unless it is more than what is left of the bound.
fn read_below(path: &Path, total: &mut u64) -> SourceFile {
    let mut file = read_file(path, role_of(path));
    *total += file.octets().len() as u64;
    if *total > LARGEST_TOTAL {
        file.content = Err(Unreadable::TooLarge);
    }
    file
}

/// The databases of a configuration.
#[derive(Debug, Clone, Default)]
pub(in crate::config) struct FoundDatabases {
    /// Those that are named, else those in `geoip/`; each with the reason why it is no file, if it is none.
    pub(in crate::config) files: Vec<(PathBuf, Option<Unreadable>)>,
    /// `geoip/`, where it is there and cannot be listed.
    pub(in crate::config) unlisted: Option<(PathBuf, Unreadable)>,
}

impl FoundDatabases {
    /// Counts databases that are in use as present, whatever became of their files: they stay in use.
    pub(in crate::config) fn keep(&mut self, in_use: Vec<PathBuf>) {
        for (path, reason) in &mut self.files {
            if in_use.contains(path) {
                *reason = None;
            }
        }
        if self.unlisted.is_some() {
            self.files = in_use.into_iter().map(|path| (path, None)).collect();
        }
    }
}

/// Looks for the databases.
pub(in crate::config) fn databases(paths: &Paths) -> FoundDatabases {
    let with_state = |path: PathBuf| {
        let reason = match fs::metadata(&path) {
            Ok(found) => other_than_file(&found).map(Unreadable::NotAFile),
            Err(error) => Some(error.into()),
        };
        (path, reason)
    };
    if let Some(named) = &paths.databases {
        return FoundDatabases { files: named.iter().cloned().map(with_state).collect(), unlisted: None };
    }
    match listed_databases(&paths.default_databases) {
        Ok(found) => FoundDatabases { files: found.into_iter().map(with_state).collect(), unlisted: None },
        // The directory is optional.
        Err(error) if error.kind() == io::ErrorKind::NotFound => FoundDatabases::default(),
        Err(error) => {
            FoundDatabases { files: Vec::new(), unlisted: Some((paths.default_databases.clone(), error.into())) }
        }
    }
}

/// The paths of a directory that end in `.mmdb`, in order.
fn listed_databases(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path()));
    let is_database = |path: &PathBuf| {
        let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        !is_hidden && path.extension().is_some_and(|e| e.eq_ignore_ascii_case("mmdb")) && !path.is_dir()
    };
    let mut found = entries.collect::<io::Result<Vec<_>>>()?;
    found.retain(is_database);
    found.sort();
    Ok(found)
}
