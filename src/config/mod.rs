//! From files to domain values. Layer 5: all but reading the files is pure.
//!
//! | step | file |
//! |---|---|
//! | read every file into memory, within bounds | `sources` |
//! | `portolan.toml` and flags: how the server runs | `settings` |
//! | large files of tables cut into their tables | `pieces` |
//! | what is no TOML | `syntax` |
//! | TOML tables, each key with its type and place | `reader`, `values`, `hostname` |
//! | tables as written | `spec/` |
//! | names to positions; what does not fit together | `compile/` |
//! | an edit of a few tables, without reading the others | `amend` |
//! | which names a file defines | `definitions` |
//! | what is wrong: file, line, column, how to mend it | `diagnostics`, `render`, `problems`, `nearest` |
//! | what would be served | `summary` |
//!
//! A run reports every mistake of every file, and only a run without any yields a [`Config`].

mod amend;
mod compile;
mod definitions;
mod diagnostics;
mod hostname;
mod nearest;
mod outline;
mod pieces;
mod place;
mod problems;
mod reader;
mod render;
mod settings;
mod sources;
mod spec;
mod summary;
mod syntax;
mod values;

use std::{fmt, ops::Range, path::PathBuf, sync::Arc};

pub use compile::{SerialSource, ZoneConfig};
pub use definitions::{Definition, definitions};
pub use diagnostics::{Colours, Diagnostic, Diagnostics, NameFault, Position, Severity, Stage};
pub use nearest::Nearest;
pub use outline::{admin_address, outline};
pub use pieces::table_range;
pub use place::{FileId, Place};
pub use settings::{
    Canary, Database, DatabaseFault, HttpsSettings, Locations, ServerSettings, TlsSettings,
};
pub use sources::{
    Footprint, Kind, Role, SourceFile, Sources, Stamp, ToleratedDatabases, Trace, Unreadable,
    is_database, is_ignored, is_master, is_tables,
};
pub use spec::MOST_TREE_OCTETS;
pub use summary::Summary;
pub use values::{REASON_HELP, reason_fault};

use crate::steer::Topology;
use amend::{Foundation, Structure};
use problems::Problems;

/// A whole configuration, valid.
#[derive(Debug, Clone)]
pub struct Config {
    /// How the server runs.
    pub server: ServerSettings,
    /// The GeoIP databases, in the order in which they are merged.
    pub geoip: Vec<Database>,
    /// Everything that steers.
    pub topology: Arc<Topology>,
    /// In order of name; [`crate::steer::ZoneId`] is a position here.
    pub zones: Vec<ZoneConfig>,
    /// Where each datacenter's table is, by [`crate::steer::DatacenterId`].
    pub datacenter_origins: Vec<Origin>,
    /// The master files that zones are made of, the included ones among them.
    pub master_files: Vec<FileId>,
    /// How much was read to make it.
    pub making: Making,
    foundation: Arc<Foundation>,
}

/// How a configuration was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Making {
    /// From all tables of all files.
    Whole {
        /// How many tables that is.
        tables: usize,
    },
    /// All but so many tables were taken from an earlier configuration. The zones hold no records:
    /// those of the earlier configuration's zones apply, perhaps with other serials.
    Amended {
        /// How many tables were read again.
        tables: usize,
    },
}

impl Making {
    /// How many tables were read.
    pub fn tables_read(self) -> usize {
        match self {
            Self::Whole { tables } | Self::Amended { tables } => tables,
        }
    }
}

impl Config {
    /// Checks everything and puts it together. The second value holds the warnings.
    ///
    /// About 150,000 pools or services, and 100,000 small zones, a second on one core.
    ///
    /// # Errors
    /// All mistakes of all files, with the warnings.
    pub fn load(sources: &Sources) -> Result<(Self, Diagnostics), Diagnostics> {
        let mut problems = Problems::default();
        let config_file = sources.config.map(|id| (id, sources.file(id)));
        let settings = settings::read(&sources.locations, config_file, &mut problems);
        let specs = compile::read_specs(sources, &mut problems);
        problems.begin_checking();
        let (config, foundation) = compile::compile(sources, settings, specs, &mut problems);
        let has_errors = problems.has_errors();
        let (list, omitted) = problems.into_parts();
        let diagnostics = Diagnostics::new(Arc::clone(&sources.files), list, omitted);
        if has_errors {
            return Err(diagnostics);
        }
        Ok((
            Self { foundation: Arc::new(foundation.with_warnings(&diagnostics)), ..config },
            diagnostics,
        ))
    }

    /// Makes the configuration that [`Config::load`] makes of `sources`, but from this one and the
    /// tables that differ. `None` where the result would not be certain. The cost is that of
    /// comparing the files and of reading the tables that differ.
    pub fn amend(&self, sources: &Sources) -> Option<(Self, Diagnostics)> {
        amend::amend(self, sources)
    }
}

/// Where something is defined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file.
    pub path: PathBuf,
    /// The octets of its name there; empty at 0 for a file as such.
    pub span: Range<usize>,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

impl Origin {
    fn new(sources: &Sources, place: Place) -> Self {
        let (line, column) =
            diagnostics::position(&sources.files, place).line_column.unwrap_or((1, 1));
        let path = sources.file(place.file()).path.clone();
        Self { path, span: place.span().unwrap_or(0..0), line, column }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = diagnostics::escaped(&self.path.to_string_lossy());
        write!(f, "{path}:{}:{}", self.line, self.column)
    }
}

#[cfg(test)]
mod tests;
