//! The files of a configuration, read into memory: the only step that touches the disk. Everything after it is pure.
//!
//! Whatever lies below the zones directory is read, within bounds, because which files a zone includes shows only later.
//! What cannot be read (a FIFO, a device, 64 MiB and more) is kept with the reason. It is an error if the file is one of
//! tables, or a zone, or if something names it. A directory that cannot be listed is always an error: which zones are
//! missing then is not known.

use std::{
    collections::HashMap,
    path::{Component, Path, PathBuf},
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use self::disk::FoundDatabases;
use super::{
    diagnostics::escaped,
    place::FileId,
    settings::{self, Locations},
};

pub(super) mod disk;
mod exchange;
mod unreadable;
mod walk;

pub use unreadable::Unreadable;

/// The name of the configuration file that is read where none is named.
pub(super) const DEFAULT_CONFIG: &str = "portolan.toml";

/// The files of a configuration, as they were at one moment.
#[derive(Debug, Clone)]
pub struct Sources {
    pub(super) files: Arc<[SourceFile]>,
    /// `portolan.toml`, where there is one.
    pub(super) config: Option<FileId>,
    /// The zones directory; a file that stands for it in messages.
    pub(super) zones: FileId,
    /// What `--config` and the other flags said.
    pub(super) locations: Locations,
    /// The databases that were named or found.
    pub(super) databases: FoundDatabases,
    by_path: Arc<HashMap<PathBuf, FileId>>,
}

/// One file.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Where it is.
    pub path: PathBuf,
    /// The path as messages show it, without anything that a terminal would obey.
    pub shown: Box<str>,
    /// When it was last changed; `None` where the system does not say.
    pub modified: Option<SystemTime>,
    /// What it is for.
    pub role: Role,
    /// Its octets, or why there are none.
    pub content: Result<Vec<u8>, Unreadable>,
    /// Where each line starts, once somebody asks.
    lines: OnceLock<Vec<u32>>,
}

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `portolan.toml`.
    Settings,
    /// The zones directory itself. Also, with the reason in place of content, a directory below it that cannot be listed
    /// and an entry whose kind is not known: what lies there is then unknown.
    Directory,
    /// `*.toml` below the zones directory.
    Tables,
    /// Any other file below it: a master file, perhaps.
    Master,
    /// None: there is no such file now, or a load leaves it out.
    Absent,
}

impl SourceFile {
    fn new(path: &Path, role: Role, modified: Option<SystemTime>, content: Result<Vec<u8>, Unreadable>) -> Self {
        let shown = escaped(&path.to_string_lossy()).into();
        Self { path: path.to_path_buf(), shown, modified, role, content, lines: OnceLock::new() }
    }

    /// Where each line starts, in octets; never empty.
    pub(super) fn line_starts(&self) -> &[u32] {
        self.lines.get_or_init(|| {
            let newlines = self.octets().iter().enumerate().filter(|(_, octet)| **octet == b'\n');
            std::iter::once(0).chain(newlines.map(|(at, _)| at as u32 + 1)).collect()
        })
    }

    /// The octets, none where it cannot be read.
    pub fn octets(&self) -> &[u8] {
        self.content.as_deref().unwrap_or_default()
    }
}

impl Sources {
    /// Reads every file of a configuration. Never fails as such: a file that cannot be read is an error of [`super::Config::load`],
    /// beside all the others.
    pub fn read(locations: &Locations) -> Self {
        let config_path = locations.config_path();
        let is_there = locations.config.is_some() || disk::may_exist(&config_path);
        Self::read_with(locations, is_there.then(|| disk::read_file(&config_path, Role::Settings)))
    }

    /// Reads every file but `portolan.toml`, which is given: it says where the others are.
    pub fn read_with(locations: &Locations, settings: Option<SourceFile>) -> Self {
        let mut files: Vec<SourceFile> = settings.into_iter().collect();
        let config = files.first().map(|_| FileId(0));
        let paths = settings::paths(locations, files.first());
        let zones = FileId(files.len() as u32);
        disk::read_directory(&paths.zones, &mut files);
        let databases = disk::databases(&paths);
        Self::new(files, config, zones, locations.clone(), databases)
    }

