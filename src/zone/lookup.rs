//! Looks up a name: RFC 1034 section 4.3.2 as amended by RFC 4592 (wildcards) and RFC 6672 (DNAME).

use super::{
    content::{Node, Zone, wildcard_of},
    hash::hash_name,
    zones::{SteeredName, Zones},
};
use crate::{
    dns::{LookupName, Name, Rtype},
    steer::{ServiceId, ZoneId},
};

/// The result of a lookup in the zone that is responsible for a name.
#[derive(Debug, Clone, Copy)]
pub struct LookupResult<'z> {
    /// The zone that is responsible for the name.
    pub zone: &'z Zone,
    /// The number of that zone.
    pub zone_id: ZoneId,
    /// The status of the name in that zone.
    pub outcome: LookupOutcome<'z>,
}

/// The status of a name in its zone.
#[derive(Debug, Clone, Copy)]
pub enum LookupOutcome<'z> {
    /// The name exists, or a wildcard covers it.
    Exists {
        /// The node with the static records; `None` if the name exists only because of services.
        node: Option<Node<'z>>,
        /// The service with that name, which chooses the other records.
        service: Option<ServiceId>,
        /// Whether the records are those of a wildcard.
        is_wildcard: bool,
    },
    /// The name is at or below this delegation.
    Delegated(Node<'z>),
    /// The name is below this node, which has a DNAME.
    Redirected(Node<'z>),
    /// The name does not exist.
    Missing,
}

/// The state of a lookup that has read indexes only. Names and records, which are too large for the
/// CPU's caches, are read after it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum LookupHint<'z> {
    /// No zone contains the name.
    NoZone,
    /// The name is most likely this one, which exists because of a service: the hash bits in the
    /// index match, but the names were not compared.
    Steered(&'z SteeredName),
    /// The innermost zone that contains the name, which is not a steered name.
    Zone(ZoneId, &'z Zone),
}

impl<'z> LookupHint<'z> {
    /// Reads the first index cell that [`Zones::find_by_hint`] needs for a name with this hash, so
    /// that it is in the CPU's cache. The value has no meaning.
    #[inline]
    pub(crate) fn first_cell(self, hash: u64) -> u32 {
        match self {
            Self::Zone(_, zone) => zone.index.first_cell(hash),
            Self::Steered(_) | Self::NoZone => 0,
        }
    }

    /// The octets that [`Zones::find_by_hint`] most likely reads for this name: a stored name and
    /// the records after it.
    #[inline]
    pub(crate) fn octets(self, name: &LookupName, hash: u64) -> &'z [u8] {
        match self {
            Self::Steered(steered) => steered.wire(),
            Self::Zone(_, zone) => {
                zone.probable_node(name.as_wire(), hash).map_or(&[], Node::stored_octets)
            }
            Self::NoZone => &[],
        }
    }
}

impl Zones {
    /// Looks up a name in the innermost zone that contains it; `None` if no zone does.
    ///
    /// For DS at an apex, the zone above is responsible if it is served here (RFC 4035 section
    /// 3.1.4.1). Allocates nothing. Reads at most as many tables as the name has labels: one for
    /// the name of a service, three for any other name that exists, some more for DS.
    pub fn find(&self, name: &LookupName, rtype: Rtype) -> Option<LookupResult<'_>> {
        let hash = hash_name(name.as_wire());
        self.find_by_hint(self.hint(name, hash), name, hash, rtype)
    }

    /// The first half of [`Zones::find`], which reads indexes only.
    #[inline]
    pub(crate) fn hint(&self, name: &LookupName, hash: u64) -> LookupHint<'_> {
        let labels = name.label_count();
        match self.probably_steered(name, hash) {
            Some(steered) => LookupHint::Steered(steered),
            None => self
                .zone_of(name, labels)
                .map_or(LookupHint::NoZone, |(id, zone)| LookupHint::Zone(id, zone)),
        }
    }

    /// The second half of [`Zones::find`], with the hint and the hash of that name.
    #[inline]
    pub(crate) fn find_by_hint<'z>(
        &'z self,
        hint: LookupHint<'z>,
        name: &LookupName,
        hash: u64,
        rtype: Rtype,
    ) -> Option<LookupResult<'z>> {
        match hint {
            LookupHint::NoZone => None,
            LookupHint::Steered(steered)
                if steered.wire() == name.as_wire() && !(steered.is_apex && rtype == Rtype::DS) =>
            {
                let zone = self.zone(steered.zone);
                let node = steered.node.map(|number| Node { zone, number });
                let outcome =
                    LookupOutcome::Exists { node, service: steered.service, is_wildcard: false };
                Some(LookupResult { zone, zone_id: steered.zone, outcome })
            }
            LookupHint::Zone(zone_id, zone) if rtype != Rtype::DS => {
                let outcome =
                    self.outcome_at(zone.closest_node_by_hash(name, hash), name, None, rtype);
                Some(LookupResult { zone, zone_id, outcome })
            }
            LookupHint::Steered(_) | LookupHint::Zone(..) => {
                self.find_without_hint(name, hash, rtype)
            }
        }
    }

    /// Looks up a name for which the hint is wrong, or a name that is queried for DS.
    #[cold]
    fn find_without_hint(
        &self,
        name: &LookupName,
        hash: u64,
        rtype: Rtype,
    ) -> Option<LookupResult<'_>> {
        let (wire, labels) = (name.as_wire(), name.label_count());
        let (mut zone_id, mut zone) = self.zone_of(name, labels)?;
        if rtype == Rtype::DS
            && zone.apex_labels == labels
            && labels > 0
            && let Some(above) = self.zone_of(name, labels - 1)
        {
            (zone_id, zone) = above;
        }
        let steered = self.steered(wire, labels, || hash);
        let outcome = self.outcome_at(zone.closest_node_by_hash(name, hash), name, steered, rtype);
        Some(LookupResult { zone, zone_id, outcome })
    }

    /// The status of a name whose closest node in its zone is `closest`. `steered` is the entry of
    /// the name if it exists because of a service.
    fn outcome_at<'z>(
        &'z self,
        closest: Node<'z>,
        name: &LookupName,
        steered: Option<&SteeredName>,
        rtype: Rtype,
    ) -> LookupOutcome<'z> {
        let is_exact = closest.label_count() == name.label_count();
        if let Some(occluder) = closest.occluder_for(is_exact) {
            let is_ds_at_cut =
                rtype == Rtype::DS && is_exact && occluder.number() == closest.number();
            if is_ds_at_cut {
                return LookupOutcome::Exists {
                    node: Some(closest),
                    service: None,
                    is_wildcard: false,
                };
            }
            return if occluder.is_cut() {
                LookupOutcome::Delegated(occluder)
            } else {
                LookupOutcome::Redirected(occluder)
            };
        }
        if is_exact || steered.is_some() {
            let service = steered.and_then(|steered| steered.service);
            return LookupOutcome::Exists {
                node: is_exact.then_some(closest),
                service,
                is_wildcard: false,
            };
        }
        let may_be_expanded = closest.zone.has_wildcards || self.has_steered_wildcards;
        if may_be_expanded { self.expand_wildcard(name, closest) } else { LookupOutcome::Missing }
    }

    /// The number of labels of the closest encloser, which may be a steered name.
    fn encloser_labels(&self, name: &LookupName, closest: Node<'_>) -> usize {
        let mut longer_suffixes = (closest.label_count() + 1..name.label_count()).rev();
        let found = longer_suffixes.find(|&labels| {
            let suffix = name.suffix(labels);
            self.steered(suffix, labels, || hash_name(suffix)).is_some()
        });
        found.unwrap_or(closest.label_count())
    }

    /// The records of the wildcard directly below the closest encloser, if there is one (RFC 4592
    /// section 3.3.1).
    #[inline(never)]
    fn expand_wildcard<'z>(&'z self, name: &LookupName, closest: Node<'z>) -> LookupOutcome<'z> {
        let encloser_labels = self.encloser_labels(name, closest);
        let mut buffer = [0; Name::MAX_OCTETS + 2];
        let wildcard = wildcard_of(name.suffix(encloser_labels), &mut buffer);
        let node = closest.zone.wire_node(wildcard, encloser_labels + 1);
        let steered = self.steered(wildcard, encloser_labels + 1, || hash_name(wildcard));
        match (node, steered) {
            (None, None) => LookupOutcome::Missing,
            // The meaning of NS records at a wildcard is undefined (RFC 4592 section 4.2). As in
            // NSD, they are answered and delegate nothing.
            (_, steered) => {
                let service = steered.and_then(|steered| steered.service);
                LookupOutcome::Exists { node, service, is_wildcard: true }
            }
        }
    }
}
