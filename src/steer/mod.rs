//! Steering: who may be answered (datacenters, endpoints, pools, services) and how that is compiled
//! into wheels. Layer 2: pure.
//!
//! [`Topology`] is what is configured, [`Conditions`] what changes without an edit. [`Compiler`]
//! makes one `chart_plan` for services with equal settings and finds the plans that a change
//! touches (`dependencies`). A [`Compilation`] searches the pools of each such plan (`search`,
//! `policy`) in every area that its preferences divide the world into (`preference`, `survey`),
//! fills wheels (`slots`) and makes a [`Chart`], from which a query takes its [`Route`] and draws.
//! [`inspect()`] keeps the steps of one such search for people.

mod chart;
mod compile;
mod feedback;
mod inspect;
mod model;
mod recovery;

#[cfg(test)]
mod tests;

pub use chart::{
    Chart, DecidingAddress, DrawState, EndpointAnswer, FallbackStage, Rdata, Route, SrvRdata,
    UnusableArea,
};
pub use compile::{
    Compilation, CompiledCharts, Compiler, Decision, PickReason, SkipReason, Surveys, WheelCache,
};
pub use feedback::{
    Disagreement, DisagreementChange, FeedReading, FeedReport, Feedback, FeedbackReport,
    PoolReport, RampKey, RampReport, SavedFailback, SavedFeedback, SavedHolder, SavedShares,
    WeightFallback,
};
pub use inspect::{
    AlternativeCounts, AnswerCause, AnsweredDatacenter, ClientLocation, FinalRule,
    InspectedAttempt, InspectedEndpoint, InspectedMember, InspectedNode, InspectedPool, Inspection,
    MatchedKey, PresenceFinder, RampEffect, RampOwner, RetainedShare, ShareModifiers,
    answered_endpoints, answered_endpoints_in, count_alternatives, inspect,
};
pub use model::{
    Adjustments, AliasId, Amendment, AnswerCount, Capacity, ClientGroup, CombinedProbe, Conditions,
    Datacenter, DatacenterId, Endpoint, EndpointId, EndpointTarget, Failback, FailbackProgress,
    Family, FamilyCoupling, FeedId, Fraction, GeoRule, HealthOverride, LoadFeed, LoadFeeds,
    LoadLevel, LoadMeasure, LoadPolicy, LoadSourceId, Member, MemberKind, MinUp, MonitorId,
    NumberedTopology, Numbering, OnAllDown, Policy, Pool, PoolId, Probe, ProbeId, ProbeTarget,
    RampTimes, RecordKind, Regulation, ResolvedAlias, Service, ServiceBinding, ServiceId,
    ServingState, Spread, SrvHost, Tie, Topology, ZoneId, active_probes, datacenter_states,
    update_combined,
};
pub use recovery::{Recovery, SavedRecovery};
