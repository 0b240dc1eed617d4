//! The engine: the only door in, for every transport. Layer 5: pure.
//!
//! [`answer()`] answers one request, a [`QueryGroup`] several at once, which share the waiting for
//! memory. `parsed_query` reads a request and decides whether its question is to be answered;
//! `walk` follows the name through our zones; `referral`, `service_answer` and `additional` write
//! what a step found; `reply_builder` is what every reply has around that. [`explain()`] tells how
//! one client's answer came about, [`plan()`] what a change would do to everybody's.

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
mod walk;
mod whoami;

pub use answer::answer;
pub use explain::{
    AttemptView, DatacenterView, DecidedByView, ExplainRequest, Explanation, LocationView,
    MemberView, NameNotServed, PoolView, QuestionView, RecordView, ReplyView, SteeringView,
    StepView, TargetView, TtlView, explain, render_text,
};
pub use plan::{
    BasisView, CountryView, DatacenterChange, FlowView, Plan, PlanLimits, ServiceChange, ShiftView,
    plan, render_plan,
};
pub use query::{IgnoreReason, Query, Transport};
pub use query_group::{MAX_GROUP, NameBuffers, QueryGroup};
pub use reply::{ReplyLabels, WrittenReply};
pub use snapshot_context::SnapshotContext;

#[cfg(test)]
mod tests;
