//! Counters: how many messages were received and the outcome of each, counted by each writer and
//! summed when they are read.
//!
//! | file | step |
//! |---|---|
//! | `events` | what is counted |
//! | `cells` | the memory of the counts |
//! | `slots` | the slots of services and datacenters, which come and go with reloads |
//! | `samples` | the networks of some clients, until they are taken |
//! | `recorder` | counts |
//! | `totals` | the sums over all writers |
//!
//! Every UDP shard has cells of its own, so that counting is a load and a store in a cache line
//! that no other thread writes. The streams of one transport share cells.
//!
//! A message received has exactly one outcome: answered (by rcode), no reply (by reason) or send
//! error. The sum of the outcomes equals `received` whenever no message is in progress.
//!
//! A writer looks up the slots of a topology when it first uses the topology, never for a query. It
//! takes no lock for that, unless the slots of the next topology are assigned already: a shard must
//! not wait for a metrics page.

mod cells;
mod events;
mod recorder;
mod samples;
mod slots;
mod totals;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use self::{
    cells::{CounterCells, CounterTable},
    recorder::WriteMode,
    slots::SlotRegistry,
};
use crate::{demand::NetworkGroup, engine::Transport, steer::Topology};

pub use self::{
    events::{ConnectionEvent, NoReplyReason},
    totals::{Totals, TransportTotals},
};
pub(super) use recorder::Recorder;

/// All counters of the process. Clones share them, and are cheap.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    /// One set for each writer. Writers are added only while the server starts.
    cells: Arc<Mutex<Vec<Arc<CounterCells>>>>,
    slots: Arc<SlotRegistry>,
}

impl Counters {
    /// Counters without writers and names.
    pub fn new() -> Self {
        Self::default()
    }

    /// Assigns a slot to every name of `topology`. The controller calls this before it publishes a
    /// snapshot with a new topology, so that no shard has to: 100,000 services take some 10 ms.
    pub fn assign_slots(&self, topology: &Arc<Topology>) {
        self.slots.assign_slots(topology);
    }

    /// A recorder with cells of its own, for a single writer: a UDP shard.
    pub(super) fn recorder(&self, transport: Transport) -> Recorder {
        Recorder::new(Arc::clone(&self.slots), self.add_cells(transport), WriteMode::Exclusive)
    }

    /// A recorder whose clones share its cells, for the connections of one transport.
    pub(super) fn shared_recorder(&self, transport: Transport) -> Recorder {
        Recorder::new(Arc::clone(&self.slots), self.add_cells(transport), WriteMode::Shared)
    }

    /// The sums over all writers at this moment.
    pub fn collect(&self) -> Totals {
        let writers = self.cells().clone();
        let names = self.slots.all_names();
        let mut totals = Totals::default();
        for cells in &writers {
            totals.transport_mut(cells.transport).add(cells);
        }
        let sum = |table: fn(&CounterCells) -> &CounterTable, slot| {
            writers.iter().map(|cells| table(cells).count(slot)).sum()
        };
        totals.services = sorted_names(&names.services)
            .map(|(name, slot)| (name, sum(|cells| &cells.services, slot)))
            .collect();
        totals.datacenters = sorted_names(&names.datacenters)
            .map(|(name, slot)| (name, sum(|cells| &cells.datacenters, slot)))
            .collect();
        totals
    }

    /// Takes the samples of all writers since the last call, and passes the network of each to
    /// `each` with the number of samples that it stands for. For one caller.
    pub fn take_samples(&self, mut each: impl FnMut(NetworkGroup, f64)) {
        let writers = self.cells().clone();
        writers.iter().for_each(|cells| cells.samples.take(&mut each));
    }

    fn add_cells(&self, transport: Transport) -> Arc<CounterCells> {
        let cells = Arc::new(CounterCells::new(transport));
        self.cells().push(Arc::clone(&cells));
        cells
    }

