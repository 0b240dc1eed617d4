//! The state directory: what must survive a restart. Every file is replaced as a whole, by rename.
//! A file that cannot be read causes a warning, and the server starts without it. A file that
//! cannot be written causes a warning and another attempt.
//!
//! | file | step |
//! |---|---|
//! | `directory` | the directory and its rights: 0700 |
//! | `file` | one file: regular, bounded, 0600, whole |
//! | `documents` | the contents of the files |
//! | `overrides`, `override_names` | the file of overrides, and the version before it |
//! | `save_failures` | what could not be saved |

mod directory;
mod documents;
mod file;
mod override_names;
mod overrides;
mod save_failures;

use std::{
    collections::HashMap,
    fs,
    io::{self, Write},
    path::PathBuf,
    time::SystemTime,
};

pub(super) use self::documents::{SavedAlias, SavedSafety};
use self::{
    override_names::{DAMAGED_OVERRIDES, OVERRIDES, PREVIOUS_OVERRIDES},
    save_failures::SaveFailures,
};
use super::{
    clock::unix_ms,
    last_good::{self, LastGood, LastGoodOrigin},
    saved_serials::{Completeness, EarlierSerials, SavedSerial},
};
use crate::{
    demand::ObservedDemand,
    dns::Name,
    files::{self, SymlinkPolicy},
    health::saved::{self, SavedKey, SavedVerdict, SavedVerdicts},
    steer::{SavedFeedback, SavedRecovery},
};

const VERDICTS: &str = "verdicts.json";
const SERIALS: &str = "serials.json";
const ALIASES: &str = "aliases.json";
const FEEDBACK: &str = "steering.json";
const RECOVERIES: &str = "recoveries.json";
const SAFETY: &str = "safety.json";
const DEMAND: &str = "demand.json";
/// A file of observed demand that could not be used, kept for the operator.
const DAMAGED_DEMAND: &str = "demand.damaged";
/// The file of cookie keys.
pub(super) const COOKIE_KEY: &str = "cookie.key";
const LAST_GOOD: &str = "last-good";
/// The directory of the journal's files.
const JOURNAL: &str = "journal";
/// The directory of the history's files.
const HISTORY: &str = "history";
/// The file with the time at which a run ended that had saved all of its state. It does not exist
/// during a run.
const CLEAN_STOP: &str = "clean-stop";
/// The maximum size of a state file. This program never writes a larger one.
const MAX_OCTETS: u64 = 64 << 20;
/// The maximum size of the last good set. A configuration has at most 512 MiB; the rest is for its
/// description.
const MAX_LAST_GOOD_OCTETS: u64 = 768 << 20;

/// The state directory. Clones share the list of failures.
#[derive(Debug, Clone)]
pub struct StateDirectory {
    path: PathBuf,
    save_failures: SaveFailures,
}

impl StateDirectory {
    /// Opens the directory for a run, and creates it if there is none. A directory that cannot be
    /// created or written causes a warning.
    pub fn open(path: PathBuf) -> Self {
        let state = Self::read_only(path);
        state.save_failures.record("", directory::create(&state.path));
        directory::restrict_mode(&state.path, &is_ours);
        directory::restrict_file_modes(&state.path, &is_ours);
        // The saved serials are outdated if this run cannot save later ones.
        let _ = fs::remove_file(state.path.join(CLEAN_STOP));
        state
    }

    /// The directory for reading. It need not exist.
    pub fn read_only(path: PathBuf) -> Self {
        Self { save_failures: SaveFailures::of(&path), path }
    }

    /// The path of the state directory.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// The directory of the journal's files.
    pub(super) fn journal_directory(&self) -> PathBuf {
        self.path.join(JOURNAL)
    }

    /// The directory of the history's files.
    pub(super) fn history_directory(&self) -> PathBuf {
        self.path.join(HISTORY)
    }

    /// The files that could not be saved.
    pub(super) fn save_failures(&self) -> &SaveFailures {
        &self.save_failures
    }

