//! Compilation: from topology, conditions and databases to charts. It runs after a load and after
//! each change of the conditions, never for a query.
//!
//! [`Compiler`] groups services with equal settings into chart plans and finds the plans that a
//! change touches (`dependencies`). A [`Compilation`] searches the pools of each plan (`search`,
//! `policy`) in every area that its preferences divide the world into (`preference`, `survey`),
//! and fills the slots of its wheels (`slots`).

mod chart_plan;
mod compilation;
mod compiler;
mod dependencies;
mod policy;
mod preference;
mod published_families;
mod search;
mod slots;
mod stable_hash;
mod survey;

pub use compilation::{Compilation, CompiledCharts};
pub use compiler::Compiler;
pub use policy::{Decision, PickReason, SkipReason};
pub use search::WheelCache;
pub use survey::Surveys;

pub(super) use chart_plan::{ChartKey, ChartPlan, PoolAttempt};
pub(super) use compiler::named_prefixes;
pub(super) use policy::{MatchedRules, SearchResult};
pub(super) use preference::{
    LossRange, Preferences, Ranking, RuleKeys, Specificity, biased_km, member_coordinates,
};
pub(super) use published_families::PublishedFamilies;
pub(super) use search::{
    EndpointAvailability, GroupAvailability, OutageSet, PoolEndpoint, PoolSearch, Quorum,
    SearchContext,
};
pub(super) use slots::raised_to_cover_all;
pub(super) use stable_hash::stable_hash;
pub(super) use survey::Survey;
