//! Finds the places of findings: in a table, or in a line of a master file.
//!
//! The places of records are not kept while a zone is read: those of a million records would take
//! too much memory for their use. So the master file is read once more, and only if something was
//! found.

use hashbrown::HashMap;

use super::{compiled_zones::CompiledZones, finding::ZoneFinding, master};
use crate::{
    config::{
        place::{Placed, SourcePlace},
        sources::Sources,
        spec::{DelegateSpec, ZoneSpec},
    },
    dns::{Name, Rtype},
    zone::master::Budget,
};

/// The place of a finding.
#[derive(Clone, Copy)]
pub(super) struct FindingPlace {
    pub(super) place: SourcePlace,
    /// Whether the place is in a table, and not in a master file.
    pub(super) is_in_table: bool,
    /// The place of the record that occludes the finding's records.
    pub(super) occluder: Option<SourcePlace>,
}

/// The tables that add records to zones, by name.
pub(in crate::config::compile) struct TableRecords<'s> {
    pub(super) zones: HashMap<&'s Name, &'s ZoneSpec>,
    pub(super) delegates: HashMap<&'s Name, &'s DelegateSpec>,
}

impl<'s> TableRecords<'s> {
    pub(in crate::config::compile) fn new(
        zones: &'s [ZoneSpec],
        delegates: &'s [DelegateSpec],
    ) -> Self {
        Self {
            zones: zones.iter().map(|spec| (&spec.apex.value, spec)).collect(),
            delegates: delegates.iter().map(|spec| (&spec.name.value, spec)).collect(),
        }
    }

    fn place(&self, wanted: &RecordKey<'_>) -> Option<SourcePlace> {
        let place_of = |servers: &[Placed<Name>], otherwise: SourcePlace| {
            let named = servers
                .iter()
                .find(|server| wanted.target.is_none_or(|target| *target == server.value));
            named.map(|server| if wanted.target.is_some() { server.place } else { otherwise })
        };
        if wanted.rtype == Rtype::NS {
            let zone = self.zones.get(wanted.owner).and_then(|spec| spec.nameservers.as_ref());
            let zone_place = zone.and_then(|servers| place_of(&servers.value, servers.place));
            let delegate = self.delegates.get(wanted.owner);
            return zone_place.or_else(|| {
                delegate.and_then(|spec| place_of(&spec.nameservers, spec.name.place))
            });
        }
        if !matches!(wanted.rtype, Rtype::A | Rtype::AAAA) {
            return None;
        }
        let mut next = Some(wanted.owner.clone());
        while let Some(name) = next {
            let glue = self
                .delegates
                .get(&name)
                .and_then(|spec| spec.glue.iter().find(|(host, _)| host.value == *wanted.owner));
            if let Some((host, _)) = glue {
                return Some(host.place);
            }
            next = name.parent();
        }
        None
    }
}

/// The key of a record whose place is needed.
struct RecordKey<'f> {
    owner: &'f Name,
    rtype: Rtype,
    target: Option<&'f Name>,
}

/// The place of each finding of a zone, and of the record that occludes it.
pub(super) fn places(
    sources: &Sources,
    zones: &CompiledZones,
    zone: usize,
    written: &TableRecords<'_>,
    findings: &[ZoneFinding],
) -> Vec<FindingPlace> {
    if findings.is_empty() {
        return Vec::new();
    }
    let keys = findings.iter().map(|finding| {
        Some(RecordKey {
            owner: &finding.owner,
            rtype: finding.rtype,
            target: finding.target.as_ref(),
        })
    });
    let occluders = findings.iter().map(|finding| {
        finding.occluder().map(|(owner, rtype)| RecordKey { owner, rtype, target: None })
    });
    let wanted: Vec<Option<RecordKey<'_>>> = keys.chain(occluders).collect();
    let in_tables: Vec<Option<SourcePlace>> = wanted
        .iter()
        .map(|wanted| wanted.as_ref().and_then(|wanted| written.place(wanted)))
        .collect();
    let in_files = in_master_file(sources, zones, zone, &wanted);
    let origin = zones.origins[zone];
    let count = findings.len();
    let located = (0..count).map(|index| FindingPlace {
        place: in_files[index].or(in_tables[index]).unwrap_or(origin),
        is_in_table: in_files[index].is_none() && in_tables[index].is_some(),
        occluder: in_files[count + index].or(in_tables[count + index]),
    });
    located.collect()
}

/// Reads the zone's master file again to find the places of records.
fn in_master_file(
    sources: &Sources,
    zones: &CompiledZones,
    zone: usize,
    wanted: &[Option<RecordKey<'_>>],
) -> Vec<Option<SourcePlace>> {
    let mut positions = vec![None; wanted.len()];
    let Some(file) = zones.masters[zone] else { return vec![None; wanted.len()] };
    let mut by_owner: HashMap<&Name, Vec<usize>> = HashMap::new();
    for (index, wanted) in wanted.iter().enumerate() {
        if let Some(wanted) = wanted {
            by_owner.entry(wanted.owner).or_default().push(index);
        }
    }
    // The file fitted into the budget before, so that it fits again.
    let budget = &mut Budget::for_load();
    let parsed = master::parse(sources, file, &zones.list[zone].apex, None, budget, &mut |entry| {
        let Some(indexes) = by_owner.get(&entry.record.owner) else { return };
        for &index in indexes {
            let Some(wanted) = &wanted[index] else { continue };
            let is_it = wanted.rtype == entry.record.rtype
                && wanted
                    .target
                    .is_none_or(|target| entry.record.target().as_ref() == Some(target));
            if is_it && positions[index].is_none() {
                positions[index] = Some(entry.position);
            }
        }
    });
    let place = |position: Option<_>| {
        position.map(|position| master::place(sources, file, &parsed.included, position))
    };
    positions.into_iter().map(place).collect()
}
