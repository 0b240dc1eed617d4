//! Verdicts that survive a restart, as the text of a file. The caller reads and writes the file.
//!
//! A saved verdict belongs to one target of one monitor. A configured monitor is matched by its
//! check, whatever its name and times, and otherwise by its name. So a monitor that was edited
//! between two runs keeps the verdicts of its targets until the first outcome, like one that is
//! edited during a run. The file is not trusted: if it is too large, truncated, of another version
//! or from the future, all of it is refused, and every target starts as unknown.

use std::{collections::HashMap, fmt, hash::Hash};

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use super::{Monitor, PreviousVerdict, Verdict};

/// The largest file, in octets: 64 MiB, about 400,000 verdicts. A larger one need not be read.
pub const MAX_OCTETS: usize = 64 << 20;

/// How far into the future a file may be dated: clocks of two machines differ, and clocks are set.
const MAX_CLOCK_SKEW_SECS: i64 = 300;

const VERSION: u32 = 1;

/// The monitor and the target that a saved verdict belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SavedKey {
    /// The name of the monitor; empty in files of older versions of the program.
    pub name: String,
    /// The [`fingerprint`] of the check; 0 in files of older versions.
    pub check: u64,
    /// The [`fingerprint`] of the whole monitor, which is all that files of older versions contain.
    pub monitor: u64,
    /// The target, an address or a name.
    pub target: String,
}

impl SavedKey {
    /// The key of a target of this monitor.
    pub fn for_target(monitor: &Monitor, target: String) -> Self {
        Self {
            name: monitor.name.to_string(),
            check: fingerprint(&monitor.check),
            monitor: fingerprint(monitor),
            target,
        }
    }
}

/// A verdict and when it was settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SavedVerdict {
    /// The verdict: up or down. Unknown is not saved.
    pub verdict: Verdict,
    /// The time at which the verdict was settled, in seconds since 1970-01-01T00:00:00Z.
    pub since_unix_secs: i64,
}

/// The verdicts of a previous run.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SavedVerdicts {
    by_monitor: HashMap<(u64, String), Verdict>,
    by_check: HashMap<(u64, String), Verdict>,
    by_name: HashMap<(String, String), Verdict>,
}

impl SavedVerdicts {
    /// The verdict on a target: of the same check, or else of a check of a monitor with the same
    /// name.
    pub fn find(&self, key: &SavedKey) -> Option<PreviousVerdict> {
        let target = || key.target.clone();
        let same = self
            .by_check
            .get(&(key.check, target()))
            .or_else(|| self.by_monitor.get(&(key.monitor, target())));
        let by_name = || self.by_name.get(&(key.name.clone(), target()));
        same.map(|verdict| PreviousVerdict::SameCheck(*verdict))
            .or_else(|| by_name().map(|verdict| PreviousVerdict::OtherCheck(*verdict)))
    }

    /// Whether there are no verdicts.
    pub fn is_empty(&self) -> bool {
        self.by_monitor.is_empty()
    }

    fn insert(&mut self, spec: VerdictSpec) {
        let VerdictSpec { name, check, monitor, target, verdict, .. } = spec;
        let verdict = match verdict {
            VerdictWord::Up => Verdict::Up,
            VerdictWord::Down => Verdict::Down,
        };
        self.by_monitor.insert((monitor, target.clone()), verdict);
        if !name.is_empty() {
            self.by_check.insert((check, target.clone()), verdict);
            self.by_name.insert((name, target), verdict);
        }
    }
}

/// Why a file of verdicts is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SavedVerdictsError {
    /// The file has this number of octets, more than [`MAX_OCTETS`].
    TooLarge(usize),
    /// The file is truncated, or [`encode`] did not write it; with the position of the error.
    Malformed(String),
    /// The file has this version of the format, which is not the present one.
    Version(u32),
    /// The file is dated this number of seconds into the future: the clock was set back, or the
    /// file is from another machine.
    Future(i64),
}

impl fmt::Display for SavedVerdictsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(octets) => {
                write!(f, "the file has {octets} octets; at most {MAX_OCTETS} are read")
            }
            Self::Malformed(why) => write!(f, "the file is cut off or damaged: {why}"),
            Self::Version(version) => {
                write!(f, "the file has version {version}; this program reads version {VERSION}")
            }
            Self::Future(secs) => write!(f, "the file is dated {secs} s into the future"),
        }
    }
}

