//! From files to domain values. Layer 5: all but reading the files is pure.
//!
//! | step | file |
//! |---|---|
//! | read every file into memory, within bounds | `sources` |
//! | `portolan.toml` and flags: how the server runs | `settings` |
//! | large files of tables cut into their tables | `table_slices` |
//! | what is no TOML | `syntax` |
//! | TOML tables, each key with its type and place | `reader`, `values`, `hostname` |
//! | tables as written | `spec/` |
//! | names to positions; what does not fit together | `compile/` |
//! | an edit of a few tables, without reading the others | `amend` |
//! | which names a file defines | `definitions` |
//! | what is wrong: file, line, column, how to mend it | `diagnostics`, `render`, `problems`, `spelling` |
//! | what would be served | `summary` |
//!
//! A run reports every mistake of every file, and only a run without any yields a [`Config`].

mod amend;
mod compile;
mod definitions;
mod diagnostics;
mod hostname;
mod place;
mod problems;
mod reader;
mod render;
mod server_settings;
mod settings;
mod sources;
mod spec;
mod spelling;
mod summary;
mod syntax;
mod table_slices;
mod values;

use std::{fmt, ops::Range, path::PathBuf, sync::Arc};

pub use compile::{SerialSource, ZoneConfig};
pub use definitions::{Definition, definitions};
pub use diagnostics::{
    Colours, Diagnostic, Diagnostics, NameFault, Severity, SourcePosition, Stage,
};
pub use place::{FileId, SourcePlace};
pub use server_settings::{admin_address, server_settings};
pub use settings::{
    Canary, DatabaseFault, DatabaseSource, HttpsSettings, ServerSettings, SourceOptions,
    TlsSettings,
};
pub use sources::{
    FileRole, FileStamp, Footprint, PathKind, PathState, SourceFile, SourceReadError, Sources,
    ToleratedDatabases, is_database, is_ignored, is_master, is_tables,
};
pub use spec::MAX_PARSE_OCTETS;
pub use spelling::SpellingSuggester;
pub use summary::Summary;
pub use table_slices::table_range;
pub use values::{REASON_HELP, reason_fault};

use crate::steer::Topology;
use amend::{AmendmentBase, AmendmentInvariants};
use problems::Problems;

/// A whole configuration, valid.
#[derive(Debug, Clone)]
pub struct Config {
    /// How the server runs.
    pub server: ServerSettings,
    /// The GeoIP databases, in the order in which they are merged.
    pub geoip: Vec<DatabaseSource>,
    /// Everything that steers.
    pub topology: Arc<Topology>,
    /// In order of name; [`crate::steer::ZoneId`] is a position here.
    pub zones: Vec<ZoneConfig>,
    /// Where each datacenter's table is, by [`crate::steer::DatacenterId`].
    pub datacenter_origins: Vec<DefinitionOrigin>,
    /// The master files that zones are made of, the included ones among them.
    pub master_files: Vec<FileId>,
    /// How much was read to make it.
    pub load_mode: LoadMode,
    amendment_base: Arc<AmendmentBase>,
}

/// How a configuration was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadMode {
    /// From all tables of all files.
    Full {
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

impl LoadMode {
    /// How many tables were read.
    pub fn tables_read(self) -> usize {
        match self {
            Self::Full { tables } | Self::Amended { tables } => tables,
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
            Self { amendment_base: Arc::new(foundation.with_warnings(&diagnostics)), ..config },
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
pub struct DefinitionOrigin {
    /// The file.
    pub path: PathBuf,
    /// The octets of its name there; empty at 0 for a file as such.
    pub span: Range<usize>,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

impl DefinitionOrigin {
    fn new(sources: &Sources, place: SourcePlace) -> Self {
        let (line, column) =
            diagnostics::position(&sources.files, place).line_column.unwrap_or((1, 1));
        let path = sources.file(place.file()).path.clone();
        Self { path, span: place.span().unwrap_or(0..0), line, column }
    }
}

impl fmt::Display for DefinitionOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = diagnostics::escaped(&self.path.to_string_lossy());
        write!(f, "{path}:{}:{}", self.line, self.column)
    }
}

#[cfg(test)]
mod tests;
