//! A client group: the clients of one pool that are offered the same members.

use super::ids::PoolId;

/// The clients of a service's pool that are offered the same members.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientGroup {
    /// The service's pool.
    pub pool: PoolId,
    /// Positions of the members offered, the first choice first.
    pub members: Box<[u16]>,
    /// A rule with `strict = true` offers them.
    pub is_strict: bool,
}
