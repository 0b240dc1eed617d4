//! Text that operators, files and peers wrote, made safe to display: control sequences are escaped
//! ([`escaped`]), passwords in URLs are cut ([`redacted`]).
//!
//! Each place where text leaves the program goes through these: diagnostics of files, log records,
//! what commands print, and what the admin API answers. Both functions return the text itself where
//! there is nothing to do.

mod escape;
mod json;
mod secrets;

pub use escape::{escaped, escaped_json, escaped_lines, is_unprintable};
pub use json::safe_json;
pub use secrets::{redacted, secret_ranges};
