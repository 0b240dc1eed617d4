//! Persistence: when the state that must survive a restart is saved, and that it is saved again
//! where that failed.
//!
//! Invariant: a change of the state is on disk a second later, or `state_directory` has a save
//! failure, which reports show, and the save is repeated every 10 seconds.

use std::time::{Duration, SystemTime};

use tokio::time::Instant as TokioInstant;

use super::{cookie_rotation::CookieRotation, live_conditions::LiveConditions, probing::Probing};
use crate::{
    control::{
        LoadedConfig,
        clock::unix_now,
        demand_tracker::{DemandHandle, DemandTracker},
        last_good::LastGoodOrigin,
        last_good_saver::LastGoodSaver,
        state::StateDirectory,
    },
    dns::CookieKeys,
};

/// The delay between a change of health status and the save of it.
const SAVE_DELAY: Duration = Duration::from_secs(1);
/// The interval at which state is saved again that could not be saved, or that is gone from the
/// state directory.
const SAVE_RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// Owns the state directory and the timers of its saves.
#[derive(Debug)]
pub(super) struct Persistence {
    state_directory: StateDirectory,
    last_good_saver: LastGoodSaver,
    demand: DemandTracker,
    cookies: CookieRotation,
    /// When to save health status, ramps, recoveries and aliases; `None` while they are saved.
    save_at: Option<TokioInstant>,
    /// The time at which to check whether all of the state is saved.
    check_at: TokioInstant,
}

impl Persistence {
    /// Opens the cookie keys, or makes new ones. `origin` names the locations of the files in the
    /// last good set; `now` is in seconds since 1970.
    pub(super) fn start(
        mut state_directory: StateDirectory,
        origin: LastGoodOrigin,
        demand: DemandTracker,
        now: i64,
    ) -> Self {
        let cookies = CookieRotation::open(&mut state_directory, now);
        Self {
            last_good_saver: LastGoodSaver::start(state_directory.clone(), origin),
            state_directory,
            demand,
            cookies,
            save_at: None,
            check_at: TokioInstant::now() + SAVE_RETRY_INTERVAL,
        }
    }

    pub(super) fn state_directory(&self) -> &StateDirectory {
        &self.state_directory
    }

    /// Asks for the observed demand.
    pub(super) fn demand(&self) -> DemandHandle {
        self.demand.handle()
    }

    /// The keys of server cookies.
    pub(super) fn cookie_keys(&self) -> Option<CookieKeys> {
        self.cookies.keys()
    }

    /// Rotates and saves cookie keys that are too old. Returns whether the keys changed.
    pub(super) fn rotate_cookies_if_due(&mut self, now: TokioInstant) -> bool {
        self.cookies.rotate_if_due(now, &mut self.state_directory)
    }

    /// Schedules a save of the state that changes between loads, unless one is scheduled already.
    pub(super) fn schedule(&mut self) {
        self.save_at.get_or_insert_with(|| TokioInstant::now() + SAVE_DELAY);
    }

    /// Saves what the safety rules remember: a restart must not permit what they forbid.
    pub(super) fn save_safety(&mut self, conditions: &LiveConditions) {
        self.state_directory.save_safety(conditions.safety().saved());
    }

    /// The time at which anything here is due.
    pub(super) fn due(&self) -> TokioInstant {
        let fixed = self.check_at.min(self.cookies.due());
        self.save_at.map_or(fixed, |at| at.min(fixed))
    }

    /// Saves the state that changes between loads, if that is due.
    pub(super) fn save_if_due(
        &mut self,
        now: TokioInstant,
        probing: &Probing,
        conditions: &LiveConditions,
    ) {
        if self.save_at.is_some_and(|at| at <= now) {
            self.save_live_state(probing, conditions);
        }
    }

    /// Saves everything again if anything could not be saved or is gone, once per interval: the
    /// disk may have room by now.
    pub(super) fn retry_if_due(
        &mut self,
        now: TokioInstant,
        loaded: &LoadedConfig,
        probing: &Probing,
        conditions: &LiveConditions,
    ) {
        if self.check_at > now {
            return;
        }
        self.check_at = now + SAVE_RETRY_INTERVAL;
        let is_any_lost = self.state_directory.save_failures().is_any_lost();
        if is_any_lost {
            tracing::warn!(directory = %self.state_directory.path().display(), "state files are gone: they are saved again");
        }
        if is_any_lost || self.has_failures() {
            self.save_all(loaded, probing, conditions);
        }
    }

    /// Saves what belongs to the files in use: serials and contents.
    pub(super) fn save_files(&mut self, loaded: &LoadedConfig) {
        self.state_directory.save_serials(&loaded.serials);
        self.last_good_saver.save(&loaded.last_good);
    }

    /// Saves the state at the end of the process, and marks the end as clean.
    pub(super) async fn finish(
        mut self,
        loaded: &LoadedConfig,
        probing: &Probing,
        conditions: &LiveConditions,
    ) {
        if self.has_failures() {
            self.save_all(loaded, probing, conditions);
        } else {
            self.save_live_state(probing, conditions);
        }
        self.demand.finish().await;
        self.last_good_saver.finish().await;
        self.state_directory.mark_clean_stop(unix_now());
    }

    fn has_failures(&self) -> bool {
        self.state_directory.save_failures().text().is_some()
    }

    fn save_all(&mut self, loaded: &LoadedConfig, probing: &Probing, conditions: &LiveConditions) {
        self.cookies.save(&mut self.state_directory);
        self.save_live_state(probing, conditions);
        self.save_files(loaded);
        self.demand.save();
        self.state_directory.resave_overrides(&loaded.overrides);
    }

    /// Saves health status, ramps, recoveries and aliases.
    fn save_live_state(&mut self, probing: &Probing, conditions: &LiveConditions) {
        self.save_at = None;
        let now = unix_now();
        self.state_directory.save_verdicts(probing.saved_verdicts(now), now);
        self.state_directory.save_feedback(&conditions.saved_feedback());
        self.state_directory.save_recoveries(conditions.saved_recoveries(), SystemTime::now());
        self.state_directory.save_aliases(conditions.aliases().saved());
        self.state_directory.save_safety(conditions.safety().saved());
    }
}
