//! Makes text from operators, files and peers safe to display: control sequences are escaped
//! ([`escaped`]), passwords in URLs are replaced ([`redacted`]).
//!
//! All text that leaves the program passes through these: diagnostics of files, log records, the
//! output of commands, and the replies of the admin API. Both functions return the text itself if
//! nothing in it has to change.

mod escape;
mod json;
mod secrets;

pub use escape::{escaped, escaped_json, escaped_lines, is_unprintable};
pub use json::safe_json;
pub use secrets::{redacted, secret_ranges};