impl std::error::Error for SavedVerdictsError {}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct FileSpec {
    version: u32,
    saved_at: i64,
    verdicts: Vec<VerdictSpec>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct VerdictSpec {
    #[serde(default)]
    name: String,
    #[serde(default)]
    check: u64,
    monitor: u64,
    target: String,
    verdict: VerdictWord,
    since: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum VerdictWord {
    Up,
    Down,
}

/// A number that identifies the content of a monitor or a check. It stays the same over restarts of
/// the same version of the program.
pub fn fingerprint(content: &impl Hash) -> u64 {
    let mut hasher = SipHasher13::new();
    content.hash(&mut hasher);
    std::hash::Hasher::finish(&hasher)
}

/// The text of a file with these verdicts, in the order of their keys, so that equal verdicts make
/// equal files. `now` is in seconds since 1970-01-01T00:00:00Z.
pub fn encode(verdicts: impl IntoIterator<Item = (SavedKey, SavedVerdict)>, now: i64) -> String {
    let mut verdicts: Vec<_> = verdicts.into_iter().collect();
    verdicts.sort_by(|a, b| a.0.cmp(&b.0));
    let verdicts = verdicts
        .into_iter()
        .filter_map(|(key, saved)| {
            let verdict = match saved.verdict {
                Verdict::Unknown => return None,
                Verdict::Up => VerdictWord::Up,
                Verdict::Down => VerdictWord::Down,
            };
            let SavedKey { name, check, monitor, target } = key;
            Some(VerdictSpec {
                name,
                check,
                monitor,
                target,
                verdict,
                since: saved.since_unix_secs,
            })
        })
        .collect();
    let file = FileSpec { version: VERSION, saved_at: now, verdicts };
    // Numbers, strings and unit variants always encode. If they did not, `decode` would refuse the
    // empty file.
    serde_json::to_string(&file).unwrap_or_default()
}

/// The verdicts of a file. `now` is in seconds since 1970-01-01T00:00:00Z.
///
/// # Errors
/// A [`SavedVerdictsError`] if the file is refused.
pub fn decode(octets: &[u8], now: i64) -> Result<SavedVerdicts, SavedVerdictsError> {
    if octets.len() > MAX_OCTETS {
        return Err(SavedVerdictsError::TooLarge(octets.len()));
    }
    let file: FileSpec = serde_json::from_slice(octets)
        .map_err(|error| SavedVerdictsError::Malformed(error.to_string()))?;
    if file.version != VERSION {
        return Err(SavedVerdictsError::Version(file.version));
    }
    let newest = file.verdicts.iter().map(|spec| spec.since).fold(file.saved_at, i64::max);
    let ahead_secs = newest.saturating_sub(now);
    if ahead_secs > MAX_CLOCK_SKEW_SECS {
        return Err(SavedVerdictsError::Future(ahead_secs));
    }
    let mut verdicts = SavedVerdicts::default();
    file.verdicts.into_iter().for_each(|spec| verdicts.insert(spec));
    Ok(verdicts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{Check, TcpCheck, tracker::tests::monitor};

    const NOW: i64 = 1_800_000_000;

    fn two_verdicts() -> Vec<(SavedKey, SavedVerdict)> {
        let key = |target: &str| SavedKey::for_target(&monitor(2, 3), target.into());
        vec![
            (key("192.0.2.1"), SavedVerdict { verdict: Verdict::Down, since_unix_secs: NOW - 60 }),
            (key("2001:db8::1"), SavedVerdict { verdict: Verdict::Up, since_unix_secs: NOW - 7 }),
        ]
    }

    #[test]
    fn a_saved_verdict_is_found_by_the_check_or_by_the_name() {
        let saved = decode(encode(two_verdicts(), NOW).as_bytes(), NOW + 1).unwrap();
        let port = |port| Check::Tcp(TcpCheck { port });
        for (monitor, expected, why) in [
            (monitor(2, 3), Some(PreviousVerdict::SameCheck(Verdict::Down)), "the same monitor"),
            (monitor(1, 9), Some(PreviousVerdict::SameCheck(Verdict::Down)), "other times"),
            (
                Monitor { name: "new".into(), ..monitor(2, 3) },
                Some(PreviousVerdict::SameCheck(Verdict::Down)),
                "another name",
            ),
            (
                Monitor { check: port(81), ..monitor(2, 3) },
                Some(PreviousVerdict::OtherCheck(Verdict::Down)),
                "another check",
            ),
            (
                Monitor { name: "new".into(), check: port(81), ..monitor(2, 3) },
                None,
                "another monitor",
            ),
        ] {
            assert_eq!(
                saved.find(&SavedKey::for_target(&monitor, "192.0.2.1".into())),
                expected,
                "{why}"
            );
        }
        assert_eq!(
            saved.find(&SavedKey::for_target(&monitor(2, 3), "192.0.2.9".into())),
            None,
            "another target"
        );
    }

    #[test]
    fn a_file_of_an_older_version_is_read() {
        let key = SavedKey::for_target(&monitor(2, 3), "192.0.2.1".into());
        let text = format!(
            r#"{{"version":1,"saved-at":{NOW},"verdicts":[{{"monitor":{},"target":"192.0.2.1","verdict":"up","since":{NOW}}}]}}"#,
            key.monitor
        );
        assert_eq!(
            decode(text.as_bytes(), NOW).unwrap().find(&key),
            Some(PreviousVerdict::SameCheck(Verdict::Up))
        );
    }

    #[test]
    fn a_truncated_file_is_refused() {
        let text = encode(two_verdicts(), NOW);
        for end in 0..text.len() {
            let error = decode(&text.as_bytes()[..end], NOW).unwrap_err();
            assert!(matches!(error, SavedVerdictsError::Malformed(_)), "cut at {end}: {error}");
        }
    }

    #[test]
    fn invalid_files_are_refused_with_the_reason() {
        let deep = "[".repeat(1 << 20);
        for (octets, now, reason) in [
            (&b"\xff\xfe\x00garbage"[..], NOW, "damaged"),
            (b"{}", NOW, "damaged"),
            (b"null", NOW, "damaged"),
            (deep.as_bytes(), NOW, "damaged"),
            (br#"{"version":2,"saved-at":0,"verdicts":[]}"#, NOW, "version 2"),
            (encode(two_verdicts(), NOW).as_bytes(), NOW - 3600, "3600 s into the future"),
            (encode([], i64::MAX).as_bytes(), i64::MIN, "into the future"),
            (&vec![b' '; MAX_OCTETS + 1], NOW, "octets"),
        ] {
            let error = decode(octets, now).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
