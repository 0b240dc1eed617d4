//! A file read within a bound. Layer 5.
//!
//! Whatever its name leads to: a device without an end, a FIFO that nobody writes to, a file that grows.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// The octets of a regular file, of which there are `most_octets` at most. Waits for nothing but the disk.
///
/// # Errors
/// The system's; or it is no regular file, or longer.
pub fn read(path: &Path, most_octets: u64) -> io::Result<Vec<u8>> {
    // Nothing else is opened, which may wait or do something.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut octets = Vec::with_capacity(found.len().min(most_octets) as usize);
    file.take(most_octets + 1).read_to_end(&mut octets)?;
    match octets.len() as u64 > most_octets {
        true => Err(io::Error::other(format!("it has more than {most_octets} octets"))),
        false => Ok(octets),
    }
}

/// As [`read`], for text.
///
/// # Errors
/// As [`read`]; or it is not UTF-8.
pub fn read_text(path: &Path, most_octets: u64) -> io::Result<String> {
    String::from_utf8(read(path, most_octets)?).map_err(|_| io::Error::other("it is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert_eq!(read_text(&path, 9).unwrap(), "12345");
        assert_eq!(read(&path, 4).unwrap_err().to_string(), "it has more than 4 octets");
    }

    #[test]
    fn a_device_without_an_end_and_a_fifo_without_a_writer_are_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        for path in [Path::new("/dev/zero"), &fifo, directory.path()] {
            assert_eq!(read(path, 9).unwrap_err().to_string(), "it is not a regular file", "{}", path.display());
        }
    }
}
