//! UDP shards: threads that receive a batch of datagrams, answer it from one snapshot, and send the
//! replies.
//!
//! A shard polls one socket for each listening address, so that the number of threads follows the
//! cores and not the addresses. While datagrams keep arriving, a batch costs two system calls. The
//! sockets of different shards share a port by SO_REUSEPORT; the kernel spreads clients over them
//! by the hash of their addresses, or by the core that receives.
//!
//! Invariants: answering a query does not wait, allocate or read the clock (one reading serves a
//! batch); every datagram received is counted once by its outcome; a panic is logged and the shard
//! goes on.

use std::{
    fmt, io,
    net::UdpSocket,
    os::fd::AsFd,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use arc_swap::{ArcSwap, cache::Cache};

use super::{
    bind,
    clock::now_secs,
    counters::{Counters, NoReplyReason, Recorder},
    engine::{DnsEngine, Engine},
    log_throttle::LogThrottle,
    panic_guard,
};
use crate::{
    engine::{MAX_GROUP, NameBuffers, Query, QueryGroup, ReplyLabels, Transport, WrittenReply},
    os::{
        self, Batch, ControlMessages, CoreAssignment, Datagram, MAX_DATAGRAMS, OutgoingReply,
        PollSet,
    },
    snapshot::Snapshot,
    steer::DrawState,
};

/// The most batches in a row from one socket before the shard turns to its other sockets.
const MAX_BATCHES_PER_SOCKET: usize = 16;
/// The most batches that a stopping shard answers for each socket: more than a receive buffer holds.
const MAX_BATCHES_AT_STOP: usize = 1024;
/// The longest interval between two reads of the kernel's drop counters while queries arrive.
const DROP_COUNT_INTERVAL: Duration = Duration::from_secs(1);
/// How long a shard waits for room in a full send buffer before its replies count as failed.
const SEND_TIMEOUT: Duration = Duration::from_millis(20);
/// The pause before a shard restarts, so that a fault that recurs at once does not use up a core.
const RESTART_DELAY: Duration = Duration::from_millis(10);
/// The pause after a failed receive, so that an error that recurs at once does not use up a core.
const RECEIVE_ERROR_DELAY: Duration = Duration::from_millis(1);

/// The running shards. Dropping it stops them without waiting.
#[derive(Debug)]
pub struct Shards {
    threads: Vec<JoinHandle<()>>,
    /// Closed to stop the shards, which poll the other end of the pipe.
    stop_writer: io::PipeWriter,
}

/// Why the shards could not be started.
#[derive(Debug)]
pub struct StartError(io::Error);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot start a UDP shard: {}", self.0)
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// Starts one thread (`udp-0`, `udp-1`, ...) for each set of sockets, on its core if shards are
/// pinned.
///
/// # Errors
/// The system refuses a thread or a descriptor; then no shard runs.
pub fn serve(
    shards: Vec<Vec<UdpSocket>>,
    cores: &CoreAssignment,
    snapshots: &Arc<ArcSwap<Snapshot>>,
    counters: &Counters,
) -> Result<Shards, StartError> {
    serve_with_engine(DnsEngine, shards, cores, snapshots, counters)
}

pub(super) fn serve_with_engine(
    engine: impl Engine,
    shards: Vec<Vec<UdpSocket>>,
    cores: &CoreAssignment,
    snapshots: &Arc<ArcSwap<Snapshot>>,
    counters: &Counters,
) -> Result<Shards, StartError> {
    let (stop_reader, stop_writer) = io::pipe().map_err(StartError)?;
    let mut running = Shards { threads: Vec::new(), stop_writer };
    for (index, sockets) in shards.into_iter().enumerate() {
        let core = cores.core_of_shard(index);
        let shard = Shard {
            engine,
            sockets: sockets.into_iter().map(ShardSocket::new).collect(),
            stop_reader: stop_reader.try_clone().map_err(StartError)?,
            snapshots: Arc::clone(snapshots),
            recorder: counters.recorder(Transport::Udp),
        };
        let thread = thread::Builder::new()
            .name(format!("udp-{index}"))
            .spawn(move || shard.run_until_stopped(core));
        running.threads.push(thread.map_err(StartError)?);
    }
    Ok(running)
}

impl Shards {
    /// The number of shards.
    pub fn count(&self) -> usize {
        self.threads.len()
    }

    /// Answers the datagrams that have arrived, then ends the shards. Blocks until they have ended:
    /// at most a few hundred milliseconds.
    pub fn stop(self) {
        drop(self.stop_writer);
        for thread in self.threads {
            // A shard catches its own panics; nothing can be done about one that it could not catch.
            let _ = thread.join();
        }
    }

    /// Whether every shard still runs. If not, this process answers only some of its clients and
    /// should end.
    pub fn are_alive(&self) -> bool {
        !self.threads.iter().any(JoinHandle::is_finished)
    }
}

/// A socket of a shard, and the kernel's count of the datagrams that it dropped there.
struct ShardSocket {
    socket: UdpSocket,
    control_messages: ControlMessages,
    kernel_drops: u32,
}

impl ShardSocket {
    fn new(socket: UdpSocket) -> Self {
        // If the address is unknown, there is room for PKTINFO, whether the kernel sends it or not.
        let control_messages = socket
            .local_addr()
            .map_or(ControlMessages::PacketInfo, |address| bind::control_messages(address.ip()));
        Self { socket, control_messages, kernel_drops: 0 }
    }

    /// The number of datagrams that the kernel has dropped since the last call.
    fn new_drops(&mut self) -> u32 {
        let before = self.kernel_drops;
        self.kernel_drops = os::dropped_datagrams(self.socket.as_fd()).unwrap_or(before);
        self.kernel_drops.wrapping_sub(before)
    }
}

struct Shard<E> {
    engine: E,
    sockets: Vec<ShardSocket>,
    stop_reader: io::PipeReader,
    snapshots: Arc<ArcSwap<Snapshot>>,
    recorder: Recorder,
}

/// Why a shard's loop ended.
enum ShardExit {
    Stopped,
    Failed(io::Error),
}

impl<E: Engine> Shard<E> {
    /// Serves until stopped; restarts after every panic and every error.
    fn run_until_stopped(mut self, core: Option<usize>) {
        if let Some(Err(error)) = core.map(|core| os::pin_to_cores(&[core])) {
            tracing::debug!(core, %error, "shard not pinned to its core");
        }
        loop {
            // Unwind safe: only the sockets, and counters that are complete after every step,
            // outlive the loop.
            match catch_unwind(AssertUnwindSafe(|| self.serve_until_exit())) {
                Ok(ShardExit::Stopped) => return,
                Ok(ShardExit::Failed(error)) => {
                    tracing::error!(%error, "shard cannot wait for datagrams: it is restarted")
                }
                Err(_) => tracing::error!("shard panicked: it is restarted"),
            }
            self.recorder.count_unfinished_as_panicked();
            thread::sleep(RESTART_DELAY);
        }
    }

    fn serve_until_exit(&mut self) -> ShardExit {
        let Self { engine, sockets, stop_reader, snapshots, recorder } = self;
        let clones: Result<Vec<UdpSocket>, _> =
            sockets.iter().map(|socket| socket.socket.try_clone()).collect();
        let clones = match clones {
            Ok(clones) => clones,
            Err(error) => return ShardExit::Failed(error),
        };
        let mut poll = PollSet::new(clones.iter().map(AsFd::as_fd).chain([stop_reader.as_fd()]));
        let mut worker = ShardWorker::new(*engine, snapshots, recorder);
        loop {
            let is_woken = match poll.wait(worker.poll_timeout()) {
                Ok(is_woken) => is_woken,
                Err(error) => return ShardExit::Failed(error),
            };
            if worker.has_new_second || !is_woken {
                worker.count_drops(sockets);
            }
            let is_last = poll.is_ready(sockets.len());
            for (index, socket) in sockets.iter_mut().enumerate() {
                if is_last {
                    worker.serve(socket, MAX_BATCHES_AT_STOP);
                } else if poll.is_ready(index) {
                    worker.serve(socket, MAX_BATCHES_PER_SOCKET);
                }
            }
            if is_last {
                return ShardExit::Stopped;
            }
        }
    }
}

/// The state with which a shard answers; after a panic the shard starts with a new one.
struct ShardWorker<'a, E> {
    engine: E,
    snapshots: Cache<&'a ArcSwap<Snapshot>, Arc<Snapshot>>,
    generation: Option<u64>,
    draws: DrawState,
    names: NameBuffers,
    batch: Box<Batch>,
    /// The time of the last batch, in seconds since 1970.
    now_secs: u32,
    /// Whether `now_secs` has changed since the kernel's drops were last counted.
    has_new_second: bool,
    /// Whether a batch arrived since the kernel's drops were last counted.
    has_unread_drops: bool,
    replies: BatchReplies,
    recorder: &'a mut Recorder,
}

