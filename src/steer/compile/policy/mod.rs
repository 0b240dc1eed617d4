//! Policies: which members a pool picks and in which groups, one file per policy.
//!
//! A policy sees members only through [`Candidates`]. What it evaluates decides how long the answer
//! may be cached, because the choice depends on the verdicts of the evaluated members. For an
//! inspection, it records the reason of each pick; a compilation does not ask for reasons.

mod all;
mod candidates;
mod decision;
mod failover;
mod geo;
mod nearest;
mod search_result;
mod select;
mod select_context;
mod tier;
mod weighted;

pub use decision::{Decision, PickReason, SkipReason};

pub(in crate::steer) use candidates::{Candidates, MemberGroups};
pub(in crate::steer) use geo::MatchedRules;
pub(in crate::steer) use search_result::SearchResult;
pub(in crate::steer) use select::{decisions, decisions_below_min_up, offered, select};
pub(in crate::steer) use select_context::{FailoverState, SelectContext};
pub(in crate::steer) use tier::Tier;
