//! Resolves symbolic links, and records the links on the way.
//!
//! Links are followed wherever they lead, except for links that every user of the host may replace:
//! such a user could choose what the server answers.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Component, Path, PathBuf},
};

use super::read_error::SourceReadError;

/// The maximum number of links that are followed for one path; the kernel has the same bound.
const MAX_LINKS: usize = 40;

/// The path without links that `path` leads to. Every link on the way is added to `passed`, by its
/// own path without links.
///
/// # Errors
/// Nothing exists at the path, the links form a cycle, or every user may replace one of them.
pub(super) fn resolve(
    path: &Path,
    passed: &mut BTreeSet<PathBuf>,
) -> Result<PathBuf, SourceReadError> {
    let mut rest = steps(&std::path::absolute(path)?);
    let (mut real, mut links) = (PathBuf::from("/"), 0);
    while let Some(step) = rest.pop() {
        let PathStep::Down(name) = step else {
            step.apply_to(&mut real);
            continue;
        };
        let entry = real.join(name);
        if !fs::symlink_metadata(&entry)?.is_symlink() {
            real = entry;
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(io::Error::from_raw_os_error(libc::ELOOP).into());
        }
        if is_world_writable(&real) {
            return Err(SourceReadError::UnsafeLink(real));
        }
        rest.extend(steps(&fs::read_link(&entry)?));
        passed.insert(entry);
    }
    Ok(real)
}

/// One step on the way from the root to a file.
enum PathStep {
    ToRoot,
    Up,
    Down(OsString),
}

impl PathStep {
    fn apply_to(self, from: &mut PathBuf) {
        match self {
            Self::ToRoot => *from = PathBuf::from("/"),
            Self::Up => _ = from.pop(),
            Self::Down(name) => from.push(name),
        }
    }
}

/// The steps of a path, in reverse order.
fn steps(path: &Path) -> Vec<PathStep> {
    let step = |component| match component {
        Component::RootDir | Component::Prefix(_) => Some(PathStep::ToRoot),
        Component::CurDir => None,
        Component::ParentDir => Some(PathStep::Up),
        Component::Normal(name) => Some(PathStep::Down(name.to_owned())),
    };
    let mut steps: Vec<PathStep> = path.components().filter_map(step).collect();
    steps.reverse();
    steps
}

/// Whether every user may replace entries of this directory: it is writable for others, without the
/// sticky bit.
fn is_world_writable(directory: &Path) -> bool {
    const OTHERS_WRITE: u32 = 0o002;
    const STICKY: u32 = 0o1000;
    fs::metadata(directory)
        .is_ok_and(|found| found.mode() & (OTHERS_WRITE | STICKY) == OTHERS_WRITE)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_path_is_resolved_as_by_the_system_and_every_link_on_it_is_recorded() {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        fs::create_dir_all(root.join("releases/1/zones")).unwrap();
        symlink("releases/1", root.join("current")).unwrap();
        symlink(root.join("current/../1/zones"), root.join("zones")).unwrap();
        let mut passed = BTreeSet::new();
        let real = resolve(&root.join("./zones/../zones"), &mut passed).unwrap();
        assert_eq!(real, fs::canonicalize(root.join("zones")).unwrap());
        assert_eq!(passed, BTreeSet::from([root.join("current"), root.join("zones")]));
    }

    #[test]
    fn a_cycle_of_links_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        symlink("b", directory.path().join("a")).unwrap();
        symlink("a", directory.path().join("b")).unwrap();
        let error = resolve(&directory.path().join("a"), &mut BTreeSet::new()).unwrap_err();
        assert!(matches!(error, SourceReadError::Io(Some(libc::ELOOP), _)), "{error}");
    }
}
