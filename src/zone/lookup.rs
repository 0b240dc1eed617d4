//! Looking a name up: RFC 1034 section 4.3.2 as amended by RFC 4592 (wildcards) and RFC 6672 (DNAME).

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
    /// It exists, or a wildcard stands for it: its static records, and the service that chooses its others.
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

impl Zones {
    /// Looks a name up in the innermost zone that holds it; `None` where no zone does.
    ///
    /// For DS the zone above an apex is responsible, where we serve it (RFC 4035 section 3.1.4.1). No allocation; as many table
    /// look-ups as the name has labels at most, one for a service's name and three for any other that exists.
    pub fn find(&self, name: &LookupName, rtype: Rtype) -> Option<Finding<'_>> {
        let (wire, labels) = (name.as_wire(), name.label_count());
        let hashed = hash(wire);
        let steered = self.steered(wire, labels, || hashed);
        if let Some(steered) = steered.filter(|steered| !(steered.is_apex && rtype == Rtype::DS)) {
            let zone = self.zone(steered.zone);
            let node = steered.node.map(|number| Node { zone, number });
            let outcome = Outcome::Exists { node, service: steered.service, is_wildcard: false };
            return Some(Finding { zone, zone_id: steered.zone, outcome });
        }
        let (mut zone_id, mut zone) = self.zone_of(name, labels)?;
        if rtype == Rtype::DS
            && zone.apex_labels == labels
            && labels > 0
            && let Some(above) = self.zone_of(name, labels - 1)
        {
            (zone_id, zone) = above;
        }
        Some(Finding { zone, zone_id, outcome: self.find_in(zone, (name, hashed), steered, rtype) })
    }

    /// How a name stands in a zone; `steered` is what services make of it.
    fn find_in<'z>(
        &'z self,
        zone: &'z Zone,
        (name, hashed): (&LookupName, u64),
        steered: Option<&SteeredName>,
        rtype: Rtype,
    ) -> Outcome<'z> {
        let closest = zone.closest_of(name, hashed);
        let is_exact = closest.label_count() == name.label_count();
        if let Some(barrier) = closest.barrier_for(is_exact) {
            let is_ds_at_cut = rtype == Rtype::DS && is_exact && barrier.number() == closest.number();
            if is_ds_at_cut {
                return Outcome::Exists { node: Some(closest), service: None, is_wildcard: false };
            }
            return if barrier.is_cut() { Outcome::Delegated(barrier) } else { Outcome::Redirected(barrier) };
        }
        if is_exact || steered.is_some() {
            let service = steered.and_then(|steered| steered.service);
            return Outcome::Exists { node: is_exact.then_some(closest), service, is_wildcard: false };
        }
        self.expand(zone, name, closest)
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
    fn expand<'z>(&'z self, zone: &'z Zone, name: &LookupName, closest: Node<'_>) -> Outcome<'z> {
        let encloser_labels = self.encloser_labels(name, closest);
        let mut buffer = [0; Name::MAX_OCTETS + 2];
        let wildcard = wildcard_of(name.suffix(encloser_labels), &mut buffer);
        let node = zone.wire_node(wildcard, encloser_labels + 1);
        let steered = self.steered(wildcard, encloser_labels + 1, || hash(wildcard));
        match (node, steered) {
            (None, None) => Outcome::Missing,
            // NS records of a wildcard are undefined (RFC 4592 section 4.2); like NSD we answer them and delegate nothing.
            (_, steered) => {
                let service = steered.and_then(|steered| steered.service);
                Outcome::Exists { node, service, is_wildcard: true }
            }
        }
    }
}
