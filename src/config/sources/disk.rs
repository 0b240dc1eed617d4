//! Reads files from the disk within bounds: only regular files, up to a size.

use std::{
    collections::BTreeSet,
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    file::{FileRole, SourceFile},
    file_names::{is_database, is_master, is_tables, role_of},
    footprint::{FileStamp, Footprint, PathKind, PathState},
    links,
    read_error::SourceReadError,
    resolved_path::ResolvedPath,
    walk,
};
use crate::{config::settings::InputPaths, files::with_reserved_descriptors};

/// The largest file of the zones directory that is read, in octets.
const MAX_FILE_OCTETS: u64 = 64 << 20;
/// The largest `portolan.toml`, in octets: its tree in memory takes 75 times as much.
const MAX_SETTINGS_OCTETS: u64 = 1 << 20;
/// The largest file of certificates or keys, in octets.
pub(super) const MAX_CREDENTIAL_OCTETS: u64 = 1 << 20;
/// The maximum number of octets of all files together.
const MAX_TOTAL_OCTETS: u64 = 512 << 20;
/// The maximum number of attempts to read a file that changes during the reading.
const MAX_READ_ATTEMPTS: usize = 5;

/// The time since the last change after which a file counts as complete. A program that truncates a
/// file and writes it again leaves it empty for a moment.
const MIN_FILE_AGE: Duration = Duration::from_millis(30);

/// A file that was read, and its state at that moment.
pub(in crate::config) struct ReadFile {
    pub(in crate::config) file: SourceFile,
    pub(super) state: PathState,
}

/// Reads one file in any directory. Links on the path are added to `links`.
pub(in crate::config) fn read_file(
    path: &Path,
    role: FileRole,
    links: &mut BTreeSet<PathBuf>,
) -> ReadFile {
    let limit = match role {
        FileRole::Settings => ReadLimit {
            octets: MAX_SETTINGS_OCTETS,
            reason: SourceReadError::LargerThanOneMebibyte,
        },
        _ => ReadLimit::of_zone_file(MAX_FILE_OCTETS),
    };
    match links::resolve(path, links) {
        Ok(real) => {
            let is_link = std::path::absolute(path).is_ok_and(|absolute| absolute != real);
            read_place(&ResolvedPath { path: path.to_path_buf(), real, is_link }, role, &limit)
        }
        Err(reason) => {
            let state = PathState::unread(path, PathKind::File, &reason);
            ReadFile { file: SourceFile::new(path, role, None, Err(reason)), state }
        }
    }
}

/// The maximum size of a file, and the reason that is given if it is larger.
struct ReadLimit {
    octets: u64,
    reason: SourceReadError,
}

impl ReadLimit {
    fn of_zone_file(octets: u64) -> Self {
        Self { octets, reason: SourceReadError::TooLarge }
    }
}

/// Reads a file of certificates or keys.
pub(super) fn read_credential(path: &Path) -> Result<Arc<Vec<u8>>, SourceReadError> {
    let real = links::resolve(path, &mut BTreeSet::new())?;
    let limit =
        ReadLimit { octets: MAX_CREDENTIAL_OCTETS, reason: SourceReadError::LargerThanOneMebibyte };
    read_regular(&real, FileRole::Master, &limit).map(|(octets, _)| Arc::new(octets))
}

fn read_place(place: &ResolvedPath, role: FileRole, limit: &ReadLimit) -> ReadFile {
    let ResolvedPath { path, real, is_link } = place;
    let (content, found) = match read_regular(real, role, limit) {
        Ok((octets, metadata)) => (Ok(octets), Some(metadata)),
        Err(reason) => (Err(reason), fs::metadata(real).ok()),
    };
    let modified =
        found.as_ref().filter(|_| content.is_ok()).and_then(|found| found.modified().ok());
    let stamp = found.as_ref().map(FileStamp::from);
    let file = SourceFile::new(path, role, modified, content);
    let state = PathState {
        path: path.clone(),
        real_path: real.clone(),
        kind: PathKind::File,
        is_link: *is_link,
        stamp,
    };
    ReadFile { file, state }
}

