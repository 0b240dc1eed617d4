//! The most that one step changes. Limits of shares are fractions of all clients of a pool; limits
//! of spill are fractions of the clients that a pool is offered.

/// The most clients that one step moves from some members of a pool to others.
pub(super) const MAX_STEP: f64 = 0.10;
/// The same limit while a member is full.
pub(super) const MAX_URGENT_STEP: f64 = 0.25;
/// The most that the kept share of a pool at its maximum falls in one step.
pub(super) const MAX_URGENT_SPILL_STEP: f64 = 0.20;
/// The most that a pool's kept share changes in one step because of clients that other pools spill
/// to it, or no longer spill.
pub(super) const MAX_PASS_THROUGH_STEP: f64 = 0.40;
