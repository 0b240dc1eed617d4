//! The search: the result of each pool of a tree under given conditions, for one family and one
//! area of the address space.

mod availability;
mod endpoint_search;
mod layers;
mod outage_set;
mod pool_search;
mod pool_selection;
mod quorum;
mod search_context;
mod wheel_builder;
mod wheel_cache;

pub use wheel_cache::WheelCache;

pub(in crate::steer) use availability::{EndpointAvailability, GroupAvailability, PoolEndpoint};
pub(in crate::steer) use outage_set::OutageSet;
pub(in crate::steer) use pool_search::PoolSearch;
pub(in crate::steer) use pool_selection::Quorum;
pub(in crate::steer) use search_context::SearchContext;
