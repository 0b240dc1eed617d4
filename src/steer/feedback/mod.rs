//! Feedback: turns load reports, verdicts and states into the [`Adjustments`] that steering
//! applies. Pure: reports and the time are arguments.
//!
//! | topic | file |
//! |---|---|
//! | the owner of all of it: events in, adjustments out | `controller` |
//! | the reports of one member, combined | `measured_load` |
//! | the shares at which a pool's load is balanced | `equilibrium` |
//! | slow steps towards new shares, with a dead band | `damper`, `step_limits` |
//! | the shares that answered the clients of an earlier moment | `share_history` |
//! | the share that a full member loses at once | `relief` |
//! | one `load` pool | `balance`, `load_pool` |
//! | pools with a capacity, and the excess that they spill | `spill` |
//! | how slow a member is compared with its own past | `latency` |
//! | the member that holds the clients of a `failover` pool | `holder` |
//! | how clients return to a recovered member | `delayed_failback` |
//! | gradual drains and slow starts | `ramp`, `ramps` |
//! | whether a balancer's report agrees with our probes | `agreement` |
//! | what is reported and what is saved | `report`, `saved` |
//!
//! Invariants:
//! - The shares of a pool change at most once per longest TTL and once per two report intervals,
//!   and by at most a tenth. Only a full member is relieved sooner and faster.
//! - A metric never empties a member.
//! - If reports are missing or expired, the configured weights apply.
//!
//! [`Adjustments`]: crate::steer::Adjustments

mod agreement;
mod balance;
mod bisection;
mod controller;
mod damper;
mod delayed_failback;
mod equilibrium;
mod feed_reading;
mod holder;
mod latency;
mod load_pool;
mod measured_load;
mod members;
mod ramp;
mod ramps;
mod regulated_pools;
mod relief;
mod report;
mod saved;
mod share_history;
mod spill;
mod step_limits;

#[cfg(test)]
mod simulation;

pub use agreement::{Disagreement, DisagreementChange};
pub use balance::WeightFallback;
pub use controller::Feedback;
pub use feed_reading::FeedReading;
pub use ramps::RampKey;
pub use report::{FeedReport, FeedbackReport, PoolReport, RampReport};
pub use saved::{SavedFailback, SavedFeedback, SavedHolder, SavedShares};
