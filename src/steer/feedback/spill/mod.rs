//! Spill: the share of its clients that each pool with a capacity keeps. The rest, its excess, goes
//! to its neighbours: the pools that its clients are offered next.
//!
//! A pool spills clients only where that helps: down to its target while its neighbours have room,
//! and above the targets only until all are equally full. So every pool has an equilibrium: the
//! fullness at which its load and that of its neighbours would be evenly spread, but at least its
//! target. Its kept share is corrected by the distance from there.
//!
//! DNS acts on caches: the effect of a step is reported one TTL later, and reports are noisy,
//! because few resolvers may have most of the clients. So a single report moves a pool only if the
//! pool is far from its equilibrium. A smaller difference must last, and must be larger than the
//! noise of the reports. Steps are limited. Clients that one pool spills are expected at the next
//! before they are reported there.
//!
//! | topic | file |
//! |---|---|
//! | all pools with a capacity, their reports and when they step | `capped_pools` |
//! | one step of a group of pools | `group_step` |
//! | the kept share of one pool | `kept_share` |
//! | how full a pool is, on one scale for all measures | `fullness` |
//! | which pools may spill to which | `neighbours`, `capped_subtree` |
//! | where the clients that each pool spills go at present | `flows` |
//! | whether a difference is more than noise | `deviation` |

mod capped_pools;
mod capped_subtree;
mod deviation;
mod flows;
mod fullness;
mod group_step;
mod kept_share;
mod neighbours;

pub(super) use capped_pools::{CappedPoolReader, CappedPools};
