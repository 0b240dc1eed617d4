//! Services: names whose answer is chosen per client, as configured.

use super::{
    ids::{PoolId, ZoneId},
    record_kind::RecordKind,
};
use crate::dns::Name;

/// A name whose answer is chosen per client.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// The owner.
    pub name: Name,
    /// The zone that holds it: the innermost.
    pub zone: ZoneId,
    /// Which records it answers.
    pub kind: RecordKind,
    /// What chooses.
    pub pool: PoolId,
    /// Seconds; an answer's TTL is never above it.
    pub ttl_secs: u32,
    /// What to answer when the pool is not usable.
    pub on_all_down: OnAllDown,
    /// Whether AAAA is published.
    pub ipv6: bool,
    /// Whether a client subnet decides; if not, the resolver's address does, and every answer has
    /// scope 0.
    pub client_subnet: bool,
}

impl Service {
    /// The pools that it may be answered from: its own, and the one that `on-all-down` names.
    pub fn roots(&self) -> impl Iterator<Item = PoolId> + use<> {
        std::iter::once(self.pool).chain(self.on_all_down.pool())
    }
}

impl OnAllDown {
    /// The pool that answers instead of the service's own, if one does.
    pub fn pool(self) -> Option<PoolId> {
        match self {
            Self::Pool(pool) => Some(pool),
            Self::All | Self::Empty => None,
        }
    }
}

/// What a service answers when its pool is not usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OnAllDown {
    /// As if all were up.
    #[default]
    All,
    /// NODATA.
    Empty,
    /// From another pool; and where that is not usable either, as if all of the first were up.
    Pool(PoolId),
}
