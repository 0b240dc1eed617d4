//! Steering: what can be answered (datacenters, endpoints, pools, services), and how it is compiled
//! into wheels. Layer 2: pure.
//!
//! | room | what | when it runs |
//! |---|---|---|
//! | `model` | the configuration ([`Topology`]), and the [`Conditions`] that change | on a load |
//! | `compile` | from these to charts: plans, search, policies, slots | on a load, on each change |
//! | `chart` | [`Chart`], from which a query takes its [`Route`] and draws | for each query |
//! | `inspect` | reports: one client's search, and the datacenters answered | when asked |
//! | `feedback` | from load reports and ramps to [`Adjustments`] | on each report |
//! | `recovery` | outages of all members, which conditions remember | on each change of health |
//! | `requirements` | expectations and assertions about answers, verified | on a load, by `check` |
//! | `safety` | the rules that every change must keep | before each change |

mod chart;
mod compile;
mod feedback;
mod inspect;
mod model;
mod recovery;
mod requirements;
mod safety;

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
    answered_endpoints, answered_endpoints_in, count_alternatives, inspect, inspect_pool,
};
pub use model::{
    Adjustments, AliasId, Amendment, AnswerCount, Capacity, ClientGroup, CombinedProbe, Conditions,
    Datacenter, DatacenterId, Endpoint, EndpointId, EndpointTarget, Failback, FailbackProgress,
    Family, FamilyCoupling, FeedId, Fraction, GeoRule, HealthOverride, LoadFeed, LoadFeeds,
    LoadLevel, LoadMeasure, LoadPolicy, LoadSourceId, Member, MemberKind, MinUp, MonitorId,
    NumberedTopology, Numbering, OnAllDown, Override, OverrideIndex, OverrideKind, OverrideSet,
    OverrideSubject, OverrideValue, Policy, Pool, PoolId, Probe, ProbeId, ProbeTarget, RampTimes,
    RecordKind, Regulation, ResolvedAlias, Service, ServiceBinding, ServiceId, ServingState,
    Spread, SrvHost, Tie, Topology, TopologyDocument, ZoneId, active_probes, apply_overrides,
    datacenter_states, effective_state, update_combined,
};
pub use recovery::{Recovery, SavedRecovery};
pub use requirements::{
    AnswerItem, AnswerRule, Assertion, AssumedStates, ClientSet, Counterexample, Expectation,
    ExpectedShare, FailureDepth, RequirementFault, RequirementId, Requirements, Violation, verify,
};
pub use safety::{
    ActiveMinimum, BrokenMinimum, HealthHold, MovementLimit, SafetyRule, SafetyRules,
    active_datacenters,
};
