//! A file of the state directory: replaced as a whole, and readable by the server's user alone.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use crate::files::with_reserved_descriptors;

/// The mode of the files: only the server's user has rights.
const MODE: u32 = 0o600;

/// Replaces a file by one of mode 0600 with what `write` writes, once that is on the disk. If
/// anything fails, the old file stays and no temporary file is left.
pub(super) fn replace_by(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let name =
        path.file_name().ok_or_else(|| io::Error::other("not a file name"))?.to_string_lossy();
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
    let process = found
        .strip_prefix('.')
        .and_then(|found| found.strip_prefix(name))
        .and_then(|found| found.strip_prefix('.'));
    let process =
        process.and_then(|rest| rest.strip_suffix(".tmp")).and_then(|process| process.parse().ok());
    process.is_some_and(|process| temporary_name(name, process) == found)
}

fn write_new(temporary: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    // A crash may have left a temporary file; `create_new` follows no link.
    let _ = fs::remove_file(temporary);
    let create = || OpenOptions::new().write(true).create_new(true).mode(MODE).open(temporary);
    let mut file = with_reserved_descriptors(create)?;
    // The umask may have removed rights of the user.
    file.set_permissions(fs::Permissions::from_mode(MODE))?;
    write(&mut file)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_has_mode_0600_whatever_the_old_mode_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cookie.key");
        fs::write(&path, b"old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        replace_by(&path, |file| io::Write::write_all(file, b"new")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn a_temporary_file_is_recognised_by_its_name() {
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
