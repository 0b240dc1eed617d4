//! The slots of services and datacenters in the counter tables. A name keeps its slot for the life
//! of the process, so that its count survives reloads that remove or move it.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwap;

use crate::{dns::Name, steer::Topology};

/// The slots of one topology's names, by service and datacenter id.
#[derive(Debug, Clone, Default)]
pub(super) struct TopologySlots {
    pub(super) topology: Arc<Topology>,
    pub(super) services: Vec<u32>,
    pub(super) datacenters: Vec<u32>,
}

/// The names that have a slot. The maps are copied only if a topology is assigned its slots while
/// the metrics page reads a clone.
#[derive(Debug, Clone, Default)]
pub(super) struct NameRegistry {
    pub(super) services: Arc<HashMap<Name, u32>>,
    pub(super) datacenters: Arc<HashMap<Box<str>, u32>>,
}

impl NameRegistry {
    fn assign_slots(&mut self, topology: &Arc<Topology>) -> TopologySlots {
        let services = Arc::make_mut(&mut self.services);
        let services =
            topology.services.iter().map(|service| slot_of(services, &service.name)).collect();
        let datacenters = Arc::make_mut(&mut self.datacenters);
        let datacenters =
            topology.datacenters.iter().map(|dc| slot_of(datacenters, &dc.name)).collect();
        TopologySlots { topology: Arc::clone(topology), services, datacenters }
    }
}

fn slot_of<N: Clone + Eq + Hash>(names: &mut HashMap<N, u32>, name: &N) -> u32 {
    if let Some(&slot) = names.get(name) {
        return slot;
    }
    // More than 2^32 names do not fit into memory; a slot without a cell is not counted.
    let slot = u32::try_from(names.len()).unwrap_or(u32::MAX);
    names.insert(name.clone(), slot);
    slot
}

/// The slots of the topology in force, and of all names since the start.
#[derive(Debug, Default)]
pub(super) struct SlotRegistry {
    names: Mutex<NameRegistry>,
    /// The slots of the topology that was assigned its slots last.
    prepared: ArcSwap<TopologySlots>,
}

impl SlotRegistry {
    /// A poisoned lock is taken all the same: the registry is complete after every step.
    fn names(&self) -> MutexGuard<'_, NameRegistry> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Assigns a slot to each name of the topology.
    pub(super) fn assign_slots(&self, topology: &Arc<Topology>) {
        let prepared = self.prepared.load();
        if Arc::ptr_eq(&prepared.topology, topology) {
            return;
        }
        let slots = match has_same_names(topology, &prepared.topology) {
            true => {
                TopologySlots { topology: Arc::clone(topology), ..TopologySlots::clone(&prepared) }
            }
            false => self.names().assign_slots(topology),
        };
        self.prepared.store(Arc::new(slots));
    }

    /// The slots of the topology. Takes no lock, unless a newer topology was assigned its slots
    /// already while this one still answers.
    pub(super) fn slots(&self, topology: &Arc<Topology>) -> Arc<TopologySlots> {
        let prepared = self.prepared.load_full();
        if Arc::ptr_eq(&prepared.topology, topology) {
            return prepared;
        }
        Arc::new(self.names().assign_slots(topology))
    }

    /// The names and slots of all services and all datacenters.
    pub(super) fn all_names(&self) -> NameRegistry {
        self.names().clone()
    }
}

/// Whether services and datacenters have the same names as those of `other`, in the same order.
fn has_same_names(topology: &Topology, other: &Topology) -> bool {
    let is_same_list = Arc::ptr_eq(&topology.services, &other.services);
    let names = |topology: &Topology| {
        topology.datacenters.iter().map(|datacenter| datacenter.name.clone()).collect::<Vec<_>>()
    };
    let services = topology.services.iter().map(|service| &service.name);
    names(topology) == names(other)
        && (is_same_list || services.eq(other.services.iter().map(|service| &service.name)))
}
