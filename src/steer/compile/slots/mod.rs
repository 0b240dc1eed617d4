//! Slots: how many each member gets, and in which order. This is the control side of the wheel;
//! `chart::slots` is the query side.
//!
//! Members come in *groups*: those of an earlier group are always picked before those of a later
//! one, and within a group the order is drawn by weight. `weighted` has one group; `failover` has a
//! group for each member; `nearest` with a tie has one group for the tied members and one for each
//! of the others.
//!
//! Exact shares and minimal movement exclude each other. `query` and `turn` need exact shares:
//! slots are quotas by largest remainder (`quotas`). `client` needs minimal movement: the owner of
//! each slot is chosen by weighted rendezvous hashing (`rendezvous`), where a member's score
//! depends only on the slot, the member and its weight, so that a change moves only the slots that
//! it must.
//!
//! Slots depend on the hashes of their members' names and not on the pool, so that equal pools
//! share one table (`table_cache`). A client's draws from two pools are still independent: the hash
//! that picks its slot is keyed by the pool's name.

mod fractions;
mod quotas;
mod rendezvous;
mod table_cache;
mod table_spec;
mod weighted_member;

#[cfg(test)]
mod tests;

pub(in crate::steer) use fractions::{distinct_fractions, normalise, raised_to_cover_all, shares};
pub(in crate::steer) use table_cache::SlotTableCache;
pub(in crate::steer) use table_spec::{FillMethod, Picks, TableSpec, steady_slots};
pub(in crate::steer) use weighted_member::WeightedMember;
