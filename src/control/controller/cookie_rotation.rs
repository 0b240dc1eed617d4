//! Rotation of the keys of server cookies: one publication a day.

use tokio::time::Instant as TokioInstant;

use crate::{
    control::{clock::unix_now, cookies::Cookies, state::StateDirectory},
    dns::CookieKeys,
};

/// The keys in use, and when to check whether they are too old.
#[derive(Debug)]
pub(super) struct CookieRotation {
    /// `None` while the kernel gave no randomness: then clients get no cookies.
    cookies: Option<Cookies>,
    check_at: TokioInstant,
}

impl CookieRotation {
    /// The keys of the state directory, or new ones. `now` is in seconds since 1970.
    pub(super) fn open(state: &mut StateDirectory, now: i64) -> Self {
        let cookies = Cookies::open(state, now);
        let check_at = TokioInstant::now() + Cookies::due_in(cookies.as_ref(), now);
        Self { cookies, check_at }
    }

    /// The keys in use.
    pub(super) fn keys(&self) -> Option<CookieKeys> {
        self.cookies.as_ref().map(|cookies| cookies.keys().clone())
    }

    /// The time at which to call [`CookieRotation::rotate_if_due`].
    pub(super) fn due(&self) -> TokioInstant {
        self.check_at
    }

    /// Rotates keys that are too old, and saves the new ones. Keys that could not be made at the
    /// start are tried again. Returns whether the keys changed.
    pub(super) fn rotate_if_due(&mut self, now: TokioInstant, state: &mut StateDirectory) -> bool {
        if self.check_at > now {
            return false;
        }
        let unix = unix_now();
        let is_changed = match &mut self.cookies {
            Some(cookies) => {
                let is_rotated = cookies.rotate_if_due(unix);
                if is_rotated {
                    cookies.save(state);
                }
                is_rotated
            }
            None => {
                self.cookies = Cookies::open(state, unix);
                self.cookies.is_some()
            }
        };
        self.check_at = now + Cookies::due_in(self.cookies.as_ref(), unix);
        is_changed
    }

    /// Saves the keys in use.
    pub(super) fn save(&self, state: &mut StateDirectory) {
        if let Some(cookies) = &self.cookies {
            cookies.save(state);
        }
    }
}