impl<'a, E: Engine> ShardWorker<'a, E> {
    fn new(engine: E, snapshots: &'a ArcSwap<Snapshot>, recorder: &'a mut Recorder) -> Self {
        Self {
            engine,
            snapshots: Cache::new(snapshots),
            generation: None,
            draws: DrawState::new(fastrand::u64(..)),
            names: NameBuffers::new(),
            batch: Box::new(Batch::new()),
            now_secs: 0,
            has_new_second: false,
            has_unread_drops: false,
            replies: BatchReplies::new(),
            recorder,
        }
    }

    /// Receives, answers and sends until no datagram is left, for at most `max_batches` batches.
    /// While a batch was answered, more datagrams have mostly arrived, and another receive costs
    /// less than a poll. A query that arrived alone is seldom followed by another.
    fn serve(&mut self, socket: &mut ShardSocket, max_batches: usize) {
        for _ in 0..max_batches {
            let count = match self.batch.receive(socket.socket.as_fd(), socket.control_messages) {
                Ok(count) => count,
                Err(error) => return handle_receive_error(&error),
            };
            self.recorder.received(count as u64);
            self.answer(count);
            self.send(&socket.socket);
            if count == 1 {
                return;
            }
        }
    }

    /// How long to wait for datagrams: without end, unless the kernel may have dropped some that
    /// are not counted yet.
    fn poll_timeout(&self) -> Option<Duration> {
        self.has_unread_drops.then_some(DROP_COUNT_INTERVAL)
    }

