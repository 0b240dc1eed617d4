//! What every step of an answer reads, apart from the name that is followed.

use std::net::IpAddr;

use super::query::Query;
use crate::{
    dns::{ClientSubnet, Rtype},
    snapshot::Snapshot,
};

/// The query and what it is answered from.
pub(super) struct QueryContext<'s, 'q> {
    pub(super) snapshot: &'s Snapshot,
    pub(super) query: &'q Query<'q>,
    /// The type to answer with. It is the type asked for, except that ANY of a service is answered
    /// with the first of several types that the service has.
    pub(super) rtype: Rtype,
    /// The client subnet; `None` if the query has none or the zone ignores client subnets.
    pub(super) client_subnet: Option<ClientSubnet<'q>>,
}

impl QueryContext<'_, '_> {
    /// The first address of the client subnet, if the answer may depend on one.
    #[inline]
    pub(super) fn subnet_address(&self) -> Option<IpAddr> {
        self.client_subnet.and_then(|subnet| subnet.address())
    }
}
