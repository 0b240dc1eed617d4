//! One file of the state directory: read within bounds, replaced as a whole.
//!
//! The directory may be writable by other users, in spite of all warnings: a link is not followed, and nothing but a regular
//! file is read. That is decided on the opened file, so that it cannot be exchanged in between.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use crate::config::with_spare_descriptors;

/// The server's user alone.
const MODE: u32 = 0o600;

/// The octets of a regular file that is no link.
///
/// # Errors
/// The system's, or what is in the file's place, or that it has more octets than `most_octets`.
pub(super) fn read_bounded(path: &Path, most_octets: u64) -> io::Result<Vec<u8>> {
    // Without O_NONBLOCK a FIFO that nothing writes to would never be opened.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let open = || OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = with_spare_descriptors(open).map_err(|error| match error.raw_os_error() {
        Some(libc::ELOOP) => io::Error::other("a symbolic link, which is not followed here"),
        _ => error,
    })?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let too_large = |octets: u64| io::Error::other(format!("{octets} octets; at most {most_octets} are read"));
    if found.len() > most_octets {
        return Err(too_large(found.len()));
    }
    let mut octets = Vec::with_capacity(usize::try_from(found.len()).unwrap_or_default());
    file.take(most_octets.saturating_add(1)).read_to_end(&mut octets)?;
    match octets.len() as u64 {
        grown if grown > most_octets => Err(too_large(grown)),
        _ => Ok(octets),
    }
}

/// Replaces a file by one of mode 0600 that is whole and on the disk, with what `write` writes. Where that fails, the old one
/// stays and nothing is left over.
pub(super) fn replace_by(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::other("not a file name"))?.to_string_lossy();
    let temporary = path.with_file_name(temporary_name(&name, std::process::id()));
    let written = write_new(&temporary, write).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn temporary_name(name: &str, process: u32) -> String {
    format!(".{name}.{process}.tmp")
}

/// Whether `found` is the name of a temporary file that a process made for the file `name`.
pub(super) fn is_temporary_of(found: &str, name: &str) -> bool {
    let process =
        found.strip_prefix('.').and_then(|found| found.strip_prefix(name)).and_then(|found| found.strip_prefix('.'));
    let process = process.and_then(|rest| rest.strip_suffix(".tmp")).and_then(|process| process.parse().ok());
    process.is_some_and(|process| temporary_name(name, process) == found)
}

fn write_new(temporary: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    // What a crash left behind; `create_new` then follows no link.
    let _ = fs::remove_file(temporary);
    let create = || OpenOptions::new().write(true).create_new(true).mode(MODE).open(temporary);
    let mut file = with_spare_descriptors(create)?;
    // The umask may have taken away the user's own rights.
    file.set_permissions(fs::Permissions::from_mode(MODE))?;
    write(&mut file)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn only_a_regular_file_of_bounded_size_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("file"), b"12345678").unwrap();
        std::os::unix::fs::symlink(at("file"), at("link")).unwrap();
        assert!(Command::new("mkfifo").arg(at("fifo")).status().unwrap().success());
        fs::create_dir(at("directory")).unwrap();
        assert_eq!(read_bounded(&at("file"), 8).unwrap(), b"12345678");
        for (name, most, wanted, why) in [
            ("file", 7, "8 octets; at most 7", "one octet more"),
            ("link", 8, "a symbolic link", "a link, even to a file that could be read"),
            ("fifo", 8, "not a regular file", "a FIFO, which nothing writes to"),
            ("directory", 8, "not a regular file", "a directory"),
            ("missing", 8, "No such file", "nothing"),
        ] {
            let error = read_bounded(&at(name), most).unwrap_err().to_string();
            assert!(error.contains(wanted), "{why}: {error}");
        }
        let error = read_bounded(Path::new("/dev/zero"), 8).unwrap_err().to_string();
        assert_eq!(error, "not a regular file", "a device without end");
    }

    #[test]
    fn a_file_is_the_users_alone_whatever_the_one_before_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cookie.key");
        fs::write(&path, b"old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        replace_by(&path, |file| io::Write::write_all(file, b"new")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn a_temporary_file_is_known_by_its_name() {
        for (found, is_temporary) in [
            (".serials.json.4711.tmp", true),
            (".serials.json.tmp", false),
            (".serials.json.x.tmp", false),
            (".serials.json.04711.tmp", false),
            ("serials.json.4711.tmp", false),
            (".aliases.json.4711.tmp", false),
        ] {
            assert_eq!(is_temporary_of(found, "serials.json"), is_temporary, "{found}");
        }
    }
}
