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

use crate::transport::client_of;

/// All connections. The accepting task adds, ending connections remove.
#[derive(Debug)]
pub(super) struct Seats {
    in_all: usize,
    a_client: usize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    seats: HashMap<u64, Seat>,
    /// Counts what happens, as a clock of its own.
    next: u64,
}

#[derive(Debug)]
struct Seat {
    client: IpAddr,
    /// When it was taken, or its last request answered.
    progress: u64,
    /// A request is being answered.
    is_busy: bool,
    leave: Arc<Notify>,
}

/// A connection's hold on its seat; dropping it gives the seat back.
#[derive(Debug)]
pub(super) struct Guest {
    seats: Arc<Seats>,
    id: u64,
    leave: Arc<Notify>,
}

impl Seats {
    pub(super) fn new(in_all: usize, a_client: usize) -> Arc<Self> {
        Arc::new(Self { in_all, a_client, table: Mutex::default() })
    }

    /// A poisoned lock is taken all the same: the table is whole at every moment.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the connection that waits longest: the system has no descriptor for another one.
    pub(super) fn make_room(&self) {
        self.table().evict(|_| true);
    }

    /// Gives a new connection its seat, for which another may be told to leave.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Guest {
        let client = client_of(address);
        let leave = Arc::new(Notify::new());
        let mut table = self.table();
        if table.seats.values().filter(|seat| seat.client == client).count() >= self.a_client {
            table.evict(|seat| seat.client == client);
        } else if table.seats.len() >= self.in_all {
            table.evict(|_| true);
        }
        let id = table.tick();
        table
            .seats
            .insert(id, Seat { client, progress: id, is_busy: false, leave: Arc::clone(&leave) });
        Guest { seats: Arc::clone(self), id, leave }
    }
}

impl Table {
    fn tick(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Ends the connection that waits longest; one whose request is being answered only if all are.
    fn evict(&mut self, is_candidate: impl Fn(&Seat) -> bool) {
        let candidates = self.seats.iter().filter(|(_, seat)| is_candidate(seat));
        let Some((&id, _)) = candidates.min_by_key(|(_, seat)| (seat.is_busy, seat.progress))
        else {
            return;
        };
        if let Some(seat) = self.seats.remove(&id) {
            seat.leave.notify_one();
        }
    }
}

impl Guest {
    /// Returns once this connection has to make room for another.
    pub(super) async fn told_to_leave(&self) {
        self.leave.notified().await;
    }

    /// A request has come in.
    pub(super) fn begin(&self) {
        self.mark(true);
    }

    /// It was answered.
    pub(super) fn end(&self) {
        self.mark(false);
    }

    fn mark(&self, is_busy: bool) {
        let mut table = self.seats.table();
        let progress = table.tick();
        if let Some(seat) = table.seats.get_mut(&self.id) {
            (seat.is_busy, seat.progress) = (is_busy, progress);
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.seats.table().seats.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const A: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const B: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

    fn is_seated(guest: &Guest) -> bool {
        guest.seats.table().seats.contains_key(&guest.id)
    }

    #[test]
    fn a_client_with_too_many_connections_loses_its_own() {
        let seats = Seats::new(10, 2);
        let guests = [B, A, A, A].map(|client| seats.enter(client));
        assert_eq!(guests.each_ref().map(is_seated), [true, false, true, true]);
    }

    #[test]
    fn with_too_many_in_all_the_one_goes_that_waits_longest() {
        let seats = Seats::new(2, 2);
        let first = seats.enter(A);
        let second = seats.enter(B);
        first.begin();
        first.end();
        let third = seats.enter(A);
        assert_eq!([&first, &second, &third].map(is_seated), [true, false, true]);
    }

    #[test]
    fn without_a_descriptor_for_another_the_one_goes_that_waits_longest() {
        let seats = Seats::new(10, 10);
        let guests = [A, B].map(|client| seats.enter(client));
        seats.make_room();
        assert_eq!(guests.each_ref().map(is_seated), [false, true]);
    }

    #[test]
    fn a_connection_whose_request_is_being_answered_stays() {
        let seats = Seats::new(2, 2);
        let busy = seats.enter(A);
        busy.begin();
        let idle = seats.enter(B);
        let _new = seats.enter(A);
        assert!(is_seated(&busy) && !is_seated(&idle));
    }

    #[test]
    fn a_network_of_ipv6_addresses_is_one_client() {
        let parse = |text: &str| client_of(text.parse().unwrap());
        assert_eq!(parse("2001:db8::1"), parse("2001:db8::ffff:1"));
        assert_ne!(parse("2001:db8:0:1::1"), parse("2001:db8::1"));
        assert_eq!(parse("::ffff:192.0.2.1"), A);
    }
}
