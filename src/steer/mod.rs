//! Steering: who may be answered (datacenters, endpoints, pools, services) and how that is compiled
//! into wheels. Layer 2: pure.
//!
//! [`Topology`] is what is configured, [`Conditions`] what changes without an edit. [`Compiler`]
//! makes one `chart_plan` for services with equal settings and finds the plans that a change
//! touches (`dependencies`). A [`Compilation`] searches the pools of each such plan (`search`,
//! `policy`) in every area that its preferences divide the world into (`preference`, `survey`),
//! fills wheels (`slots`) and makes a [`Chart`], from which a query takes its [`Route`] and draws.
//! [`inspect()`] keeps the steps of one such search for people.

mod amendment;
mod area_text;
mod chart;
mod chart_plan;
mod combined_probe;
mod compilation;
mod compiler;
mod conditions;
mod datacenter;
mod dependencies;
mod draw_state;
mod endpoint;
mod feedback;
mod fraction;
mod inspect;
mod load_feeds;
mod numbering;
mod policy;
mod pool;
mod preference;
mod presence;
mod published_families;
mod record_kind;
mod recovery;
mod resolved_alias;
mod search;
mod service;
mod slots;
mod survey;
mod topology;
mod wheel;

#[cfg(test)]
mod tests;

pub use amendment::Amendment;
pub use chart::{
    Chart, DecidingAddress, EndpointAnswer, FallbackStage, Family, Rdata, Route, SrvRdata,
    UnusableArea,
};
pub use combined_probe::{CombinedProbe, update_combined};
pub use compilation::{Compilation, CompiledCharts};
pub use compiler::Compiler;
pub use conditions::{Adjustments, Conditions, FailbackProgress, active_probes, datacenter_states};
pub use datacenter::{Datacenter, ServingState};
pub use draw_state::DrawState;
pub use endpoint::{Endpoint, EndpointTarget, HealthOverride, SrvHost};
pub use feedback::{
    Disagreement, FeedReading, FeedReport, Feedback, FeedbackReport, PoolReport, RampKey,
    RampReport, SavedFailback, SavedFeedback, SavedShares, WeightFallback,
};
pub use fraction::Fraction;
pub use inspect::{
    ClientLocation, Decision, FinalRule, InspectedAttempt, InspectedEndpoint, InspectedMember,
    InspectedNode, InspectedPool, Inspection, MatchedKey, PickReason, RampEffect, RampOwner,
    RetainedShare, ShareModifiers, SkipReason, inspect,
};
pub use load_feeds::{LoadFeed, LoadFeeds};
pub use numbering::{NumberedTopology, Numbering};
pub use pool::{
    AnswerCount, Capacity, Failback, FamilyCoupling, GeoRule, LoadLevel, LoadMeasure, LoadPolicy,
    Member, MemberKind, MinUp, Policy, Pool, RampTimes, Regulation, Spread, Tie,
};
pub use presence::{
    AlternativeCounts, AnswerCause, AnsweredDatacenter, PresenceFinder, answered_endpoints,
    answered_endpoints_in, count_alternatives,
};
pub use record_kind::{RecordKind, ServiceBinding};
pub use recovery::{ClientGroup, Recovery, SavedRecovery};
pub use resolved_alias::ResolvedAlias;
pub use search::WheelCache;
pub use service::{OnAllDown, Service};
pub use survey::Surveys;
pub use topology::{
    AliasId, DatacenterId, EndpointId, FeedId, LoadSourceId, MonitorId, PoolId, Probe, ProbeId,
    ProbeTarget, ServiceId, Topology, ZoneId,
};
