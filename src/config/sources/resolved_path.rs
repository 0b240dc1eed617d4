//! A path of the zones directory, with the links in it resolved.

use std::{ffi::OsString, path::PathBuf};

/// The path of a file or directory in two forms.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ResolvedPath {
    /// The path as operators name it.
    pub(super) path: PathBuf,
    /// The same path without links.
    pub(super) real: PathBuf,
    /// Whether the last component of `path` is a link.
    pub(super) is_link: bool,
}

impl ResolvedPath {
    pub(super) fn entry(&self, name: &OsString) -> Self {
        Self { path: self.path.join(name), real: self.real.join(name), is_link: false }
    }
}
