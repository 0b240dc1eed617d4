//! The GeoIP files: opened once, opened anew when they change, and the old one kept where the new
//! one is no good.

use std::{
    fmt, fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use crate::{
    config::{Diagnostics, SourceOptions, SourcePlace, SourceReadError, Sources},
    files::{self, SymlinkPolicy},
    geo::{Database, Databases},
};

/// No database is larger.
const MAX_OCTETS: u64 = 4 << 30;

/// The GeoIP files in use, in order of precedence.
#[derive(Debug, Clone, Default)]
pub(super) struct DatabaseFiles {
    files: Vec<DatabaseFile>,
    databases: Arc<Databases>,
}

/// One file and what was made of it.
#[derive(Debug, Clone)]
pub(super) struct DatabaseFile {
    pub path: PathBuf,
    /// Of the file that was last looked at, good or not.
    stamp: Option<DatabaseStamp>,
    pub database: Arc<Database>,
    /// Why the newest file is not in use.
    pub error: Option<String>,
    /// Whether that may pass without the file being replaced.
    pub is_transient: bool,
}

/// Tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct DatabaseStamp {
    device: u64,
    inode: u64,
    octets: u64,
    modified: (i64, i64),
}

/// A file that cannot be used, and no older one to go on with.
#[derive(Debug, Clone)]
pub(super) struct UnusableDatabase {
    pub path: PathBuf,
    error: DatabaseOpenError,
}

/// Why a file is not usable as a database.
#[derive(Debug, Clone)]
pub(super) struct DatabaseOpenError {
    text: String,
    /// Whether it may be usable later without being replaced.
    is_transient: bool,
}

impl From<std::io::Error> for DatabaseOpenError {
    fn from(error: std::io::Error) -> Self {
        let reason = SourceReadError::from(error);
        Self { text: reason.to_string(), is_transient: reason.is_transient() }
    }
}

const HELP: &str =
    "name a MaxMind DB file (GeoLite2, GeoIP2, DB-IP, IPinfo) under [geoip] databases";

impl fmt::Display for UnusableDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (help: {HELP})", self.path.display(), self.error.text)
    }
}

impl UnusableDatabase {
    /// As a mistake of the file that names the database at `place`, or of the configuration as
    /// such.
    pub(super) fn diagnostics(&self, sources: &Sources, place: Option<SourcePlace>) -> Diagnostics {
        let place = place.unwrap_or_else(|| sources.place_of_databases());
        let message =
            format!("the database {} cannot be used: {}", self.path.display(), self.error.text);
        Diagnostics::single_error(sources, place, &message, HELP)
    }

    /// Whether the file may be usable later without being replaced.
    pub(super) fn is_transient(&self) -> bool {
        self.error.is_transient
    }
}

impl DatabaseFiles {
    /// All of them, read as one.
    pub(super) fn databases(&self) -> &Arc<Databases> {
        &self.databases
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &DatabaseFile> {
        self.files.iter()
    }

    /// What is to be used from now on for `paths`. Files that did not change are not read; one that
    /// is no good any more stays in use as it was.
    pub(super) fn refreshed(&self, paths: &[PathBuf]) -> Result<Self, Vec<UnusableDatabase>> {
        let mut files = Vec::new();
        let mut problems = Vec::new();
        for path in paths {
            let old = self.files.iter().find(|file| file.path == *path);
            match refreshed(path, old) {
                Ok(file) => files.push(file),
                Err(why) => problems.push(UnusableDatabase { path: path.clone(), error: why }),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let is_same = files.len() == self.files.len()
            && files
                .iter()
                .zip(&self.files)
                .all(|(new, old)| Arc::ptr_eq(&new.database, &old.database));
        let databases = if is_same {
            Arc::clone(&self.databases)
        } else {
            Arc::new(Databases::new(files.iter().map(|file| Arc::clone(&file.database)).collect()))
        };
        Ok(Self { files, databases })
    }
}

fn refreshed(path: &Path, old: Option<&DatabaseFile>) -> Result<DatabaseFile, DatabaseOpenError> {
    let stamp = fs::metadata(path).ok().map(|found| DatabaseStamp {
        device: found.dev(),
        inode: found.ino(),
        octets: found.len(),
        modified: (found.mtime(), found.mtime_nsec()),
    });
    if let Some(old) = old
        && old.stamp == stamp
        && !old.is_transient
    {
        return Ok(old.clone());
    }
    match (open(path), old) {
        (Ok(database), _) => Ok(DatabaseFile {
            path: path.to_owned(),
            stamp,
            database: Arc::new(database),
            error: None,
            is_transient: false,
        }),
        (Err(why), None) => Err(why),
        (Err(why), Some(old)) => {
            if old.error.as_ref() != Some(&why.text) {
                tracing::error!(file = %path.display(), error = %why.text, "GeoIP database refused: the previous one stays in use");
            }
            Ok(DatabaseFile {
                stamp,
                error: Some(why.text),
                is_transient: why.is_transient,
                ..old.clone()
            })
        }
    }
}

fn open(path: &Path) -> Result<Database, DatabaseOpenError> {
    let octets = files::read(path, SymlinkPolicy::Follow, MAX_OCTETS)?;
    let started = Instant::now();
    let label = path.display().to_string();
    tracing::info!(file = %label, octets = octets.len(), "reading GeoIP database");
    let mut said = started;
    let database = Database::open_with_progress(&label, octets, &mut |progress| {
        if said.elapsed().as_millis() >= 500 {
            said = Instant::now();
            tracing::info!(file = %label, networks = progress.networks, records = progress.records, "still reading GeoIP database");
        }
    })
    .map_err(|error| DatabaseOpenError { text: error.fault().to_string(), is_transient: false })?;
    tracing::info!(
        file = %label,
        kind = database.kind(),
        networks = database.network_count(),
        locations = database.location_count(),
        ms = started.elapsed().as_millis() as u64,
        "GeoIP database read"
    );
    Ok(database)
}

/// Opens the databases that a configuration names, and nothing else of it: for `locate`.
///
/// # Errors
/// Says which file cannot be used, and why.
pub fn open_databases(locations: &SourceOptions) -> Result<Arc<Databases>, String> {
    let (_, paths) = crate::config::server_settings(locations);
    let opened = DatabaseFiles::default().refreshed(&paths);
    let files = opened.map_err(|problems| {
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    })?;
    Ok(Arc::clone(files.databases()))
}
