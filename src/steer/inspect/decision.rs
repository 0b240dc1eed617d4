//! Decisions: what became of each member of a pool, and why.

/// What became of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is part of the pool's answers.
    Picked(PickReason),
    /// It is not.
    Skipped(SkipReason),
}

/// Why a member was picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PickReason {
    /// It shares by its weight.
    Weight,
    /// Every usable member answers.
    AllUsable,
    /// It stands before all others: in the order written, by distance, or by its rule.
    First,
    /// It is the first that is usable of those.
    FirstUsable,
    /// It ties with the nearest.
    Tied,
    /// An answer has several members, and it is next.
    NextInOrder,
    /// Those before it leave something, amid a drain or a slow start, or because they shed or
    /// spill.
    Remainder,
    /// It stands behind others, and a trickle of clients keeps it proven.
    Trickle,
    /// Clients stay with it although a member before it is usable.
    Holder,
    /// It is a standby, and nothing else is usable.
    LastResort,
}

/// Why a member was not picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipReason {
    /// None of its addresses answers its probes.
    Down,
    /// The operator forced it down.
    ForcedDown,
    /// Its state is draining.
    Draining,
    /// Its state is disabled.
    Disabled,
    /// It has no address of the family asked for.
    NoAddress,
    /// An alias that was never resolved.
    Unresolved,
    /// A pool with nothing usable in it.
    Unusable,
    /// A pool with too few usable members.
    BelowMinUp,
    /// The pool that it is a member of has too few usable members.
    PoolBelowMinUp,
    /// A standby, and others are usable.
    Standby,
    /// It was never judged, and others are known to be healthy.
    Pending,
    /// Its other address family is down, and the pool takes families together.
    OtherFamilyDown,
    /// The member at this position stands before it.
    Behind(usize),
    /// It is usable again, but clients stay with the member at this position.
    AwaitingFailback(usize),
    /// It gives away every client like this one: it sheds or spills.
    GivesClientsAway,
    /// No rule offers it to this client.
    NoRule,
}
