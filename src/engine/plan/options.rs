//! The options of a plan, and the limits that a change must stay within.

use std::collections::HashMap;

use crate::demand::ObservedDemand;

/// The limits that a change must stay within.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlanLimits {
    /// The maximum share of clients of a service that may get another answer, in percent.
    pub max_moved_percent: Option<f64>,
    /// Whether every service must keep something usable, and every client an answer.
    pub never_empty: bool,
}

impl Default for PlanLimits {
    fn default() -> Self {
        Self { max_moved_percent: None, never_empty: true }
    }
}

/// What a plan is made from besides the two sides. The default compares them without loads.
#[derive(Debug, Clone, Default)]
pub struct PlanOptions {
    /// The demand of all services together, in the unit of the datacenters' `capacity`; `None` if
    /// it is not known.
    pub demand: Option<f64>,
    /// The answers counted for each service, which weigh it. If empty, services weigh alike.
    pub answers: HashMap<String, u64>,
    /// The demand that a server observed by network, which weighs the clients. If there is not
    /// enough of it, clients weigh by announced networks.
    pub observed: Option<ObservedDemand>,
    /// The load of pools with a capacity at present, by name.
    pub pool_loads: HashMap<String, PoolLoadLevel>,
    /// Whether to show the outage of each datacenter after the change.
    pub has_outages: bool,
    /// Whether to add where clients are, for a map.
    pub has_map: bool,
    /// The time of the plan, in seconds since 1970-01-01T00:00:00Z.
    pub now: i64,
}

/// The measured load of a pool, and the load above which it gives clients away.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PoolLoadLevel {
    /// The load at the latest evaluation.
    pub level: f64,
    /// The load that should not be exceeded, in the same unit.
    pub target: f64,
}

/// With fewer counted answers, as soon after a start, services weigh alike.
const MIN_ANSWERS: u64 = 100;

/// How much of all demand a service has.
#[derive(Debug, Clone, Copy)]
pub(super) enum ServiceWeights<'o> {
    /// All services have the same demand.
    Equal,
    /// By the answers that a server counted.
    Counted(&'o HashMap<String, u64>),
}

impl<'o> ServiceWeights<'o> {
    pub(super) fn of(options: &'o PlanOptions) -> Self {
        match options.answers.values().sum::<u64>() >= MIN_ANSWERS {
            true => Self::Counted(&options.answers),
            false => Self::Equal,
        }
    }

    /// The weight of a service; compared with those of others alone.
    pub(super) fn weight(self, service: &str) -> f64 {
        match self {
            Self::Equal => 1.0,
            Self::Counted(counts) => counts.get(service).copied().unwrap_or(0) as f64,
        }
    }
}