    /// Counts the datagrams that the kernel dropped. Called once a second while queries arrive, and
    /// once after the last one.
    fn count_drops(&mut self, sockets: &mut [ShardSocket]) {
        for socket in sockets {
            self.recorder.kernel_dropped(socket.new_drops());
        }
        (self.has_new_second, self.has_unread_drops) = (false, false);
    }

    /// Answers the `count` datagrams of the batch, and counts those that get no reply.
    fn answer(&mut self, count: usize) {
        let snapshot = self.snapshots.load();
        if self.generation != Some(snapshot.generation) {
            self.draws.reserve_turns(snapshot.turn_counters);
            self.recorder.use_topology(&snapshot.topology);
            self.generation = Some(snapshot.generation);
        }
        let now_secs = now_secs();
        self.has_new_second |= now_secs != self.now_secs;
        (self.now_secs, self.has_unread_drops) = (now_secs, true);
        self.replies.clear();
        let Self { engine, names, batch, draws, replies, recorder, .. } = self;
        let answer_in_groups = || {
            for first in (0..count).step_by(MAX_GROUP) {
                let mut group = QueryGroup::new(names);
                for datagram in batch.datagrams(first..count.min(first + MAX_GROUP)) {
                    let index = datagram.index;
                    let added = parse_datagram(datagram, now_secs).and_then(|(query, reply)| {
                        engine.add(&mut group, index, query, reply).map_err(NoReplyReason::Ignored)
                    });
                    if let Err(reason) = added {
                        replies.record_outcome(index, Err(reason), recorder);
                    }
                }
                engine.answer_group(&mut group, snapshot, draws, |index, reply| {
                    replies.record_outcome(index, Ok(reply), recorder);
                });
            }
        };
        if panic_guard::catch_panic(answer_in_groups).is_some() {
            return;
        }
        // Only the message that caused the panic gets no reply: the others are answered alone.
        panic_guard::log_group_panic();
        for datagram in batch.datagrams(0..count) {
            let index = datagram.index;
            if replies.has_outcome[index] {
                continue;
            }
            let answered = parse_datagram(datagram, now_secs).and_then(|(query, reply)| {
                panic_guard::answer(*engine, snapshot, &query, draws, reply)
            });
            replies.record_outcome(index, answered, recorder);
        }
    }

