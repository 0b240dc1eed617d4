//! Totals: what the counters of all writers sum up to, for the metrics page, the status and the
//! tests.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::counters::{
    COUNTED_STATUSES, COUNTED_TYPES, ConnectionEvent, CounterCells, NoReplyReason, RCODE_CELLS,
};
use crate::{
    dns::{Name, Rcode, Rtype},
    engine::Transport,
};

/// Sums over all writers.
#[derive(Debug, Clone)]
pub struct Totals {
    /// By transport: UDP, TCP, TLS, HTTPS.
    pub transports: [TransportTotals; 4],
    /// Replies that a service chose, by its name; names of earlier configurations stay.
    pub services: Vec<(Name, u64)>,
    /// Replies whose first endpoint is in the datacenter.
    pub datacenters: Vec<(Box<str>, u64)>,
}

impl Default for Totals {
    fn default() -> Self {
        let transports = [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Https];
        Self {
            transports: transports.map(TransportTotals::new),
            services: Vec::new(),
            datacenters: Vec::new(),
        }
    }
}

impl Totals {
    /// The sums of one transport.
    pub fn transport(&self, transport: Transport) -> &TransportTotals {
        &self.transports[transport_index(transport)]
    }

    pub(super) fn transport_mut(&mut self, transport: Transport) -> &mut TransportTotals {
        &mut self.transports[transport_index(transport)]
    }
}

fn transport_index(transport: Transport) -> usize {
    match transport {
        Transport::Udp => 0,
        Transport::Tcp => 1,
        Transport::Tls => 2,
        Transport::Https => 3,
    }
}

/// What one transport's messages came to.
#[derive(Debug, Clone)]
pub struct TransportTotals {
    /// Which.
    pub transport: Transport,
    /// Messages that came in.
    pub received: u64,
    /// Replies sent, by rcode; 24 stands for all from 24 up.
    pub answered: [u64; RCODE_CELLS],
    /// Messages without a reply, by [`NoReplyReason::ALL`].
    pub no_replies: [u64; NoReplyReason::ALL.len()],
    /// Replies the system would not send, or the client would not take.
    pub send_errors: u64,
    /// Datagrams the kernel dropped before this program saw them; not part of `received`. Asked for
    /// every second while datagrams come, and once after them.
    pub kernel_drops: u64,
    /// Replies with TC.
    pub truncated: u64,
    /// Replies by the type asked for, and the rest.
    types: [u64; COUNTED_TYPES.len() + 1],
    /// By [`ConnectionEvent::ALL`].
    pub connections: [u64; ConnectionEvent::ALL.len()],
    /// HTTP responses by status, and the rest.
    statuses: [u64; COUNTED_STATUSES.len() + 1],
}

impl TransportTotals {
    fn new(transport: Transport) -> Self {
        Self {
            transport,
            received: 0,
            answered: [0; RCODE_CELLS],
            no_replies: [0; NoReplyReason::ALL.len()],
            send_errors: 0,
            kernel_drops: 0,
            truncated: 0,
            types: [0; COUNTED_TYPES.len() + 1],
            connections: [0; ConnectionEvent::ALL.len()],
            statuses: [0; COUNTED_STATUSES.len() + 1],
        }
    }

    pub(super) fn add(&mut self, cells: &CounterCells) {
        let each = |sums: &mut [u64], cells: &[AtomicU64]| {
            sums.iter_mut().zip(cells).for_each(|(sum, cell)| *sum += cell.load(Relaxed));
        };
        // The ends first, `received` last: whoever waits for the sum to be complete never sees it
        // too early.
        each(&mut self.answered, &cells.answered);
        each(&mut self.no_replies, &cells.no_replies);
        each(&mut self.types, &cells.types);
        each(&mut self.connections, &cells.connections);
        each(&mut self.statuses, &cells.statuses);
        self.send_errors += cells.send_errors.load(Relaxed);
        self.kernel_drops += cells.kernel_drops.load(Relaxed);
        self.truncated += cells.truncated.load(Relaxed);
        self.received += cells.received.load(Relaxed);
    }

    /// Messages that came to an end, whichever; equals `received` whenever none is under way.
    pub fn finished(&self) -> u64 {
        self.answered.iter().sum::<u64>() + self.no_replies.iter().sum::<u64>() + self.send_errors
    }

    /// Replies sent with this rcode.
    pub fn answered_with(&self, rcode: Rcode) -> u64 {
        self.answered[usize::from(rcode.0).min(RCODE_CELLS - 1)]
    }

    /// Messages without a reply for this reason.
    pub fn no_replies_for(&self, silence: NoReplyReason) -> u64 {
        self.no_replies[silence.index()]
    }

    /// How often this happened to a connection.
    pub fn connection_events(&self, event: ConnectionEvent) -> u64 {
        self.connections[event as usize]
    }

    /// HTTP responses by status; `None` stands for every status that is not counted by itself.
    pub fn by_status(&self) -> impl Iterator<Item = (Option<u16>, u64)> {
        COUNTED_STATUSES.into_iter().map(Some).chain([None]).zip(self.statuses)
    }

    /// Replies by the type asked for; `None` stands for every type that is not counted by itself.
    pub fn by_type(&self) -> impl Iterator<Item = (Option<Rtype>, u64)> {
        COUNTED_TYPES.into_iter().map(Some).chain([None]).zip(self.types)
    }
}
