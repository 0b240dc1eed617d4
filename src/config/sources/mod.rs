//! The files of a configuration, read into memory. Only this step reads the disk; everything after
//! it is pure.
//!
//! Every file below the zones directory is read, within bounds, because the files that a zone
//! includes are known only later. What cannot be read (a FIFO, a device, a file of more than 64
//! MiB) is kept with the reason. It is an error if the file is one of tables, or a zone, or if
//! something names it. A directory that cannot be listed is always an error: the zones that are
//! missing then are not known.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    path::{Component, Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use self::disk::{DatabaseListing, ReadFile};
use super::{
    place::{FileId, SourcePlace},
    quoted::Quoted,
    settings,
    source_options::{DEFAULT_CONFIG, SourceOptions},
};

pub(super) mod disk;
mod file;
mod file_names;
mod footprint;
mod line_index;
mod links;
mod read_error;
mod replacement;
mod resolved_path;
mod walk;

pub use file::{FileRole, SourceFile};
pub use file_names::{is_database, is_ignored, is_master, is_tables};
pub use footprint::{FileStamp, Footprint, PathKind, PathState};
pub use read_error::SourceReadError;

/// The maximum number of readings: the files are read again if a link or directory that leads to
/// them was replaced during the reading.
const MAX_READ_ATTEMPTS: usize = 4;

/// The files of a configuration, as they were at one moment.
#[derive(Debug, Clone)]
pub struct Sources {
    pub(super) files: Arc<[SourceFile]>,
    /// The file `portolan.toml`; `None` where there is none.
    pub(super) config: Option<FileId>,
    /// The zones directory, as an entry of `files`, so that messages have a place for it.
    pub(super) zones: FileId,
    /// The paths and addresses that the command line gave.
    pub(super) locations: SourceOptions,
    /// The GeoIP databases that were named or found.
    pub(super) databases: DatabaseListing,
    by_path: Arc<HashMap<PathBuf, FileId>>,
    footprint: Arc<Footprint>,
    /// The paths that tables and master files have named so far, whether or not there is a file.
    named_paths: Arc<Mutex<BTreeSet<PathBuf>>>,
    /// Certificates and keys that monitors of the last good set use.
    credentials_in_use: Arc<BTreeSet<PathBuf>>,
    pub(super) tolerated_databases: ToleratedDatabases,
    /// Whether a file that is not in `files` could not be read for a transient reason.
    has_transient_error: Arc<AtomicBool>,
}

/// The databases that may be unusable without an error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ToleratedDatabases {
    /// No database: no configuration has been applied yet.
    #[default]
    None,
    /// Databases that `portolan.toml` does not name. If one that it names cannot be used,
    /// `portolan.toml` is held.
    Unnamed,
    /// All databases: the settings are those that were applied.
    All,
}

impl Sources {
    /// Reads every file of a configuration. A file that cannot be read is not a failure here, but
    /// an error of [`super::Config::load`], together with all others.
    pub fn read(locations: &SourceOptions) -> Self {
        let config_path = locations.config_path();
        let exists = locations.config.is_some() || disk::may_exist(&config_path);
        let mut links = BTreeSet::new();
        let read = exists.then(|| disk::read_file(&config_path, FileRole::Settings, &mut links));
        let (settings, state) = match read {
            Some(ReadFile { file, state }) => (Some(file), state),
            None => (None, PathState::missing(&config_path, PathKind::File)),
        };
        Self::read_consistent(
            locations,
            settings,
            Footprint { paths: vec![state], links, ..Footprint::default() },
        )
    }

    /// Reads every file except `portolan.toml`, whose content is given: it names the others.
    pub fn read_with_settings(locations: &SourceOptions, settings: Option<SourceFile>) -> Self {
        let mut footprint = Footprint::default();
        // The file on the disk belongs to the footprint all the same: once it is repaired, it is
        // used.
        footprint.paths.push(PathState::inspect(
            &locations.config_path(),
            PathKind::File,
            &mut footprint.links,
        ));
        Self::read_consistent(locations, settings, footprint)
    }

