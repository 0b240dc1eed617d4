//! Steering: who may be answered (datacenters, endpoints, pools, services) and how that is compiled into wheels. Layer 2: pure.
//!
//! [`Topology`] is what is configured, [`Conditions`] what changes without an edit. [`Compiler`] searches each service's pools
//! (`search`, `policy`) in every area that its preferences divide the world into (`preference`, `survey`), fills wheels (`slots`)
//! and makes a [`Chart`], from which a query takes its [`Course`] and draws. [`inspect()`] keeps the steps of one such search
//! for people.

mod chart;
mod combination;
mod compiler;
mod conditions;
mod datacenter;
mod draws;
mod endpoint;
mod inspect;
mod policy;
mod pool;
mod preference;
mod search;
mod service;
mod slots;
mod survey;
mod topology;
mod wheel;

#[cfg(test)]
mod tests;

pub use chart::{Answer, Chart, Course, Family, Plight, Rdata};
pub use combination::{Combination, combine};
pub use compiler::Compiler;
pub use conditions::{Conditions, datacenter_states, probed};
pub use datacenter::{Datacenter, State};
pub use draws::Draws;
pub use endpoint::{Endpoint, Force, Target};
pub use inspect::{
    Content, Fate, InspectedAttempt, InspectedEndpoint, InspectedMember, InspectedPool, Inspection, Offer, Pass, Pick,
    Vantage, inspect, is_special,
};
pub use pool::{Answers, Member, MemberKind, MinUp, Policy, Pool, Rule, Spread, Tie};
pub use service::{OnAllDown, Service};
pub use survey::Surveys;
pub use topology::{
    DatacenterId, EndpointId, MonitorId, PoolId, Probe, ProbeId, ProbeTarget, ServiceId, Topology, ZoneId,
};
