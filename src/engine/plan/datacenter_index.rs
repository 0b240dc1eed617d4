//! Numbers for the datacenters of both sides of a plan, which share names but not ids.

use std::collections::HashMap;

use crate::{geo::Coordinates, steer::Topology};

/// Shown as the datacenter of an answer without records.
pub(super) const NO_RECORDS: &str = "nothing";
/// Shown as the datacenter of endpoints that are in none.
const NO_DATACENTER: &str = "no datacenter";

/// The datacenters of both sides by name.
#[derive(Debug)]
pub(super) struct DatacenterIndex {
    names: Vec<Box<str>>,
    locations: Vec<Option<Coordinates>>,
    numbers: HashMap<Box<str>, u16>,
}

impl DatacenterIndex {
    /// The number of [`NO_RECORDS`].
    pub(super) const NO_RECORDS: u16 = 0;
    /// The number of endpoints that are in no datacenter.
    pub(super) const NO_DATACENTER: u16 = 1;

    /// Numbers the datacenters of two topologies. A location is that of the second, if it has one.
    pub(super) fn new(before: &Topology, after: &Topology) -> Self {
        let mut index = Self { names: Vec::new(), locations: Vec::new(), numbers: HashMap::new() };
        for name in [NO_RECORDS, NO_DATACENTER] {
            index.add(name, None);
        }
        for datacenter in after.datacenters.iter().chain(&before.datacenters) {
            index.add(&datacenter.name, datacenter.location);
        }
        index
    }

    fn add(&mut self, name: &str, location: Option<Coordinates>) -> u16 {
        let next = self.names.len() as u16;
        let number = *self.numbers.entry(name.into()).or_insert(next);
        if number == next {
            self.names.push(name.into());
            self.locations.push(location);
        }
        number
    }

    /// The number of each datacenter of a topology, by id.
    pub(super) fn numbers(&self, topology: &Topology) -> Vec<u16> {
        topology
            .datacenters
            .iter()
            .map(|datacenter| self.number(&datacenter.name).unwrap_or(Self::NO_DATACENTER))
            .collect()
    }

    pub(super) fn number(&self, name: &str) -> Option<u16> {
        self.numbers.get(name).copied()
    }

    pub(super) fn name(&self, number: u16) -> &str {
        self.names.get(usize::from(number)).map_or("", |name| name)
    }

    pub(super) fn location(&self, number: u16) -> Option<Coordinates> {
        self.locations.get(usize::from(number)).copied().flatten()
    }

    /// The number of all entries.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// The numbers of all datacenters, without the two that stand for none.
    pub(super) fn datacenters(&self) -> impl Iterator<Item = u16> {
        Self::NO_DATACENTER + 1..self.names.len() as u16
    }
}
