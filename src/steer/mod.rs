//! Steering: who may be answered (datacenters, endpoints, pools, services) and how that is compiled
//! into wheels. Layer 2: pure.
//!
//! [`Topology`] is what is configured, [`Conditions`] what changes without an edit. [`Compiler`]
//! makes one `plan` for services with equal settings and finds the plans that a change touches
//! (`dependencies`). A [`Compilation`] searches the pools of each such plan (`search`, `policy`) in
//! every area that its preferences divide the world into (`preference`, `survey`), fills wheels
//! (`slots`) and makes a [`Chart`], from which a query takes its [`Course`] and draws.
//! [`inspect()`] keeps the steps of one such search for people.

mod amended;
mod areas;
mod chart;
mod combination;
mod compilation;
mod compiler;
mod conditions;
mod datacenter;
mod dependencies;
mod draws;
mod endpoint;
mod feedback;
mod feeds;
mod inspect;
mod kind;
mod numbering;
mod part;
mod plan;
mod policy;
mod pool;
mod preference;
mod presence;
mod published;
mod recovery;
mod resolved;
mod search;
mod service;
mod slots;
mod survey;
mod topology;
mod wheel;

#[cfg(test)]
mod tests;

pub use amended::Amendment;
pub use chart::{Answer, Authority, Chart, Course, Distress, Family, Plight, Rdata, SrvRdata};
pub use combination::{Combination, combine};
pub use compilation::{Compilation, Compiled};
pub use compiler::Compiler;
pub use conditions::{Conditions, Return, Steering, datacenter_states, probed};
pub use datacenter::{Datacenter, State};
pub use draws::Draws;
pub use endpoint::{Endpoint, Force, Host, Target};
pub use feedback::{
    Disagreement, Fallback, FeedReport, Feedback, FeedbackReport, PoolReport, RampKey, RampReport,
    Reading, SavedFeedback, SavedReturn, SavedShares,
};
pub use feeds::{Feed, Feeds};
pub use inspect::{
    Content, Fate, InspectedAttempt, InspectedEndpoint, InspectedMember, InspectedPool, Inspection,
    Kept, LastWord, Offer, Pass, Pick, Ramped, RampedBy, Terms, Vantage, inspect,
};
pub use kind::{Binding, Kind};
pub use numbering::{Numbered, Numbering};
pub use part::Part;
pub use pool::{
    Answers, Capacity, Failback, Families, Level, LoadPolicy, Measure, Member, MemberKind, MinUp,
    Pace, Policy, Pool, Regulation, Rule, Spread, Tie,
};
pub use presence::{Cause, Others, Presence, Sighting, answered, answered_in, others};
pub use recovery::{ClientGroup, Recovery, SavedRecovery};
pub use resolved::Resolved;
pub use search::Wheels;
pub use service::{OnAllDown, Service};
pub use survey::Surveys;
pub use topology::{
    AliasId, DatacenterId, EndpointId, FeedId, LoadId, MonitorId, PoolId, Probe, ProbeId,
    ProbeTarget, ServiceId, Topology, ZoneId,
};
