//! Buffer reservations: octets of the buffers that all connections share.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use super::{slot::ConnectionSlot, table::ConnectionTable};

/// How often a reservation that was refused is tried again.
const RETRIES: usize = 20;
/// The pause before each retry.
const RETRY_DELAY: Duration = Duration::from_millis(10);

/// The octets that one connection has reserved for one purpose; released when it is dropped.
#[derive(Debug)]
pub(in crate::transport) struct BufferReservation {
    table: Arc<ConnectionTable>,
    slot: Arc<ConnectionSlot>,
    octets: usize,
}

impl BufferReservation {
    /// A reservation of no octets yet.
    pub(super) fn new(table: &Arc<ConnectionTable>, slot: &Arc<ConnectionSlot>) -> Self {
        Self { table: Arc::clone(table), slot: Arc::clone(slot), octets: 0 }
    }

    /// Sets the reservation to `octets`. Returns false, and changes nothing, if all connections
    /// would then buffer more than the limit; connections that have reserved buffers and made no
    /// progress for the longest time are then evicted, so that there is room soon. Making a
    /// reservation smaller never fails.
    pub(in crate::transport) fn try_resize(&mut self, octets: usize) -> bool {
        if octets == self.octets {
            return true;
        }
        let buffered = &self.table.buffered;
        if octets > self.octets {
            let more = octets - self.octets;
            if buffered.fetch_add(more, Relaxed) + more > self.table.limits.buffered_octets {
                buffered.fetch_sub(more, Relaxed);
                self.slot.is_buffer_refused.store(true, Relaxed);
                self.table.slots().evict_buffering();
                return false;
            }
            self.slot.is_buffer_refused.store(false, Relaxed);
            self.slot.buffered_octets.fetch_add(more, Relaxed);
        } else {
            self.release(self.octets - octets);
        }
        self.octets = octets;
        true
    }

    /// Like [`BufferReservation::try_resize`], but retries for 0.2 s if there is no room.
    pub(in crate::transport) async fn resize_with_retry(&mut self, octets: usize) -> bool {
        for _ in 0..RETRIES {
            if self.try_resize(octets) {
                return true;
            }
            tokio::time::sleep(RETRY_DELAY).await;
        }
        self.try_resize(octets)
    }

    fn release(&self, octets: usize) {
        self.table.buffered.fetch_sub(octets, Relaxed);
        self.slot.buffered_octets.fetch_sub(octets, Relaxed);
    }
}

impl Drop for BufferReservation {
    fn drop(&mut self) {
        self.release(self.octets);
    }
}
