//! The state directory itself: made with mode 0700, and no other user's to write.
//!
//! Files in it are trusted, and the key of cookies is secret. So a directory with wider rights is
//! tightened where all that it holds is of this program. One that holds anything else may be shared
//! on purpose (`state = "."`, `/tmp`): it stays as it is, and a warning names the remedy if others
//! can write to it.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
};

use crate::files::{self, SymlinkPolicy};

/// The server's user alone.
const MODE: u32 = 0o700;
/// Rights of the group and of others.
const GROUP_AND_OTHER_BITS: u32 = 0o077;
/// Their right to write.
const GROUP_AND_OTHER_WRITE_BITS: u32 = 0o022;

/// Makes the directory where there is none, with mode 0700
/// whatever the umask; directories above it with the usual mode.
pub(super) fn create(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent() {
        fs::create_dir_all(above)?;
    }
    match DirBuilder::new().mode(MODE).create(path) {
        // The umask may have taken away the user's own rights.
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(MODE)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Takes away the rights of other users, if each file in it is one that `is_ours` knows by name.
pub(super) fn restrict_mode(path: &Path, is_ours: &dyn Fn(&str) -> bool) {
    let Ok(found) = fs::metadata(path) else { return };
    let mode = found.permissions().mode() & 0o7777;
    if mode & GROUP_AND_OTHER_BITS == 0 {
        return;
    }
    let tightened = match holds_only(path, is_ours) {
        Ok(true) => fs::set_permissions(path, Permissions::from_mode(MODE)),
        Ok(false) => Err(io::Error::other(
            "it holds files of other programs, so that its mode was not changed",
        )),
        Err(error) => Err(error),
    };
    let directory = path.display();
    match tightened {
        Ok(()) => {
            let previous_mode = format_args!("{mode:o}");
            tracing::info!(%directory, %previous_mode, "state directory mode changed to 0700");
        }
        Err(error) if mode & GROUP_AND_OTHER_WRITE_BITS != 0 => tracing::warn!(
            %directory,
            mode = %format_args!("{mode:o}"),
            %error,
            help = "let `state` in [server] name a directory of its own, owned by the server's user, with mode 0700",
            "state directory is writable by other users: health status, serials and cookie keys can be forged"
        ),
        // The files in it have mode 0600: what others can read is their names.
        Err(_) => {}
    }
}

/// Takes from other users whatever rights they have to our files: a copy or a restore may have
/// given them some.
pub(super) fn restrict_file_modes(path: &Path, is_ours: &dyn Fn(&str) -> bool) {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| is_ours(&entry.file_name().to_string_lossy())) {
        // A link, and a file that cannot be opened, is reported where it is read.
        let Ok((file, found)) = files::open(&entry.path(), SymlinkPolicy::Refuse) else { continue };
        let mode = found.permissions().mode() & 0o7777;
        if mode & GROUP_AND_OTHER_BITS != 0
            && file.set_permissions(Permissions::from_mode(0o600)).is_ok()
        {
            let previous_mode = format_args!("{mode:o}");
            tracing::warn!(file = %entry.path().display(), %previous_mode, "mode of a state file changed to 0600");
        }
    }
}

fn holds_only(path: &Path, is_ours: &dyn Fn(&str) -> bool) -> io::Result<bool> {
    for entry in fs::read_dir(path)? {
        if !is_ours(&entry?.file_name().to_string_lossy()) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn is_ours(name: &str) -> bool {
        name == "serials.json"
    }

    #[test]
    fn a_new_directory_is_the_users_alone_and_those_above_it_are_as_usual() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("above/state");
        create(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
        fs::create_dir(root.path().join("usual")).unwrap();
        assert_eq!(mode(path.parent().unwrap()), mode(&root.path().join("usual")));
        fs::set_permissions(&path, Permissions::from_mode(0o750)).unwrap();
        create(&path).unwrap();
        assert_eq!(mode(&path), 0o750, "to make it again changes nothing");
    }

    #[test]
    fn files_of_ours_with_wider_rights_are_tightened_and_no_others() {
        let root = tempfile::tempdir().unwrap();
        for name in ["serials.json", "zones"] {
            fs::write(root.path().join(name), "").unwrap();
            fs::set_permissions(root.path().join(name), Permissions::from_mode(0o644)).unwrap();
        }
        restrict_file_modes(root.path(), &is_ours);
        assert_eq!(
            [mode(&root.path().join("serials.json")), mode(&root.path().join("zones"))],
            [0o600, 0o644]
        );
    }

    #[test]
    fn a_directory_with_wider_rights_is_tightened_unless_it_holds_files_of_others() {
        for (name, expected, why) in [
            (None, 0o700, "empty"),
            (Some("serials.json"), 0o700, "ours"),
            (Some("zones"), 0o777, "a directory that is shared on purpose"),
        ] {
            let root = tempfile::tempdir().unwrap();
            name.iter().for_each(|name| fs::write(root.path().join(name), "").unwrap());
            fs::set_permissions(root.path(), Permissions::from_mode(0o777)).unwrap();
            restrict_mode(root.path(), &is_ours);
            assert_eq!(mode(root.path()), expected, "{why}");
        }
    }
}
