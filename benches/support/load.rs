//! Open-loop load: queries on a fixed schedule, each reply timed from the time at which its query
//! was due.
//!
//! A query that is sent late because the server, or this loop, was busy still counts from its place
//! in the schedule. So a stall shows in every query that it delayed, not only in one (coordinated
//! omission). One thread sends and receives on nonblocking sockets without sleeping: it needs its
//! own core, and sustains 50,000 queries per second.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

/// The number of sockets. Each has 65,536 message IDs, enough for seconds at any rate that this
/// loop sustains.
const SOCKETS: usize = 4;
/// The time to wait for replies after the last query.
const REPLY_TIMEOUT: Duration = Duration::from_secs(1);

/// A load: its queries, its addresses, its rate and its length.
#[derive(Clone, Copy)]
pub(crate) struct LoadPlan<'a> {
    /// The source address of the queries.
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

/// The result of a load.
pub(crate) struct LoadOutcome {
    /// The number of queries in the schedule.
    pub(crate) sent: u64,
    /// Queries that were sent and not answered.
    pub(crate) lost: u64,
    /// The longest delay between a query's due time and its sending. A long delay means that the
    /// figures describe this machine, not the server.
    pub(crate) behind: Duration,
    /// The time from due to answered, in nanoseconds.
    pub(crate) latency: Histogram<u64>,
}

impl LoadPlan<'_> {
    /// Runs the load.
    ///
    /// # Errors
    /// A socket cannot be opened, or there are no queries.
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

/// A socket and its unanswered queries.
struct LoadSocket {
    socket: UdpSocket,
    /// For each message ID, the time at which its query was due.
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

    /// Sends a query. A send that fails, or an unanswered query with the same ID, counts as lost.
    fn send(&mut self, question: &[u8], due: Duration) {
        let message = &mut self.buffer[..question.len()];
        message.copy_from_slice(question);
        message[..2].copy_from_slice(&self.next.to_be_bytes());
        self.waiting[usize::from(self.next)] = Some(due);
        let _ = self.socket.send(message);
        self.next = self.next.wrapping_add(1);
    }

    /// Receives one reply, if there is one.
    fn receive(&mut self, start: Instant, latency: &mut Histogram<u64>) {
        let Ok(2..) = self.socket.recv(&mut self.buffer) else { return };
        let id = u16::from_be_bytes([self.buffer[0], self.buffer[1]]);
        if let Some(due) = self.waiting[usize::from(id)].take() {
            latency.saturating_record((start.elapsed() - due).as_nanos() as u64);
        }
    }
}

/// A histogram from a microsecond to ten seconds, with three significant digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, 10_000_000_000, 3).expect("the bounds are in order")
}
