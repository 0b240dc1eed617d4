//! Decisions: what a pool's policy decided about each member, and why. `explain` prints them.

/// The decision of the policy about a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is among the members that the pool answers with.
    Picked(PickReason),
    /// The member was not chosen, and why.
    Skipped(SkipReason),
}

/// Why a member was picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PickReason {
    /// It shares the pool's clients by its weight.
    Weight,
    /// Every usable member is answered.
    AllUsable,
    /// It ranks before all others: in the order written, by distance, or by its rule.
    First,
    /// It is the first usable member of those in order.
    FirstUsable,
    /// It ties with the nearest member.
    Tied,
    /// An answer has several members, and it is the next one in order.
    NextInOrder,
    /// The members before it leave clients to it, during a drain or a slow start, or because they
    /// shed or spill.
    Remainder,
    /// It ranks behind others, and gets the trickle of clients that keeps it proven.
    Trickle,
    /// Clients stay with it although a member before it is usable.
    Holder,
    /// It is a standby, and nothing else is usable.
    LastResort,
}

/// Why a member was not picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipReason {
    /// The health checks of all its addresses fail.
    Down,
    /// The operator forced it down.
    ForcedDown,
    /// Its state is draining.
    Draining,
    /// Its state is disabled.
    Disabled,
    /// It has no address of the family asked for.
    NoAddress,
    /// It is an alias that was never resolved.
    Unresolved,
    /// It has nothing usable. Policies say no more of such a member; an inspection finds the cause.
    Unusable,
    /// It is a pool with too few usable members.
    BelowMinUp,
    /// The pool that it is a member of has too few usable members.
    PoolBelowMinUp,
    /// It is a standby, and other members are usable.
    Standby,
    /// It has no verdict yet, and other members are known to be healthy.
    Pending,
    /// Its other address family is down, and the pool couples families.
    OtherFamilyDown,
    /// The member at this position ranks before it.
    Behind(usize),
    /// It is usable again, but clients stay with the member at this position.
    AwaitingFailback(usize),
    /// It gives away every client of this area: it sheds or spills.
    GivesClientsAway,
    /// No rule offers it to this client.
    NoRule,
}
