//! The keys of server cookies: made of the kernel's randomness, kept in the state directory,
//! rotated once a day.
//!
//! RFC 7873 section 7.1 wants a key to make cookies for no longer than 26 hours, and forbids more
//! than 36 days.

use std::time::Duration;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::state::{COOKIE_KEY, StateDirectory};
use crate::{
    dns::{CookieKey, CookieKeys},
    random,
};

/// The time for which a key makes cookies, in seconds.
const ROTATION_PERIOD_SECS: i64 = 86_400;
/// A saved rotation further in the future than this, in seconds, was dated by a wrong clock.
const CLOCK_TOLERANCE_SECS: i64 = 300;
/// The maximum pause between two readings of the wall clock, which may be set while the process
/// runs.
const MAX_CHECK_INTERVAL: Duration = Duration::from_secs(3600);
const VERSION: u32 = 1;

/// The keys and when they were rotated.
#[derive(Debug, Clone)]
pub(super) struct Cookies {
    keys: CookieKeys,
    /// The time at which the keys were rotated, in seconds since 1970.
    rotated: i64,
}

/// The file of cookie keys. Keys are in hexadecimal.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct CookieFile {
    version: u32,
    rotated: i64,
    #[serde(default)]
    previous: Option<String>,
    current: String,
    next: String,
}

impl Cookies {
    /// The keys of the state directory, rotated if that is due, or new ones. `None` if there are
    /// none and the kernel gives no randomness: then clients get no cookies.
    pub(super) fn open(state: &mut StateDirectory, now: i64) -> Option<Self> {
        let saved = state.cookies().and_then(|octets| Self::decode(&octets, now));
        let is_new = saved.is_none();
        let mut cookies = saved.or_else(|| Self::new(random::octets(), now))?;
        if cookies.rotate_if_due(now) || is_new {
            cookies.save(state);
        }
        Some(cookies)
    }

    /// Saves the keys for the next run.
    pub(super) fn save(&self, state: &mut StateDirectory) {
        state.save_cookies(self.encode().as_bytes());
    }

    /// The keys in force.
    pub(super) fn keys(&self) -> &CookieKeys {
        &self.keys
    }

    /// Rotates keys that are a day old, or whose age is negative because of a wrong clock. Returns
    /// whether they were rotated.
    pub(super) fn rotate_if_due(&mut self, now: i64) -> bool {
        let is_due = !(-CLOCK_TOLERANCE_SECS..ROTATION_PERIOD_SECS).contains(&(now - self.rotated));
        // Without randomness the keys stay in use until the next check, within an hour.
        let Some(fresh) = usable_randomness(random::octets()).filter(|_| is_due) else {
            return false;
        };
        (self.keys, self.rotated) = (self.keys.rotated(fresh, now as u32), now);
        true
    }

    /// The time until the next check whether a rotation is due.
    pub(super) fn due_in(this: Option<&Self>, now: i64) -> Duration {
        let due_in = |cookies: &Self| {
            u64::try_from(cookies.rotated + ROTATION_PERIOD_SECS - now)
                .ok()
                .map(Duration::from_secs)
        };
        this.and_then(due_in)
            .filter(|left| !left.is_zero())
            .map_or(MAX_CHECK_INTERVAL, |left| left.min(MAX_CHECK_INTERVAL))
    }

    /// Two new keys made of `randomness`.
    fn new(randomness: std::io::Result<[u8; 32]>, now: i64) -> Option<Self> {
        let octets = usable_randomness(randomness)?;
        let (current, next) = octets.split_at(16);
        let keys = CookieKeys {
            current: current.try_into().ok()?,
            next: next.try_into().ok()?,
            previous: None,
            rotated_secs: now as u32,
        };
        Some(Self { keys, rotated: now })
    }

    fn encode(&self) -> String {
        let hexadecimal = |key: &CookieKey| HEXLOWER.encode(key);
        let file = CookieFile {
            version: VERSION,
            rotated: self.rotated,
            previous: self.keys.previous.as_ref().map(hexadecimal),
            current: hexadecimal(&self.keys.current),
            next: hexadecimal(&self.keys.next),
        };
        // A struct of numbers and strings always serializes.
        serde_json::to_string(&file).unwrap_or_default()
    }

