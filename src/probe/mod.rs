//! Health checks and polls of load sources, each once per interval. Layer 7, on tokio.
//!
//! A probe is one health check of one target; a poll is one request to one load source. Both are
//! jobs (`job`) of the scheduler: one task (`scheduler`, reached by its `handle`) that follows a
//! timetable (`timetable`). Each run is a task of its own with its own deadline, so no target waits
//! for another. Each kind of probe has a file: `http`, `tcp`, `certificate` (TLS), `grpc`, `dns`,
//! `icmp`, `exec`; polls are in `poll`. Results go to the controller over a bounded channel as
//! [`ProbeReport`]s and [`PollReport`]s. [`crate::health::Ledger`] derives the verdicts; this
//! module decides none.
//!
//! Invariants:
//! - At most one probe per [`ProbeKey`] runs at a time.
//! - The number of probes started in any second depends on the configuration, not on the replies of
//!   the targets. The only exceptions are retries while this process lacks a resource.
//! - A failure that may be due to a stall of this process is discarded (`attempt_timer`). A target
//!   whose due checks give no result is reported as unchecked (`check_history`).

mod aliases;
mod attempt_timer;
mod body;
mod certificate;
mod check;
mod check_history;
mod connection;
mod counts;
mod dns;
mod exec;
mod grpc;
mod handle;
mod host_header;
mod http;
mod http1;
mod http2;
mod icmp;
mod job;
mod key;
mod limits;
mod no_result;
mod poll;
mod prober;
mod proxy;
mod redirect;
mod result;
mod scheduler;
mod stall_detector;
mod tcp;
mod timetable;
mod tls;

#[cfg(test)]
mod tests;

pub use counts::{CountsHandle, SchedulerCounts};
pub use key::{ProbeKey, ProbeReport};
pub use limits::SchedulerLimits;
pub use no_result::{CountsByReason, NoResult};
pub use poll::{PollFailure, PollKey, PollReport, Poller};
pub use prober::Prober;
