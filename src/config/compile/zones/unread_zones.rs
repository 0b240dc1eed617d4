//! Zones that are defined and could not be read.

use crate::dns::Name;

/// Zones that are defined and could not be read, which has been reported: a name in them is not
/// outside of every zone.
#[derive(Default)]
pub(super) struct UnreadZones {
    pub(super) apexes: Vec<Name>,
    /// Whether the name of such a zone is unknown.
    pub(super) has_nameless: bool,
}

impl UnreadZones {
    pub(super) fn may_hold(&self, name: &Name) -> bool {
        self.has_nameless || self.apexes.iter().any(|apex| name.is_at_or_below(apex))
    }
}
