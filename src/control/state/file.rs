//! One file of the state directory: read within bounds, replaced as a whole.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use crate::config::with_spare_descriptors;

pub(super) fn read_bounded(path: &Path, most_octets: u64) -> io::Result<Vec<u8>> {
    // A link is not followed and a device not read: the directory may be writable by others.
    let found = fs::symlink_metadata(path)?;
    if !found.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    if found.len() > most_octets {
        return Err(io::Error::other(format!("{} octets; at most {most_octets} are read", found.len())));
    }
    let mut octets = Vec::with_capacity(found.len() as usize);
    with_spare_descriptors(|| fs::File::open(path))?.take(most_octets).read_to_end(&mut octets)?;
    Ok(octets)
}

/// Replaces a file by one that is whole and on the disk, with what `write` writes. Where that fails, the old one stays and nothing is
/// left over.
pub(super) fn replace_by(path: &Path, write: impl FnOnce(&mut fs::File) -> io::Result<()>) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::other("not a file name"))?.to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let written = write_new(&temporary, path, write).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn write_new(temporary: &Path, model: &Path, write: impl FnOnce(&mut fs::File) -> io::Result<()>) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    // What a crash left behind; `create_new` then follows no link.
    let _ = fs::remove_file(temporary);
    let create = || fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary);
    let mut file = with_spare_descriptors(create)?;
    write(&mut file)?;
    if let Ok(found) = fs::symlink_metadata(model)
        && found.is_file()
    {
        file.set_permissions(found.permissions())?;
    }
    file.sync_all()
}
