//! Observed demand: how many answers clients of which networks get. Layer 1, pure.
//!
//! A sample is one answer that a service chose, out of 64 on average. It stands for the network of
//! the client that the answer was chosen by.
//!
//! | file | step |
//! |---|---|
//! | `network_group` | the networks that samples are counted by |
//! | `observed` | the counts as a document |
//! | `table` | the counts, bounded and fading with time |

mod network_group;
mod observed;
mod table;

pub use network_group::NetworkGroup;
pub use observed::{FamilyDemand, ObservedDemand};
pub use table::DemandTable;
