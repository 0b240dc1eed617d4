//! The chart: everything in `steer` that a query reads.
//!
//! The lookup goes from the client to its area (atlas), from the area to its wheel, from the wheel
//! to a slot, and from the slot to ready answers. No function here allocates during a query.

mod draw_state;
mod endpoint_answer;
mod fallback_stage;
mod route;
mod service_chart;
mod slots;
mod wheel;

pub use draw_state::DrawState;
pub use endpoint_answer::{EndpointAnswer, Rdata, SrvRdata};
pub use fallback_stage::FallbackStage;
pub use route::Route;
pub use service_chart::{Chart, DecidingAddress, UnusableArea};

pub(super) use route::client_key;
pub(super) use service_chart::{AreaAnswer, FamilyChart};
pub(super) use slots::{
    BLOCK_SLOTS, DistinctDraw, GroupSlots, InversePermutation, LookupTable, Permutation,
    RemainingDraw, RotatedOrder, ScoreCurve, ScoreCurves, ScoredMember, SlotScore, Slots,
    padded_to_power_of_two,
};
pub(super) use wheel::{Wheel, WheelChoice};

#[cfg(test)]
pub(super) use slots::{DrawSeed, drawn_shares, mix};
