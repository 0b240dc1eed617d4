//! Where records are written that something was found wrong with: in a table, or in a line of a
//! master file.
//!
//! Places of records are not kept while a zone is read: a million would take more memory than they
//! are worth. So the master file is read once more, and only where something was found.

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

/// Where a finding is.
#[derive(Clone, Copy)]
pub(super) struct FindingPlace {
    pub(super) place: SourcePlace,
    /// Whether a table says it, and not a master file.
    pub(super) is_in_table: bool,
    /// Where the record is that hides the finding's.
    pub(super) occluder: Option<SourcePlace>,
}

/// What tables say of the records of zones.
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
        let of_servers = |servers: &[Placed<Name>], otherwise: SourcePlace| {
            let named = servers
                .iter()
                .find(|server| wanted.target.is_none_or(|target| *target == server.value));
            named.map(|server| if wanted.target.is_some() { server.place } else { otherwise })
        };
        if wanted.rtype == Rtype::NS {
            let zone = self.zones.get(wanted.owner).and_then(|spec| spec.nameservers.as_ref());
            let of_zone = zone.and_then(|servers| of_servers(&servers.value, servers.place));
            let delegate = self.delegates.get(wanted.owner);
            return of_zone.or_else(|| {
                delegate.and_then(|spec| of_servers(&spec.nameservers, spec.name.place))
            });
        }
        if !matches!(wanted.rtype, Rtype::A | Rtype::AAAA) {
            return None;
        }
        let mut at = Some(wanted.owner.clone());
        while let Some(name) = at {
            let glue = self
                .delegates
                .get(&name)
                .and_then(|spec| spec.glue.iter().find(|(host, _)| host.value == *wanted.owner));
            if let Some((host, _)) = glue {
                return Some(host.place);
            }
            at = name.parent();
        }
        None
    }
}

/// A record that is looked for.
struct RecordKey<'f> {
    owner: &'f Name,
    rtype: Rtype,
    target: Option<&'f Name>,
}

/// The place of each finding of a zone, and of what hides it.
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
    let own = findings.iter().map(|finding| {
        Some(RecordKey {
            owner: &finding.owner,
            rtype: finding.rtype,
            target: finding.target.as_ref(),
        })
    });
    let barriers = findings.iter().map(|finding| {
        finding.occluder().map(|(owner, rtype)| RecordKey { owner, rtype, target: None })
    });
    let wanted: Vec<Option<RecordKey<'_>>> = own.chain(barriers).collect();
    let of_tables: Vec<Option<SourcePlace>> = wanted
        .iter()
        .map(|wanted| wanted.as_ref().and_then(|wanted| written.place(wanted)))
        .collect();
    let of_files = in_master_file(sources, zones, zone, &wanted);
    let origin = zones.origins[zone];
    let count = findings.len();
    let located = (0..count).map(|index| FindingPlace {
        place: of_files[index].or(of_tables[index]).unwrap_or(origin),
        is_in_table: of_files[index].is_none() && of_tables[index].is_some(),
        occluder: of_files[count + index].or(of_tables[count + index]),
    });
    located.collect()
}

/// Reads the zone's master file again for the places of records.
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
    // What fitted into a budget once does so again.
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
    let place =
        |position: Option<_>| position.map(|at| master::place(sources, file, &parsed.included, at));
    positions.into_iter().map(place).collect()
}