    /// Files that are nowhere on the disk: the built-in samples, or a test's. `zones/` is the zones directory; no database
    /// is looked for, each that is named counts as present.
    pub fn from_texts<'t>(locations: &Locations, texts: impl IntoIterator<Item = (&'t str, &'t str)>) -> Self {
        let mut files = vec![SourceFile::new(Path::new("zones"), Role::Directory, None, Ok(Vec::new()))];
        let mut config = None;
        for (path, text) in texts {
            let role = match path {
                DEFAULT_CONFIG => Role::Settings,
                _ if disk::is_tables(Path::new(path)) => Role::Tables,
                _ => Role::Master,
            };
            if role == Role::Settings {
                config = Some(FileId(files.len() as u32));
            }
            files.push(SourceFile::new(Path::new(path), role, None, Ok(text.as_bytes().to_vec())));
        }
        let paths = settings::paths(locations, config.map(|id| &files[id.index()]));
        let named = paths.databases.unwrap_or_default();
        let databases = FoundDatabases { files: named.into_iter().map(|path| (path, None)).collect(), unlisted: None };
        Self::new(files, config, FileId(0), locations.clone(), databases)
    }

    fn new(
        files: Vec<SourceFile>,
        config: Option<FileId>,
        zones: FileId,
        locations: Locations,
        databases: FoundDatabases,
    ) -> Self {
        let mut sources = Self { files: files.into(), config, zones, locations, databases, by_path: Arc::default() };
        sources.index();
        sources
    }

    /// Finds the files again after some were exchanged.
    fn index(&mut self) {
        // Neither the settings nor the directory itself is a file that a zone could name.
        let is_below_zones = |role| matches!(role, Role::Tables | Role::Master);
        let entries = (0_u32..).map(FileId).zip(self.files.iter());
        let below = entries.filter(|(_, file)| is_below_zones(file.role));
        self.by_path = Arc::new(below.map(|(id, file)| (normal(&file.path), id)).collect());
        let config = self.ids(Role::Settings).next();
        self.config = config;
    }

    /// All files, the zones directory itself among them.
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// When any of the files was last changed: a caller that does not want to take up a half-written file waits until this
    /// lies a moment back.
    pub fn last_modified(&self) -> Option<SystemTime> {
        self.files.iter().filter_map(|file| file.modified).max()
    }

    /// What named them.
    pub fn locations(&self) -> &Locations {
        &self.locations
    }

    /// The zones directory.
    pub fn zones_directory(&self) -> &Path {
        &self.files[self.zones.index()].path
    }

    /// Says which databases are in use. A file of them that is missing now, or a directory that cannot be listed, is no
    /// error then: they stay in use.
    pub fn keep_databases(&mut self, in_use: Vec<PathBuf>) {
        self.databases.keep(in_use);
    }

    /// The file at `path`, as it is written in a file of `directory`, else in the zones directory.
    pub(super) fn find(&self, path: &str, directory: &Path) -> Option<FileId> {
        let at = |directory: &Path| self.by_path.get(&normal(&directory.join(path))).copied();
        at(directory).or_else(|| at(self.zones_directory()))
    }

    pub(super) fn ids(&self, role: Role) -> impl Iterator<Item = FileId> {
        (0u32..).zip(self.files.iter()).filter(move |(_, file)| file.role == role).map(|(id, _)| FileId(id))
    }

    pub(super) fn file(&self, id: FileId) -> &SourceFile {
        &self.files[id.index()]
    }
}

/// The path without `.` and with `..` resolved by name alone. Links need no thought here: only files below the zones
/// directory are in the table.
fn normal(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(parts.components().next_back(), Some(Component::Normal(_))) => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts
}
