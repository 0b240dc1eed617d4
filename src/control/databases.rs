//! The GeoIP databases: opened once, and again when their file changes. If the new file cannot be
//! used, the database of the old file stays in use.

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

/// The maximum size of a database file.
const MAX_OCTETS: u64 = 4 << 30;

/// The GeoIP files in use, in order of precedence.
#[derive(Debug, Clone, Default)]
pub(super) struct DatabaseFiles {
    files: Vec<DatabaseFile>,
    databases: Arc<Databases>,
}

/// A database and the state of its file.
#[derive(Debug, Clone)]
pub(super) struct DatabaseFile {
    pub path: PathBuf,
    /// The state of the file when it was last opened; the database may be older, see `error`.
    stamp: Option<DatabaseStamp>,
    pub database: Arc<Database>,
    /// Why the newest file is not in use; `None` if it is.
    pub error: Option<String>,
    /// Whether the newest file may become usable without being replaced.
    pub is_transient: bool,
}

/// What differs between two versions of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct DatabaseStamp {
    device: u64,
    inode: u64,
    octets: u64,
    modified: (i64, i64),
}

/// A file that cannot be used, and for which no older database is in use.
#[derive(Debug, Clone)]
pub(super) struct UnusableDatabase {
    pub path: PathBuf,
    error: DatabaseOpenError,
}

/// Why a file is not usable as a database.
#[derive(Debug, Clone)]
pub(super) struct DatabaseOpenError {
    text: String,
    /// Whether the file may become usable without being replaced.
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
    /// An error at `place`, where a file names the database; without a place, an error of the
    /// configuration as a whole.
    pub(super) fn diagnostics(&self, sources: &Sources, place: Option<SourcePlace>) -> Diagnostics {
        let place = place.unwrap_or_else(|| sources.place_of_databases());
        let message =
            format!("the database {} cannot be used: {}", self.path.display(), self.error.text);
        Diagnostics::single_error(sources, place, &message, HELP)
    }

    /// Whether the file may become usable without being replaced.
    pub(super) fn is_transient(&self) -> bool {
        self.error.is_transient
    }
}

impl DatabaseFiles {
    /// The databases as charts are compiled with them.
    pub(super) fn databases(&self) -> &Arc<Databases> {
        &self.databases
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &DatabaseFile> {
        self.files.iter()
    }

    /// The databases to use from now on for `paths`. Files that did not change are not read again.
    /// A database in use stays in use if its newer file cannot be used.
    pub(super) fn refreshed(&self, paths: &[PathBuf]) -> Result<Self, Vec<UnusableDatabase>> {
        let mut files = Vec::new();
        let mut problems = Vec::new();
        for path in paths {
            let old = self.files.iter().find(|file| file.path == *path);
            match refreshed(path, old) {
                Ok(file) => files.push(file),
                Err(error) => problems.push(UnusableDatabase { path: path.clone(), error }),
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
    let stamp = fs::metadata(path).ok().map(|metadata| DatabaseStamp {
        device: metadata.dev(),
        inode: metadata.ino(),
        octets: metadata.len(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
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
        (Err(error), None) => Err(error),
        (Err(error), Some(old)) => {
            if old.error.as_ref() != Some(&error.text) {
                tracing::error!(file = %path.display(), error = %error.text, "GeoIP database refused: the previous one stays in use");
            }
            Ok(DatabaseFile {
                stamp,
                error: Some(error.text),
                is_transient: error.is_transient,
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
    let mut logged_at = started;
    let database = Database::open_with_progress(&label, octets, &mut |progress| {
        if logged_at.elapsed().as_millis() >= 500 {
            logged_at = Instant::now();
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

/// Opens the databases that a configuration names, for `portolan locate`. The rest of the
/// configuration may have errors.
///
/// # Errors
/// Each file that cannot be used, and why, one line each.
pub fn open_databases(locations: &SourceOptions) -> Result<Arc<Databases>, String> {
    let (_, paths) = crate::config::server_settings(locations);
    let opened = DatabaseFiles::default().refreshed(&paths);
    let files = opened.map_err(|problems| {
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    })?;
    Ok(Arc::clone(files.databases()))
}
