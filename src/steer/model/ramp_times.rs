//! Ramp times: how long a drain and a slow start take.

use std::time::Duration;

/// How fast clients come to an endpoint or a datacenter and leave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RampTimes {
    /// From recovery or from the end of a drain until it takes its whole share.
    pub slow_start: Duration,
    /// From the beginning of a drain until it gives nothing.
    pub drain_over: Duration,
}

impl RampTimes {
    /// No ramp takes longer.
    pub const MAX_RAMP: Duration = Duration::from_secs(7 * 24 * 3600);
}
