//! Reads files up to a maximum size: an endless device, a FIFO or a growing file is an error. A
//! reserve of descriptors keeps this possible while clients' connections hold all others
//! (`descriptor_reserve`). Layer 6.

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

/// Whether the path of a file may be a symbolic link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SymlinkPolicy {
    /// The target of the link is read.
    Follow,
    /// A link is an error: another user may have put it there.
    Refuse,
}

/// Opens a regular file and returns it with its metadata. Waits only for the disk.
///
/// # Errors
/// An error of the system; the file is not a regular one; or it is a link and `links` refuses
/// links.
pub fn open(path: &Path, links: SymlinkPolicy) -> io::Result<(File, Metadata)> {
    // Opening anything but a regular file may block or have a side effect. If another file takes
    // its place after this check, O_NONBLOCK prevents blocking, and the opened file is checked
    // again.
    let (metadata, no_link) = match links {
        SymlinkPolicy::Follow => (fs::metadata(path)?, 0),
        SymlinkPolicy::Refuse => (fs::symlink_metadata(path)?, libc::O_NOFOLLOW),
    };
    require_regular(&metadata)?;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | no_link);
    let file = with_reserved_descriptors(|| options.open(path))?;
    let metadata = file.metadata()?;
    require_regular(&metadata)?;
    Ok((file, metadata))
}

fn require_regular(metadata: &Metadata) -> io::Result<()> {
    match metadata.file_type() {
        kind if kind.is_file() => Ok(()),
        kind if kind.is_symlink() => {
            Err(io::Error::other("it is a symbolic link, which is not followed here"))
        }
        _ => Err(io::Error::other("it is not a regular file")),
    }
}

/// The content of a regular file of at most `max_octets` octets.
///
/// # Errors
/// An error of [`open`], or the file is longer than `max_octets`.
pub fn read(path: &Path, links: SymlinkPolicy, max_octets: u64) -> io::Result<Vec<u8>> {
    let (file, metadata) = open(path, links)?;
    read_opened(file, &metadata, max_octets)
}

/// The content of a file that [`open`] opened.
///
/// # Errors
/// An error of the system, or the file is longer than `max_octets`.
pub fn read_opened(file: File, metadata: &Metadata, max_octets: u64) -> io::Result<Vec<u8>> {
    let too_long = || io::Error::other(format!("it has more than {max_octets} octets"));
    if metadata.len() > max_octets {
        return Err(too_long());
    }
    let mut octets = Vec::with_capacity(metadata.len() as usize);
    file.take(max_octets.saturating_add(1)).read_to_end(&mut octets)?;
    if octets.len() as u64 > max_octets { Err(too_long()) } else { Ok(octets) }
}

/// Like [`read`], for text; symbolic links are followed.
///
/// # Errors
/// An error of [`read`], or the file is not UTF-8.
pub fn read_text(path: &Path, max_octets: u64) -> io::Result<String> {
    String::from_utf8(read(path, SymlinkPolicy::Follow, max_octets)?)
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
    fn a_link_is_followed_only_if_the_caller_allows_it() {
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
