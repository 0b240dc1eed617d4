//! All zones and the names of all services: where a lookup starts.

use std::{cmp::Reverse, sync::Arc};

use hashbrown::HashTable;

use super::{
    content::{NameAuthority, Node, Zone, is_wildcard},
    hash::{LOAD_SEED, hash_by, hash_name},
    index::NameIndex,
};
use crate::{
    dns::{LookupName, Name},
    steer::{ServiceId, ZoneId},
};

/// Every zone served, and the names of the services in them. Rebuilt when a zone or the list of
/// services changes, but not when health changes.
#[derive(Debug, Default)]
pub struct Zones {
    zones: Vec<Arc<Zone>>,
    /// Positions in `zones`, by apex.
    apex_index: NameIndex,
    /// The numbers of labels that apexes have, the highest first.
    apex_depths: Vec<ApexDepth>,
    /// The steered names; shared by versions that differ only in serials.
    steered: Arc<[SteeredName]>,
    /// Positions in `steered`, by name.
    steered_index: NameIndex,
    /// Bit n is set if a steered name has n labels.
    steered_label_counts: u128,
    /// Whether any steered name is a wildcard.
    pub(super) has_steered_wildcards: bool,
}

/// The apexes with one number of labels.
#[derive(Debug, Clone)]
struct ApexDepth {
    labels: usize,
    /// The position of the zone if there is only one such apex, which is then found without a hash.
    only_zone: Option<u32>,
}

/// A name that exists because of a service: the name of the service, or an empty non-terminal above
/// it. Holds everything that a lookup needs.
#[derive(Debug)]
pub(crate) struct SteeredName {
    name: Name,
    pub(super) service: Option<ServiceId>,
    /// The innermost zone that contains the name.
    pub(super) zone: ZoneId,
    /// The number of the node with the same name in that zone, if there is one.
    pub(super) node: Option<u32>,
    /// Whether the name is that zone's apex.
    pub(super) is_apex: bool,
}

impl SteeredName {
    pub(super) fn wire(&self) -> &[u8] {
        self.name.as_wire()
    }
}

impl Zones {
    /// Builds the lookup tables of zones and services. Each of `services` is a name, the position
    /// in `zones` of the zone that contains it, and its id. A service at or below a delegation or
    /// below a DNAME cannot be reached and is left out, and so is a zone with the same apex as one
    /// before it.
    pub fn build(zones: Vec<Arc<Zone>>, services: &[(Name, ZoneId, ServiceId)]) -> Self {
        let mut built = Self { zones, ..Self::default() };
        built.apex_index = NameIndex::new(built.zones.iter().map(|zone| zone.apex.as_wire()));
        for (number, zone) in (0..).zip(&built.zones) {
            let labels = zone.apex_labels;
            match built.apex_depths.iter_mut().find(|depth| depth.labels == labels) {
                Some(depth) => depth.only_zone = None,
                None => built.apex_depths.push(ApexDepth { labels, only_zone: Some(number) }),
            }
        }
        built.apex_depths.sort_unstable_by_key(|depth| Reverse(depth.labels));
        let (mut known, mut steered) = (HashTable::new(), Vec::with_capacity(services.len()));
        for (name, zone, service) in services {
            let Some(zone) = built.zones.get(zone.index()).cloned() else { continue };
            if name.is_at_or_below(&zone.apex)
                && zone.authority_of(name) == NameAuthority::Authoritative
            {
                built.insert_service(&mut steered, &mut known, name, &zone, *service);
            }
        }
        built.steered_index = NameIndex::new(steered.iter().map(SteeredName::wire));
        built.steered = steered.into();
        built
    }

    /// The same zones, some with another serial in their SOA.
    pub fn with_serials(&self, serials: &[(ZoneId, u32)]) -> Self {
        let mut zones = self.zones.clone();
        for (id, serial) in serials {
            zones[id.index()] = Arc::new(self.zones[id.index()].with_serial(*serial));
        }
        Self {
            zones,
            apex_index: self.apex_index.clone(),
            apex_depths: self.apex_depths.clone(),
            steered: Arc::clone(&self.steered),
            steered_index: self.steered_index.clone(),
            steered_label_counts: self.steered_label_counts,
            has_steered_wildcards: self.has_steered_wildcards,
        }
    }

