//! Monitors: what to probe and how often.

use std::{num::NonZeroU8, time::Duration};

use super::Check;

/// What to probe and how often. Names no target: the endpoints that use it do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Monitor {
    /// The name in `[monitor.NAME]`.
    pub name: Box<str>,
    /// What one probe does.
    pub check: Check,
    /// From the start of one probe to the start of the next, jittered ±10 %.
    pub interval: Duration,
    /// A probe that has no outcome after this has failed. Shorter than `interval`.
    pub timeout: Duration,
    /// Passes in a row before up.
    pub rise: NonZeroU8,
    /// Failures in a row before down.
    pub fall: NonZeroU8,
}
