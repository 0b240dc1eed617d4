//! A finding of the checks of a zone: something in its records that is probably a mistake.

use std::net::IpAddr;

use crate::{
    config::hostname,
    dns::{Name, Rtype},
};

/// Something in the records of a zone that is probably a mistake.
pub(super) struct ZoneFinding {
    pub(super) owner: Name,
    pub(super) rtype: Rtype,
    /// The target in the record, if the finding is about one.
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
    /// Only the servers of another delegation have the name server's address, and they cannot be
    /// found without this one.
    SiblingCyclicGlue(Name),
    /// A target or an owner ends in the zone's name twice.
    RepeatedApex,
    /// The owner or the target contains a URL or a port.
    UrlOrPort(hostname::UrlOrPort),
    /// An IPv4 address in IPv6 form.
    Ipv4Mapped,
    /// Records that are never answered because they are at or below the name `occluder`, and the
    /// number of names with such records.
    Occluded { occluder: Name, occluder_type: Rtype, names: usize },
    /// There are more records of one type than resolvers accept.
    TooManyRecords { records: u16 },
    /// NS records of a wildcard, which delegate nothing (RFC 4592 section 4.2).
    WildcardNs,
    /// A DS record at the apex, or at a name that is not delegated.
    DsWithoutDelegation,
    /// A chain of CNAMEs and DNAMEs that leads back to its start; the names on it.
    CnameLoop(Vec<Name>),
    /// DNAMEs that lead names back below the first of them; their owners.
    DnameLoop(Vec<Name>),
    /// The octets of the owner are text that resolvers request as these A-labels.
    NonAsciiOwner(String),
}

/// The reason why a name has no address.
#[derive(Clone, Copy)]
pub(super) enum MissingAddress {
    Missing,
    Empty,
    Alias,
    /// The name is a service that answers with a CNAME.
    ServiceAlias,
    Redirected,
}

impl ZoneFinding {
    /// The record of this zone that occludes the finding's records: its owner and type.
    pub(super) fn occluder(&self) -> Option<(&Name, Rtype)> {
        match &self.kind {
            FindingKind::Occluded { occluder, occluder_type, .. } => {
                Some((occluder, *occluder_type))
            }
            _ => None,
        }
    }
}

/// A name without the second of the two apexes that it ends in.
pub(super) fn written_once(name: &Name, apex: &Name) -> Name {
    let wire = name.as_wire();
    let front = [&wire[..wire.len() - apex.as_wire().len()], &[0]].concat();
    Name::from_wire(&front).unwrap_or_else(|_| name.clone())
}

/// Whether a name ends in the apex twice. Below a top-level domain such names exist: `com.com`.
pub(super) fn repeats_apex(wire: &[u8], apex: &Name) -> bool {
    let apex = apex.as_wire();
    let labels = &apex[..apex.len() - 1];
    let is_single = labels.first().is_none_or(|&length| usize::from(length) + 1 == labels.len());
    let Some(front) = wire.strip_suffix(apex) else { return false };
    !is_single && front.ends_with(labels)
}
