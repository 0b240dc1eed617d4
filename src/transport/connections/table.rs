//! The connection table: all connections of a server, and which of them are evicted.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{sync::Semaphore, time::Instant};

use super::{limits::ConnectionLimits, slot::ConnectionSlot};

/// One eviction ends 1/64 of the connections that may be evicted.
const EVICTION_DIVISOR: usize = 64;
/// At most 1/8 of all connections may be evicted ones that have not ended yet.
const ENDING_DIVISOR: usize = 8;

/// All connections of a server.
#[derive(Debug)]
pub(crate) struct ConnectionTable {
    pub(super) limits: ConnectionLimits,
    /// The number of connections from which on a new one evicts others.
    eviction_threshold: usize,
    /// One permit for each connection, including those that are ending.
    pub(super) descriptors: Arc<Semaphore>,
    started: Instant,
    /// Octets that all connections have reserved of the shared buffers.
    pub(super) buffered: AtomicUsize,
    /// Listeners add slots, connections that end remove them.
    slots: Mutex<SlotMap>,
}

#[derive(Debug, Default)]
pub(super) struct SlotMap {
    slots: HashMap<u64, Arc<ConnectionSlot>>,
    /// The number of connections that are not ending.
    active: usize,
    active_by_client: HashMap<IpAddr, usize>,
    next_number: u64,
    pub(super) is_closing: bool,
}

impl ConnectionTable {
    /// A table without connections. A limit of 0 connections counts as 1.
    pub(crate) fn new(limits: ConnectionLimits) -> Arc<Self> {
        let connections = limits.connections.max(1);
        Arc::new(Self {
            limits: ConnectionLimits { connections, ..limits },
            eviction_threshold: connections - connections / ENDING_DIVISOR,
            descriptors: Arc::new(Semaphore::new(connections)),
            started: Instant::now(),
            buffered: AtomicUsize::new(0),
            slots: Mutex::default(),
        })
    }

    /// A poisoned lock is taken all the same: the table is complete after every step.
    pub(super) fn slots(&self) -> MutexGuard<'_, SlotMap> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nanoseconds since the table was made. 64 bits last for 584 years.
    pub(super) fn now_nanos(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    /// The instant of a time in nanoseconds since the table was made.
    pub(super) fn instant(&self, nanos: u64) -> Instant {
        self.started + Duration::from_nanos(nanos)
    }

    /// Adds a connection, and evicts others if there are then too many. Returns its number and
    /// slot.
    pub(super) fn insert(&self, client: IpAddr) -> (u64, Arc<ConnectionSlot>) {
        let slot = Arc::new(ConnectionSlot::new(client, self.now_nanos()));
        let mut slots = self.slots();
        if slots
            .active_by_client
            .get(&client)
            .is_some_and(|&count| count >= self.limits.connections_per_client)
        {
            slots.evict(|slot| slot.client == client);
        } else if slots.active >= self.eviction_threshold {
            slots.evict(|_| true);
        }
        let number = slots.next_number;
        slots.next_number += 1;
        slots.active += 1;
        *slots.active_by_client.entry(client).or_insert(0) += 1;
        if slots.is_closing {
            slots.request_end(&slot);
        }
        slots.slots.insert(number, Arc::clone(&slot));
        (number, slot)
    }

    /// Evicts 1/64 of the connections, at least one: those without progress for the longest time.
    pub(crate) fn evict(&self) {
        self.slots().evict(|_| true);
    }

    /// Asks every connection, and every later one, to finish what is in progress and end.
    pub(crate) fn close(&self) {
        let mut slots = self.slots();
        slots.is_closing = true;
        let all: Vec<_> = slots.slots.values().cloned().collect();
        all.iter().for_each(|slot| slots.request_end(slot));
    }

    /// The number of connections that are not ending.
    pub(crate) fn count(&self) -> usize {
        self.slots().active
    }

    /// Octets that all connections have reserved of the shared buffers.
    pub(in crate::transport) fn buffered_octets(&self) -> usize {
        self.buffered.load(Relaxed)
    }
}

impl SlotMap {
    /// Evicts 1/64 of the connections that `is_candidate` accepts, so that a flood of connections
    /// does not make the server search the whole table for each.
    fn evict(&mut self, is_candidate: impl Fn(&ConnectionSlot) -> bool) {
        let mut candidates: Vec<((bool, u64), u64)> = self
            .slots
            .iter()
            .filter(|(_, slot)| !slot.is_ending() && is_candidate(slot))
            .map(|(&number, slot)| (slot.eviction_rank(), number))
            .collect();
        let count = candidates.len().div_ceil(EVICTION_DIVISOR);
        if count > 0 {
            candidates.select_nth_unstable(count - 1);
        }
        for (_, number) in &candidates[..count] {
            if let Some(slot) = self.slots.get(number).cloned() {
                self.request_end(&slot);
            }
        }
    }

    /// Evicts connections that have reserved buffers, unless some that were evicted before are
    /// about to release theirs.
    pub(super) fn evict_buffering(&mut self) {
        let has_buffers = |slot: &ConnectionSlot| slot.buffered_octets.load(Relaxed) > 0;
        if !self.slots.values().any(|slot| slot.is_ending() && has_buffers(slot)) {
            self.evict(has_buffers);
        }
    }

    /// Removes a connection that has ended.
    pub(super) fn remove(&mut self, number: u64) {
        if let Some(slot) = self.slots.remove(&number)
            && !slot.is_ending()
        {
            self.remove_active(slot.client);
        }
    }

    fn request_end(&mut self, slot: &ConnectionSlot) {
        if !slot.is_ending.swap(true, Relaxed) {
            self.remove_active(slot.client);
            slot.end_request.notify_one();
        }
    }

    fn remove_active(&mut self, client: IpAddr) {
        self.active -= 1;
        if let Some(count) = self.active_by_client.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                self.active_by_client.remove(&client);
            }
        }
    }
}
