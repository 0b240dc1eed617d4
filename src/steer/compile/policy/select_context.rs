//! What a policy selects by beside the members: the ranking for the client and the state of a failover.

use crate::steer::{
    compile::preference::{LossRange, Ranking},
    model::FailbackProgress,
};

/// What a pool knows of the client and of the past when it picks.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::steer) struct SelectContext<'a> {
    /// What the client's area makes of the pool.
    pub ranking: Option<&'a Ranking>,
    /// Where the client's area stands among those that have the same nearest member.
    pub loss_range: Option<LossRange>,
    /// Which members of a `failover` pool had its clients before.
    pub failover: FailoverState,
}

/// Which members of a `failover` pool its clients stay with, or return from.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::steer) struct FailoverState {
    /// The member that clients stay with.
    pub holder: Option<u16>,
    /// Clients on their way back.
    pub failback: Option<FailbackProgress>,
}
