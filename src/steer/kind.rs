//! Which records a service answers.

use super::chart::Family;

/// Which records a service answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Kind {
    /// A and AAAA.
    #[default]
    Addresses,
    /// SRV (RFC 2782): every endpoint is a host and a port. Its chart has them in the place of IPv4.
    Srv,
}

impl Kind {
    /// The type of the records in a family's place of the chart.
    pub fn records(&self, family: Family) -> &'static str {
        match (self, family) {
            (Self::Srv, Family::V4) => "SRV",
            (_, Family::V4) => "A",
            (_, Family::V6) => "AAAA",
        }
    }

    /// The word after `type` in the zone file; `None` where none need be written.
    pub fn word(&self) -> Option<&'static str> {
        match self {
            Self::Addresses => None,
            Self::Srv => Some("SRV"),
        }
    }
}
