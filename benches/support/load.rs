//! Open-loop load: queries on a fixed schedule, each reply timed from when its query was due.
//!
//! A query that goes out late because the server, or this loop, was busy still counts from its
//! place in the schedule, so that a stall shows in every query that it held up and not in one alone
//! (coordinated omission). One thread sends and receives on nonblocking sockets without sleeping:
//! it wants a core of its own, and holds 50,000 queries a second.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

/// Each has a space of 65,536 message IDs, enough for seconds at any rate that this loop can hold.
const SOCKETS: usize = 4;
/// How long after the last query a reply may come.
const REPLY_TIMEOUT: Duration = Duration::from_secs(1);

/// What to send, where, how fast and for how long.
#[derive(Clone, Copy)]
pub(crate) struct LoadPlan<'a> {
    /// Where from: an address of this machine.
    pub(crate) source: Ipv4Addr,
    /// The address that queries are sent to.
    pub(crate) address: SocketAddr,
    /// DNS messages, sent in turn; their IDs are overwritten.
    pub(crate) questions: &'a [Vec<u8>],
    /// Queries to send per second.
    pub(crate) rate: u32,
    /// The length of the schedule; a run takes up to a second longer.
    pub(crate) duration: Duration,
}

/// What came of it.
pub(crate) struct LoadOutcome {
    /// As many as the schedule has.
    pub(crate) sent: u64,
    /// Sent and not answered.
    pub(crate) lost: u64,
    /// The longest that a query went out after it was due. Much of it and the figures speak of this
    /// machine, not of the server.
    pub(crate) behind: Duration,
    /// From due to answered, in nanoseconds.
    pub(crate) latency: Histogram<u64>,
}

impl LoadPlan<'_> {
    /// Runs it.
    ///
    /// # Errors
    /// No sockets, or no questions.
    pub(crate) fn run(&self) -> io::Result<LoadOutcome> {
        if self.questions.is_empty() || self.rate == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "nothing to send"));
        }
        let mut lanes = (0..SOCKETS)
            .map(|_| LoadSocket::open(self.source, self.address))
            .collect::<io::Result<Vec<_>>>()?;
        let total = (self.duration.as_secs_f64() * f64::from(self.rate)) as u64;
        let start = Instant::now();
        let due = |index: u64| Duration::from_nanos(index * 1_000_000_000 / u64::from(self.rate));
        let mut outcome =
            LoadOutcome { sent: 0, lost: 0, behind: Duration::ZERO, latency: histogram() };
        let end = due(total) + REPLY_TIMEOUT;
        loop {
            let now = start.elapsed();
            if outcome.sent < total && due(outcome.sent) <= now {
                let when = due(outcome.sent);
                let question = &self.questions[outcome.sent as usize % self.questions.len()];
                lanes[outcome.sent as usize % SOCKETS].send(question, when);
                outcome.behind = outcome.behind.max(now - when);
                outcome.sent += 1;
            }
            for lane in &mut lanes {
                lane.receive(start, &mut outcome.latency);
            }
            let is_answered = outcome.latency.len() == outcome.sent;
            if outcome.sent == total && (is_answered || now > end) {
                outcome.lost = outcome.sent - outcome.latency.len();
                return Ok(outcome);
            }
        }
    }
}

/// A socket and the queries that wait for replies on it.
struct LoadSocket {
    socket: UdpSocket,
    /// By message ID: when the query was due.
    waiting: Vec<Option<Duration>>,
    next: u16,
    buffer: [u8; 4096],
}

impl LoadSocket {
    fn open(source: Ipv4Addr, address: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind((source, 0))?;
        socket.connect(address)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, waiting: vec![None; 1 << 16], next: 0, buffer: [0; 4096] })
    }

    /// A send that fails is a lost query. A query that still waits under the same ID is lost, too.
    fn send(&mut self, question: &[u8], due: Duration) {
        let message = &mut self.buffer[..question.len()];
        message.copy_from_slice(question);
        message[..2].copy_from_slice(&self.next.to_be_bytes());
        self.waiting[usize::from(self.next)] = Some(due);
        let _ = self.socket.send(message);
        self.next = self.next.wrapping_add(1);
    }

    /// Takes one reply, if one is there.
    fn receive(&mut self, start: Instant, latency: &mut Histogram<u64>) {
        let Ok(2..) = self.socket.recv(&mut self.buffer) else { return };
        let id = u16::from_be_bytes([self.buffer[0], self.buffer[1]]);
        if let Some(due) = self.waiting[usize::from(id)].take() {
            latency.saturating_record((start.elapsed() - due).as_nanos() as u64);
        }
    }
}

/// From a microsecond to ten seconds, to three digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, 10_000_000_000, 3).expect("the bounds are in order")
}
