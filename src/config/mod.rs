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

mod a_labels;
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
mod load;
mod load_mode;
mod place;
mod position;
mod problems;
mod quoted;
mod reader;
mod render;
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

pub use configuration::Config;
pub use definition::Definition;
pub use definition_origin::DefinitionOrigin;
pub use definitions::definitions;
pub use diagnostic::{Diagnostic, NameFault, Severity, Stage};
pub use diagnostics::Diagnostics;
pub use limits::MAX_PARSE_OCTETS;
pub use load_mode::LoadMode;
pub use place::{FileId, SourcePlace};
pub use position::SourcePosition;
pub use render::Colours;
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