    /// A poisoned lock is taken all the same: the list is complete after every step.
    fn cells(&self) -> MutexGuard<'_, Vec<Arc<CounterCells>>> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sorted_names<N: Clone + Ord>(registered: &HashMap<N, u32>) -> impl Iterator<Item = (N, u32)> {
    let mut names: Vec<_> = registered.iter().collect();
    names.sort_unstable();
    names.into_iter().map(|(name, &slot)| (name.clone(), slot))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dns::{Rcode, Rtype},
        engine::{Query, ReplyLabels},
        snapshot::Snapshot,
        steer::{DatacenterId, OnAllDown, PoolId, RecordKind, Service, ServiceId, ZoneId},
    };

    fn topology(services: &[&str]) -> Arc<Topology> {
        let service = |name: &&str| Service {
            name: name.parse().unwrap(),
            zone: ZoneId(0),
            kind: RecordKind::default(),
            pool: PoolId(0),
            ttl_secs: 30,
            on_all_down: OnAllDown::All,
            ipv6: true,
            client_subnet: true,
        };
        Arc::new(Topology {
            services: Arc::new(services.iter().map(service).collect()),
            ..Topology::default()
        })
    }

    fn answered_by(service: u32) -> ReplyLabels {
        ReplyLabels {
            rtype: Rtype::A,
            rcode: Rcode::NOERROR,
            service: Some(ServiceId(service)),
            datacenter: Some(DatacenterId(9)),
            truncated: false,
        }
    }

    #[test]
    fn a_service_keeps_its_count_when_a_reload_moves_it() {
        let counters = Counters::new();
        let (mut shard, mut other) =
            (counters.recorder(Transport::Udp), counters.recorder(Transport::Udp));
        let (before, after) = (
            topology(&["b.example", "c.example"]),
            topology(&["a.example", "c.example", "d.example"]),
        );
        shard.use_topology(&before);
        shard.received(2);
        shard.answered(&answered_by(0));
        shard.answered(&answered_by(1));
        counters.assign_slots(&after);
        shard.use_topology(&after);
        shard.received(1);
        shard.answered(&answered_by(1));
        // A shard that still answers from the previous topology counts by that topology.
        other.use_topology(&before);
        other.received(1);
        other.answered(&answered_by(1));
        let counted: Vec<_> = counters
            .collect()
            .services
            .into_iter()
            .map(|(name, count)| (name.to_string(), count))
            .collect();
        let named = |name: &str| {
            counted.iter().find(|(n, _)| n.trim_end_matches('.') == name).map(|(_, count)| *count)
        };
        assert_eq!(
            [named("a.example"), named("b.example"), named("c.example"), named("d.example")],
            [Some(0), Some(1), Some(3), Some(0)]
        );
    }

    #[test]
    fn samples_have_the_networks_of_clients_that_services_answered_in_their_proportion() {
        fastrand::seed(7);
        let counters = Counters::new();
        let topology = topology(&["a.example"]);
        let snapshot = Snapshot { topology, ..Snapshot::default() };
        let writers = [counters.recorder(Transport::Udp), counters.shared_recorder(Transport::Tcp)];
        let fixed = ReplyLabels { service: None, ..answered_by(0) };
        // Of ten replies, one to 192.0.2/24 and six to 203.0.113/24 are chosen by the service.
        let source = |reply: usize| [203, 0, 113, reply as u8].into();
        let replies = |reply: usize| match reply % 10 {
            0 => ([192, 0, 2, 1].into(), answered_by(0)),
            1..=6 => (source(reply), answered_by(0)),
            _ => (source(reply), fixed),
        };
        for mut writer in writers {
            let mut done = 0;
            while done < 320_000 {
                let batch = done % 64 + 1;
                let mut first = 0;
                while let Some(position) = writer.next_sample(batch - first) {
                    first += position + 1;
                    let (source, labels) = replies(done + first - 1);
                    let transport = Transport::Udp;
                    let query = Query { message: &[], source, transport, now_secs: 0 };
                    writer.sample(&snapshot, &query, &labels);
                }
                done += batch;
            }
        }
        let mut samples = HashMap::new();
        counters
            .take_samples(|group, weight| *samples.entry(group.to_string()).or_default() += weight);
        let of = |network: &str| samples.get(network).copied().unwrap_or(0.0) as i32;
        // 2 * 320,000 / 64 replies are sampled, a tenth and six tenths of them.
        assert!((880..1120).contains(&of("192.0.2.0/24")), "{samples:?}");
        assert!((5600..6400).contains(&of("203.0.113.0/24")), "{samples:?}");
        assert_eq!(samples.len(), 2, "{samples:?}");
    }

    #[test]
    fn replies_that_a_connection_leaves_unsent_are_send_errors() {
        let counters = Counters::new();
        let mut connection = counters.shared_recorder(Transport::Tcp).share();
        connection.received(3);
        connection.answered(&answered_by(0));
        drop(connection);
        let totals = counters.collect();
        assert_eq!(
            (
                totals.transport(Transport::Tcp).send_errors,
                totals.transport(Transport::Tcp).finished()
            ),
            (2, 3)
        );
    }
}
