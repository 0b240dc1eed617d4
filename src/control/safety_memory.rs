//! What the safety rules remember, and what must survive a restart: the datacenters that are held
//! against their health checks, and how much demand has moved.

use super::{safety::MovementWindow, state::SavedSafety};
use crate::steer::HealthHold;

/// The memory of the safety rules.
#[derive(Debug, Default)]
pub(super) struct SafetyMemory {
    pub hold: HealthHold,
    pub window: MovementWindow,
}

impl SafetyMemory {
    pub(super) fn restored(saved: SavedSafety) -> Self {
        let SavedSafety { held, movements } = saved;
        Self {
            hold: HealthHold::restored(held.into_iter().map(Into::into)),
            window: MovementWindow::restored(movements),
        }
    }

    /// The memory for the next run.
    pub(super) fn saved(&self) -> SavedSafety {
        SavedSafety {
            held: self.hold.held().iter().map(ToString::to_string).collect(),
            movements: self.window.movements().to_vec(),
        }
    }
}
