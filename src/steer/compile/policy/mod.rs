//! Policies: each says which members a pool picks and in which groups, one file per policy.
//!
//! A policy sees members only through [`Candidates::evaluate`], which tells what each comes to;
//! what it looks at decides how long the answer may be cached, because those are the verdicts that
//! the choice hangs on.

mod all;
mod candidates;
mod failover;
mod geo;
mod nearest;
mod select;
mod select_context;
mod tier;
mod weighted;

pub(in crate::steer) use candidates::{Candidates, MemberGroups, SearchResult};
pub(in crate::steer) use geo::MatchedRules;
pub(in crate::steer) use select::{offered, select};
pub(in crate::steer) use select_context::{FailoverState, SelectContext};
pub(in crate::steer) use tier::Tier;
