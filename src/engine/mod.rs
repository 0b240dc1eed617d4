//! The engine: the only door in, for every transport. Layer 5: pure.
//!
//! [`answer()`] answers one request, a [`Group`] several at once, which share the waiting for
//! memory. `parsed` reads a request and decides whether its question is to be answered; `walk`
//! follows the name through our zones; `referral`, `steered` and `additional` write what a step
//! found; `frame` is what every reply has around that. [`explain()`] tells how one client's answer
//! came about, [`plan()`] what a change would do to everybody's.

mod additional;
mod answer;
mod explain;
#[cfg(test)]
mod fixture;
mod frame;
mod group;
mod parsed;
mod percent;
mod plan;
mod referral;
mod steered;
mod walk;
mod whoami;

pub use answer::{Ignored, Query, Reply, Tally, Transport, answer};
pub use explain::{
    AttemptView, DatacenterView, DecidedByView, Explanation, LocationView, MemberView, NotOurs,
    PoolView, QuestionView, RecordView, ReplyView, Request, SteeringView, StepView, TargetView,
    TtlView, World, explain, render_text,
};
pub use group::{GROUP, Group, Names};
pub use percent::percent;
pub use plan::{
    BasisView, CountryView, DatacenterChange, FlowView, Plan, Rules, ServiceChange, ShiftView,
    plan, render_plan,
};

#[cfg(test)]
mod tests;