    /// The last good set of a previous run, if it is whole and of `origin`.
    pub(super) fn last_good(&self, origin: &LastGoodOrigin) -> Option<LastGood> {
        let path = self.path.join(LAST_GOOD);
        let octets = match files::read(&path, SymlinkPolicy::Refuse, MAX_LAST_GOOD_OCTETS) {
            Ok(octets) => octets,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "the last good files are not read: a file with errors keeps the server from starting");
                return None;
            }
        };
        last_good::read_saved(octets, origin)
            .inspect_err(|error| {
                tracing::warn!(file = %path.display(), %error, "the last good files are not used: a file with errors keeps the server from starting");
            })
            .ok()
    }

    /// Saves the last good set. This may take seconds, and must not block the controller's task.
    pub(super) fn save_last_good(&self, set: &LastGood, origin: &LastGoodOrigin) {
        self.replace(LAST_GOOD, |to| last_good::write_saved(set, origin, to));
    }

    /// The verdicts of a previous run.
    pub fn verdicts(&self, now: i64) -> SavedVerdicts {
        let decode = |octets: &[u8]| saved::decode(octets, now);
        self.decoded(VERDICTS, "all endpoints start as unknown", decode).unwrap_or_default()
    }

    /// Saves the verdicts for the next run.
    pub fn save_verdicts(
        &mut self,
        verdicts: impl IntoIterator<Item = (SavedKey, SavedVerdict)>,
        now: i64,
    ) {
        self.write(VERDICTS, saved::encode(verdicts, now).as_bytes());
    }

    /// The serials that zones had. `None` if they are lost, or none was ever saved.
    pub(super) fn serials(&self) -> Option<EarlierSerials> {
        let decode = |octets: &[u8]| serde_json::from_slice(octets);
        let serials: HashMap<String, SavedSerial> =
            self.decoded(SERIALS, "new serials follow the clock", decode)?;
        let stopped = self
            .read(CLEAN_STOP)
            .and_then(|octets| std::str::from_utf8(&octets).ok()?.trim().parse().ok());
        let serials =
            serials.into_iter().filter_map(|(apex, serial)| Some((apex.parse().ok()?, serial)));
        let completeness = stopped.map_or(Completeness::Unknown, Completeness::CompleteUntil);
        Some(EarlierSerials { serials: serials.collect(), completeness })
    }

    /// Saves the serials for the next run.
    pub fn save_serials(&mut self, serials: &HashMap<Name, SavedSerial>) {
        // The file may have been impossible to remove at the start.
        let _ = fs::remove_file(self.path.join(CLEAN_STOP));
        let texts: std::collections::BTreeMap<String, SavedSerial> =
            serials.iter().map(|(apex, serial)| (apex.to_string(), *serial)).collect();
        match serde_json::to_vec(&texts) {
            Ok(octets) => self.write(SERIALS, &octets),
            Err(error) => tracing::warn!(%error, "serials not saved"),
        }
    }

    /// Ramps and holders of a previous run.
    pub fn feedback(&self) -> SavedFeedback {
        self.decoded(
            FEEDBACK,
            "ramps and failovers start as configured",
            documents::decode_feedback,
        )
        .unwrap_or_default()
    }

    /// Whether a file does not exist and has nothing to save. Then it is neither unsaved nor lost.
    fn stays_absent(&self, name: &str, is_empty: bool) -> bool {
        let stays_absent = is_empty && !self.path.join(name).exists();
        if stays_absent {
            self.save_failures.forget(name);
        }
        stays_absent
    }

    /// Saves ramps and holders for the next run. Without any, no file is created.
    pub fn save_feedback(&mut self, saved: &SavedFeedback) {
        if !self.stays_absent(FEEDBACK, *saved == SavedFeedback::default()) {
            self.write(FEEDBACK, &documents::encode_feedback(saved));
        }
    }

    /// The recoveries of a previous run that would still be in progress.
    pub fn recoveries(&self, now: SystemTime) -> Vec<SavedRecovery> {
        let decode = |octets: &[u8]| documents::decode_recoveries(octets, unix_ms(now));
        self.decoded(RECOVERIES, "members that are up get all clients", decode).unwrap_or_default()
    }

    /// Saves the recoveries in progress for the next run. Without any, no file is created.
    pub fn save_recoveries(&mut self, saved: Vec<SavedRecovery>, now: SystemTime) {
        if !self.stays_absent(RECOVERIES, saved.is_empty()) {
            self.write(RECOVERIES, &documents::encode_recoveries(saved, unix_ms(now)));
        }
    }

    /// What the safety rules of a previous run remembered.
    pub(super) fn safety(&self) -> SavedSafety {
        self.decoded(
            SAFETY,
            "no datacenter is held against its health checks, and nothing has moved before",
            documents::decode_safety,
        )
        .unwrap_or_default()
    }

    /// Saves what the safety rules remember.
    pub(super) fn save_safety(&mut self, saved: SavedSafety) {
        if !self.stays_absent(SAFETY, saved == SavedSafety::default()) {
            self.write(SAFETY, &documents::encode_safety(saved));
        }
    }

    /// The addresses of aliases in a previous run, without those that are too old.
    pub fn aliases(&self, now: i64) -> Vec<SavedAlias> {
        let decode = |octets: &[u8]| documents::decode_aliases(octets, now);
        self.decoded(ALIASES, "all aliases must be resolved first", decode).unwrap_or_default()
    }

    /// Saves the addresses of aliases for the next run.
    pub fn save_aliases(&mut self, aliases: Vec<SavedAlias>) {
        if !self.stays_absent(ALIASES, aliases.is_empty()) {
            self.write(ALIASES, &documents::encode_aliases(aliases));
        }
    }

    /// The demand that previous runs observed. A damaged file is kept under another name.
    pub(super) fn demand(&self) -> Option<ObservedDemand> {
        let octets = self.read(DEMAND)?;
        let decoded = documents::decode_demand(&octets).inspect_err(|error| {
            // The file stays where it is if it cannot be renamed; the next save replaces it.
            let _ = fs::rename(self.path.join(DEMAND), self.path.join(DAMAGED_DEMAND));
            tracing::warn!(
                file = %self.path.join(DEMAND).display(),
                %error,
                consequence = "plan weighs clients by announced networks until enough queries are observed; the file is kept as demand.damaged",
                "saved state not used"
            );
        });
        decoded.ok()
    }

    /// Saves the observed demand for the next run. Without any, no file is created.
    pub(super) fn save_demand(&mut self, demand: Option<ObservedDemand>) {
        let Some(demand) = demand else {
            if !self.stays_absent(DEMAND, true) {
                let _ = fs::remove_file(self.path.join(DEMAND));
                self.save_failures.forget(DEMAND);
            }
            return;
        };
        self.write(DEMAND, &documents::encode_demand(demand));
    }

    /// The keys of server cookies, as they were saved.
    pub(super) fn cookies(&self) -> Option<Vec<u8>> {
        self.read(COOKIE_KEY)
    }

    /// Saves the keys of server cookies.
    pub(super) fn save_cookies(&mut self, octets: &[u8]) {
        self.write(COOKIE_KEY, octets);
    }

    /// Records that a run ends, if all of its state is saved.
    pub(super) fn mark_clean_stop(&mut self, now: i64) {
        if self.save_failures.text().is_none() {
            self.write(CLEAN_STOP, now.to_string().as_bytes());
        }
    }

    /// The content of a file, decoded by `decode`; `None` if the file is missing, and with a
    /// warning that names the `consequence` if the file cannot be used.
    fn decoded<T, E: std::error::Error>(
        &self,
        name: &str,
        consequence: &'static str,
        decode: impl FnOnce(&[u8]) -> Result<T, E>,
    ) -> Option<T> {
        let octets = self.read(name)?;
        let decoded = decode(&octets).inspect_err(|error| {
            tracing::warn!(file = %self.path.join(name).display(), %error, consequence, "saved state not used");
        });
        decoded.ok()
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        let path = self.path.join(name);
        match files::read(&path, SymlinkPolicy::Refuse, MAX_OCTETS) {
            Ok(octets) => Some(octets),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "state file not read");
                None
            }
        }
    }

    fn write(&mut self, name: &str, octets: &[u8]) {
        self.replace(name, |file| file.write_all(octets));
    }

    /// Replaces a file, and creates the directory if it is gone.
    fn replace(&self, name: &str, write: impl Fn(&mut fs::File) -> io::Result<()>) {
        let path = self.path.join(name);
        let mut outcome = file::replace_by(&path, &write);
        if outcome.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            outcome = directory::create(&self.path).and_then(|()| file::replace_by(&path, &write));
        }
        files::replenish_descriptors();
        if outcome.is_ok() {
            // The directory can be used now, if it could not at the start.
            self.save_failures.record("", Ok(()));
        }
        self.save_failures.record(name, outcome);
    }
}

