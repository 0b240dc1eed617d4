//! Polls of load sources: requests a load report from each source once per interval.
//!
//! Each poll opens its own connection (`page` over HTTP, `socket` to HAProxy) and ends within the
//! source's timeout. The source's [`crate::load::ReportReader`] reads the reply as it arrives, and
//! bounds what is read and what is kept in memory. Redirects are not followed, and nothing is
//! decompressed. Connections are not reused: at 200 polls a second, opening them costs less than
//! 1 % of a core, and each idle connection would have to be monitored.

mod failure;
mod job;
mod key;
mod page;
mod socket;

pub use failure::PollFailure;
use job::PollJob;
pub use key::{PollKey, PollReport};

use super::handle::SchedulerHandle;

/// The handle to the task that polls load sources; a report counts as a pass.
///
/// Each running poll holds one open file, and what its reader keeps: at most 4 MiB of a hostile
/// page, and a few KiB of others.
pub type Poller = SchedulerHandle<PollJob>;

#[cfg(test)]
mod tests;
