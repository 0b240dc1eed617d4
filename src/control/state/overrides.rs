//! The file of overrides. Unlike the other state, it is saved before an operator gets a reply: an
//! override that a restart would lose is refused. The previous version stays beside it, for the
//! case that the file is damaged.

use std::{
    fs::{self, File},
    io::{self, Write},
};

use super::{
    StateDirectory, directory, file,
    override_names::{DAMAGED_OVERRIDES, OVERRIDES, PREVIOUS_OVERRIDES},
};
use crate::{
    control::{
        overrides::{self, StoredOverrideSet},
        remedy,
    },
    files::{self, SymlinkPolicy},
    listing,
    steer::OverrideSet,
};

/// The maximum size of the file. This program never writes a larger one.
const MAX_OVERRIDE_OCTETS: u64 = 64 << 20;

impl StateDirectory {
    /// The overrides of a previous run. A damaged file is kept under another name, and the version
    /// before it is used.
    pub(in crate::control) fn overrides(&self) -> StoredOverrideSet {
        let path = self.path.join(OVERRIDES);
        let error = match self.read_overrides(OVERRIDES) {
            Ok(Some(set)) => return StoredOverrideSet { set, fault: None },
            Ok(None) => return StoredOverrideSet::default(),
            Err(error) => error,
        };
        // The file stays where it is if it cannot be renamed; the next save replaces it.
        let _ = fs::rename(&path, self.path.join(DAMAGED_OVERRIDES));
        let set = self.read_overrides(PREVIOUS_OVERRIDES).ok().flatten().unwrap_or_default();
        let in_force = match set.len() {
            0 => "no override is in force".to_owned(),
            count => format!(
                "{} of the version before are in force",
                listing::counted(count, "override")
            ),
        };
        let fault = format!(
            "the overrides of the previous run are lost, since {} cannot be used: {error}; it is kept as {DAMAGED_OVERRIDES}, and \
             {in_force} (help: compare with `portolan status`, and set what is missing again)",
            path.display()
        );
        tracing::error!(file = %path.display(), %error, in_force = set.len(), "overrides lost: the file is damaged");
        StoredOverrideSet { set, fault: Some(fault) }
    }

    fn read_overrides(&self, name: &str) -> Result<Option<OverrideSet>, String> {
        let octets = files::read(&self.path.join(name), SymlinkPolicy::Refuse, MAX_OVERRIDE_OCTETS);
        match octets {
            Ok(octets) => overrides::decode(&octets).map(Some).map_err(|error| error.to_string()),
            // Without a directory nothing was saved.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error.to_string()),
        }
    }

    /// Saves the overrides, and returns once they are on the disk.
    ///
    /// # Errors
    /// They cannot be saved for this reason, with its remedy. The file stays as it was.
    pub(in crate::control) fn save_overrides(&self, set: &OverrideSet) -> Result<(), String> {
        let written = self.write_overrides(set);
        files::replenish_descriptors();
        match written {
            Ok(()) => {
                self.save_failures.record(OVERRIDES, Ok(()));
                Ok(())
            }
            Err(error) => Err(format!(
                "{}: {error} (help: {})",
                self.path.join(OVERRIDES).display(),
                remedy::write_remedy(&error)
            )),
        }
    }

    /// Saves the overrides again, where no operator waits: a failure is shown, and the save is
    /// repeated.
    pub(in crate::control) fn resave_overrides(&self, set: &OverrideSet) {
        if !self.stays_absent(OVERRIDES, set.is_empty()) {
            self.save_failures.record(OVERRIDES, self.write_overrides(set));
        }
    }

    fn write_overrides(&self, set: &OverrideSet) -> io::Result<()> {
        directory::create(&self.path)?;
        let path = self.path.join(OVERRIDES);
        let previous = self.path.join(PREVIOUS_OVERRIDES);
        let _ = fs::remove_file(&previous);
        // Without a link there is only no version before this one.
        let _ = fs::hard_link(&path, &previous);
        let octets = overrides::encode(set);
        file::replace_by(&path, |file| file.write_all(&octets))?;
        // The new name is on the disk once the directory is.
        File::open(&self.path)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steer::{Override, OverrideSubject, OverrideValue, ServingState};

    /// A set with a drain of each of these datacenters.
    fn drains(names: &[&str]) -> OverrideSet {
        let drain = |name: &&str| Override {
            subject: OverrideSubject::Datacenter((*name).into()),
            value: OverrideValue::State(ServingState::Draining),
            author: "anna".into(),
            peer: None,
            reason: None,
            set_at: 1_800_000_000,
            starts: None,
            ends: None,
            over: None,
            hold: None,
            accepted: Vec::new(),
        };
        names.iter().map(drain).collect()
    }

    #[test]
    fn a_damaged_file_is_kept_aside_and_the_version_before_it_is_used() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDirectory::open(directory.path().join("state"));
        assert_eq!((state.overrides().set, state.overrides().fault), (drains(&[]), None));
        state.save_overrides(&drains(&["fra"])).unwrap();
        state.save_overrides(&drains(&["fra", "iad"])).unwrap();
        assert_eq!(
            (state.overrides().set, state.overrides().fault),
            (drains(&["fra", "iad"]), None)
        );
        fs::write(state.path().join(OVERRIDES), b"{\"version\":1,\"ov").unwrap();
        let saved = state.overrides();
        assert_eq!(saved.set, drains(&["fra"]));
        let fault = saved.fault.unwrap();
        assert!(fault.contains("overrides.damaged") && fault.contains("1 override of"), "{fault}");
        assert!(state.path().join(DAMAGED_OVERRIDES).exists());
    }

    #[test]
    fn a_save_that_fails_leaves_the_file_as_it_was_and_names_the_remedy() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDirectory::open(directory.path().join("state"));
        state.save_overrides(&drains(&["fra"])).unwrap();
        let moved = directory.path().join("moved");
        fs::rename(state.path(), &moved).unwrap();
        fs::write(state.path(), b"in the way").unwrap();
        let error = state.save_overrides(&drains(&[])).unwrap_err();
        assert!(error.contains("(help: "), "{error}");
        fs::remove_file(state.path()).unwrap();
        fs::rename(&moved, state.path()).unwrap();
        assert_eq!(state.overrides().set, drains(&["fra"]));
    }
}
