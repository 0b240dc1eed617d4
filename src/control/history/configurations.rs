//! The configurations of the past: the files of each, stored once by the hash of their content, and
//! a list of files and serials for each configuration, named by its own hash.
//!
//! Nothing here is waited for: a file that a power failure damaged is noticed by its hash.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    fs::{self, DirBuilder, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::published::PublishedConfiguration;
use crate::{
    config::{FileRole, SourceFile},
    control::{last_good::LastGood, saved_serials::SavedSerial},
    dns::Name,
    files::{self, SymlinkPolicy, with_reserved_descriptors},
};

/// The maximum size of a file that is read. A configuration has at most 512 MiB.
const MAX_OCTETS: u64 = 512 << 20;
const LIST_EXTENSION: &str = ".json";
const CONTENT_EXTENSION: &str = ".content";

/// The files of a configuration and the serials of its zones.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct FileList {
    files: Vec<ListedFile>,
    serials: BTreeMap<String, SavedSerial>,
    credentials: BTreeSet<PathBuf>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ListedFile {
    path: PathBuf,
    role: ListedRole,
    hash: String,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ListedRole {
    Settings,
    Tables,
    Master,
}

/// A configuration that was read back.
#[derive(Debug)]
pub(super) struct StoredConfiguration {
    pub(super) files: Vec<SourceFile>,
    pub(super) serials: HashMap<Name, SavedSerial>,
    pub(super) credentials: BTreeSet<PathBuf>,
}

/// Why a configuration of the past cannot be read.
#[derive(Debug)]
pub struct ConfigurationGone {
    path: PathBuf,
    cause: String,
}

impl fmt::Display for ConfigurationGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.cause)
    }
}

impl std::error::Error for ConfigurationGone {}

/// Stores configurations, and removes those that no record names any more.
#[derive(Debug)]
pub(super) struct ConfigurationStore {
    directory: PathBuf,
    /// The hashes of the newest files: most of them stay the same from load to load.
    hashes: HashMap<PathBuf, (Arc<SourceFile>, String)>,
    /// The octets that were written since the last [`ConfigurationStore::retain`].
    written_octets: u64,
}

