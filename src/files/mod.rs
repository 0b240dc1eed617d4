//! Reads files within a bound: an endless device, a FIFO or a growing file is an error. A reserve
//! of descriptors keeps this possible while clients hold all others (`descriptor_reserve`). Layer
//! 5.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

mod descriptor_reserve;

pub use descriptor_reserve::{
    replenish_descriptors, reserve_descriptors, with_reserved_descriptors,
};

/// Whether a file may be named by a symbolic link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SymlinkPolicy {
    /// The file that it leads to is read.
    Follow,
    /// It is an error: another user may have put it there.
    Refuse,
}

/// Opens a regular file, and says what was opened. Waits for nothing but the disk.
///
/// # Errors
/// An error of the system, or the file is not a regular one, or a link where these are refused.
pub fn open(path: &Path, links: SymlinkPolicy) -> io::Result<(File, Metadata)> {
    // To open anything else may block or have an effect. If it replaces the file after this check,
    // O_NONBLOCK keeps the opening from blocking, and the opened file is checked again.
    let (found, no_link) = match links {
        SymlinkPolicy::Follow => (fs::metadata(path)?, 0),
        SymlinkPolicy::Refuse => (fs::symlink_metadata(path)?, libc::O_NOFOLLOW),
    };
    require_regular(&found)?;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | no_link);
    let file = with_reserved_descriptors(|| options.open(path))?;
    let found = file.metadata()?;
    require_regular(&found)?;
    Ok((file, found))
}

fn require_regular(found: &Metadata) -> io::Result<()> {
    match found.file_type() {
        kind if kind.is_file() => Ok(()),
        kind if kind.is_symlink() => {
            Err(io::Error::other("it is a symbolic link, which is not followed here"))
        }
        _ => Err(io::Error::other("it is not a regular file")),
    }
}

/// The octets of a regular file, of which there are `most_octets` at most.
///
/// # Errors
/// An error of [`open`], or the file is longer than `most_octets`.
pub fn read(path: &Path, links: SymlinkPolicy, most_octets: u64) -> io::Result<Vec<u8>> {
    let (file, found) = open(path, links)?;
    read_opened(file, &found, most_octets)
}

/// The octets of a file that [`open`] opened.
///
/// # Errors
/// An error of the system, or the file is longer than `most_octets`.
pub fn read_opened(file: File, found: &Metadata, most_octets: u64) -> io::Result<Vec<u8>> {
    let too_long = || io::Error::other(format!("it has more than {most_octets} octets"));
    if found.len() > most_octets {
        return Err(too_long());
    }
    let mut octets = Vec::with_capacity(found.len() as usize);
    file.take(most_octets.saturating_add(1)).read_to_end(&mut octets)?;
    if octets.len() as u64 > most_octets { Err(too_long()) } else { Ok(octets) }
}

/// As [`read`], for text.
///
/// # Errors
/// An error of [`read`], or the file is not UTF-8.
pub fn read_text(path: &Path, most_octets: u64) -> io::Result<String> {
    String::from_utf8(read(path, SymlinkPolicy::Follow, most_octets)?)
        .map_err(|_| io::Error::other("it is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read(&path, SymlinkPolicy::Refuse, 5).unwrap(), b"12345");
        assert_eq!(read_text(&path, 9).unwrap(), "12345");
        assert_eq!(
            read(&path, SymlinkPolicy::Follow, 4).unwrap_err().to_string(),
            "it has more than 4 octets"
        );
    }

    #[test]
    fn a_device_without_an_end_and_a_fifo_without_a_writer_are_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        for path in [Path::new("/dev/zero"), &fifo, directory.path()] {
            let error = read(path, SymlinkPolicy::Follow, 9).unwrap_err();
            assert_eq!(error.to_string(), "it is not a regular file", "{}", path.display());
        }
    }

    #[test]
    fn a_link_is_followed_only_where_that_is_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let (path, link) = (directory.path().join("file"), directory.path().join("link"));
        fs::write(&path, "12345").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(read(&link, SymlinkPolicy::Follow, 5).unwrap(), b"12345");
        assert!(
            read(&link, SymlinkPolicy::Refuse, 5)
                .unwrap_err()
                .to_string()
                .contains("symbolic link")
        );
    }
}
