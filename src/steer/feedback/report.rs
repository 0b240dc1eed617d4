//! What feedback reports to operators: its present state, by feed, pool and ramp.

use std::{borrow::Cow, time::Duration};

use super::{
    agreement::Disagreement, balance::WeightFallback, feed_reading::FeedReading, ramps::RampKey,
};
use crate::steer::{FeedId, PoolId};

/// The present state of feedback.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedbackReport<'a> {
    /// One report for each feed, in the order of their numbers.
    pub feeds: Vec<FeedReport<'a>>,
    /// One report for each pool whose answers depend on feedback.
    pub pools: Vec<PoolReport<'a>>,
    /// Drains, slow starts and failbacks in progress.
    pub ramps: Vec<RampReport<'a>>,
    /// How many lasting disagreements between balancers and our probes began since the start.
    pub disagreements: u64,
}

/// The state of a feed.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedReport<'a> {
    /// The number of the feed in the topology.
    pub id: FeedId,
    /// The newest report; `None` before the first.
    pub reading: Option<&'a FeedReading>,
    /// Whether the newest report is expired, so that it no longer counts.
    pub is_stale: bool,
    /// How the reports differ from the verdicts of our probes, once that lasts.
    pub disagreement: Option<Disagreement>,
}

/// The state of a pool whose answers depend on feedback.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolReport<'a> {
    /// The number of the pool in the topology.
    pub id: PoolId,
    /// The share of each member of a `load` pool, from 0 to 1, before members that are down are
    /// left out.
    pub shares: Option<&'a [f64]>,
    /// Why a `load` pool uses its configured weights, if it does.
    pub fallback: Option<WeightFallback>,
    /// The share of its clients that a pool with a capacity keeps, from 0 to 1.
    pub kept_share: Option<f64>,
    /// The load of a pool with a capacity at its latest update, in the unit of its measure.
    pub level: Option<f64>,
    /// The load above which that pool spills clients, in the same unit.
    pub target: Option<f64>,
    /// The member that holds the clients of a `failover` pool although one before it is usable.
    pub holder: Option<u16>,
}

impl PoolReport<'_> {
    /// A report in which nothing but the pool's number is set.
    pub(super) fn empty(id: PoolId) -> Self {
        Self {
            id,
            shares: None,
            fallback: None,
            kept_share: None,
            level: None,
            target: None,
            holder: None,
        }
    }
}

/// A ramp in progress.
#[derive(Debug, Clone, PartialEq)]
pub struct RampReport<'a> {
    /// The datacenter, endpoint or failback that the ramp belongs to.
    pub key: Cow<'a, RampKey>,
    /// The present fraction, from 0 to 1.
    pub value: f64,
    /// The fraction at the end of the ramp, from 0 to 1.
    pub goal: f64,
    /// The time at which the goal is reached, since the caller's epoch.
    pub ends_at: Duration,
}
