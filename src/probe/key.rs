//! The key of a probe, and the report of one.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    health::{Monitor, Outcome, saved},
    steer::ProbeTarget,
};

/// One target and the monitor that checks it, compared by content: equal keys of two configurations
/// are the same probe.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProbeKey {
    /// The health check, with its interval and timeout.
    pub monitor: Arc<Monitor>,
    /// The address or name probed.
    pub target: ProbeTarget,
}

/// The result of one probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeReport {
    /// The monitor and the target.
    pub key: ProbeKey,
    /// A pass or a failure.
    pub outcome: Outcome,
    /// The time at which the probe ended, since the epoch given to `Prober::start`.
    pub ended_at: Duration,
}

impl ProbeKey {
    /// The key under which the target's verdict is saved across restarts.
    pub fn saved_key(&self) -> saved::SavedKey {
        saved::SavedKey::for_target(&self.monitor, self.target.to_string())
    }
}

impl fmt::Display for ProbeKey {
    /// The monitor and the target: `web 192.0.2.1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.monitor.name, self.target)
    }
}
