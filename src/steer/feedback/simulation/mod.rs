//! Simulations of the whole loop: resolvers that keep answers for a TTL, balancers that report
//! late, and feedback between them. Only the test moves the clock.

mod load_shares;
pub(super) mod regions;
mod relief;
mod spill;
mod topology;
