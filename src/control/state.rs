//! The state directory: what must survive a restart. Every file is replaced whole, by rename; a file that cannot be read is
//! a warning and an empty start, one that cannot be written a warning and nothing more.

use std::{
    collections::HashMap,
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};

use crate::{
    dns::Name,
    health::saved::{self, SavedKey, SavedVerdict},
};

const VERDICTS: &str = "verdicts.json";
const SERIALS: &str = "serials.json";
const COOKIE_KEY: &str = "cookie.key";
/// No file here is ever larger; one that is, is not ours.
const MAX_OCTETS: u64 = 64 << 20;

/// The state directory.
#[derive(Debug)]
pub struct StateDirectory {
    path: PathBuf,
    /// Whether the last write failed: the next failure is not said again.
    is_failing: bool,
}

/// A zone's serial and the content it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedSerial {
    /// Of the zone's records and services.
    pub content: u64,
    /// RFC 1982.
    pub serial: u32,
}

impl StateDirectory {
    /// Makes the directory where there is none. One that cannot be made or written is degraded to a warning.
    pub fn open(path: PathBuf) -> Self {
        let mut state = Self { path, is_failing: false };
        if let Err(error) = fs::create_dir_all(&state.path) {
            state.failed(&error);
        }
        state
    }

    /// The verdicts of an earlier life.
    pub fn verdicts(&self, now: i64) -> HashMap<SavedKey, SavedVerdict> {
        let Some(octets) = self.read(VERDICTS) else { return HashMap::new() };
        saved::decode(&octets, now).unwrap_or_else(|error| {
            tracing::warn!(file = %self.path.join(VERDICTS).display(), %error, "saved verdicts not used; all start unknown");
            HashMap::new()
        })
    }

    /// Keeps the verdicts for the next life.
    pub fn save_verdicts(&mut self, verdicts: impl IntoIterator<Item = (SavedKey, SavedVerdict)>, now: i64) {
        self.write(VERDICTS, saved::encode(verdicts, now).as_bytes());
    }

    /// The serials that zones had, by apex.
    pub fn serials(&self) -> HashMap<Name, SavedSerial> {
        let Some(octets) = self.read(SERIALS) else { return HashMap::new() };
        match serde_json::from_slice::<HashMap<String, SavedSerial>>(&octets) {
            Ok(serials) => {
                serials.into_iter().filter_map(|(apex, serial)| Some((apex.parse().ok()?, serial))).collect()
            }
            Err(error) => {
                let file = self.path.join(SERIALS);
                tracing::warn!(file = %file.display(), %error, "saved serials not used; they start from file times");
                HashMap::new()
            }
        }
    }

    /// Keeps the serials for the next life.
    pub fn save_serials(&mut self, serials: &HashMap<Name, SavedSerial>) {
        let texts: std::collections::BTreeMap<String, SavedSerial> =
            serials.iter().map(|(apex, serial)| (apex.to_string(), *serial)).collect();
        match serde_json::to_vec(&texts) {
            Ok(octets) => self.write(SERIALS, &octets),
            Err(error) => tracing::warn!(%error, "serials not saved"),
        }
    }

    /// The key of server cookies: the one at hand, or a new one from the system's randomness, which is kept.
    pub fn cookie_key(&mut self) -> [u8; 16] {
        if let Some(key) = self.read(COOKIE_KEY).and_then(|octets| octets.try_into().ok()) {
            return key;
        }
        let mut key = [0; 16];
        if fs::File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut key)).is_err() {
            key = u128::from(fastrand::u64(..)).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_ne_bytes();
        }
        self.write(COOKIE_KEY, &key);
        key
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        let path = self.path.join(name);
        match read_bounded(&path) {
            Ok(octets) => Some(octets),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "state file not read");
                None
            }
        }
    }

    fn write(&mut self, name: &str, octets: &[u8]) {
        match replace(&self.path.join(name), octets) {
            Ok(()) => self.is_failing = false,
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&mut self, error: &io::Error) {
        if !self.is_failing {
            let directory = self.path.display();
            tracing::warn!(%directory, %error, "state is not saved: a restart will start without it");
        }
        self.is_failing = true;
    }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    // A link is not followed and a device not read: the directory may be writable by others.
    let found = fs::symlink_metadata(path)?;
    if !found.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    if found.len() > MAX_OCTETS {
        return Err(io::Error::other(format!("{} octets; at most {MAX_OCTETS} are read", found.len())));
    }
    let mut octets = Vec::new();
    fs::File::open(path)?.take(MAX_OCTETS).read_to_end(&mut octets)?;
    Ok(octets)
}

/// Replaces a file by one that is whole and on the disk. Where that fails, the old one stays and nothing is left over.
pub(super) fn replace(path: &Path, octets: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::other("not a file name"))?.to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let written = write_new(&temporary, octets, path).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn write_new(temporary: &Path, octets: &[u8], model: &Path) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    // What a crash left behind; `create_new` then follows no link.
    let _ = fs::remove_file(temporary);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary)?;
    file.write_all(octets)?;
    if let Ok(found) = fs::symlink_metadata(model)
        && found.is_file()
    {
        file.set_permissions(found.permissions())?;
    }
    file.sync_all()
}

/// Seconds since 1970-01-01T00:00:00Z.
pub fn unix_now() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_read_back_and_leaves_no_partial_file() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = StateDirectory::open(directory.path().join("state"));
        let key = state.cookie_key();
        assert_eq!(state.cookie_key(), key);
        let serials = HashMap::from([("example.com".parse().unwrap(), SavedSerial { content: 7, serial: 9 })]);
        state.save_serials(&serials);
        assert_eq!(state.serials(), serials);
        let names: Vec<_> =
            fs::read_dir(directory.path().join("state")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(names.iter().all(|name| !name.to_string_lossy().ends_with(".tmp")), "{names:?}");
    }

    #[test]
    fn garbage_links_and_giants_are_not_taken_for_state() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDirectory::open(directory.path().to_owned());
        fs::write(directory.path().join(VERDICTS), b"{\"version\":1,").unwrap();
        assert!(state.verdicts(0).is_empty());
        std::os::unix::fs::symlink("/etc/hostname", directory.path().join(SERIALS)).unwrap();
        assert!(state.serials().is_empty());
        fs::File::create(directory.path().join(COOKIE_KEY)).unwrap().set_len(1 << 30).unwrap();
        assert!(state.read(COOKIE_KEY).is_none());
    }

    #[test]
    fn an_unwritable_directory_is_survived() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, b"").unwrap();
        let mut state = StateDirectory::open(file.join("state"));
        state.save_serials(&HashMap::new());
        assert!(state.verdicts(0).is_empty());
    }
}
