//! Looking a name up: RFC 1034 section 4.3.2 as amended by RFC 4592 (wildcards) and RFC 6672
//! (DNAME).

use super::{
    content::{Node, Zone, wildcard_of},
    hash::hash,
    zones::{SteeredName, Zones},
};
use crate::{
    dns::{LookupName, Name, Rtype},
    steer::{ServiceId, ZoneId},
};

/// What a lookup found in the zone that is responsible for a name.
#[derive(Debug, Clone, Copy)]
pub struct Finding<'z> {
    /// The zone.
    pub zone: &'z Zone,
    /// Its number.
    pub zone_id: ZoneId,
    /// How the name stands in it.
    pub outcome: Outcome<'z>,
}

/// How a name stands in its zone.
#[derive(Debug, Clone, Copy)]
pub enum Outcome<'z> {
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
pub(crate) enum Lead<'z> {
    /// No zone holds the name.
    Outside,
    /// It looks like this name, which exists for a service, as far as the index tells: most likely
    /// it is that.
    Steered(&'z SteeredName),
    /// The innermost zone that holds it; services do not know it.
    Zone(ZoneId, &'z Zone),
}

impl<'z> Lead<'z> {
    /// The first that will be read to follow this lead of a name with that hash. What it says means
    /// nothing.
    #[inline]
    pub(crate) fn first_cell(self, hashed: u64) -> u32 {
        match self {
            Self::Zone(_, zone) => zone.index.first_cell(hashed),
            Self::Steered(_) | Self::Outside => 0,
        }
    }

    /// The octets that will most likely be read to follow this lead
    /// of a name with that hash: a name, and the records behind it.
    #[inline]
    pub(crate) fn octets(self, name: &LookupName, hashed: u64) -> &'z [u8] {
        match self {
            Self::Steered(steered) => steered.wire(),
            Self::Zone(_, zone) => {
                zone.probable_node(name.as_wire(), hashed).map_or(&[], Node::octets)
            }
            Self::Outside => &[],
        }
    }
}

impl Zones {
    /// Looks a name up in the innermost zone that holds it; `None` where no zone does.
    ///
    /// For DS the zone above an apex is responsible, where we serve it (RFC 4035 section 3.1.4.1).
    /// No allocation; as many table look-ups as the name has labels at most, one for a service's
    /// name and three for any other that exists; some more for DS.
    pub fn find(&self, name: &LookupName, rtype: Rtype) -> Option<Finding<'_>> {
        let hashed = hash(name.as_wire());
        self.follow(self.lead(name, hashed), (name, hashed), rtype)
    }

    /// The first half of [`Zones::find`].
    #[inline]
    pub(crate) fn lead(&self, name: &LookupName, hashed: u64) -> Lead<'_> {
        let labels = name.label_count();
        match self.probably_steered(name, hashed) {
            Some(steered) => Lead::Steered(steered),
            None => {
                self.zone_of(name, labels).map_or(Lead::Outside, |(id, zone)| Lead::Zone(id, zone))
            }
        }
    }

    /// The second half of [`Zones::find`], given the lead of that name.
    #[inline]
    pub(crate) fn follow<'z>(
        &'z self,
        lead: Lead<'z>,
        (name, hashed): (&LookupName, u64),
        rtype: Rtype,
    ) -> Option<Finding<'z>> {
        match lead {
            Lead::Outside => None,
            Lead::Steered(steered)
                if steered.wire() == name.as_wire() && !(steered.is_apex && rtype == Rtype::DS) =>
            {
                let zone = self.zone(steered.zone);
                let node = steered.node.map(|number| Node { zone, number });
                let outcome =
                    Outcome::Exists { node, service: steered.service, is_wildcard: false };
                Some(Finding { zone, zone_id: steered.zone, outcome })
            }
            Lead::Zone(zone_id, zone) if rtype != Rtype::DS => {
                let outcome = self.find_at(zone.closest_of(name, hashed), name, None, rtype);
                Some(Finding { zone, zone_id, outcome })
            }
            Lead::Steered(_) | Lead::Zone(..) => self.search(name, hashed, rtype),
        }
    }

    /// Looks a name up that is not what its hash led to, or that is asked for DS.
    #[cold]
    fn search(&self, name: &LookupName, hashed: u64, rtype: Rtype) -> Option<Finding<'_>> {
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
        let outcome = self.find_at(zone.closest_of(name, hashed), name, steered, rtype);
        Some(Finding { zone, zone_id, outcome })
    }

    /// How a name stands in a zone whose `closest` node is at or above it; `steered` is what
    /// services make of it.
    fn find_at<'z>(
        &'z self,
        closest: Node<'z>,
        name: &LookupName,
        steered: Option<&SteeredName>,
        rtype: Rtype,
    ) -> Outcome<'z> {
        let is_exact = closest.label_count() == name.label_count();
        if let Some(barrier) = closest.barrier_for(is_exact) {
            let is_ds_at_cut =
                rtype == Rtype::DS && is_exact && barrier.number() == closest.number();
            if is_ds_at_cut {
                return Outcome::Exists { node: Some(closest), service: None, is_wildcard: false };
            }
            return if barrier.is_cut() {
                Outcome::Delegated(barrier)
            } else {
                Outcome::Redirected(barrier)
            };
        }
        if is_exact || steered.is_some() {
            let service = steered.and_then(|steered| steered.service);
            return Outcome::Exists {
                node: is_exact.then_some(closest),
                service,
                is_wildcard: false,
            };
        }
        let may_be_expanded = closest.zone.has_wildcards || self.has_steered_wildcards;
        if may_be_expanded { self.expand(name, closest) } else { Outcome::Missing }
    }

    /// How many labels the closest encloser has, names of services included.
    fn encloser_labels(&self, name: &LookupName, closest: Node<'_>) -> usize {
        let mut of_services = (closest.label_count() + 1..name.label_count()).rev();
        let found = of_services.find(|&labels| {
            let suffix = name.suffix(labels);
            self.steered(suffix, labels, || hash(suffix)).is_some()
        });
        found.unwrap_or(closest.label_count())
    }

    /// The wildcard right below the closest encloser, if there is one (RFC 4592 section 3.3.1).
    #[inline(never)]
    fn expand<'z>(&'z self, name: &LookupName, closest: Node<'z>) -> Outcome<'z> {
        let encloser_labels = self.encloser_labels(name, closest);
        let mut buffer = [0; Name::MAX_OCTETS + 2];
        let wildcard = wildcard_of(name.suffix(encloser_labels), &mut buffer);
        let node = closest.zone.wire_node(wildcard, encloser_labels + 1);
        let steered = self.steered(wildcard, encloser_labels + 1, || hash(wildcard));
        match (node, steered) {
            (None, None) => Outcome::Missing,
            // NS records of a wildcard are undefined (RFC 4592 section 4.2); like NSD we answer
            // them and delegate nothing.
            (_, steered) => {
                let service = steered.and_then(|steered| steered.service);
                Outcome::Exists { node, service, is_wildcard: true }
            }
        }
    }
}
