//! Segments: numbered files of lines in one directory. The last one is appended to. A full one is
//! followed by another, and the oldest are removed.
//!
//! Invariant: what [`Segments::append`] could not write whole is cut off again before the next
//! write, so that a file never has half a line before another one.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use crate::files::with_reserved_descriptors;

const EXTENSION: &str = ".jsonl";
const DAMAGED_EXTENSION: &str = ".damaged";
/// The maximum number of damaged files that are kept.
const MAX_DAMAGED_FILES: usize = 4;

/// How large the files may be.
#[derive(Debug, Clone, Copy)]
pub(in crate::control) struct SegmentLimits {
    /// A file of this size is followed by another one.
    pub segment_octets: u64,
    /// All files together have at most this size, and the last one in any case.
    pub total_octets: u64,
}

/// Where the next line goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::control) struct SegmentPosition {
    /// The number of the last file.
    pub number: u32,
    /// The octets of the last file that are whole lines.
    pub octets: u64,
}

/// The files, of which the last is open for appending.
#[derive(Debug)]
pub(in crate::control) struct Segments {
    directory: PathBuf,
    limits: SegmentLimits,
    position: SegmentPosition,
    /// The last file; `None` before the first write, and after one that failed.
    file: Option<File>,
    is_dirty: bool,
}

impl Segments {
    /// Appends at `position`. Nothing is opened before the first write.
    pub(in crate::control) fn at(
        directory: PathBuf,
        limits: SegmentLimits,
        position: SegmentPosition,
    ) -> Self {
        Self { directory, limits, position, file: None, is_dirty: false }
    }

    /// Whether the last file is full, so that [`Segments::rotate`] should come before more lines.
    pub(in crate::control) fn is_full(&self) -> bool {
        self.position.octets >= self.limits.segment_octets
    }

    /// The octets of the last file.
    pub(in crate::control) fn octets(&self) -> u64 {
        self.position.octets
    }

    /// Whether the last file was removed since it was opened.
    pub(in crate::control) fn is_gone(&self) -> bool {
        self.file.is_some() && !path_of(&self.directory, self.position.number).is_file()
    }

    /// Begins another file, and removes the oldest ones.
    pub(in crate::control) fn rotate(&mut self) {
        // A failure to reach the disk is found again by the next write.
        let _ = self.sync();
        self.file = None;
        self.position = SegmentPosition { number: self.position.number + 1, octets: 0 };
        self.prune();
    }

    /// Appends whole lines.
    ///
    /// # Errors
    /// None of the lines is in the file.
    pub(in crate::control) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.is_gone() {
            // An operator removed the directory or the file: the lines go to a new one.
            self.file = None;
            self.position = SegmentPosition { number: self.position.number + 1, octets: 0 };
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(open(&self.directory, self.position)?),
        };
        match file.write_all(lines) {
            Ok(()) => {
                self.position.octets += lines.len() as u64;
                self.is_dirty = true;
                Ok(())
            }
            Err(error) => {
                let _ = file.set_len(self.position.octets);
                self.file = None;
                Err(error)
            }
        }
    }

    /// Whether lines were written that may not be on the disk yet.
    pub(in crate::control) fn is_dirty(&self) -> bool {
        self.is_dirty
    }

    /// Waits until all lines are on the disk.
    pub(in crate::control) fn sync(&mut self) -> io::Result<()> {
        let outcome = self.file.as_ref().map_or(Ok(()), File::sync_data);
        self.is_dirty = outcome.is_err();
        outcome
    }

    /// Removes the oldest files beyond the limit.
    fn prune(&self) {
        let mut total = 0;
        for (number, path) in list(&self.directory).into_iter().rev() {
            total += path.metadata().map_or(0, |found| found.len());
            let is_excess = total > self.limits.total_octets && number != self.position.number;
            // The next rotation tries again.
            let _ = if is_excess { fs::remove_file(path) } else { Ok(()) };
        }
    }
}

/// Opens the file at `position`, cut to its whole lines.
fn open(directory: &Path, position: SegmentPosition) -> io::Result<File> {
    let path = path_of(directory, position.number);
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    let mut opened = with_reserved_descriptors(|| options.open(&path));
    if opened.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        // The umask may have removed rights of the user.
        fs::set_permissions(directory, Permissions::from_mode(0o700))?;
        opened = with_reserved_descriptors(|| options.open(&path));
    }
    let file = opened?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    let length = file.metadata()?.len();
    if length < position.octets {
        return Err(io::Error::other(format!("{} became shorter", path.display())));
    }
    if length > position.octets {
        file.set_len(position.octets)?;
    }
    Ok(file)
}

/// The path of the file with this number.
fn path_of(directory: &Path, number: u32) -> PathBuf {
    directory.join(format!("{number:04}{EXTENSION}"))
}

/// The files in order of their numbers. A directory that cannot be listed has none.
pub(in crate::control) fn list(directory: &Path) -> Vec<(u32, PathBuf)> {
    let mut found: Vec<(u32, PathBuf)> = entries(directory)
        .filter_map(|(name, path)| Some((name.strip_suffix(EXTENSION)?.parse().ok()?, path)))
        .collect();
    found.sort_unstable();
    found
}

/// The damaged files that were set aside, the oldest first.
pub(in crate::control) fn list_damaged(directory: &Path) -> Vec<PathBuf> {
    let is_damaged = |(name, _): &(String, PathBuf)| name.ends_with(DAMAGED_EXTENSION);
    let mut found: Vec<PathBuf> =
        entries(directory).filter(is_damaged).map(|(_, path)| path).collect();
    found.sort_unstable();
    found
}

fn entries(directory: &Path) -> impl Iterator<Item = (String, PathBuf)> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
}

/// Sets a damaged file aside under another name, and returns its new path. Of such files the latest
/// are kept.
///
/// # Errors
/// The directory cannot be written to.
pub(in crate::control) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(DAMAGED_EXTENSION);
    let aside = PathBuf::from(aside);
    fs::rename(path, &aside)?;
    let others = path.parent().map(list_damaged).unwrap_or_default();
    let excess = others.len().saturating_sub(MAX_DAMAGED_FILES);
    for oldest in others.iter().filter(|other| **other != aside).take(excess) {
        let _ = fs::remove_file(oldest);
    }
    Ok(aside)
}
