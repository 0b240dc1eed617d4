//! The state directory: what must survive a restart. Every file is replaced whole, by rename; a file that cannot be read is
//! a warning and an empty start, one that cannot be written a warning and nothing more.

mod faults;
mod file;

use std::{
    collections::HashMap,
    fs,
    io::{self, Write},
    net::IpAddr,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use self::faults::Faults;
use super::{
    lastgood::{self, Home, LastGood},
    serials::{Completeness, Earlier},
};
use crate::{
    config::replenish_descriptors,
    dns::Name,
    health::saved::{self, SavedKey, SavedVerdict, SavedVerdicts},
    steer::{RampKey, SavedFeedback, SavedRecovery},
};

const VERDICTS: &str = "verdicts.json";
const SERIALS: &str = "serials.json";
const ALIASES: &str = "aliases.json";
const FEEDBACK: &str = "steering.json";
const RECOVERIES: &str = "recoveries.json";
const COOKIE_KEY: &str = "cookie.key";
const LAST_GOOD: &str = "last-good";
/// Holds the time at which a run ended that had saved all of its state; there is none while one runs.
const CLEAN_STOP: &str = "clean-stop";
/// No file here is ever larger; one that is, is not ours.
const MAX_OCTETS: u64 = 64 << 20;
/// A configuration has at most 512 MiB; its description takes the rest.
const MAX_LAST_GOOD_OCTETS: u64 = 768 << 20;

/// The state directory. Clones share what is known of failures.
#[derive(Debug, Clone)]
pub struct StateDirectory {
    path: PathBuf,
    faults: Faults,
}

/// A zone's serial and the content it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedSerial {
    /// Of the zone's records and services.
    pub content: u64,
    /// RFC 1982.
    pub serial: u32,
}

/// What an alias stood for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SavedAlias {
    /// The alias.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// When it was last resolved, in seconds since 1970.
    pub resolved: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct AliasFile {
    version: u32,
    aliases: Vec<SavedAlias>,
}

/// Ramps and holders, as the file has them.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct FeedbackFile {
    version: u32,
    /// Datacenters, and how much of their share they take.
    datacenters: Vec<(String, f64)>,
    /// Pools, their endpoints, and how much of their share those take.
    endpoints: Vec<(String, String, f64)>,
    /// Pools, and the members that hold their clients.
    holders: Vec<(String, String)>,
    /// Pools, their members, and the share of each.
    #[serde(default)]
    shares: Vec<(String, Vec<(String, f64)>)>,
    /// Pools, and what they keep of their clients.
    #[serde(default)]
    keeps: Vec<(String, f64)>,
}

const FEEDBACK_VERSION: u32 = 1;

/// Services that recover from an outage of all members, as the file has them.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RecoveryFile {
    version: u32,
    recoveries: Vec<RecoverySpec>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RecoverySpec {
    pool: String,
    members: Vec<String>,
    is_strict: bool,
    /// When it ends at the latest, in milliseconds since 1970.
    until_ms: i64,
}

const RECOVERY_VERSION: u32 = 1;

/// Of the file of aliases.
const ALIAS_VERSION: u32 = 1;
/// What an alias stood for longer ago is not used: its addresses may be somebody else's by now.
const ALIAS_AGE_SECS: i64 = 7 * 86_400;
/// How far into the future an alias may be dated: clocks are set.
const ALIAS_TOLERANCE_SECS: i64 = 300;

impl StateDirectory {
    /// Makes the directory where there is none. One that cannot be made or written is degraded to a warning.
    pub fn open(path: PathBuf) -> Self {
        let state = Self::at(path);
        state.faults.note("", fs::create_dir_all(&state.path));
        // What the run that begins cannot save makes the saved serials old.
        let _ = fs::remove_file(state.path.join(CLEAN_STOP));
        state
    }

    /// The directory as it is, which may not exist: to be read.
    pub fn at(path: PathBuf) -> Self {
        Self { faults: Faults::of(&path), path }
    }

