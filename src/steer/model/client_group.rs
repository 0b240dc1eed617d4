//! A client group: the clients of one pool that are offered the same members.

use serde::{Deserialize, Serialize};

use super::ids::PoolId;

/// The clients of a service's pool that are offered the same members.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ClientGroup {
    /// The pool that the service names.
    pub pool: PoolId,
    /// The positions in the pool of the members offered, the first choice first.
    pub members: Box<[u16]>,
    /// Whether a rule with `strict = true` offers these members.
    pub is_strict: bool,
}
