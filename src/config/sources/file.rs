//! One file of a configuration, read into memory.

use std::{
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use super::{line_index::LineIndex, read_error::SourceReadError};
use crate::config::quoted::escaped;

/// One file.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Where it is.
    pub path: PathBuf,
    /// The path as messages show it, without control sequences.
    pub shown: Box<str>,
    /// When it was last changed; `None` where the system does not say.
    pub modified: Option<SystemTime>,
    /// What it is for.
    pub role: FileRole,
    /// Its octets, or why there are none. They are shared, never copied: by loads, by the last good
    /// set, by includes.
    pub content: Result<Arc<Vec<u8>>, SourceReadError>,
    /// Where its lines start, once it was asked for.
    lines: OnceLock<LineIndex>,
}

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileRole {
    /// `portolan.toml`.
    Settings,
    /// The zones directory itself. Also, with the reason in place of content, a directory below it
    /// that cannot be listed and an entry whose kind is not known: what lies there is then unknown.
    Directory,
    /// `*.toml` below the zones directory.
    Tables,
    /// Any other file below it: a master file, perhaps.
    Master,
    /// None: there is no such file now, or a load leaves it out.
    Absent,
}

impl SourceFile {
    pub(super) fn new(
        path: &Path,
        role: FileRole,
        modified: Option<SystemTime>,
        content: Result<Vec<u8>, SourceReadError>,
    ) -> Self {
        let (shown, content) = (escaped(&path_text(path)).into(), content.map(Arc::new));
        Self { path: path.to_path_buf(), shown, modified, role, content, lines: OnceLock::new() }
    }

    /// A file with this content.
    pub fn with_content(
        path: &Path,
        role: FileRole,
        modified: Option<SystemTime>,
        octets: Vec<u8>,
    ) -> Self {
        Self::new(path, role, modified, Ok(octets))
    }

    /// The place of a file that does not exist.
    pub fn absent(path: &Path) -> Self {
        Self::new(path, FileRole::Absent, None, Ok(Vec::new()))
    }

    /// The line, from 1, that the octet at `at` is in, and the octet where the line starts.
    pub(in crate::config) fn line_at(&self, at: usize) -> (usize, usize) {
        self.lines().line_at(self.octets(), at)
    }

    /// The octet where a line starts, counted from 1; `None` where there is no such line.
    pub(in crate::config) fn line_start(&self, line: usize) -> Option<usize> {
        self.lines().line_start(self.octets(), line)
    }

    fn lines(&self) -> &LineIndex {
        self.lines.get_or_init(|| LineIndex::new(self.octets()))
    }

    /// The octets, none where it cannot be read.
    pub fn octets(&self) -> &[u8] {
        self.content.as_ref().map_or(&[], |octets| octets)
    }
}

/// The path as text. Octets that are not UTF-8 are shown as numbers, so that two such names are not
/// shown as one.
fn path_text(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|octet| format!("\\x{octet:02x}")));
    }
    text
}
