//! Rotation of the keys of server cookies: one publication a day.

use std::sync::Arc;

use tokio::time::Instant as TokioInstant;

use super::Controller;
use crate::{
    control::{cookies::Cookies, state::unix_now},
    snapshot::ServerIdentity,
};

impl Controller {
    /// Rotates the keys if that is due. Keys that could not be made at the start are tried again.
    pub(super) fn rotate_cookies(&mut self, now: TokioInstant) {
        if self.cookies_at > now {
            return;
        }
        let unix = unix_now();
        let is_changed = match &mut self.cookies {
            Some(cookies) => {
                let is_rotated = cookies.rotate_if_due(unix);
                if is_rotated {
                    cookies.save(&mut self.state_directory);
                }
                is_rotated
            }
            None => {
                self.cookies = Cookies::open(&mut self.state_directory, unix);
                self.cookies.is_some()
            }
        };
        self.cookies_at = now + Cookies::due_in(self.cookies.as_ref(), unix);
        if is_changed {
            let cookies = self.cookies.as_ref().map(|cookies| cookies.keys().clone());
            self.identity =
                Arc::new(ServerIdentity { nsid: self.identity.nsid.clone(), cookie_keys: cookies });
            self.republish();
            tracing::info!("cookie keys rotated");
        }
    }
}