/// Whether a run of this program makes files of this name.
fn is_ours(name: &str) -> bool {
    const NAMES: [&str; 16] = [
        VERDICTS,
        SAFETY,
        SERIALS,
        ALIASES,
        FEEDBACK,
        RECOVERIES,
        DEMAND,
        DAMAGED_DEMAND,
        COOKIE_KEY,
        LAST_GOOD,
        CLEAN_STOP,
        OVERRIDES,
        PREVIOUS_OVERRIDES,
        DAMAGED_OVERRIDES,
        JOURNAL,
        HISTORY,
    ];
    let is_temporary = || NAMES.iter().any(|known| file::is_temporary_of(name, known));
    NAMES.contains(&name) || is_temporary()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::demand::{DemandTable, NetworkGroup};

    #[test]
    fn saved_state_is_read_back_and_no_temporary_file_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = StateDirectory::open(directory.path().join("state"));
        let serials = HashMap::from([(
            "example.com".parse().unwrap(),
            SavedSerial { content: 7, serial: 9 },
        )]);
        state.save_serials(&serials);
        assert_eq!(state.serials().unwrap().serials, serials);
        let names: Vec<_> = fs::read_dir(directory.path().join("state"))
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert!(names.iter().all(|name| !name.to_string_lossy().ends_with(".tmp")), "{names:?}");
    }

    #[test]
    fn aliases_are_read_back_unless_they_are_old_or_the_file_is_damaged() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = StateDirectory::open(directory.path().to_owned());
        let alias = |name: &str, resolved| SavedAlias {
            name: name.to_owned(),
            addresses: vec![[192, 0, 2, 1].into()],
            resolved,
        };
        let now = 1_800_000_000;
        state.save_aliases(vec![
            alias("a", now - 60),
            alias("b", now - 30 * 86_400),
            alias("c", now + 86_400),
        ]);
        assert_eq!(state.aliases(now), [alias("a", now - 60)]);
        for damaged in [
            &b"{\"version\":1,\"aliases\":["[..],
            b"{\"version\":2,\"aliases\":[]}",
            b"[]",
            b"\xff",
        ] {
            fs::write(directory.path().join(ALIASES), damaged).unwrap();
            assert_eq!(state.aliases(now), []);
        }
    }

    #[test]
    fn recoveries_are_read_back_until_their_end() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = StateDirectory::open(directory.path().to_owned());
        let now = SystemTime::now();
        let recovery = |left| SavedRecovery {
            pool: "web".into(),
            members: vec!["a".into(), "b".into()],
            is_strict: true,
            remaining: Duration::from_secs(left),
        };
        state.save_recoveries(vec![recovery(10), recovery(3)], now);
        assert_eq!(state.recoveries(now + Duration::from_secs(4)), [recovery(6)]);
        assert_eq!(state.recoveries(now + Duration::from_secs(11)), []);
        fs::write(directory.path().join(RECOVERIES), b"{\"version\":1,\"rec").unwrap();
        assert_eq!(state.recoveries(now), []);
    }

    #[test]
    fn damaged_files_links_and_oversized_files_are_not_used_as_state() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDirectory::open(directory.path().to_owned());
        fs::write(directory.path().join(VERDICTS), b"{\"version\":1,").unwrap();
        assert!(state.verdicts(0).is_empty());
        std::os::unix::fs::symlink("/etc/hostname", directory.path().join(SERIALS)).unwrap();
        assert!(state.serials().is_none());
        fs::File::create(directory.path().join(COOKIE_KEY)).unwrap().set_len(1 << 30).unwrap();
        assert!(state.read(COOKIE_KEY).is_none());
    }

    #[test]
    fn serials_are_complete_after_a_stop_that_saved_all_and_until_the_next_start() {
        let directory = tempfile::tempdir().unwrap();
        let open = || StateDirectory::open(directory.path().join("state"));
        let completeness = || {
            StateDirectory::read_only(directory.path().join("state"))
                .serials()
                .unwrap()
                .completeness
        };
        let mut state = open();
        state.save_serials(&HashMap::new());
        assert_eq!(completeness(), Completeness::Unknown, "it runs, or was killed");
        state.mark_clean_stop(1000);
        assert_eq!(completeness(), Completeness::CompleteUntil(1000));
        let mut state = open();
        assert_eq!(completeness(), Completeness::Unknown, "the next run may save less");
        state.save_failures.record(VERDICTS, Err(io::Error::from_raw_os_error(libc::ENOSPC)));
        state.mark_clean_stop(2000);
        assert_eq!(completeness(), Completeness::Unknown, "not all was saved");
    }

    #[test]
    fn a_missing_file_with_nothing_to_save_is_not_lost() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = StateDirectory::open(directory.path().join("state"));
        let (pool, members, left) = ("web".into(), Vec::new(), Duration::from_secs(9));
        state.save_recoveries(
            vec![SavedRecovery { pool, members, is_strict: false, remaining: left }],
            SystemTime::now(),
        );
        fs::remove_file(state.path().join(RECOVERIES)).unwrap();
        assert!(state.save_failures().is_any_lost());
        state.save_recoveries(Vec::new(), SystemTime::now());
        assert!(!state.save_failures().is_any_lost());
    }

    #[test]
    fn observed_demand_survives_a_restart_and_a_damaged_file_is_kept_aside() {
        let directory = tempfile::tempdir().unwrap();
        let open = || StateDirectory::open(directory.path().join("state"));
        let mut table = DemandTable::default();
        table.add(NetworkGroup::containing("203.0.113.7".parse().unwrap()), 3.0, 1000);
        table.add(NetworkGroup::containing("2001:db8::7".parse().unwrap()), 0.5, 1000);
        assert_eq!(open().demand(), None);
        open().save_demand(None);
        assert!(!open().path().join(DEMAND).exists());
        open().save_demand(table.document());
        assert_eq!(open().demand(), table.document());
        for (content, why) in [
            (&b"{\"version\":1,\"demand\":{"[..], "cut off"),
            (b"{\"version\":2}", "of another version"),
        ] {
            fs::write(open().path().join(DEMAND), content).unwrap();
            assert_eq!(open().demand(), None, "{why}");
            assert!(!open().path().join(DEMAND).exists(), "{why}");
            assert_eq!(fs::read(open().path().join(DAMAGED_DEMAND)).unwrap(), content, "{why}");
        }
    }

    #[test]
    fn a_missing_directory_is_noticed_and_created_again() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = StateDirectory::open(directory.path().join("state"));
        state.save_serials(&HashMap::new());
        assert!(!state.save_failures().is_any_lost());
        fs::remove_dir_all(state.path()).unwrap();
        assert!(state.save_failures().is_any_lost());
        state.save_serials(&HashMap::new());
        assert!(!state.save_failures().is_any_lost() && state.save_failures().text().is_none());
    }

    #[test]
    fn the_newest_failure_is_reported_with_its_remedy() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDirectory::open(directory.path().to_owned());
        let fail = |name: &str, code| {
            state.save_failures.record(name, Err(io::Error::from_raw_os_error(code)))
        };
        fail(COOKIE_KEY, libc::ENOSPC);
        assert!(state.save_failures().text().unwrap().contains("free space"));
        fail(SERIALS, libc::EROFS);
        let text = state.save_failures().text().unwrap();
        assert!(
            text.contains("serials.json: Read-only") && text.ends_with("and 1 more file"),
            "{text}"
        );
        fail(COOKIE_KEY, libc::ENOTDIR);
        let text = state.save_failures().text().unwrap();
        assert!(
            text.contains("cookie.key: Not a directory") && text.contains("move that file away"),
            "{text}"
        );
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_only_a_failure_to_save() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, b"").unwrap();
        let mut state = StateDirectory::open(file.join("state"));
        state.save_serials(&HashMap::new());
        assert!(state.verdicts(0).is_empty());
        assert!(state.save_failures().text().is_some());
        fs::remove_file(file).unwrap();
        fs::create_dir_all(state.path()).unwrap();
        state.save_serials(&HashMap::new());
        assert_eq!(state.save_failures().text(), None, "it is saved again");
    }
}