/// Reads a regular file that does not change during the reading.
fn read_regular(
    path: &Path,
    role: FileRole,
    limit: &ReadLimit,
) -> Result<(Vec<u8>, Metadata), SourceReadError> {
    for _ in 0..MAX_READ_ATTEMPTS {
        let mut file = open_regular(path)?;
        let before = file.metadata()?;
        if before.len() > limit.octets {
            return Err(limit.reason.clone());
        }
        let mut octets = Vec::with_capacity(before.len() as usize + 1);
        // A file that is longer now than it was has changed.
        file.by_ref().take(before.len() + 1).read_to_end(&mut octets)?;
        let after = file.metadata()?;
        let is_same = FileStamp::from(&before).has_same_content(&FileStamp::from(&after));
        if !is_same || octets.len() as u64 != after.len() {
            continue;
        }
        // Any other file is used only if another file names it, and that shows that it is complete.
        // So a log that grows, for example, is not waited for.
        let is_by_name = role == FileRole::Settings || is_tables(path) || is_master(path);
        match time_until_settled(&after).filter(|_| is_by_name) {
            Some(rest) => std::thread::sleep(rest),
            None => return Ok((octets, after)),
        }
    }
    Err(SourceReadError::KeepsChanging)
}

/// The time until a file that was just changed counts as complete.
fn time_until_settled(found: &Metadata) -> Option<Duration> {
    let age = SystemTime::now().duration_since(found.modified().ok()?).ok()?;
    MIN_FILE_AGE.checked_sub(age).filter(|rest| !rest.is_zero())
}

/// Opens a regular file. Nothing else is opened: opening a FIFO may wait, and opening a device may
/// have effects. If one replaces the file at that moment, the opening does not wait, and the kind
/// is checked again.
fn open_regular(path: &Path) -> Result<File, SourceReadError> {
    let refused = |found: &Metadata| {
        irregular_kind(found).map_or(Ok(()), |what| Err(SourceReadError::NotAFile(what)))
    };
    refused(&fs::metadata(path)?)?;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NONBLOCK);
    let file = with_reserved_descriptors(|| options.open(path))?;
    refused(&file.metadata()?)?;
    Ok(file)
}

