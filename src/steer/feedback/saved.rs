//! What feedback saves in the state directory. Pools and members are identified by name, since
//! numbers change between runs.

use super::ramps::RampKey;

/// The member that holds the clients of a `failover` pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedHolder {
    /// The name of the pool.
    pub pool: Box<str>,
    /// The name of the member in the pool.
    pub member: Box<str>,
}

/// The shares of a `load` pool.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedShares {
    /// The name of the pool.
    pub pool: Box<str>,
    /// Each member's name and its share of the pool's clients, from 0 to 1.
    pub members: Vec<(Box<str>, f64)>,
}

/// A `failover` pool whose clients are returning from one member to another.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedFailback {
    /// The name of the pool.
    pub pool: Box<str>,
    /// The member that held the clients.
    pub from: Box<str>,
    /// The member that they return to.
    pub to: Box<str>,
    /// The fraction of the clients that has returned, from 0 to 1.
    pub returned_fraction: f64,
}

/// All that must survive a restart.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SavedFeedback {
    /// Ramps below 1, each with its value from 0 to 1.
    pub ramps: Vec<(RampKey, f64)>,
    /// Failover pools whose clients are held by a member that is not the first usable one.
    pub holders: Vec<SavedHolder>,
    /// Failover pools whose clients are returning.
    pub failbacks: Vec<SavedFailback>,
    /// `load` pools whose shares differ from the configured weights.
    pub shares: Vec<SavedShares>,
    /// Pools that spill clients, each with the share of its clients that it keeps, from 0 to 1.
    pub kept_shares: Vec<(Box<str>, f64)>,
}
