//! Health checks and load reports: asks each target of each monitor, and each load source, once per
//! interval and reports what came of it. Layer 5, on tokio.
//!
//! One task (`scheduler`) owns the timetable (`timetable`) of a job (`job`: probes, or polls of
//! load sources); each probe is a task of its own with its own deadline, so no target ever waits
//! for another. What one probe does is in a file per kind: `http`, `tcp`, `certificate` (TLS),
//! `grpc`, `dns`, `icmp`, `exec`; what one poll does is in `poll`. Outcomes go to the controller
//! over a bounded channel as [`ProbeReport`]s; verdicts are made of them in
//! [`crate::health::Ledger`], never here.
//!
//! Invariants: at most one probe per [`ProbeKey`] at a time; the number of probes started in any
//! second depends on the configuration alone, not on what the targets answer (but for a few more
//! attempts where this process lacks a resource); a failure that may be due to a loss of this
//! process' own time is discarded (`attempt_timer`), and a target of which too many checks gave no
//! result is reported as unchecked (`check_history`).

mod aliases;
mod attempt_timer;
mod body;
mod certificate;
mod check;
mod check_history;
mod counts;
mod dns;
mod exec;
mod grpc;
mod http;
mod http1;
mod http2;
mod icmp;
mod job;
mod no_result;
mod poll;
mod prober;
mod proxy;
mod redirect;
mod scheduler;
mod stall_detector;
mod tcp;
mod timetable;
mod tls;

#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

pub use counts::{CountsHandle, SchedulerCounts};
pub use no_result::{CountsByReason, NoResult};
pub use poll::{PollFailure, PollKey, PollReport, Poller};
pub use prober::Prober;
pub use scheduler::SchedulerLimits;

use crate::{
    health::{Monitor, Outcome, saved},
    steer::ProbeTarget,
};

/// What is probed: one target with one monitor, by content. Two configurations that hold an equal
/// key mean the same probe.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProbeKey {
    /// With what.
    pub monitor: Arc<Monitor>,
    /// Whom.
    pub target: ProbeTarget,
}

/// What one probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeReport {
    /// Of whom.
    pub key: ProbeKey,
    /// A pass or a failure.
    pub outcome: Outcome,
    /// When the probe ended, since the epoch given to [`Prober::start`].
    pub ended_at: Duration,
}

impl ProbeKey {
    /// The name under which its verdict is saved.
    pub fn saved_key(&self) -> saved::SavedKey {
        saved::SavedKey::for_target(&self.monitor, self.target.to_string())
    }
}

impl fmt::Display for ProbeKey {
    /// `web 192.0.2.1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.monitor.name, self.target)
    }
}