    fn read_consistent(
        locations: &SourceOptions,
        settings: Option<SourceFile>,
        footprint: Footprint,
    ) -> Self {
        let mut sources = Self::read_once(locations, settings.clone(), footprint.clone());
        for _ in 1..MAX_READ_ATTEMPTS {
            // If a link or a directory was replaced during the reading, the files are of two
            // versions.
            if sources.footprint.is_consistent() {
                break;
            }
            // Freed before the next reading, so that memory holds the files once.
            drop(sources);
            sources = Self::read_once(locations, settings.clone(), footprint.clone());
        }
        crate::files::replenish_descriptors();
        sources
    }

    fn read_once(
        locations: &SourceOptions,
        settings: Option<SourceFile>,
        mut footprint: Footprint,
    ) -> Self {
        let mut files: Vec<SourceFile> = settings.into_iter().collect();
        let config = files.first().map(|_| FileId(0));
        let paths = settings::input_paths(locations, files.first());
        let zones = FileId(files.len() as u32);
        disk::read_directory(&paths.zones, &mut files, &mut footprint);
        let databases = disk::find_databases(&paths, &mut footprint);
        Self::new(files, config, zones, locations.clone(), databases, Arc::new(footprint))
    }

    /// Files that are not on the disk: the built-in samples, or those of a test. `zones/` is the
    /// zones directory. No database is searched for, and each that is named counts as present.
    pub fn from_texts<'t>(
        locations: &SourceOptions,
        texts: impl IntoIterator<Item = (&'t str, &'t str)>,
    ) -> Self {
        let mut files =
            vec![SourceFile::new(Path::new("zones"), FileRole::Directory, None, Ok(Vec::new()))];
        let mut config = None;
        for (path, text) in texts {
            let role = match path {
                DEFAULT_CONFIG => FileRole::Settings,
                _ if is_tables(Path::new(path)) => FileRole::Tables,
                _ => FileRole::Master,
            };
            if role == FileRole::Settings {
                config = Some(FileId(files.len() as u32));
            }
            files.push(SourceFile::new(Path::new(path), role, None, Ok(text.as_bytes().to_vec())));
        }
        let paths = settings::input_paths(locations, config.map(|id| &files[id.index()]));
        let named = paths.databases.unwrap_or_default();
        let databases = DatabaseListing {
            files: named.into_iter().map(|path| (path, None)).collect(),
            listing_error: None,
        };
        Self::new(files, config, FileId(0), locations.clone(), databases, Arc::default())
    }

    /// Files of a configuration that was in force earlier. No database is searched for, and each
    /// that is named counts as present.
    pub fn from_files(locations: &SourceOptions, files: Vec<SourceFile>) -> Self {
        let settings = files.iter().find(|file| file.role == FileRole::Settings);
        let paths = settings::input_paths(locations, settings);
        let named = paths.databases.clone().unwrap_or_default();
        let databases = DatabaseListing {
            files: named.into_iter().map(|path| (path, None)).collect(),
            listing_error: None,
        };
        let directory = SourceFile::new(&paths.zones, FileRole::Directory, None, Ok(Vec::new()));
        let (settings, others): (Vec<_>, Vec<_>) =
            files.into_iter().partition(|file| file.role == FileRole::Settings);
        let config = settings.first().map(|_| FileId(0));
        let zones = FileId(settings.len() as u32);
        let files: Vec<_> = settings.into_iter().chain([directory]).chain(others).collect();
        Self::new(files, config, zones, locations.clone(), databases, Arc::default())
    }

    fn new(
        files: Vec<SourceFile>,
        config: Option<FileId>,
        zones: FileId,
        locations: SourceOptions,
        databases: DatabaseListing,
        footprint: Arc<Footprint>,
    ) -> Self {
        let mut sources = Self {
            files: files.into(),
            config,
            zones,
            locations,
            databases,
            by_path: Arc::default(),
            footprint,
            named_paths: Arc::default(),
            credentials_in_use: Arc::default(),
            tolerated_databases: ToleratedDatabases::default(),
            has_transient_error: Arc::default(),
        };
        sources.rebuild_index();
        sources
    }

    /// Updates the positions of files by path and role after files were replaced.
    fn rebuild_index(&mut self) {
        // A zone can name neither the settings nor the directory itself.
        let is_below_zones = |role| matches!(role, FileRole::Tables | FileRole::Master);
        let entries = (0_u32..).map(FileId).zip(self.files.iter());
        let below = entries.filter(|(_, file)| is_below_zones(file.role));
        self.by_path = Arc::new(below.map(|(id, file)| (normalized(&file.path), id)).collect());
        let config = self.ids_with_role(FileRole::Settings).next();
        self.config = config;
    }

    /// The same sources, which also know the certificates and keys that monitors of the last good
    /// set use. If one of these has become unusable since, that is not an error.
    pub fn with_credentials_in_use(self, in_use: Arc<BTreeSet<PathBuf>>) -> Self {
        Self { credentials_in_use: in_use, ..self }
    }

    pub(super) fn is_credential_in_use(&self, credential: &Path) -> bool {
        self.credentials_in_use.contains(credential)
    }

    /// The octets of a certificate or key, at most 1 MiB. The file need not be below the zones
    /// directory.
    pub(super) fn credential_octets(&self, path: &Path) -> Result<Arc<Vec<u8>>, SourceReadError> {
        match self.by_path.get(&normalized(path)) {
            Some(id) => match &self.file(*id).content {
                Ok(octets) if octets.len() as u64 > disk::MAX_CREDENTIAL_OCTETS => {
                    Err(SourceReadError::LargerThanOneMebibyte)
                }
                content => content.clone(),
            },
            None => disk::read_credential(path).inspect_err(|reason| {
                self.has_transient_error.fetch_or(reason.is_transient(), Relaxed);
            }),
        }
    }

    /// Whether something could not be read for a transient reason.
    pub fn has_transient_error(&self) -> bool {
        let is_passing =
            |content: Option<&SourceReadError>| content.is_some_and(SourceReadError::is_transient);
        let databases = self.databases.files.iter().map(|(_, reason)| reason.as_ref());
        let unlisted = self.databases.listing_error.iter().map(|(_, reason)| Some(reason));
        self.has_transient_error.load(Relaxed)
            || self.files.iter().any(|file| is_passing(file.content.as_ref().err()))
            || databases.chain(unlisted).any(is_passing)
    }

    /// All files, including the entry of the zones directory itself.
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// Treats files as unreadable that a program has open and has written to: an unfinished file is
    /// never used. `open` holds their paths without links.
    pub fn exclude_open_files(&mut self, open: &BTreeSet<PathBuf>) {
        let states = self.footprint.paths.iter().chain(&self.footprint.unnamed_files);
        let open: HashSet<&Path> = states
            .filter(|state| open.contains(&state.real_path))
            .map(|state| &*state.path)
            .collect();
        if open.is_empty() {
            return;
        }
        // Nothing shares the files before they are checked.
        for file in Arc::get_mut(&mut self.files).into_iter().flatten() {
            if file.role != FileRole::Directory && open.contains(&*file.path) {
                file.content = Err(SourceReadError::KeepsChanging);
            }
        }
    }

    /// Every path that the configuration depends on, with its state when it was read. Files other
    /// than tables and zones count if something has named them, so that the footprint is complete
    /// only after the configuration was checked.
    pub fn footprint(&self) -> Footprint {
        let named = self.named_paths.lock().unwrap_or_else(PoisonError::into_inner);
        let mut footprint = Footprint::clone(&self.footprint);
        let others = std::mem::take(&mut footprint.unnamed_files);
        footprint
            .paths
            .extend(others.into_iter().filter(|state| named.contains(&normalized(&state.path))));
        let found: HashSet<PathBuf> =
            footprint.paths.iter().map(|state| normalized(&state.path)).collect();
        let mut links = BTreeSet::new();
        // A file that exists may not have been found: beyond the bounds, or in a directory that
        // cannot be listed.
        let is_complete =
            self.files.iter().all(|file| file.role != FileRole::Directory || file.content.is_ok());
        let is_missing =
            |path: &Path| self.is_missing_below_zones(path) && (is_complete || !path.exists());
        let missing = named.iter().filter(|path| !found.contains(*path) && is_missing(path));
        let missing: Vec<PathState> =
            missing.map(|path| PathState::absent_file(path, &mut links)).collect();
        footprint.paths.extend(missing);
        footprint.links.append(&mut links);
        footprint
    }

    /// Whether no file was found at this path, and one would be read there if it existed.
    fn is_missing_below_zones(&self, path: &Path) -> bool {
        let below = path.strip_prefix(normalized(self.zones_directory()));
        let is_read = |name: &std::ffi::OsStr| !is_ignored(&name.to_string_lossy());
        below.is_ok_and(|below| below.iter().all(is_read)) && !path.is_dir()
    }

    /// The paths and addresses that the command line gave.
    pub fn locations(&self) -> &SourceOptions {
        &self.locations
    }

    /// The path of the zones directory.
    pub fn zones_directory(&self) -> &Path {
        &self.files[self.zones.index()].path
    }

    /// Sets the databases that are in use. If one of their files is missing now, or their directory
    /// cannot be listed, that is not an error: the databases stay in use.
    pub fn keep_databases(&mut self, in_use: Vec<PathBuf>) {
        self.databases.count_in_use(in_use);
    }

    /// The place for mistakes in a database that nothing names: `portolan.toml`, or else the zones
    /// directory.
    pub fn place_of_databases(&self) -> SourcePlace {
        SourcePlace::whole_file(self.config.unwrap_or(self.zones))
    }

    /// Tolerates unusable databases of this kind: they are left out, and
    /// [`super::DatabaseSource::fault`] holds the reason.
    pub fn tolerate_databases(&mut self, which: ToleratedDatabases) {
        self.tolerated_databases = self.tolerated_databases.max(which);
    }

    /// The file at `path`, relative to `directory`, that of the file that names it, or else to the
    /// zones directory.
    pub(super) fn find(&self, path: &str, directory: &Path) -> Option<FileId> {
        // No file has a longer path, and every path that was named is kept.
        if path.len() > libc::PATH_MAX as usize {
            return None;
        }
        let mut named = self.named_paths.lock().unwrap_or_else(PoisonError::into_inner);
        let below = self.below_zones(Path::new(path));
        [directory, self.zones_directory()].into_iter().find_map(|directory| {
            let path = normalized(&below.clone().unwrap_or_else(|| directory.join(path)));
            let found = self.by_path.get(&path).copied();
            named.insert(path);
            found
        })
    }

    /// The reason why [`Sources::find`] finds nothing: there is no such file, or this load leaves
    /// it out because of errors.
    pub(super) fn why_not_found(&self, path: &str, directory: &Path) -> String {
        let paths =
            [directory, self.zones_directory()].map(|directory| normalized(&directory.join(path)));
        let is_left_out = |file: &SourceFile| {
            file.role == FileRole::Absent && paths.contains(&normalized(&file.path))
        };
        match self.files.iter().any(is_left_out) {
            true => format!(
                "{} is not in use because of errors in it or about it, which `portolan check` reports",
                Quoted(path)
            ),
            false => format!("there is no file {} below the zones directory", Quoted(path)),
        }
    }

    /// Like [`Sources::find`], for a path that a master file includes: it must not contain `..`.
    pub(super) fn find_included(&self, path: &str, directory: &Path) -> Option<FileId> {
        let leads_up = Path::new(path).components().any(|part| part == Component::ParentDir);
        if leads_up { None } else { self.find(path, directory) }
    }

    /// Converts an absolute path below the zones directory to the form in which the files there are
    /// named: `--config` may be relative.
    fn below_zones(&self, path: &Path) -> Option<PathBuf> {
        let zones = normalized(&std::path::absolute(self.zones_directory()).ok()?);
        Some(self.zones_directory().join(path.strip_prefix(zones).ok()?))
    }

    pub(super) fn ids_with_role(&self, role: FileRole) -> impl Iterator<Item = FileId> {
        (0u32..)
            .zip(self.files.iter())
            .filter(move |(_, file)| file.role == role)
            .map(|(id, _)| FileId(id))
    }

    pub(super) fn file(&self, id: FileId) -> &SourceFile {
        &self.files[id.index()]
    }
}

/// The path without `.`, and with `..` resolved by name alone. Links need no attention: only files
/// below the zones directory are in the table.
fn normalized(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(parts.components().next_back(), Some(Component::Normal(_))) =>
            {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts
}
