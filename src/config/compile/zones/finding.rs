//! Something in a zone that cannot be meant, as the checks find it.

use std::net::IpAddr;

use crate::{
    config::hostname,
    dns::{Name, Rtype},
};

/// Something in a zone that cannot be meant.
pub(super) struct ZoneFinding {
    pub(super) owner: Name,
    pub(super) rtype: Rtype,
    /// The name in the record that it is about.
    pub(super) target: Option<Name>,
    pub(super) kind: FindingKind,
}

pub(super) enum FindingKind {
    /// A name server, mail exchange or SRV host has no address.
    NoAddress(MissingAddress),
    /// A name server below its own delegation has no address here.
    NoGlue,
    /// A name server's name is one label.
    SingleLabel,
    /// The target is an address.
    Address(IpAddr),
    /// Only servers of another delegation know the name server's address, and they cannot be found
    /// without this one.
    SiblingCyclicGlue(Name),
    /// A target, or an owner, ends in the zone's name twice.
    RepeatedApex,
    /// A URL or a port stands in the owner or the target.
    UrlOrPort(hostname::UrlOrPort),
    /// An IPv4 address in IPv6 form.
    Ipv4Mapped,
    /// Records that are never answered, below that name, and how many names there are.
    Occluded { occluder: Name, occluder_type: Rtype, names: usize },
    /// More records of one type than resolvers accept.
    TooManyRecords { records: u16 },
    /// NS records of a wildcard, which delegate nothing (RFC 4592 section 4.2).
    WildcardNs,
    /// A DS record at the apex, or at a name that is not delegated.
    DsWithoutDelegation,
    /// A chain of CNAMEs and DNAMEs that comes back to its start.
    CnameLoop(Vec<Name>),
    /// DNAMEs that lead names back below the first of them.
    DnameLoop(Vec<Name>),
    /// The octets of the owner are text that resolvers ask for as these A-labels.
    NonAsciiOwner(String),
}

/// Why a name has no address.
#[derive(Clone, Copy)]
pub(super) enum MissingAddress {
    Missing,
    Empty,
    Alias,
    /// A service that answers a CNAME.
    ServiceAlias,
    Redirected,
}

impl ZoneFinding {
    /// Where a record of this zone that hides others is written.
    pub(super) fn occluder(&self) -> Option<(&Name, Rtype)> {
        match &self.kind {
            FindingKind::Occluded { occluder, occluder_type, .. } => {
                Some((occluder, *occluder_type))
            }
            _ => None,
        }
    }
}

/// A name without the second of the apexes that it ends in.
pub(super) fn written_once(name: &Name, apex: &Name) -> Name {
    let wire = name.as_wire();
    let front = [&wire[..wire.len() - apex.as_wire().len()], &[0]].concat();
    Name::from_wire(&front).unwrap_or_else(|_| name.clone())
}

/// Whether a name ends in the apex twice. Below a top-level domain such names are real ones:
/// `com.com`.
pub(super) fn repeats_apex(wire: &[u8], apex: &Name) -> bool {
    let apex = apex.as_wire();
    let labels = &apex[..apex.len() - 1];
    let is_single = labels.first().is_none_or(|&length| usize::from(length) + 1 == labels.len());
    let Some(front) = wire.strip_suffix(apex) else { return false };
    !is_single && front.ends_with(labels)
}
