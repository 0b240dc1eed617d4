//! Master files: the text of a zone, read into records (RFC 1035 section 5, RFC 2308 section 4, RFC
//! 3597).
//!
//! `lexer` cuts the text into entries, `apply_directive` reads those with a `$`, and what is left
//! are records, whose rdata `layout` reads field by field. Files are never opened here: the caller
//! hands over the text and a function that yields what `$INCLUDE` names, and so decides which files
//! a zone may reach. Whether the records make a zone is for the zone builder to say; here an owner
//! may lie anywhere.
//!
//! One run reports every error, each with its file, line and column. The work is bounded whatever
//! the text says: eight files deep, 1,000 files, 100 errors, and what `budget` says of text,
//! generated records and memory. The first of the bounds of `budget` that is met ends the reading.

mod budget;
mod directive;
mod encoding;
mod field_reader;
mod file;
mod help;
mod layout;
mod lexer;
mod loc;
mod problem;
mod rdata;
mod rdata_fields;
mod reader;
mod record_head;
mod source_text;
mod span;
mod svcb;
mod vendor_types;
mod wire;

pub use budget::Budget;
pub use file::{FilePosition, IncludedFile, LocatedRecord, MasterError, MasterFile};
pub use reader::{IncludeFn, parse, parse_each};

#[cfg(test)]
mod tests;
