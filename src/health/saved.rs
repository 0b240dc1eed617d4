//! Verdicts that survive a restart, as a file's text. Reading and writing the file belongs to the caller.
//!
//! A saved verdict belongs to one (monitor, target): the monitor by a fingerprint of all that it is configured to do, the
//! target as written. One whose monitor has changed is simply not found again. The file is trusted with nothing: one that is
//! too large, cut off, of another version or from the future is refused whole, and every target starts unknown.

use std::{collections::HashMap, fmt, hash::Hash};

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use super::{Monitor, Verdict};

/// A file above this is refused, and need not be read: 64 MiB, some 400,000 verdicts.
pub const MAX_OCTETS: usize = 64 << 20;

/// How far into the future a file may be dated: clocks of two machines differ, and are set.
const TOLERANCE_SECS: i64 = 300;

const VERSION: u32 = 1;

/// What a saved verdict belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SavedKey {
    /// Of the monitor, by [`fingerprint`].
    pub monitor: u64,
    /// The target as text: an address or a name.
    pub target: String,
}

/// A verdict and since when it holds, in seconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SavedVerdict {
    /// Up or down; unknown is not saved.
    pub verdict: Verdict,
    /// When it was settled.
    pub since: i64,
}

/// Why a file of verdicts is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SavedError {
    /// More octets than [`MAX_OCTETS`].
    TooLarge(usize),
    /// Not what [`encode`] writes: cut off, or something else altogether. Says where.
    Malformed(String),
    /// Of another version of the format.
    Version(u32),
    /// Dated this many seconds into the future: the clock was set back, or the file is not ours.
    Future(i64),
}

impl fmt::Display for SavedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(octets) => write!(f, "the file has {octets} octets; at most {MAX_OCTETS} are read"),
            Self::Malformed(why) => write!(f, "the file is cut off or damaged: {why}"),
            Self::Version(version) => write!(f, "the file has version {version}; this program reads version {VERSION}"),
            Self::Future(secs) => write!(f, "the file is dated {secs} s into the future"),
        }
    }
}

impl std::error::Error for SavedError {}

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

/// A number that stays the same while the monitor does, over restarts of the same program.
pub fn fingerprint(monitor: &Monitor) -> u64 {
    let mut hasher = SipHasher13::new();
    monitor.hash(&mut hasher);
    std::hash::Hasher::finish(&hasher)
}

/// The text of a file that holds `verdicts`, in order of key so that equal verdicts make equal files. `now` is in seconds
/// since 1970-01-01T00:00:00Z.
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
            Some(VerdictSpec { monitor: key.monitor, target: key.target, verdict, since: saved.since })
        })
        .collect();
    let file = FileSpec { version: VERSION, saved_at: now, verdicts };
    // Numbers, strings and unit variants always encode; an empty file is refused on reading, as it should be.
    serde_json::to_string(&file).unwrap_or_default()
}

/// The verdicts in a file's octets. `now` is in seconds since 1970-01-01T00:00:00Z.
///
/// # Errors
/// A [`SavedError`] refuses the file whole.
pub fn decode(octets: &[u8], now: i64) -> Result<HashMap<SavedKey, SavedVerdict>, SavedError> {
    if octets.len() > MAX_OCTETS {
        return Err(SavedError::TooLarge(octets.len()));
    }
    let file: FileSpec = serde_json::from_slice(octets).map_err(|error| SavedError::Malformed(error.to_string()))?;
    if file.version != VERSION {
        return Err(SavedError::Version(file.version));
    }
    let newest = file.verdicts.iter().map(|spec| spec.since).fold(file.saved_at, i64::max);
    let ahead = newest.saturating_sub(now);
    if ahead > TOLERANCE_SECS {
        return Err(SavedError::Future(ahead));
    }
    Ok(file.verdicts.into_iter().map(verdict_of).collect())
}

fn verdict_of(spec: VerdictSpec) -> (SavedKey, SavedVerdict) {
    let verdict = match spec.verdict {
        VerdictWord::Up => Verdict::Up,
        VerdictWord::Down => Verdict::Down,
    };
    (SavedKey { monitor: spec.monitor, target: spec.target }, SavedVerdict { verdict, since: spec.since })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::tracker::tests::monitor;

    const NOW: i64 = 1_800_000_000;

    fn two() -> Vec<(SavedKey, SavedVerdict)> {
        let monitor = fingerprint(&monitor(2, 3));
        vec![
            (
                SavedKey { monitor, target: "192.0.2.1".into() },
                SavedVerdict { verdict: Verdict::Down, since: NOW - 60 },
            ),
            (SavedKey { monitor, target: "2001:db8::1".into() }, SavedVerdict { verdict: Verdict::Up, since: NOW - 7 }),
        ]
    }

    #[test]
    fn what_was_saved_is_read_back() {
        let read = decode(encode(two(), NOW).as_bytes(), NOW + 1).unwrap();
        assert_eq!(read, two().into_iter().collect());
    }

    #[test]
    fn a_changed_monitor_has_another_fingerprint() {
        assert_eq!(fingerprint(&monitor(2, 3)), fingerprint(&monitor(2, 3)));
        assert_ne!(fingerprint(&monitor(2, 3)), fingerprint(&monitor(2, 4)));
    }

    #[test]
    fn a_file_cut_off_anywhere_is_refused() {
        let text = encode(two(), NOW);
        for end in 0..text.len() {
            let error = decode(&text.as_bytes()[..end], NOW).unwrap_err();
            assert!(matches!(error, SavedError::Malformed(_)), "cut at {end}: {error}");
        }
    }

    #[test]
    fn files_that_are_not_to_be_trusted_are_refused_with_the_reason() {
        let deep = "[".repeat(1 << 20);
        for (octets, now, reason) in [
            (&b"\xff\xfe\x00garbage"[..], NOW, "damaged"),
            (b"{}", NOW, "damaged"),
            (b"null", NOW, "damaged"),
            (deep.as_bytes(), NOW, "damaged"),
            (br#"{"version":2,"saved-at":0,"verdicts":[]}"#, NOW, "version 2"),
            (encode(two(), NOW).as_bytes(), NOW - 3600, "3600 s into the future"),
            (encode([], i64::MAX).as_bytes(), i64::MIN, "into the future"),
            (&vec![b' '; MAX_OCTETS + 1], NOW, "octets"),
        ] {
            let error = decode(octets, now).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