    /// The directory's path.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// What could not be saved.
    pub(super) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The last good set of an earlier run, if it is whole and of `home`.
    pub(super) fn last_good(&self, home: &Home) -> Option<LastGood> {
        let path = self.path.join(LAST_GOOD);
        let octets = match file::read_bounded(&path, MAX_LAST_GOOD_OCTETS) {
            Ok(octets) => octets,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "the last good files are not read: a file with errors keeps the server from starting");
                return None;
            }
        };
        lastgood::read_saved(octets, home)
            .inspect_err(|error| {
                tracing::warn!(file = %path.display(), %error, "the last good files are not used: a file with errors keeps the server from starting");
            })
            .ok()
    }

    /// Saves the last good set. It may be large: not to be called on the controller's task.
    pub(super) fn save_last_good(&self, set: &LastGood, home: &Home) {
        self.replace(LAST_GOOD, |to| lastgood::write_saved(set, home, to));
    }

    /// The verdicts of a previous run.
    pub fn verdicts(&self, now: i64) -> SavedVerdicts {
        let Some(octets) = self.read(VERDICTS) else { return SavedVerdicts::default() };
        saved::decode(&octets, now).unwrap_or_else(|error| {
            tracing::warn!(file = %self.path.join(VERDICTS).display(), %error, "saved health status not used: all endpoints start as unknown");
            SavedVerdicts::default()
        })
    }

    /// Keeps the verdicts for the next life.
    pub fn save_verdicts(&mut self, verdicts: impl IntoIterator<Item = (SavedKey, SavedVerdict)>, now: i64) {
        self.write(VERDICTS, saved::encode(verdicts, now).as_bytes());
    }

    /// The serials that zones had. `None` where they are lost, or none was ever saved.
    pub(super) fn serials(&self) -> Option<Earlier> {
        let octets = self.read(SERIALS)?;
        let stopped =
            || self.read(CLEAN_STOP).and_then(|octets| std::str::from_utf8(&octets).ok()?.trim().parse().ok());
        match serde_json::from_slice::<HashMap<String, SavedSerial>>(&octets) {
            Ok(serials) => {
                let serials = serials.into_iter().filter_map(|(apex, serial)| Some((apex.parse().ok()?, serial)));
                let completeness = stopped().map_or(Completeness::Unknown, Completeness::Until);
                Some(Earlier { serials: serials.collect(), completeness })
            }
            Err(error) => {
                let file = self.path.join(SERIALS);
                tracing::warn!(file = %file.display(), %error, "saved serials not used; new ones follow the clock");
                None
            }
        }
    }

    /// Keeps the serials for the next life.
    pub fn save_serials(&mut self, serials: &HashMap<Name, SavedSerial>) {
        // It may have been impossible to remove at the start.
        let _ = fs::remove_file(self.path.join(CLEAN_STOP));
        let texts: std::collections::BTreeMap<String, SavedSerial> =
            serials.iter().map(|(apex, serial)| (apex.to_string(), *serial)).collect();
        match serde_json::to_vec(&texts) {
            Ok(octets) => self.write(SERIALS, &octets),
            Err(error) => tracing::warn!(%error, "serials not saved"),
        }
    }

    /// Ramps and holders of an earlier life.
    pub fn feedback(&self) -> SavedFeedback {
        let Some(octets) = self.read(FEEDBACK) else { return SavedFeedback::default() };
        let refused = |error: &dyn std::fmt::Display| {
            let file = self.path.join(FEEDBACK);
            tracing::warn!(file = %file.display(), %error, "saved ramps and failovers not used: all start as configured");
            SavedFeedback::default()
        };
        match serde_json::from_slice::<FeedbackFile>(&octets) {
            Ok(file) if file.version != FEEDBACK_VERSION => refused(&format!("version {}", file.version)),
            Ok(file) => {
                let datacenters = file.datacenters.into_iter().map(|(name, at)| (RampKey::Datacenter(name.into()), at));
                let endpoints = file
                    .endpoints
                    .into_iter()
                    .map(|(pool, endpoint, at)| (RampKey::Endpoint(pool.into(), endpoint.into()), at));
                let holders = file.holders.into_iter().map(|(pool, member)| (pool.into(), member.into()));
                let named =
                    |members: Vec<(String, f64)>| members.into_iter().map(|(name, at)| (name.into(), at)).collect();
                let shares = file.shares.into_iter().map(|(pool, members)| (pool.into(), named(members)));
                let keeps = file.keeps.into_iter().map(|(pool, keep)| (pool.into(), keep));
                SavedFeedback {
                    ramps: datacenters.chain(endpoints).collect(),
                    holders: holders.collect(),
                    shares: shares.collect(),
                    keeps: keeps.collect(),
                }
            }
            Err(error) => refused(&error),
        }
    }

    /// Whether there is no such file and nothing to write to it. Then it is neither unsaved nor lost.
    fn stays_absent(&self, name: &str, is_empty: bool) -> bool {
        let stays_absent = is_empty && !self.path.join(name).exists();
        if stays_absent {
            self.faults.forget(name);
        }
        stays_absent
    }

    /// Keeps ramps and holders for the next life; nothing to keep makes no file where there is none.
    pub fn save_feedback(&mut self, saved: &SavedFeedback) {
        if self.stays_absent(FEEDBACK, *saved == SavedFeedback::default()) {
            return;
        }
        let mut file = FeedbackFile { version: FEEDBACK_VERSION, ..FeedbackFile::default() };
        for (key, at) in &saved.ramps {
            match key {
                RampKey::Datacenter(name) => file.datacenters.push((name.to_string(), *at)),
                RampKey::Endpoint(pool, name) => file.endpoints.push((pool.to_string(), name.to_string(), *at)),
            }
        }
        let named = |members: &[(Box<str>, f64)]| members.iter().map(|(name, at)| (name.to_string(), *at)).collect();
        file.shares = saved.shares.iter().map(|(pool, members)| (pool.to_string(), named(members))).collect();
        file.keeps = saved.keeps.iter().map(|(pool, keep)| (pool.to_string(), *keep)).collect();
        file.holders = saved.holders.iter().map(|(pool, member)| (pool.to_string(), member.to_string())).collect();
        match serde_json::to_vec(&file) {
            Ok(octets) => self.write(FEEDBACK, &octets),
            Err(error) => tracing::warn!(%error, "ramps and failovers not saved"),
        }
    }

    /// The recoveries of a previous run that would still be in progress.
    pub fn recoveries(&self, now: SystemTime) -> Vec<SavedRecovery> {
        let Some(octets) = self.read(RECOVERIES) else { return Vec::new() };
        let refused = |error: &dyn std::fmt::Display| {
            let file = self.path.join(RECOVERIES);
            tracing::warn!(file = %file.display(), %error, "saved recoveries not used: members that are up get all clients");
            Vec::new()
        };
        let now_ms = unix_ms(now);
        let restored = |spec: RecoverySpec| {
            let left_ms = u64::try_from(spec.until_ms.saturating_sub(now_ms)).ok().filter(|left| *left > 0)?;
            Some(SavedRecovery {
                pool: spec.pool.into(),
                members: spec.members.into_iter().map(Into::into).collect(),
                is_strict: spec.is_strict,
                left: Duration::from_millis(left_ms),
            })
        };
        match serde_json::from_slice::<RecoveryFile>(&octets) {
            Ok(file) if file.version != RECOVERY_VERSION => refused(&format!("version {}", file.version)),
            Ok(file) => file.recoveries.into_iter().filter_map(restored).collect(),
            Err(error) => refused(&error),
        }
    }

    /// Keeps the recoveries in progress for the next run; none makes no file where there is none.
    pub fn save_recoveries(&mut self, saved: Vec<SavedRecovery>, now: SystemTime) {
        if self.stays_absent(RECOVERIES, saved.is_empty()) {
            return;
        }
        let spec = |saved: SavedRecovery| RecoverySpec {
            pool: saved.pool.into(),
            members: saved.members.into_iter().map(Into::into).collect(),
            is_strict: saved.is_strict,
            until_ms: unix_ms(now).saturating_add(i64::try_from(saved.left.as_millis()).unwrap_or(i64::MAX)),
        };
        let recoveries = saved.into_iter().map(spec).collect();
        match serde_json::to_vec(&RecoveryFile { version: RECOVERY_VERSION, recoveries }) {
            Ok(octets) => self.write(RECOVERIES, &octets),
            Err(error) => tracing::warn!(%error, "recoveries not saved"),
        }
    }

    /// What aliases stood for in an earlier life, less what is too old.
    pub fn aliases(&self, now: i64) -> Vec<SavedAlias> {
        let Some(octets) = self.read(ALIASES) else { return Vec::new() };
        let refused = |error: &dyn std::fmt::Display| {
            let file = self.path.join(ALIASES);
            tracing::warn!(file = %file.display(), %error, "saved aliases not used: all must be resolved first");
            Vec::new()
        };
        let is_recent =
            |alias: &SavedAlias| (now - ALIAS_AGE_SECS..=now + ALIAS_TOLERANCE_SECS).contains(&alias.resolved);
        match serde_json::from_slice::<AliasFile>(&octets) {
            Ok(file) if file.version != ALIAS_VERSION => refused(&format!("version {}", file.version)),
            Ok(file) => file.aliases.into_iter().filter(is_recent).collect(),
            Err(error) => refused(&error),
        }
    }

    /// Keeps what aliases stand for, for the next life.
    pub fn save_aliases(&mut self, aliases: Vec<SavedAlias>) {
        if self.stays_absent(ALIASES, aliases.is_empty()) {
            return;
        }
        match serde_json::to_vec(&AliasFile { version: ALIAS_VERSION, aliases }) {
            Ok(octets) => self.write(ALIASES, &octets),
            Err(error) => tracing::warn!(%error, "aliases not saved"),
        }
    }

    /// The keys of server cookies, as they were saved.
    pub(super) fn cookies(&self) -> Option<Vec<u8>> {
        self.read(COOKIE_KEY)
    }

    /// Keeps the keys of server cookies.
    pub(super) fn save_cookies(&mut self, octets: &[u8]) {
        self.write(COOKIE_KEY, octets);
    }

    /// Takes note that a run ends with all of its state saved.
    pub(super) fn end(&mut self, now: i64) {
        if self.faults.text().is_none() {
            self.write(CLEAN_STOP, now.to_string().as_bytes());
        }
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        let path = self.path.join(name);
        match file::read_bounded(&path, MAX_OCTETS) {
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

    /// Replaces a file, in a directory that is made if it is gone.
    fn replace(&self, name: &str, write: impl Fn(&mut fs::File) -> io::Result<()>) {
        let path = self.path.join(name);
        let mut outcome = file::replace_by(&path, &write);
        if outcome.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            outcome = fs::create_dir_all(&self.path).and_then(|()| file::replace_by(&path, &write));
        }
        replenish_descriptors();
        if outcome.is_ok() {
            // The directory is there, whatever was wrong with it at the start.
            self.faults.note("", Ok(()));
        }
        self.faults.note(name, outcome);
    }
}

