//! Ramp times: how long a drain and a slow start take.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long the slow start and the drain of an endpoint or a datacenter take; 0 is at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RampTimes {
    /// The time from recovery, or from the end of a drain, until it receives its full share.
    pub slow_start: Duration,
    /// The time from the beginning of a drain until it receives no clients.
    pub drain_over: Duration,
}

impl RampTimes {
    /// The maximum duration of a ramp: 7 days.
    pub const MAX_RAMP: Duration = Duration::from_secs(7 * 24 * 3600);
}
