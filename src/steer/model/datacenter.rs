//! Datacenters: locations with a serving state.

use serde::{Deserialize, Serialize};

use super::{fraction::Fraction, ids::LoadSourceId, ramp_times::RampTimes};
use crate::geo::Coordinates;

/// Whether clients may be sent to a datacenter or an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServingState {
    /// In service: receives its full share of the answers.
    #[default]
    Active,
    /// Used only when nothing else is usable.
    Standby,
    /// Receives no new clients, and is still probed.
    Draining,
    /// Receives no clients and is not probed.
    Disabled,
}

impl ServingState {
    /// The keyword in the zone file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Standby => "standby",
            Self::Draining => "draining",
            Self::Disabled => "disabled",
        }
    }
}

/// A location with a serving state.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Datacenter {
    /// The name in `[datacenter.NAME]`.
    pub name: Box<str>,
    /// The coordinates of the datacenter; `nearest` pools need them.
    pub location: Option<Coordinates>,
    /// The name of the region, which groups datacenters.
    pub region: Option<Box<str>>,
    /// The state until `until`.
    pub state: ServingState,
    /// The operator's reason for the state, as written.
    pub reason: Option<Box<str>>,
    /// The time at which the state ends, in seconds since 1970-01-01T00:00:00Z.
    pub until: Option<i64>,
    /// The state after `until`: active, or what the file says after an override.
    pub state_after: ServingState,
    /// The load source of the datacenter's balancer; for endpoints without a load source of their
    /// own.
    #[serde(skip)]
    pub load: Option<LoadSourceId>,
    /// The durations of a slow start and of a drain.
    pub ramp_times: RampTimes,
    /// The fraction of its clients that the datacenter keeps while its drain is paused, until an
    /// operator resumes it.
    pub paused_drain_fraction: Option<Fraction>,
    /// The fraction of its clients that the datacenter keeps while it is active; less than all
    /// under the operator's `shed`.
    pub keep: Fraction,
    /// The largest load that the datacenter is built for, in the operator's unit; only plans read
    /// it.
    #[serde(default)]
    pub capacity: Option<f64>,
}

impl Datacenter {
    /// The state at `now` (seconds since 1970).
    pub fn state_at(&self, now: i64) -> ServingState {
        let has_ended = self.until.is_some_and(|until| until <= now);
        if has_ended { self.state_after } else { self.state }
    }
}