    /// Inserts the name of a service and the empty non-terminals above it. `known` holds the
    /// positions of the names inserted before.
    fn insert_service(
        &mut self,
        steered: &mut Vec<SteeredName>,
        known: &mut HashTable<u32>,
        name: &Name,
        zone: &Zone,
        service: ServiceId,
    ) {
        let lookup = LookupName::from(name);
        for labels in (zone.apex_labels..=lookup.label_count()).rev() {
            let suffix = lookup.suffix(labels);
            let is_own = labels == lookup.label_count();
            let hash = hash_name(suffix);
            let load_hash = hash_by(LOAD_SEED, suffix);
            match known
                .find(load_hash, |&position| steered[position as usize].wire() == suffix)
                .copied()
            {
                Some(position) if is_own => steered[position as usize].service = Some(service),
                Some(_) => {}
                None if !is_own && zone.node_of_wire(suffix, hash).is_some() => {}
                None => {
                    let Ok(name) = Name::from_wire(suffix) else { continue };
                    let Some((innermost, zone)) = self.zone_of(&lookup, labels) else { continue };
                    let node = zone.node_of_wire(suffix, hash).map(Node::number);
                    let is_apex = zone.apex_labels == labels;
                    let position = steered.len() as u32;
                    let service = is_own.then_some(service);
                    self.has_steered_wildcards |= is_wildcard(suffix);
                    steered.push(SteeredName { name, service, zone: innermost, node, is_apex });
                    self.steered_label_counts |= 1 << labels;
                    known.insert_unique(load_hash, position, |&position| {
                        hash_by(LOAD_SEED, steered[position as usize].wire())
                    });
                }
            }
        }
    }

    /// The zones, by [`ZoneId`].
    pub fn list(&self) -> &[Arc<Zone>] {
        &self.zones
    }

    /// The innermost zone that contains a name and whose apex has at most `max_labels` labels, and
    /// its number.
    pub(super) fn zone_of(&self, name: &LookupName, max_labels: usize) -> Option<(ZoneId, &Zone)> {
        let number =
            self.apex_depths.iter().skip_while(|depth| depth.labels > max_labels).find_map(
                |depth| {
                    let suffix = name.suffix(depth.labels);
                    let apex_of = |number: u32| self.zones[number as usize].apex.as_wire();
                    match depth.only_zone {
                        Some(number) => (apex_of(number) == suffix).then_some(number),
                        None => self.apex_index.find(suffix, hash_name(suffix), apex_of),
                    }
                },
            )?;
        Some((ZoneId(number), &self.zones[number as usize]))
    }

    /// A zone of [`Zones::list`].
    pub(super) fn zone(&self, id: ZoneId) -> &Zone {
        &self.zones[id.index()]
    }

    /// Reads the first index cell that [`Zones::hint`] needs for a name with this hash, so that it
    /// is in the CPU's cache. The value has no meaning.
    #[inline]
    pub(crate) fn first_cell(&self, hash: u64) -> u32 {
        self.steered_index.first_cell(hash)
    }

    /// The steered name that is most likely this one; `None` only if the name is not steered.
    #[inline]
    pub(super) fn probably_steered(&self, name: &LookupName, hash: u64) -> Option<&SteeredName> {
        let is_possible = self.steered_label_counts >> name.label_count() & 1 == 1;
        let name_of = |position: u32| self.steered[position as usize].wire();
        let position = is_possible
            .then(|| self.steered_index.find_probable(name.as_wire(), hash, name_of))
            .flatten()?;
        Some(&self.steered[position as usize])
    }

    /// The entry of a name with this number of labels; `None` if it is not steered.
    #[inline]
    pub(super) fn steered(
        &self,
        wire: &[u8],
        labels: usize,
        hash: impl FnOnce() -> u64,
    ) -> Option<&SteeredName> {
        if self.steered_label_counts >> labels & 1 == 0 {
            return None;
        }
        let position = self
            .steered_index
            .find(wire, hash(), |position| self.steered[position as usize].wire())?;
        Some(&self.steered[position as usize])
    }
}
