//! Services: names whose answer is chosen for each client, as configured.

use serde::{Deserialize, Serialize};

use super::{
    ids::{PoolId, ZoneId},
    record_kind::RecordKind,
};
use crate::dns::Name;

/// A name whose answer is chosen for each client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Service {
    /// The owner name of its records.
    pub name: Name,
    /// The zone that holds it: the innermost one that contains its name.
    pub zone: ZoneId,
    /// The types of records that it answers.
    pub kind: RecordKind,
    /// The pool that selects the answer.
    pub pool: PoolId,
    /// The maximum TTL of an answer, in seconds.
    pub ttl_secs: u32,
    /// The answer when the pool is not usable.
    pub on_all_down: OnAllDown,
    /// Whether AAAA records are published.
    pub ipv6: bool,
    /// Whether the client subnet of a query (ECS) decides. If not, the resolver's address decides,
    /// and every answer has scope 0.
    pub client_subnet: bool,
}

impl Service {
    /// The pools that answers can come from: its own, and the one that `on-all-down` names.
    pub fn roots(&self) -> impl Iterator<Item = PoolId> + use<> {
        std::iter::once(self.pool).chain(self.on_all_down.pool())
    }
}

impl OnAllDown {
    /// The pool that answers when the service's own is not usable, if another pool does.
    pub fn pool(self) -> Option<PoolId> {
        match self {
            Self::Pool(pool) => Some(pool),
            Self::All | Self::Empty => None,
        }
    }
}

/// What a service answers when its pool is not usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnAllDown {
    /// All members, as if they were up.
    #[default]
    All,
    /// No records, which is NODATA.
    Empty,
    /// The answer of another pool; if that is not usable either, all members of the first pool, as
    /// if they were up.
    Pool(PoolId),
}
