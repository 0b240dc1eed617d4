//! The maximum changes of one step. Limits of shares are fractions of all clients of a pool; limits
//! of spill are fractions of the clients that a pool is offered.

/// The maximum share of clients that one step moves from some members of a pool to others.
pub(super) const MAX_STEP: f64 = 0.10;
/// The same limit while a member is full.
pub(super) const MAX_URGENT_STEP: f64 = 0.25;
/// The maximum decrease of the kept share in one step, for a pool at its maximum.
pub(super) const MAX_URGENT_SPILL_STEP: f64 = 0.20;
/// The maximum change of a pool's kept share in one step because other pools spill clients to it,
/// or no longer do.
pub(super) const MAX_PASS_THROUGH_STEP: f64 = 0.40;