    fn decode(octets: &[u8], now: i64) -> Option<Self> {
        // Versions that did not rotate keys saved one key of 16 octets.
        if let Ok(current) = octets.try_into() {
            let next = usable_randomness(random::octets())?;
            let keys = CookieKeys { current, next, previous: None, rotated_secs: now as u32 };
            return Some(Self { keys, rotated: now });
        }
        let read = || -> Option<Self> {
            let file: CookieFile = serde_json::from_slice(octets)
                .ok()
                .filter(|file: &CookieFile| file.version == VERSION)?;
            let key = |text: &str| CookieKey::try_from(HEXLOWER.decode(text.as_bytes()).ok()?).ok();
            let previous = match file.previous {
                Some(text) => Some(key(&text)?),
                None => None,
            };
            let rotated_secs = file.rotated as u32;
            let keys = CookieKeys {
                current: key(&file.current)?,
                next: key(&file.next)?,
                previous,
                rotated_secs,
            };
            Some(Self { keys, rotated: file.rotated })
        };
        let cookies = read();
        if cookies.is_none() {
            tracing::warn!(
                file = COOKIE_KEY,
                "saved cookie keys are malformed and not used: new ones are made"
            );
        }
        cookies
    }
}

/// Randomness, or the record of its absence.
fn usable_randomness<const N: usize>(randomness: std::io::Result<[u8; N]>) -> Option<[u8; N]> {
    randomness
        .inspect_err(|error| {
            tracing::error!(
                %error,
                help = "allow the system call getrandom",
                "no randomness from the kernel: no new cookie keys are made"
            );
        })
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = ROTATION_PERIOD_SECS;

    #[test]
    fn keys_survive_a_restart_and_rotate_once_a_day() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = StateDirectory::open(directory.path().to_path_buf());
        let first = Cookies::open(&mut state, 1000).unwrap();
        assert_ne!(first.keys.current, first.keys.next);
        let again = Cookies::open(&mut state, 1000 + DAY - 1).unwrap();
        assert_eq!(again.keys, first.keys, "a restart within the day");
        let rotated = Cookies::open(&mut state, 1000 + DAY).unwrap();
        assert_eq!(
            (rotated.keys.previous, rotated.keys.current),
            (Some(first.keys.current), first.keys.next)
        );
        assert_eq!(
            Cookies::open(&mut state, 1001 + DAY).unwrap().keys,
            rotated.keys,
            "the rotation was kept"
        );
        use std::os::unix::fs::PermissionsExt;
        let mode =
            std::fs::metadata(directory.path().join("cookie.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_rotation_is_due_after_a_day_or_if_the_last_one_is_in_the_future() {
        for (age, is_due) in [
            (0, false),
            (DAY - 1, false),
            (DAY, true),
            (100 * DAY, true),
            (-300, false),
            (-301, true),
        ] {
            let mut cookies = Cookies::new(Ok([7; 32]), 1_000_000).unwrap();
            assert_eq!(cookies.rotate_if_due(1_000_000 + age), is_due, "{age} s");
        }
        let cookies = Cookies::new(Ok([7; 32]), 1_000_000).unwrap();
        for (age, secs) in [(0, 3600), (DAY - 10, 10), (DAY + 10, 3600)] {
            assert_eq!(
                Cookies::due_in(Some(&cookies), 1_000_000 + age),
                Duration::from_secs(secs),
                "{age} s"
            );
        }
    }

    #[test]
    fn the_key_of_an_older_version_stays_the_current_one_and_garbage_is_replaced() {
        assert_eq!(Cookies::decode(&[7; 16], 5).unwrap().keys.current, [7; 16]);
        for garbage in
            [&b""[..], b"{}", &[7; 17], br#"{"version":1,"rotated":1,"current":"07","next":"07"}"#]
        {
            assert!(Cookies::decode(garbage, 5).is_none(), "{garbage:?}");
        }
    }

    #[test]
    fn without_randomness_there_are_no_keys() {
        assert!(Cookies::new(Err(std::io::Error::other("none")), 5).is_none());
    }
}
