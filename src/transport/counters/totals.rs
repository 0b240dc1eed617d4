//! Totals: the sums of all writers' counts, for the metrics page, the status and the tests.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{
    cells::CounterCells,
    events::{COUNTED_STATUSES, COUNTED_TYPES, ConnectionEvent, NoReplyReason, RCODE_CELLS},
};
use crate::{
    dns::{Name, Rcode, Rtype},
    engine::Transport,
};

/// Sums over all writers.
#[derive(Debug, Clone)]
pub struct Totals {
    /// The sums of each transport: UDP, TCP, TLS, HTTPS.
    pub transports: [TransportTotals; 4],
    /// Replies chosen by a service, by the service's name; names of earlier configurations stay.
    pub services: Vec<(Name, u64)>,
    /// Replies whose first endpoint is in a datacenter, by the datacenter's name.
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

/// The sums of one transport's messages, replies and connections since the start.
#[derive(Debug, Clone)]
pub struct TransportTotals {
    /// The transport that is counted.
    pub transport: Transport,
    /// The number of messages received.
    pub received: u64,
    /// Replies sent, by rcode; the last count is that of all rcodes from 24 up.
    pub answered: [u64; RCODE_CELLS],
    /// Messages without a reply, in the order of [`NoReplyReason::ALL`].
    pub no_replies: [u64; NoReplyReason::ALL.len()],
    /// Replies that the system refused to send, or that the client did not read.
    pub send_errors: u64,
    /// Datagrams that the kernel dropped because the receive buffer was full; not included in
    /// `received`. Read every second while datagrams arrive, and once after the last one.
    pub kernel_drops: u64,
    /// Replies with the TC bit set.
    pub truncated: u64,
    types: [u64; COUNTED_TYPES.len() + 1],
    /// Events of connections, in the order of [`ConnectionEvent::ALL`].
    pub connections: [u64; ConnectionEvent::ALL.len()],
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
        // The outcomes are read first and `received` last, so that their sum never exceeds
        // `received`, and equals it only if no message is in progress.
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

    /// Messages whose outcome is counted; equals `received` whenever none is in progress.
    pub fn finished(&self) -> u64 {
        self.answered.iter().sum::<u64>() + self.no_replies.iter().sum::<u64>() + self.send_errors
    }

    /// Replies sent with this rcode.
    pub fn answered_with(&self, rcode: Rcode) -> u64 {
        self.answered[usize::from(rcode.0).min(RCODE_CELLS - 1)]
    }

    /// Messages without a reply for this reason.
    pub fn no_replies_for(&self, reason: NoReplyReason) -> u64 {
        self.no_replies[reason.index()]
    }

    /// The number of connections to which this event has happened.
    pub fn connection_events(&self, event: ConnectionEvent) -> u64 {
        self.connections[event as usize]
    }

    /// HTTP responses by status; `None` stands for all statuses without a count of their own.
    pub fn by_status(&self) -> impl Iterator<Item = (Option<u16>, u64)> {
        COUNTED_STATUSES.into_iter().map(Some).chain([None]).zip(self.statuses)
    }

    /// Replies by query type; `None` stands for all types without a count of their own.
    pub fn by_type(&self) -> impl Iterator<Item = (Option<Rtype>, u64)> {
        COUNTED_TYPES.into_iter().map(Some).chain([None]).zip(self.types)
    }
}
