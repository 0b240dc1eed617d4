//! The movement meter: how much demand health checks, aliases and failovers move. Nothing holds
//! them; what they move counts for the rule `max-moved`, so that people and load feedback move
//! less after an outage.

use tokio::sync::oneshot;

use super::background::received;
use crate::steer::CompiledCharts;

/// Measures one publication at a time. Those that arrive during a measurement are measured as one.
#[derive(Debug, Default)]
pub(super) struct MovementMeter {
    /// Receives the share of all demand that moved.
    pub running: Option<oneshot::Receiver<f64>>,
    /// The charts before the first publication that is not measured yet.
    pub queued: Option<CompiledCharts>,
}

impl MovementMeter {
    /// Waits for the share of all demand that moved; `None` after a panic. Never ends while nothing
    /// is measured.
    pub(super) async fn finished(&mut self) -> Option<f64> {
        received(self.running.as_mut()).await
    }

    /// Discards the publications not measured yet: the next one was measured when it was judged.
    pub(super) fn skip(&mut self) {
        self.queued = None;
    }
}