/// Whether something may exist at `path`. Only the system's answer that nothing exists counts as
/// absence: a directory that may not be searched hides a file, but does not remove it.
pub(in crate::config) fn may_exist(path: &Path) -> bool {
    !matches!(fs::symlink_metadata(path), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

fn irregular_kind(metadata: &Metadata) -> Option<&'static str> {
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

/// Reads a zones directory: first the directory itself, then the entries in it that cannot be
/// listed, then the files below it, in the order of paths.
pub(super) fn read_directory(root: &Path, files: &mut Vec<SourceFile>, footprint: &mut Footprint) {
    let directory =
        |path: &Path, content| SourceFile::new(path, FileRole::Directory, None, content);
    let content = match fs::metadata(root) {
        Ok(metadata) if metadata.is_dir() => Ok(Vec::new()),
        Ok(_) => Err(SourceReadError::NotADirectory),
        Err(error) => Err(error.into()),
    };
    if let Err(reason) = &content {
        // The links on the path belong to the footprint: repairing one of them may repair the
        // directory.
        let _ = links::resolve(root, &mut footprint.links);
        footprint.paths.push(PathState::unread(root, PathKind::ZoneDirectory, reason));
        return files.push(directory(root, content));
    }
    files.push(directory(root, content));
    let walked = walk::walk(root, footprint);
    files.extend(walked.failures.into_iter().map(|(path, reason)| directory(&path, Err(reason))));
    let mut found = walked.files;
    let mut octets_left = MAX_TOTAL_OCTETS;
    // Tables first, then master files: if the limit on all files is exceeded, it should be exceeded
    // by a file that nothing names.
    found.sort_by_cached_key(|place| {
        (!is_tables(&place.path), !is_master(&place.path), place.path.clone())
    });
    for place in found {
        let ReadFile { file, state } = read_place(
            &place,
            role_of(&place.path),
            &ReadLimit::of_zone_file(octets_left.min(MAX_FILE_OCTETS)),
        );
        // The first file that does not fit ends the reading: which files are read must not depend
        // on which are small.
        let is_too_much =
            octets_left < MAX_FILE_OCTETS && file.content == Err(SourceReadError::TooLarge);
        octets_left = if is_too_much { 0 } else { octets_left - file.octets().len() as u64 };
        files.push(file);
        if is_tables(&place.path) || is_master(&place.path) {
            footprint.paths.push(state);
        } else {
            footprint.unnamed_files.push(state);
        }
    }
}

/// The GeoIP databases of a configuration.
#[derive(Debug, Clone, Default)]
pub(in crate::config) struct DatabaseListing {
    /// The databases that are named, or else those in `geoip/`. The error says why a path is not a
    /// regular file.
    pub(in crate::config) files: Vec<(PathBuf, Option<SourceReadError>)>,
    /// The directory `geoip/`, where it exists and cannot be listed.
    pub(in crate::config) listing_error: Option<(PathBuf, SourceReadError)>,
}

impl DatabaseListing {
    /// Counts databases that are in use as present, whatever happened to their files: they stay in
    /// use.
    pub(in crate::config) fn count_in_use(&mut self, in_use: Vec<PathBuf>) {
        for (path, reason) in &mut self.files {
            if in_use.contains(path) {
                *reason = None;
            }
        }
        if self.listing_error.is_some() {
            self.files = in_use.into_iter().map(|path| (path, None)).collect();
        }
    }
}

/// Finds the databases that are named, or else those in `geoip/`.
pub(in crate::config) fn find_databases(
    paths: &InputPaths,
    footprint: &mut Footprint,
) -> DatabaseListing {
    let mut checked = |path: PathBuf| {
        let reason = check_database(&path, footprint).err();
        (path, reason)
    };
    if let Some(named) = &paths.databases {
        return DatabaseListing {
            files: named.iter().cloned().map(checked).collect(),
            listing_error: None,
        };
    }
    let directory = &paths.default_databases;
    match listed_databases(directory) {
        Ok(found) => {
            let files = found.into_iter().map(&mut checked).collect();
            footprint.paths.push(PathState::inspect(
                directory,
                PathKind::DatabaseDirectory,
                &mut footprint.links,
            ));
            DatabaseListing { files, listing_error: None }
        }
        Err(error) => {
            footprint.paths.push(PathState::inspect(
                directory,
                PathKind::DatabaseDirectory,
                &mut footprint.links,
            ));
            // The directory `geoip/` is optional.
            let is_absent = error.kind() == io::ErrorKind::NotFound && !may_exist(directory);
            let unlisted = (!is_absent).then(|| (directory.clone(), error.into()));
            DatabaseListing { files: Vec::new(), listing_error: unlisted }
        }
    }
}

/// Checks that a database is a regular file.
fn check_database(path: &Path, footprint: &mut Footprint) -> Result<(), SourceReadError> {
    let real = links::resolve(path, &mut footprint.links).inspect_err(|reason| {
        footprint.paths.push(PathState::unread(path, PathKind::File, reason));
    })?;
    footprint.paths.push(PathState::resolved(path, real, PathKind::File));
    irregular_kind(&fs::metadata(path)?).map_or(Ok(()), |what| Err(SourceReadError::NotAFile(what)))
}

/// The database files in a directory, in order.
fn listed_databases(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = with_reserved_descriptors(|| fs::read_dir(directory))?
        .map(|entry| entry.map(|entry| entry.path()));
    let mut found = entries.collect::<io::Result<Vec<_>>>()?;
    found.retain(|path| is_database(path) && !path.is_dir());
    found.sort();
    Ok(found)
}
