//! Zones that are defined and could not be read.

use crate::dns::Name;

/// Zones that are defined and could not be read, which is reported where they are: what lies in
/// them is not outside of every zone.
#[derive(Default)]
pub(super) struct UnreadZones {
    pub(super) apexes: Vec<Name>,
    /// Whether not even the name of one is known.
    pub(super) has_nameless: bool,
}

impl UnreadZones {
    pub(super) fn may_hold(&self, name: &Name) -> bool {
        self.has_nameless || self.apexes.iter().any(|apex| name.is_at_or_below(apex))
    }
}
