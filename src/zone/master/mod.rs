//! Master files: reads the text of a zone into records (RFC 1035 section 5, RFC 2308 section 4, RFC
//! 3597).
//!
//! `lexer` splits the text into entries. `directive` reads the entries that start with `$`; the
//! others are records, whose rdata is read field by field: `rdata` by the table of `layout`.
//! `reader` applies directives and passes records on.
//!
//! Files are never opened here: the caller passes the text and a function that yields the files
//! that `$INCLUDE` names, and so decides which files a zone may include. The zone builder checks
//! whether the records form a zone; here, an owner may be any name.
//!
//! One run reports every error, each with its file, line and column. The work is bounded for any
//! text: files include each other at most 8 deep, a zone includes at most 1,000 files and reports
//! at most 100 errors, and `budget` limits text, generated records and memory. The first limit of
//! `budget` that is exceeded ends the reading.

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
