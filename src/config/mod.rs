//! Reads the files of a configuration and makes domain values of them. Everything but reading the
//! files is pure.
//!
//! | step | file |
//! |---|---|
//! | read every file into memory, within bounds | `sources` |
//! | `portolan.toml` and flags: how the server runs | `settings`, `admin_settings` |
//! | a large file is cut into its tables | `table_slices` |
//! | syntax errors of TOML | `syntax` |
//! | each key of a table is read, with its type and place | `reader`, `values`, `hostname` |
//! | tables as written, each value with its place | `spec/`, `table_files` |
//! | names become positions, and tables are checked against each other | `compile/` |
//! | an edit of a few tables, without reading the others | `amend/`, `amendment_base` |
//! | the names that a file defines | `definition`, `definitions` |
//! | mistakes: file, line, column and remedy | `diagnostic`, `diagnostics`, `render`, `problems`, `spelling` |
//! | expectations and assertions with their places, and violations as mistakes | `requirements` |
//! | a summary of what would be served | `summary` |
//!
//! A run reports every mistake of every file, and only a run without errors yields a [`Config`].

mod a_labels;
mod admin_settings;
mod amend;
mod amendment_base;
mod compile;
mod configuration;
mod content_hash;
mod definition;
mod definition_origin;
mod definitions;
mod diagnostic;
mod diagnostics;
mod hostname;
mod limits;
mod listen_addresses;
mod load;
mod load_mode;
mod place;
mod position;
mod problems;
mod quoted;
mod reader;
mod render;
mod requirements;
mod safety;
mod server_settings;
mod settings;
mod soa_serial;
mod source_options;
mod sources;
mod spec;
mod spelling;
mod summary;
mod syntax;
mod table_files;
mod table_slices;
mod values;
mod zone_config;
mod zone_files;

pub use admin_settings::AdminSettings;
pub use configuration::Config;
pub use definition::Definition;
pub use definition_origin::DefinitionOrigin;
pub use definitions::{definition_place, definitions};
pub use diagnostic::{Diagnostic, NameFault, Severity, Stage};
pub use diagnostics::Diagnostics;
pub use limits::MAX_PARSE_OCTETS;
pub use load_mode::LoadMode;
pub use place::{FileId, SourcePlace};
pub use position::SourcePosition;
pub use render::Colours;
pub use requirements::WrittenRequirements;
pub use safety::WrittenSafety;
pub use server_settings::{admin_address, server_settings};
pub use settings::{
    Canary, DatabaseFault, DatabaseSource, HttpsSettings, ServerSettings, TlsSettings,
};
pub use source_options::SourceOptions;
pub use sources::{
    FileRole, FileStamp, Footprint, PathKind, PathState, SourceFile, SourceReadError, Sources,
    ToleratedDatabases, is_database, is_ignored, is_master, is_tables,
};
pub use spelling::SpellingSuggester;
pub use summary::Summary;
pub use table_slices::table_range;
pub use values::{REASON_HELP, reason_fault};
pub use zone_config::{SerialSource, ZoneBuildError, ZoneConfig};

#[cfg(test)]
mod tests;
