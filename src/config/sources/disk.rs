//! Reading from the disk within bounds: sizes, depth and number of files, and only what is a regular file.

use std::{
    collections::HashSet,
    fmt,
    fs::{self, File, Metadata},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use super::{Role, SourceFile};
use crate::config::settings::Paths;

/// The largest file that is read.
const LARGEST_FILE: u64 = 64 << 20;
/// How many octets all files may have together.
const LARGEST_TOTAL: u64 = 512 << 20;
/// How many files the zones directory may hold.
const MOST_FILES: usize = 1_000_000;
/// How many directories may be inside each other.
const DEEPEST: usize = 32;
/// How often a file that changes while it is read is read again.
const ATTEMPTS: usize = 5;

/// Why a file has no octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreadable {
    /// What the system says.
    Io(io::ErrorKind, String),
    /// It is a directory, a device, a FIFO or a socket.
    NotAFile(&'static str),
    /// More than 64 MiB, or more than 512 MiB together with the others.
    TooLarge,
    /// A symbolic link that leads out of the zones directory.
    LeadsOut,
    /// It was written to each time that it was read.
    KeepsChanging,
    /// More than a million files, or directories more than 32 deep.
    TooMany,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(_, message) => f.write_str(message),
            Self::NotAFile(what) => write!(f, "it is {what}, not a regular file"),
            Self::TooLarge => f.write_str("it is too large: one file may have 64 MiB, all together 512 MiB"),
            Self::LeadsOut => f.write_str("it is a symbolic link that leads out of the zones directory"),
            Self::KeepsChanging => f.write_str("it was being written to each time that it was read"),
            Self::TooMany => {
                f.write_str("the zones directory holds more than a million files, or is more than 32 deep")
            }
        }
    }
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        Self::Io(error.kind(), error.to_string())
    }
}

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

/// Reads a zones directory: itself first, then what lies below it, in the order of paths.
pub(super) fn read_directory(root: &Path, files: &mut Vec<SourceFile>) {
    let (content, modified) = match fs::metadata(root) {
        Ok(metadata) if metadata.is_dir() => (Ok(Vec::new()), None),
        Ok(_) => (Err(Unreadable::NotAFile("a file where a directory is wanted")), None),
        Err(error) => (Err(error.into()), None),
    };
    let is_there = content.is_ok();
    files.push(SourceFile::new(root, Role::Directory, modified, content));
    let Some(real_root) = is_there.then(|| fs::canonicalize(root).ok()).flatten() else { return };
    let mut walk = Walk { seen: HashSet::from([real_root.clone()]), real_root, found: Vec::new() };
    walk.directory(root, 0);
    let Walk { real_root, mut found, .. } = walk;
    let mut total = 0;
    // Tables first: should the bound on the total be met, it is better met by a file that nothing names.
    found.sort_by_cached_key(|path| (role_of(path) != Role::Tables, path.clone()));
    for path in found {
        files.push(read_below(&path, &real_root, &mut total));
    }
}

fn role_of(path: &Path) -> Role {
    if path.extension().is_some_and(|extension| extension == "toml") { Role::Tables } else { Role::Master }
}

/// Reads a file below the zones directory, unless it leads out or is more than what is left of the bound.
fn read_below(path: &Path, real_root: &Path, total: &mut u64) -> SourceFile {
    let leads_out = fs::symlink_metadata(path).is_ok_and(|m| m.is_symlink())
        && !fs::canonicalize(path).is_ok_and(|real| real.starts_with(real_root));
    let role = role_of(path);
    let mut file = match leads_out && path.exists() {
        true => SourceFile::new(path, role, None, Err(Unreadable::LeadsOut)),
        false => read_file(path, role),
    };
    *total += file.octets().len() as u64;
    if *total > LARGEST_TOTAL {
        file.content = Err(Unreadable::TooLarge);
    }
    file
}

struct Walk {
    real_root: PathBuf,
    /// Canonical paths of directories, so that no link leads round in a circle or to the same files twice.
    seen: HashSet<PathBuf>,
    found: Vec<PathBuf>,
}

impl Walk {
    fn directory(&mut self, directory: &Path, depth: usize) {
        let Ok(entries) = fs::read_dir(directory) else {
            // Found again when it is read as a file, which then says why.
            return self.found.push(directory.to_path_buf());
        };
        let mut linked = Vec::new();
        for entry in entries.flatten() {
            let path = entry.path();
            if is_ignored(&entry.file_name().to_string_lossy()) || self.found.len() >= MOST_FILES {
                continue;
            }
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && depth < DEEPEST => self.enter(&path, depth),
                Ok(kind) if kind.is_symlink() && path.is_dir() => linked.push(path),
                _ => self.found.push(path),
            }
        }
        // Links last: what a directory is called in earnest goes before what a link calls it.
        for path in linked {
            let is_inside = fs::canonicalize(&path).is_ok_and(|real| real.starts_with(&self.real_root));
            if is_inside && depth < DEEPEST {
                self.enter(&path, depth);
            }
        }
    }

    fn enter(&mut self, directory: &Path, depth: usize) {
        if let Ok(real) = fs::canonicalize(directory)
            && self.seen.insert(real)
        {
            self.directory(directory, depth + 1);
        }
    }
}

/// Hidden files, and what editors leave behind.
fn is_ignored(name: &str) -> bool {
    name.starts_with('.') || name.ends_with('~') || name.ends_with(".bak")
}

/// The databases that are named, else those in `geoip/`; each with whether it is a file.
pub(in crate::config) fn databases(paths: &Paths) -> Vec<(PathBuf, bool)> {
    let is_file = |path: PathBuf| {
        let is_file = fs::metadata(&path).is_ok_and(|m| m.is_file());
        (path, is_file)
    };
    if let Some(named) = &paths.databases {
        return named.iter().cloned().map(is_file).collect();
    }
    let Ok(entries) = fs::read_dir(&paths.default_databases) else { return Vec::new() };
    let is_database = |path: &PathBuf| path.extension().is_some_and(|e| e == "mmdb") && path.is_file();
    let mut found: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(is_database).collect();
    found.sort();
    found.into_iter().map(is_file).collect()
}
