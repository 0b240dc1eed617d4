//! The names of datacenters and regions: a reference to a datacenter may name either.

use std::collections::BTreeMap;

use super::symbols::{SymbolTable, definition_help};
use crate::{
    config::{
        definition::Definition, diagnostic::NameFault, place::Placed, problems::Problems,
        quoted::Quoted, spec::DatacenterSpec,
    },
    steer::{Datacenter, DatacenterId, LoadSourceId, ServingState},
};

/// The datacenters and the regions that group them, by name.
pub(super) struct DatacenterNames<'s> {
    datacenters: SymbolTable<'s>,
    regions: BTreeMap<&'s str, Vec<DatacenterId>>,
}

impl<'s> DatacenterNames<'s> {
    /// Collects the names. `broken` are those of tables that could not be read.
    pub(super) fn new(
        specs: &'s [DatacenterSpec],
        broken: impl Iterator<Item = &'s str>,
        problems: &mut Problems,
    ) -> Self {
        let mut names =
            Self { datacenters: SymbolTable::new("datacenter"), regions: BTreeMap::new() };
        broken.for_each(|name| names.datacenters.define_broken(name));
        for (index, spec) in specs.iter().enumerate() {
            names.datacenters.define(&spec.name.value, spec.name.place, index, problems);
        }
        for (index, spec) in specs.iter().enumerate() {
            let Some(region) = &spec.region else { continue };
            let members = names.regions.entry(&region.value).or_default();
            if let (true, Some(place)) =
                (members.is_empty(), names.datacenters.contains(&region.value))
            {
                problems
                    .error(region.place, format!("{} names both a datacenter and a region", Quoted(&region.value)))
                    .also(place, "the datacenter")
                    .help("a reference to a datacenter may name either, so that they need different names");
            }
            members.push(DatacenterId(index as u32));
        }
        names
    }

    /// The datacenters that a name refers to, if it is one of a datacenter or region.
    pub(super) fn lookup(&self, name: &str) -> Option<Vec<DatacenterId>> {
        let of_region = self.regions.get(name).cloned();
        of_region.or_else(|| Some(vec![DatacenterId(self.datacenters.position(name)? as u32)]))
    }

    /// The datacenters that a name refers to: one, or all of a region.
    pub(super) fn find(
        &mut self,
        name: &Placed<Box<str>>,
        problems: &mut Problems,
    ) -> Vec<DatacenterId> {
        if let Some(region) = self.regions.get(&*name.value) {
            return region.clone();
        }
        if self.datacenters.contains(&name.value).is_some() {
            return self
                .datacenters
                .resolve(name, problems)
                .map(|index| DatacenterId(index as u32))
                .into_iter()
                .collect();
        }
        // A table that could not be read may have named the region.
        if self.datacenters.has_broken() || problems.has_unread_files() {
            return Vec::new();
        }
        let mut known: Vec<_> =
            self.datacenters.names().chain(self.regions.keys().copied()).collect();
        known.sort_unstable();
        let message = format!("there is no datacenter or region {}", Quoted(&name.value));
        let otherwise = definition_help("datacenter", &name.value);
        let missing = NameFault::Missing(Definition::new("datacenter", &name.value));
        problems
            .unknown_name(name.place, message, &name.value, known.into_iter(), &otherwise)
            .about(missing);
        Vec::new()
    }
}

/// A datacenter as a domain value.
pub(super) fn datacenter(spec: &DatacenterSpec, load: Option<LoadSourceId>) -> Datacenter {
    Datacenter {
        name: spec.name.value.clone(),
        location: spec.location,
        region: spec.region.as_ref().map(|region| region.value.clone()),
        state: spec.state,
        reason: spec.reason.clone(),
        until: spec.until,
        state_after: ServingState::Active,
        load,
        ramp_times: spec.ramps.ramp_times(),
        paused_drain_fraction: spec.paused_drain,
        keep: spec.keep,
        capacity: spec.capacity,
    }
}
