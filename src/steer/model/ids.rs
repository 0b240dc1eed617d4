//! Ids: positions in the lists of a [`Topology`](crate::steer::Topology), one newtype for each
//! list.

use serde::{Deserialize, Serialize};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
        )]
        pub struct $name(pub u32);

        impl $name {
            /// The id as an index of its list.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

ids! {
    /// A position in [`crate::steer::Topology::datacenters`].
    DatacenterId,
    /// A position in [`crate::steer::Topology::monitors`].
    MonitorId,
    /// A position in [`crate::steer::Topology::load_sources`].
    LoadSourceId,
    /// A position in [`crate::steer::Topology::endpoints`].
    EndpointId,
    /// A position in [`crate::steer::Topology::pools`].
    PoolId,
    /// A position in [`crate::steer::Topology::services`].
    ServiceId,
    /// A position in the configuration's zones.
    ZoneId,
    /// A position in [`crate::steer::Topology::probes`].
    ProbeId,
    /// A position in [`crate::steer::LoadFeeds::list`].
    FeedId,
    /// A position in [`crate::steer::Topology::aliases`].
    AliasId,
}
