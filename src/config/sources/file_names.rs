//! The use of a file, as its name shows it.

use std::path::Path;

use super::file::FileRole;

/// Whether a file of this name is read as tables: `*.toml`, in any case.
pub fn is_tables(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"))
}

/// Whether a file of this name is a zone by itself: `NAME.zone`, in any case.
pub fn is_master(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("zone"))
}

/// The role of a file below the zones directory.
pub(super) fn role_of(path: &Path) -> FileRole {
    if is_tables(path) { FileRole::Tables } else { FileRole::Master }
}

/// Whether a file of this name is a database: `*.mmdb`, in any case, and not hidden.
pub fn is_database(path: &Path) -> bool {
    let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    !is_hidden && path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("mmdb"))
}

/// Whether files and directories of this name are never read: hidden ones, and those that editors
/// leave behind.
pub fn is_ignored(name: &str) -> bool {
    name.starts_with('.') || name.ends_with('~') || name.ends_with(".bak")
}
