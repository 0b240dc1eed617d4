//! One file of a configuration, read into memory.

use std::{
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use super::{line_index::LineIndex, read_error::SourceReadError};
use crate::config::quoted::escaped;

/// A file of a configuration.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// The path of the file.
    pub path: PathBuf,
    /// The path as messages show it, without control sequences.
    pub shown: Box<str>,
    /// The time at which it was last changed; `None` where the system does not report it.
    pub modified: Option<SystemTime>,
    /// The use of the file in the configuration.
    pub role: FileRole,
    /// The octets, or the reason why it cannot be read. The octets are shared and never copied: by
    /// loads, by the last good set, by includes.
    pub content: Result<Arc<Vec<u8>>, SourceReadError>,
    /// The starts of its lines, computed when they are first needed.
    lines: OnceLock<LineIndex>,
}

/// The use of a file in a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileRole {
    /// The file of the server settings, `portolan.toml`.
    Settings,
    /// The zones directory itself. Also a directory below it that cannot be listed, and an entry
    /// whose kind cannot be determined: the zones in there are then unknown. `content` holds the
    /// reason.
    Directory,
    /// A file of tables: `*.toml` below the zones directory.
    Tables,
    /// Any other file below the zones directory, which may be a master file.
    Master,
    /// No file: it does not exist now, or a load leaves it out.
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

    /// A file with the given content.
    pub fn with_content(
        path: &Path,
        role: FileRole,
        modified: Option<SystemTime>,
        octets: Vec<u8>,
    ) -> Self {
        Self::new(path, role, modified, Ok(octets))
    }

    /// An entry for a file that does not exist.
    pub fn absent(path: &Path) -> Self {
        Self::new(path, FileRole::Absent, None, Ok(Vec::new()))
    }

    /// The line, from 1, of the octet at `offset`, and the octet at which the line starts.
    pub(in crate::config) fn line_at(&self, offset: usize) -> (usize, usize) {
        self.lines().line_at(self.octets(), offset)
    }

    /// The octet at which a line starts; lines count from 1. `None` where there is no such line.
    pub(in crate::config) fn line_start(&self, line: usize) -> Option<usize> {
        self.lines().line_start(self.octets(), line)
    }

    fn lines(&self) -> &LineIndex {
        self.lines.get_or_init(|| LineIndex::new(self.octets()))
    }

    /// The octets of the file; empty where it cannot be read.
    pub fn octets(&self) -> &[u8] {
        self.content.as_ref().map_or(&[], |octets| octets)
    }
}

/// The path as text. Octets that are not UTF-8 are shown as numbers, so that two such paths are
/// never shown alike.
fn path_text(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|octet| format!("\\x{octet:02x}")));
    }
    text
}
