//! Which override decides on an item of an effective topology.

use std::{collections::BTreeMap, sync::Arc};

use super::entry::Override;
use crate::steer::model::{
    fraction::Fraction,
    ids::{DatacenterId, EndpointId, PoolId},
};

/// The items of an effective topology that overrides decide on, each with the override: the most
/// specific one of those that concern the item.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OverrideIndex {
    /// The states of datacenters.
    pub datacenters: BTreeMap<DatacenterId, Arc<Override>>,
    /// The states of endpoints.
    pub endpoints: BTreeMap<EndpointId, Arc<Override>>,
    /// The forced health of endpoints.
    pub forced: BTreeMap<EndpointId, Arc<Override>>,
    /// The weights of members, by pool and position in it.
    pub weights: BTreeMap<(PoolId, usize), Arc<Override>>,
}

impl OverrideIndex {
    /// The fraction of its clients that an endpoint keeps while its drain is paused.
    pub fn paused_drain_fraction(&self, endpoint: EndpointId) -> Option<Fraction> {
        self.endpoints.get(&endpoint)?.hold
    }
}