impl ConfigurationStore {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, hashes: HashMap::new(), written_octets: 0 }
    }

    /// Stores a configuration and returns its digest. Files that are stored already are not written
    /// again.
    ///
    /// # Errors
    /// The directory cannot be written to, or a path is not UTF-8.
    pub(super) fn save(&mut self, configuration: &PublishedConfiguration) -> io::Result<String> {
        let list = serde_json::to_vec(&self.list(configuration))?;
        let digest = hash_of(&list);
        create(&self.directory)?;
        let mut written = 0;
        for (file, hash) in self.hashes.values() {
            written += self.write(&format!("{hash}{CONTENT_EXTENSION}"), file.octets())?;
        }
        // The list is written after the files that it names.
        written += self.write(&format!("{digest}{LIST_EXTENSION}"), &list)?;
        self.written_octets += written;
        Ok(digest)
    }

    fn list(&mut self, configuration: &PublishedConfiguration) -> FileList {
        let LastGood { files, inventory } = &*configuration.last_good;
        let mut known = std::mem::take(&mut self.hashes);
        for (path, file) in files {
            let hash = match known.remove(path) {
                Some((old, hash)) if Arc::ptr_eq(&old, file) => hash,
                _ => hash_of(file.octets()),
            };
            self.hashes.insert(path.clone(), (Arc::clone(file), hash));
        }
        let listed = |(path, file): (&PathBuf, &Arc<SourceFile>)| ListedFile {
            path: path.clone(),
            role: match file.role {
                FileRole::Settings => ListedRole::Settings,
                FileRole::Tables => ListedRole::Tables,
                FileRole::Master | FileRole::Directory | FileRole::Absent => ListedRole::Master,
            },
            hash: self.hashes[path].1.clone(),
        };
        let serials = inventory
            .zones
            .iter()
            .filter_map(|apex| Some((apex.to_string(), *configuration.serials.get(apex)?)));
        FileList {
            files: files.iter().map(listed).collect(),
            serials: serials.collect(),
            credentials: BTreeSet::clone(&inventory.credentials),
        }
    }

    /// Writes a file whose name says its content, unless it exists. Returns the octets written.
    fn write(&self, name: &str, octets: &[u8]) -> io::Result<u64> {
        let path = self.directory.join(name);
        if path.symlink_metadata().is_ok_and(|found| found.len() == octets.len() as u64) {
            return Ok(0);
        }
        let temporary = self.directory.join(".new");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        let written = with_reserved_descriptors(|| options.open(&temporary))
            .and_then(|mut file| {
                file.set_permissions(Permissions::from_mode(0o600))?;
                file.write_all(octets)
            })
            .and_then(|()| fs::rename(&temporary, &path));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written.map(|()| octets.len() as u64)
    }

    /// The octets that were written since [`ConfigurationStore::retain`].
    pub(super) fn written_octets(&self) -> u64 {
        self.written_octets
    }

    /// Removes everything that none of the configurations in `used` needs. Returns the size of
    /// what is left, in octets.
    pub(super) fn retain(&mut self, used: &BTreeSet<String>) -> u64 {
        self.written_octets = 0;
        let mut needed = BTreeSet::new();
        for digest in used {
            needed.insert(format!("{digest}{LIST_EXTENSION}"));
            let list = read_list(&self.directory, digest).unwrap_or_default();
            needed
                .extend(list.files.iter().map(|file| format!("{}{CONTENT_EXTENSION}", file.hash)));
        }
        let mut octets = 0;
        for entry in fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            let is_needed = entry.file_name().to_str().is_some_and(|name| needed.contains(name));
            match is_needed {
                true => octets += entry.metadata().map_or(0, |found| found.len()),
                // What cannot be removed now is tried again next time.
                false => drop(fs::remove_file(entry.path())),
            }
        }
        octets
    }
}

fn create(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    // The umask may have removed rights of the user.
    fs::set_permissions(directory, Permissions::from_mode(0o700))
}

fn hash_of(octets: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(octets))
}

fn read_list(directory: &Path, digest: &str) -> Result<FileList, ConfigurationGone> {
    let octets = read_checked(directory, digest, LIST_EXTENSION)?;
    serde_json::from_slice(&octets).map_err(|error| ConfigurationGone {
        path: directory.join(format!("{digest}{LIST_EXTENSION}")),
        cause: error.to_string(),
    })
}

/// The content of the file that is named by this hash, if that is the hash of its content.
fn read_checked(
    directory: &Path,
    hash: &str,
    extension: &str,
) -> Result<Vec<u8>, ConfigurationGone> {
    let path = directory.join(format!("{hash}{extension}"));
    let gone = |cause: String| ConfigurationGone { path: path.clone(), cause };
    let octets = files::read(&path, SymlinkPolicy::Refuse, MAX_OCTETS)
        .map_err(|error| gone(error.to_string()))?;
    if hash_of(&octets) != hash {
        return Err(gone("the file is damaged".to_owned()));
    }
    Ok(octets)
}

/// Reads a configuration back.
///
/// # Errors
/// A file of it is missing or damaged.
pub(super) fn load(
    directory: &Path,
    digest: &str,
) -> Result<StoredConfiguration, ConfigurationGone> {
    let list = read_list(directory, digest)?;
    let mut sources = Vec::with_capacity(list.files.len());
    for ListedFile { path, role, hash } in list.files {
        let role = match role {
            ListedRole::Settings => FileRole::Settings,
            ListedRole::Tables => FileRole::Tables,
            ListedRole::Master => FileRole::Master,
        };
        let octets = read_checked(directory, &hash, CONTENT_EXTENSION)?;
        sources.push(SourceFile::with_content(&path, role, None, octets));
    }
    let serials = list.serials.into_iter();
    let serials = serials.filter_map(|(apex, serial)| Some((apex.parse().ok()?, serial))).collect();
    Ok(StoredConfiguration { files: sources, serials, credentials: list.credentials })
}