    /// Sends all replies; a reply that the system refuses does not delay the others.
    fn send(&mut self, socket: &UdpSocket) {
        let mut done = 0;
        let mut has_waited = false;
        while done < self.replies.outgoing.len() {
            match self.batch.send(socket.as_fd(), &self.replies.outgoing[done..]) {
                Ok(sent) => {
                    self.replies.labels[done..done + sent]
                        .iter()
                        .for_each(|labels| self.recorder.answered(labels));
                    done += sent;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !has_waited => {
                    // Once for each batch: a link that is down must not keep the shard from
                    // receiving.
                    has_waited = true;
                    let _ = os::wait_writable(socket.as_fd(), SEND_TIMEOUT);
                }
                Err(error) => {
                    tracing::trace!(%error, "reply not sent");
                    self.recorder.send_failed();
                    done += 1;
                }
            }
        }
    }
}

/// The outcome of each datagram of a batch.
struct BatchReplies {
    outgoing: Vec<OutgoingReply>,
    /// What each of `outgoing` is counted by once it is sent.
    labels: Vec<ReplyLabels>,
    /// By the datagram's index: whether it has a reply, or is counted as one without.
    has_outcome: [bool; MAX_DATAGRAMS],
}

impl BatchReplies {
    fn new() -> Self {
        Self {
            outgoing: Vec::with_capacity(MAX_DATAGRAMS),
            labels: Vec::with_capacity(MAX_DATAGRAMS),
            has_outcome: [false; MAX_DATAGRAMS],
        }
    }

    fn clear(&mut self) {
        self.outgoing.clear();
        self.labels.clear();
        self.has_outcome = [false; MAX_DATAGRAMS];
    }

    fn record_outcome(
        &mut self,
        index: usize,
        answered: Result<WrittenReply, NoReplyReason>,
        recorder: &mut Recorder,
    ) {
        self.has_outcome[index] = true;
        match answered {
            Ok(reply) => {
                self.outgoing.push(OutgoingReply { index, octets: reply.length });
                self.labels.push(reply.labels);
            }
            Err(reason) => recorder.no_reply(reason),
        }
    }
}

/// The query of a datagram and the buffer for its reply.
///
/// # Errors
/// The reason why the datagram cannot be answered.
#[inline]
fn parse_datagram(
    datagram: Datagram<'_>,
    now_secs: u32,
) -> Result<(Query<'_>, &mut [u8]), NoReplyReason> {
    let source = datagram.source.ok_or(NoReplyReason::Unanswerable)?;
    if datagram.is_truncated {
        return Err(NoReplyReason::Oversized);
    }
    let query = Query { message: datagram.message, source, transport: Transport::Udp, now_secs };
    Ok((query, datagram.reply))
}

/// Logs an error of recvmmsg and pauses, unless no datagram was there.
fn handle_receive_error(error: &io::Error) {
    static ERRORS: LogThrottle = LogThrottle::new();
    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) {
        return;
    }
    if let Some(suppressed) = ERRORS.admit() {
        tracing::warn!(%error, suppressed, "datagrams not received");
    }
    thread::sleep(RECEIVE_ERROR_DELAY);
}
