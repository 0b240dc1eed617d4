//! The key of a poll, and the report of one.

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use super::failure::PollFailure;
use crate::load::{LoadReport, LoadSource};

/// A load source, and the endpoint if each endpoint has its own page. Compared by content.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PollKey {
    /// The load source, with its interval and timeout.
    pub source: Arc<LoadSource>,
    /// The address that replaces `{address}`; `None` if all endpoints share the source.
    pub target: Option<IpAddr>,
}

impl PollKey {
    /// The key for an endpoint with this address.
    pub fn new(source: Arc<LoadSource>, address: IpAddr) -> Self {
        let target = source.is_per_address().then_some(address);
        Self { source, target }
    }
}

impl fmt::Display for PollKey {
    /// The load source, and its target if it has one: `web` or `web 192.0.2.1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source.name)?;
        self.target.map_or(Ok(()), |address| write!(f, " {address}"))
    }
}

/// The result of one poll.
#[derive(Debug, Clone, PartialEq)]
pub struct PollReport {
    /// The source that was polled.
    pub key: PollKey,
    /// The load report, or the reason why there is none.
    pub result: Result<LoadReport, PollFailure>,
    /// The time at which the poll ended, since the epoch given to `Poller::start`.
    pub ended_at: Duration,
}
