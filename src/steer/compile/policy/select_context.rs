//! The select context: the inputs of a policy besides the members of the pool.

use crate::steer::{
    compile::preference::{LossRange, Ranking},
    model::FailbackProgress,
};

/// What a policy selects by, besides the members.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::steer) struct SelectContext<'a> {
    /// How the client's area ranks the members.
    pub ranking: Option<&'a Ranking>,
    /// The range of the client's area among those with the same nearest member.
    pub loss_range: Option<LossRange>,
    pub failover: FailoverState,
}

/// The members of a `failover` pool that its clients stay with, or return from.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::steer) struct FailoverState {
    /// The member that clients stay with.
    pub holder: Option<u16>,
    /// The return of clients that is in progress.
    pub failback: Option<FailbackProgress>,
}
