//! A path of the zones directory, with the links in it resolved.

use std::{ffi::OsString, path::PathBuf};

/// A file or directory under two names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ResolvedPath {
    /// As operators name it.
    pub(super) path: PathBuf,
    /// The same path without links.
    pub(super) real: PathBuf,
    /// Whether its last part is a link.
    pub(super) is_link: bool,
}

impl ResolvedPath {
    pub(super) fn entry(&self, name: &OsString) -> Self {
        Self { path: self.path.join(name), real: self.real.join(name), is_link: false }
    }
}
