//! The log record of a change of health status.

use crate::{health::Verdict, probe::ProbeKey};

/// Logs that an endpoint's health status changed: as a warning if the endpoint is down now.
pub(super) fn log_verdict_change(key: &ProbeKey, from: Verdict, to: Verdict, reason: Option<&str>) {
    let (monitor, endpoint, from) = (&key.monitor.name, &key.target, from.as_str());
    if to == Verdict::Down {
        tracing::warn!(%monitor, %endpoint, from, to = to.as_str(), reason, "health status changed");
    } else {
        tracing::info!(%monitor, %endpoint, from, to = to.as_str(), reason, "health status changed");
    }
}
