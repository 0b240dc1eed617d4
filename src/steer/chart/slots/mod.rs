//! Slots as a query uses them: tables of members, and the draw of an answer's members from a table.
//! `compile::slots` fills the tables.

mod draw;
mod inclusion;
mod score;
mod table;

pub(in crate::steer) use draw::DrawSeed;
pub(in crate::steer) use score::{
    BLOCK_SLOTS, InversePermutation, Permutation, ScoreCurve, ScoreCurves, ScoredMember, SlotScore,
};
pub(in crate::steer) use table::{
    DistinctDraw, GroupSlots, LookupTable, RemainingDraw, RotatedOrder, Slots,
    padded_to_power_of_two,
};

#[cfg(test)]
pub(in crate::steer) use inclusion::drawn_shares;
#[cfg(test)]
pub(in crate::steer) use score::mix;
