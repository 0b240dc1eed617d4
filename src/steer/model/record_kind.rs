//! Record kinds: the types of records that a service answers.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{document_forms, family::Family};
use crate::dns::Rtype;

/// The types of records that a service answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordKind {
    /// Address records: A and AAAA.
    #[default]
    Addresses,
    /// SRV (RFC 2782): every endpoint is a host and a port. The chart stores them where it
    /// stores the IPv4 answers of other services.
    Srv,
    /// A and AAAA, and with them a service binding, which states how to connect (RFC 9460).
    Binding(#[serde(with = "document_forms::shared")] Arc<ServiceBinding>),
}

/// A service binding (RFC 9460): the record of priority 1 for the owner itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServiceBinding {
    /// The record type: HTTPS or SVCB.
    pub rtype: Rtype,
    /// The rdata up to the hints: SvcPriority, TargetName, and the parameters whose keys are below
    /// theirs, in rising order.
    pub rdata_prefix: Box<[u8]>,
    /// Whether the record has address hints. Every draw of such a service is then by the client's
    /// prefix, whatever the spread of its pools: otherwise A, AAAA and the hints, which are queried
    /// one after the other, would name different endpoints.
    pub has_hints: bool,
}

impl RecordKind {
    /// The type of the records that the chart holds for a family.
    pub fn record_type(&self, family: Family) -> &'static str {
        match (self, family) {
            (Self::Srv, Family::V4) => "SRV",
            (_, Family::V4) => "A",
            (_, Family::V6) => "AAAA",
        }
    }

    /// The keyword after `type` in the zone file; `None` for the default, which need not be
    /// written.
    pub fn keyword(&self) -> Option<&'static str> {
        match self {
            Self::Addresses => None,
            Self::Srv => Some("SRV"),
            Self::Binding(binding) if binding.rtype == Rtype::SVCB => Some("SVCB"),
            Self::Binding(_) => Some("HTTPS"),
        }
    }

    /// Whether every wheel picks by the client's prefix, whatever the pools' spread.
    pub(in crate::steer) fn is_by_client(&self) -> bool {
        matches!(self, Self::Binding(binding) if binding.has_hints)
    }
}
