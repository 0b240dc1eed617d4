//! Monitors: what a probe does, how often, and how outcomes become verdicts.

use std::{num::NonZeroU8, time::Duration};

use super::Check;

/// What a probe does, how often, and how outcomes become verdicts. Targets are those of the
/// endpoints that use the monitor.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Monitor {
    /// The name in `[monitor.NAME]`.
    pub name: Box<str>,
    /// What each probe does.
    pub check: Check,
    /// From the start of one probe to the start of the next, jittered ±10 %.
    pub interval: Duration,
    /// The time after which a probe without an outcome has failed. Shorter than `interval`.
    pub timeout: Duration,
    /// The number of passes in a row that make the verdict up.
    pub rise: NonZeroU8,
    /// The number of failures in a row that make the verdict down.
    pub fall: NonZeroU8,
}
