//! Looking a name up: RFC 1034 section 4.3.2 as amended by RFC 4592 (wildcards) and RFC 6672
//! (DNAME).

use super::{
    content::{Node, Zone, wildcard_of},
    hash::hash_name,
    zones::{SteeredName, Zones},
};
use crate::{
    dns::{LookupName, Name, Rtype},
    steer::{ServiceId, ZoneId},
};

/// What a lookup found in the zone that is responsible for a name.
#[derive(Debug, Clone, Copy)]
pub struct LookupResult<'z> {
    /// The zone.
    pub zone: &'z Zone,
    /// Its number.
    pub zone_id: ZoneId,
    /// How the name stands in it.
    pub outcome: LookupOutcome<'z>,
}

/// How a name stands in its zone.
#[derive(Debug, Clone, Copy)]
pub enum LookupOutcome<'z> {
    /// It exists, or a wildcard stands for it: its static records, and the service that chooses its
    /// others.
    Exists {
        /// The node with the static records; `None` where it exists for services alone.
        node: Option<Node<'z>>,
        /// The service of that name.
        service: Option<ServiceId>,
        /// Whether a wildcard stands for it.
        is_wildcard: bool,
    },
    /// It is at or below this delegation.
    Delegated(Node<'z>),
    /// It is below this name, which has a DNAME.
    Redirected(Node<'z>),
    /// It does not exist.
    Missing,
}

/// How far a lookup has come before it reads what is too much for a cache: names and records.
#[derive(Debug, Clone, Copy)]
pub(crate) enum LookupHint<'z> {
    /// No zone holds the name.
    NoZone,
    /// It looks like this name, which exists for a service, as far as the index tells: most likely
    /// it is that.
    Steered(&'z SteeredName),
    /// The innermost zone that holds it; services do not know it.
    Zone(ZoneId, &'z Zone),
}

impl<'z> LookupHint<'z> {
    /// The first that will be read to follow this lead of a name with that hash. What it says means
    /// nothing.
    #[inline]
    pub(crate) fn first_cell(self, hashed: u64) -> u32 {
        match self {
            Self::Zone(_, zone) => zone.index.first_cell(hashed),
            Self::Steered(_) | Self::NoZone => 0,
        }
    }

    /// The octets that will most likely be read to follow this lead
    /// of a name with that hash: a name, and the records behind it.
    #[inline]
    pub(crate) fn octets(self, name: &LookupName, hashed: u64) -> &'z [u8] {
        match self {
            Self::Steered(steered) => steered.wire(),
            Self::Zone(_, zone) => {
                zone.probable_node(name.as_wire(), hashed).map_or(&[], Node::stored_octets)
            }
            Self::NoZone => &[],
        }
    }
}

impl Zones {
    /// Looks a name up in the innermost zone that holds it; `None` where no zone does.
    ///
    /// For DS the zone above an apex is responsible, where we serve it (RFC 4035 section 3.1.4.1).
    /// No allocation; as many table look-ups as the name has labels at most, one for a service's
    /// name and three for any other that exists; some more for DS.
    pub fn find(&self, name: &LookupName, rtype: Rtype) -> Option<LookupResult<'_>> {
        let hashed = hash_name(name.as_wire());
        self.find_by_hint(self.hint(name, hashed), (name, hashed), rtype)
    }

    /// The first half of [`Zones::find`].
    #[inline]
    pub(crate) fn hint(&self, name: &LookupName, hashed: u64) -> LookupHint<'_> {
        let labels = name.label_count();
        match self.probably_steered(name, hashed) {
            Some(steered) => LookupHint::Steered(steered),
            None => self
                .zone_of(name, labels)
                .map_or(LookupHint::NoZone, |(id, zone)| LookupHint::Zone(id, zone)),
        }
    }

    /// The second half of [`Zones::find`], given the lead of that name.
    #[inline]
    pub(crate) fn find_by_hint<'z>(
        &'z self,
        lead: LookupHint<'z>,
        (name, hashed): (&LookupName, u64),
        rtype: Rtype,
    ) -> Option<LookupResult<'z>> {
        match lead {
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
                    self.outcome_at(zone.closest_node_by_hash(name, hashed), name, None, rtype);
                Some(LookupResult { zone, zone_id, outcome })
            }
            LookupHint::Steered(_) | LookupHint::Zone(..) => {
                self.find_without_hint(name, hashed, rtype)
            }
        }
    }

    /// Looks a name up that is not what its hash led to, or that is asked for DS.
    #[cold]
    fn find_without_hint(
        &self,
        name: &LookupName,
        hashed: u64,
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
        let steered = self.steered(wire, labels, || hashed);
        let outcome =
            self.outcome_at(zone.closest_node_by_hash(name, hashed), name, steered, rtype);
        Some(LookupResult { zone, zone_id, outcome })
    }

    /// How a name stands in a zone whose `closest` node is at or above it; `steered` is what
    /// services make of it.
    fn outcome_at<'z>(
        &'z self,
        closest: Node<'z>,
        name: &LookupName,
        steered: Option<&SteeredName>,
        rtype: Rtype,
    ) -> LookupOutcome<'z> {
        let is_exact = closest.label_count() == name.label_count();
        if let Some(barrier) = closest.occluder_for(is_exact) {
            let is_ds_at_cut =
                rtype == Rtype::DS && is_exact && barrier.number() == closest.number();
            if is_ds_at_cut {
                return LookupOutcome::Exists {
                    node: Some(closest),
                    service: None,
                    is_wildcard: false,
                };
            }
            return if barrier.is_cut() {
                LookupOutcome::Delegated(barrier)
            } else {
                LookupOutcome::Redirected(barrier)
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

    /// How many labels the closest encloser has, names of services included.
    fn encloser_labels(&self, name: &LookupName, closest: Node<'_>) -> usize {
        let mut of_services = (closest.label_count() + 1..name.label_count()).rev();
        let found = of_services.find(|&labels| {
            let suffix = name.suffix(labels);
            self.steered(suffix, labels, || hash_name(suffix)).is_some()
        });
        found.unwrap_or(closest.label_count())
    }

    /// The wildcard right below the closest encloser, if there is one (RFC 4592 section 3.3.1).
    #[inline(never)]
    fn expand_wildcard<'z>(&'z self, name: &LookupName, closest: Node<'z>) -> LookupOutcome<'z> {
        let encloser_labels = self.encloser_labels(name, closest);
        let mut buffer = [0; Name::MAX_OCTETS + 2];
        let wildcard = wildcard_of(name.suffix(encloser_labels), &mut buffer);
        let node = closest.zone.wire_node(wildcard, encloser_labels + 1);
        let steered = self.steered(wildcard, encloser_labels + 1, || hash_name(wildcard));
        match (node, steered) {
            (None, None) => LookupOutcome::Missing,
            // NS records of a wildcard are undefined (RFC 4592 section 4.2); like NSD we answer
            // them and delegate nothing.
            (_, steered) => {
                let service = steered.and_then(|steered| steered.service);
                LookupOutcome::Exists { node, service, is_wildcard: true }
            }
        }
    }
}
