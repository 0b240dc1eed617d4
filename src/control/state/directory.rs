//! The state directory itself: created with mode 0700, so that no other user can write to it.
//!
//! Its files are trusted, and the cookie keys are secret. So the mode of a directory with wider
//! rights is set to 0700 if all of its files belong to this program. A directory with other files
//! may be shared on purpose (`state = "."`, `/tmp`): it stays as it is, and a warning names the
//! remedy if other users can write to it.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
};

use crate::files::{self, SymlinkPolicy};

/// The mode of the directory: only the server's user has rights.
const MODE: u32 = 0o700;
/// The rights of the group and of other users.
const GROUP_AND_OTHER_BITS: u32 = 0o077;
/// The right of the group and of other users to write.
const GROUP_AND_OTHER_WRITE_BITS: u32 = 0o022;

/// Creates the directory if there is none, with mode 0700 whatever the umask is. Directories above
/// it get the usual mode.
pub(super) fn create(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent() {
        fs::create_dir_all(above)?;
    }
    match DirBuilder::new().mode(MODE).create(path) {
        // The umask may have removed rights of the user.
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(MODE)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes the rights of other users, if `is_ours` holds for the name of each file in the
/// directory.
pub(super) fn restrict_mode(path: &Path, is_ours: &dyn Fn(&str) -> bool) {
    let Ok(found) = fs::metadata(path) else { return };
    let mode = found.permissions().mode() & 0o7777;
    if mode & GROUP_AND_OTHER_BITS == 0 {
        return;
    }
    let outcome = match holds_only(path, is_ours) {
        Ok(true) => fs::set_permissions(path, Permissions::from_mode(MODE)),
        Ok(false) => Err(io::Error::other(
            "it holds files of other programs, so that its mode was not changed",
        )),
        Err(error) => Err(error),
    };
    let directory = path.display();
    match outcome {
        Ok(()) => {
            let previous_mode = format_args!("{mode:o}");
            tracing::info!(%directory, %previous_mode, "state directory mode changed to 0700");
        }
        Err(error) if mode & GROUP_AND_OTHER_WRITE_BITS != 0 => tracing::warn!(
            %directory,
            mode = %format_args!("{mode:o}"),
            %error,
            help = "set `state` in [server] to a directory of its own, owned by the server's user, with mode 0700",
            "state directory is writable by other users: health status, serials and cookie keys can be forged"
        ),
        // Other users can read only the names of the files, which have mode 0600.
        Err(_) => {}
    }
}

/// Removes the rights of other users to the files of this program. A copy or a restore may have
/// added some.
pub(super) fn restrict_file_modes(path: &Path, is_ours: &dyn Fn(&str) -> bool) {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| is_ours(&entry.file_name().to_string_lossy())) {
        // Links, and files that cannot be opened, are reported when they are read.
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
    fn a_new_directory_has_mode_0700_and_its_parents_have_the_usual_mode() {
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
    fn only_state_files_with_wider_rights_get_mode_0600() {
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
    fn a_directory_with_wider_rights_gets_mode_0700_unless_it_has_other_files() {
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
