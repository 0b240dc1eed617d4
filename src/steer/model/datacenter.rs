//! Datacenters: places with a state.

use super::{fraction::Fraction, ids::LoadSourceId, ramp_times::RampTimes};
use crate::geo::Coordinates;

/// Whether clients may be sent to a datacenter or an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ServingState {
    /// In service.
    #[default]
    Active,
    /// Used only when nothing else is usable.
    Standby,
    /// Gives nothing to new answers; probed on.
    Draining,
    /// Gives nothing and is not probed.
    Disabled,
}

impl ServingState {
    /// The word in the zone file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Standby => "standby",
            Self::Draining => "draining",
            Self::Disabled => "disabled",
        }
    }
}

/// A place with a state.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Datacenter {
    /// The name in `[datacenter.NAME]`.
    pub name: Box<str>,
    /// Where it is; `nearest` needs it.
    pub location: Option<Coordinates>,
    /// The label that groups datacenters.
    pub region: Option<Box<str>>,
    /// As written. Once `until` has passed the datacenter counts as active.
    pub state: ServingState,
    /// Why the state is what it is.
    pub reason: Option<Box<str>>,
    /// When the state ends, in seconds since 1970-01-01T00:00:00Z.
    pub until: Option<i64>,
    /// What the datacenter's balancer says of its load; for endpoints that have no report of their
    /// own.
    pub load: Option<LoadSourceId>,
    /// How fast clients come and go.
    pub ramp_times: RampTimes,
    /// Where a drain stops until an operator lets it go on: what the datacenter keeps of its
    /// clients meanwhile.
    pub drain_hold_fraction: Option<Fraction>,
    /// What an operator lets it keep of its clients while it is active: less than all of them under
    /// `shed`.
    pub keep: Fraction,
}
