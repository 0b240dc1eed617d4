//! Decisions: what a pool's policy decided about each member, and why. `explain` prints them.

/// The decision of the policy about a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The member is among those that the pool answers with, and why.
    Picked(PickReason),
    /// The member was not chosen, and why.
    Skipped(SkipReason),
}

/// Why a member was picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PickReason {
    /// The members share the clients of the pool by weight.
    Weight,
    /// Every usable member is answered.
    AllUsable,
    /// The member ranks first: in the configured order, by distance, or by its rule.
    First,
    /// The member is the first usable one in order.
    FirstUsable,
    /// The member is as near as the nearest one, within `tie`.
    Tied,
    /// An answer has several members, and this one is next in order.
    NextInOrder,
    /// The members before this one do not accept all clients: a drain or a slow start is in
    /// progress, or they shed or spill.
    Remainder,
    /// The member ranks behind others, and receives the configured `trickle` of clients.
    Trickle,
    /// Clients stay with this member although one before it is usable.
    Holder,
    /// The member is a standby, and nothing else is usable.
    LastResort,
}

/// Why a member was not picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipReason {
    /// The health checks of all addresses of the member fail.
    Down,
    /// The operator forced the member down.
    ForcedDown,
    /// The state of the member is draining.
    Draining,
    /// The state of the member is disabled.
    Disabled,
    /// The member has no address of the requested family.
    NoAddress,
    /// The member is an alias that was never resolved.
    Unresolved,
    /// Nothing in the member is usable. A policy does not find out why; an inspection does.
    Unusable,
    /// The member is a pool with too few usable members.
    BelowMinUp,
    /// The pool above the member has too few usable members.
    PoolBelowMinUp,
    /// The member is a standby, and other members are usable.
    Standby,
    /// The member has no verdict yet, and other members are known to be healthy.
    Pending,
    /// The other address family of the member is down, and the pool couples families.
    OtherFamilyDown,
    /// The member at this position ranks before this one.
    Behind(usize),
    /// The member is usable again, but clients stay with the one at this position.
    AwaitingFailback(usize),
    /// The member gives away every client of this area, because it sheds or spills.
    GivesClientsAway,
    /// No rule offers the member to this client.
    NoRule,
}
