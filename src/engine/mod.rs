//! The engine: from a query to its reply. Every transport calls it. Layer 7: pure.
//!
//! [`answer()`] answers one query. A [`QueryGroup`] answers several together, so that their cache
//! misses overlap. `parsed_query` reads a query and decides whether its question can be answered;
//! `walk` follows the name through the zones; `referral`, `service_answer` and `additional` write
//! the records that a step found; `reply_builder` writes what every reply has in common: header,
//! question and OPT. [`explain()`] shows how one client's answer comes about, [`pool_overview()`]
//! the members of a pool for all clients, and [`plan()`] how a change would move the answers of all
//! clients.

mod additional;
mod answer;
mod explain;
#[cfg(test)]
mod fixture;
mod parsed_query;
mod plan;
mod query;
mod query_context;
mod query_group;
mod record_header;
mod referral;
mod reply;
mod reply_builder;
mod service_answer;
mod snapshot_context;
mod steering_address;
mod walk;
mod whoami;

pub use answer::answer;
pub use explain::{
    AttemptView, DatacenterView, DecidedByView, ExplainRequest, Explanation, LocationView,
    MemberOverview, MemberView, NameNotServed, PoolOverview, PoolView, QuestionView, RecordView,
    ReplyView, SteeringView, StepView, TargetView, TtlView, explain, pool_overview, render_text,
};
pub use plan::{
    AsnView, BasisView, CacheView, CountryView, DatacenterChange, ExceededCapacity, FlowView,
    LoadView, LossView, MapDatacenter, MapPlace, MapView, MovedShare, MovementView, NetworkView,
    ObservedDemandView, OutageView, Plan, PlanLimits, PlanOptions, PlanSide, PoolLoadLevel,
    SampleTotalsView, ServiceChange, ServiceLossView, ShareView, ShiftView, moved_share, plan,
    render_map, render_plan,
};
pub use query::{IgnoreReason, Query, Transport};
pub use query_group::{MAX_GROUP, NameBuffers, QueryGroup};
pub use reply::{ReplyLabels, WrittenReply};
pub use snapshot_context::SnapshotContext;
pub use steering_address::steering_address;

#[cfg(test)]
mod tests;