/// Seconds since 1970-01-01T00:00:00Z.
pub fn unix_now() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

/// Milliseconds since 1970-01-01T00:00:00Z.
fn unix_ms(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_read_back_and_leaves_no_partial_file() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = StateDirectory::open(directory.path().join("state"));
        let serials = HashMap::from([("example.com".parse().unwrap(), SavedSerial { content: 7, serial: 9 })]);
        state.save_serials(&serials);
        assert_eq!(state.serials().unwrap().serials, serials);
        let names: Vec<_> =
            fs::read_dir(directory.path().join("state")).unwrap().map(|e| e.unwrap().file_name()).collect();
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
        state.save_aliases(vec![alias("a", now - 60), alias("b", now - 30 * 86_400), alias("c", now + 86_400)]);
        assert_eq!(state.aliases(now), [alias("a", now - 60)]);
        for damaged in [&b"{\"version\":1,\"aliases\":["[..], b"{\"version\":2,\"aliases\":[]}", b"[]", b"\xff"] {
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
            left: Duration::from_secs(left),
        };
        state.save_recoveries(vec![recovery(10), recovery(3)], now);
        assert_eq!(state.recoveries(now + Duration::from_secs(4)), [recovery(6)]);
        assert_eq!(state.recoveries(now + Duration::from_secs(11)), []);
        fs::write(directory.path().join(RECOVERIES), b"{\"version\":1,\"rec").unwrap();
        assert_eq!(state.recoveries(now), []);
    }

    #[test]
    fn garbage_links_and_giants_are_not_taken_for_state() {
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
        let completeness = || StateDirectory::at(directory.path().join("state")).serials().unwrap().completeness;
        let mut state = open();
        state.save_serials(&HashMap::new());
        assert_eq!(completeness(), Completeness::Unknown, "it runs, or was killed");
        state.end(1000);
        assert_eq!(completeness(), Completeness::Until(1000));
        let mut state = open();
        assert_eq!(completeness(), Completeness::Unknown, "the next run may save less");
        state.faults.note(VERDICTS, Err(io::Error::from_raw_os_error(libc::ENOSPC)));
        state.end(2000);
        assert_eq!(completeness(), Completeness::Unknown, "not all was saved");
    }

    #[test]
    fn a_file_that_is_gone_and_has_nothing_to_keep_is_not_lost() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = StateDirectory::open(directory.path().join("state"));
        let (pool, members, left) = ("web".into(), Vec::new(), Duration::from_secs(9));
        state.save_recoveries(vec![SavedRecovery { pool, members, is_strict: false, left }], SystemTime::now());
        fs::remove_file(state.path().join(RECOVERIES)).unwrap();
        assert!(state.faults().is_any_lost());
        state.save_recoveries(Vec::new(), SystemTime::now());
        assert!(!state.faults().is_any_lost());
    }

    #[test]
    fn a_directory_that_is_gone_is_noticed_and_made_again() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = StateDirectory::open(directory.path().join("state"));
        state.save_serials(&HashMap::new());
        assert!(!state.faults().is_any_lost());
        fs::remove_dir_all(state.path()).unwrap();
        assert!(state.faults().is_any_lost());
        state.save_serials(&HashMap::new());
        assert!(!state.faults().is_any_lost() && state.faults().text().is_none());
    }

    #[test]
    fn the_newest_failure_is_reported_with_its_remedy() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDirectory::open(directory.path().to_owned());
        let fail = |name: &str, code| state.faults.note(name, Err(io::Error::from_raw_os_error(code)));
        fail(COOKIE_KEY, libc::ENOSPC);
        assert!(state.faults().text().unwrap().contains("make room"));
        fail(SERIALS, libc::EROFS);
        let text = state.faults().text().unwrap();
        assert!(text.contains("serials.json: Read-only") && text.ends_with("and 1 more file"), "{text}");
        fail(COOKIE_KEY, libc::ENOTDIR);
        let text = state.faults().text().unwrap();
        assert!(text.contains("cookie.key: Not a directory") && text.contains("move that file away"), "{text}");
    }

    #[test]
    fn an_unwritable_directory_is_survived() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, b"").unwrap();
        let mut state = StateDirectory::open(file.join("state"));
        state.save_serials(&HashMap::new());
        assert!(state.verdicts(0).is_empty());
        assert!(state.faults().text().is_some());
        fs::remove_file(file).unwrap();
        fs::create_dir_all(state.path()).unwrap();
        state.save_serials(&HashMap::new());
        assert_eq!(state.faults().text(), None, "it is saved again");
    }
}
