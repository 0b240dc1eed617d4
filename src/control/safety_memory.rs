//! The state of the safety rules that survives a restart: the datacenters kept in service although
//! their health checks fail, the movements in the window, and the time of a held scheduled change.

use super::{safety::MovementWindow, state::SavedSafety};
use crate::steer::HealthHold;

/// How far in the future a movement may be dated, in seconds, because a clock was set.
const MAX_CLOCK_STEP: i64 = 300;

/// The memory of the safety rules.
#[derive(Debug, Default)]
pub(super) struct SafetyMemory {
    pub hold: HealthHold,
    pub window: MovementWindow,
    /// The time of the last allowed state, in seconds since 1970, while what the clock would change
    /// is held.
    pub held_time: Option<i64>,
}

impl SafetyMemory {
    /// Continues with the memory of a previous run. Times after `now` (seconds since 1970) are not
    /// believed.
    pub(super) fn restored(saved: SavedSafety, now: i64) -> Self {
        let SavedSafety { held, movements, held_targets, steered_at } = saved;
        Self {
            hold: HealthHold::restored(held.into_iter().map(Into::into), held_targets),
            window: MovementWindow::restored(
                movements.into_iter().filter(|one| one.at <= now + MAX_CLOCK_STEP).collect(),
            ),
            held_time: steered_at.filter(|time| (1..=now).contains(time)),
        }
    }

    /// The memory for the next run.
    pub(super) fn saved(&self) -> SavedSafety {
        SavedSafety {
            held: self.hold.held().iter().map(ToString::to_string).collect(),
            movements: self.window.movements().to_vec(),
            held_targets: self.hold.kept_targets().into_iter().collect(),
            steered_at: self.held_time,
        }
    }
}
