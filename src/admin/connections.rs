//! Seats: how many connections there may be, and who goes when there are too many.
//!
//! A new connection is always let in. Where that makes too many, of one client or in all, the one
//! goes that has waited longest without a request being answered: whoever opens connections and
//! leaves them loses those, and an operator who comes now is served.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::transport::client_network;

/// All connections. The accepting task adds, ending connections remove.
#[derive(Debug)]
pub(super) struct AdminConnections {
    max_connections: usize,
    max_per_client: usize,
    slots: Mutex<AdminSlotMap>,
}

#[derive(Debug, Default)]
struct AdminSlotMap {
    slots: HashMap<u64, AdminSlot>,
    /// Counts what happens, as a clock of its own.
    clock: u64,
}

#[derive(Debug)]
struct AdminSlot {
    client: IpAddr,
    /// When it was taken, or its last request answered.
    last_progress: u64,
    /// A request is being answered.
    is_busy: bool,
    end_request: Arc<Notify>,
}

/// A connection's hold on its seat; dropping it gives the seat back.
#[derive(Debug)]
pub(super) struct AdminPermit {
    connections: Arc<AdminConnections>,
    id: u64,
    end_request: Arc<Notify>,
}

impl AdminConnections {
    pub(super) fn new(in_all: usize, a_client: usize) -> Arc<Self> {
        Arc::new(Self {
            max_connections: in_all,
            max_per_client: a_client,
            slots: Mutex::default(),
        })
    }

    /// A poisoned lock is taken all the same: the table is whole at every moment.
    fn table(&self) -> MutexGuard<'_, AdminSlotMap> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the connection that waits longest: the system has no descriptor for another one.
    pub(super) fn evict_longest_idle(&self) {
        self.table().evict(|_| true);
    }

    /// Gives a new connection its seat, for which another may be told to leave.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> AdminPermit {
        let client = client_network(address);
        let leave = Arc::new(Notify::new());
        let mut table = self.table();
        if table.slots.values().filter(|seat| seat.client == client).count() >= self.max_per_client
        {
            table.evict(|seat| seat.client == client);
        } else if table.slots.len() >= self.max_connections {
            table.evict(|_| true);
        }
        let id = table.tick();
        table.slots.insert(
            id,
            AdminSlot {
                client,
                last_progress: id,
                is_busy: false,
                end_request: Arc::clone(&leave),
            },
        );
        AdminPermit { connections: Arc::clone(self), id, end_request: leave }
    }
}

impl AdminSlotMap {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// Ends the connection that waits longest; one whose request is being answered only if all are.
    fn evict(&mut self, is_candidate: impl Fn(&AdminSlot) -> bool) {
        let candidates = self.slots.iter().filter(|(_, seat)| is_candidate(seat));
        let Some((&id, _)) = candidates.min_by_key(|(_, seat)| (seat.is_busy, seat.last_progress))
        else {
            return;
        };
        if let Some(seat) = self.slots.remove(&id) {
            seat.end_request.notify_one();
        }
    }
}

impl AdminPermit {
    /// Returns once this connection has to make room for another.
    pub(super) async fn end_requested(&self) {
        self.end_request.notified().await;
    }

    /// A request has come in.
    pub(super) fn begin_request(&self) {
        self.set_busy(true);
    }

    /// It was answered.
    pub(super) fn end_request(&self) {
        self.set_busy(false);
    }

    fn set_busy(&self, is_busy: bool) {
        let mut table = self.connections.table();
        let progress = table.tick();
        if let Some(seat) = table.slots.get_mut(&self.id) {
            (seat.is_busy, seat.last_progress) = (is_busy, progress);
        }
    }
}

impl Drop for AdminPermit {
    fn drop(&mut self) {
        self.connections.table().slots.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const A: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const B: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

    fn is_connected(guest: &AdminPermit) -> bool {
        guest.connections.table().slots.contains_key(&guest.id)
    }

    #[test]
    fn a_client_with_too_many_connections_loses_its_own() {
        let seats = AdminConnections::new(10, 2);
        let guests = [B, A, A, A].map(|client| seats.admit(client));
        assert_eq!(guests.each_ref().map(is_connected), [true, false, true, true]);
    }

    #[test]
    fn with_too_many_in_all_the_one_goes_that_waits_longest() {
        let seats = AdminConnections::new(2, 2);
        let first = seats.admit(A);
        let second = seats.admit(B);
        first.begin_request();
        first.end_request();
        let third = seats.admit(A);
        assert_eq!([&first, &second, &third].map(is_connected), [true, false, true]);
    }

    #[test]
    fn without_a_descriptor_for_another_the_one_goes_that_waits_longest() {
        let seats = AdminConnections::new(10, 10);
        let guests = [A, B].map(|client| seats.admit(client));
        seats.evict_longest_idle();
        assert_eq!(guests.each_ref().map(is_connected), [false, true]);
    }

    #[test]
    fn a_connection_whose_request_is_being_answered_stays() {
        let seats = AdminConnections::new(2, 2);
        let busy = seats.admit(A);
        busy.begin_request();
        let idle = seats.admit(B);
        let _new = seats.admit(A);
        assert!(is_connected(&busy) && !is_connected(&idle));
    }

    #[test]
    fn a_network_of_ipv6_addresses_is_one_client() {
        let parse = |text: &str| client_network(text.parse().unwrap());
        assert_eq!(parse("2001:db8::1"), parse("2001:db8::ffff:1"));
        assert_ne!(parse("2001:db8:0:1::1"), parse("2001:db8::1"));
        assert_eq!(parse("::ffff:192.0.2.1"), A);
    }
}
