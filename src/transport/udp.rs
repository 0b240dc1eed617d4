//! UDP: one thread a shard. Receive a batch, answer it from one snapshot, send the replies.
//!
//! A shard serves all listening addresses by polling its sockets, so that the number of threads
//! follows the cores and not the addresses; while datagrams keep coming a batch costs two system
//! calls. Sockets of different shards share a port by SO_REUSEPORT and the kernel spreads clients
//! over them, or by the core that receives.
//!
//! Invariants: a query waits for nothing, allocates nothing and reads no clock (one reading serves
//! a batch); every datagram received ends in one counter; a panic is logged and the shard goes on.

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
    CoreAssignment,
    batch::{Batch, ControlMessages, Datagram, MAX_DATAGRAMS, OutgoingReply},
    bind,
    counters::{Counters, NoReplyReason, Recorder},
    panic_guard::{self, LogThrottle},
    syscall::{self, PollSet},
};
use crate::{
    engine::{MAX_GROUP, NameBuffers, Query, QueryGroup, ReplyLabels, Transport, WrittenReply},
    snapshot::Snapshot,
    steer::DrawState,
};

/// How many batches in a row one socket may have before the others get their turn.
const MAX_BATCHES_PER_SOCKET: usize = 16;
/// How many batches a stopping shard still answers per socket: more than a receive buffer holds.
const MAX_BATCHES_AT_STOP: usize = 1024;
/// How often the kernel is asked at least what it dropped, in milliseconds, while queries come.
const DROP_COUNT_INTERVAL_MS: i32 = 1000;
/// How long a full send buffer may hold up a shard, in milliseconds, before its replies count as
/// failed.
const SEND_TIMEOUT_MS: i32 = 20;

/// The running shards. Dropping it stops them without waiting.
#[derive(Debug)]
pub struct Shards {
    threads: Vec<JoinHandle<()>>,
    /// The shards see its end close.
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

/// Starts one thread (`udp-0`, `udp-1`, ...) for each set of sockets, on its core if it has one.
///
/// # Errors
/// The system gives no more threads or descriptors; then no shard runs.
pub fn serve(
    shards: Vec<Vec<UdpSocket>>,
    cores: &CoreAssignment,
    snapshots: &Arc<ArcSwap<Snapshot>>,
    counters: &Counters,
) -> Result<Shards, StartError> {
    let (stopped, stop) = io::pipe().map_err(StartError)?;
    let mut running = Shards { threads: Vec::new(), stop_writer: stop };
    for (index, sockets) in shards.into_iter().enumerate() {
        let core = cores.core_of_shard(index);
        let shard = Shard {
            sockets: sockets.into_iter().map(ShardSocket::new).collect(),
            stop_reader: stopped.try_clone().map_err(StartError)?,
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
    /// How many run.
    pub fn count(&self) -> usize {
        self.threads.len()
    }

    /// Answers what was received, then ends the shards. Waits for them: at most a few hundred
    /// milliseconds.
    pub fn stop(self) {
        drop(self.stop_writer);
        for thread in self.threads {
            // A shard catches its own panics; there is nothing left to do for one that could not.
            let _ = thread.join();
        }
    }

    /// Whether every shard still runs. False means that this process no longer answers in full and
    /// should end.
    pub fn are_alive(&self) -> bool {
        !self.threads.iter().any(JoinHandle::is_finished)
    }
}

/// A socket and the kernel's count of what it dropped there.
struct ShardSocket {
    socket: UdpSocket,
    control_messages: ControlMessages,
    kernel_drops: u32,
}

impl ShardSocket {
    fn new(socket: UdpSocket) -> Self {
        // Where its address cannot be told there is room for PKTINFO, whether it comes or not.
        let control_messages = socket
            .local_addr()
            .map_or(ControlMessages::PacketInfo, |address| bind::control_messages(address.ip()));
        Self { socket, control_messages, kernel_drops: 0 }
    }

    /// How many datagrams the kernel has dropped since the last look.
    fn new_drops(&mut self) -> u32 {
        let before = self.kernel_drops;
        self.kernel_drops = syscall::dropped_datagrams(self.socket.as_fd()).unwrap_or(before);
        self.kernel_drops.wrapping_sub(before)
    }
}

struct Shard {
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

impl Shard {
    /// Serves until stopped, whatever happens.
    fn run_until_stopped(mut self, core: Option<usize>) {
        if let Some(Err(error)) = core.map(|core| syscall::pin_to_cores(&[core])) {
            tracing::debug!(core, %error, "shard not pinned to its core");
        }
        loop {
            // Unwind safe: all that outlives the loop are sockets, and counters that are whole at
            // every moment.
            match catch_unwind(AssertUnwindSafe(|| self.serve_until_exit())) {
                Ok(ShardExit::Stopped) => return,
                Ok(ShardExit::Failed(error)) => {
                    tracing::error!(%error, "shard cannot wait for datagrams: it is restarted")
                }
                Err(_) => tracing::error!("shard panicked: it is restarted"),
            }
            self.recorder.count_unfinished_as_panicked();
            // Whatever broke the loop at once may do so again: go on, but not at the cost of a
            // core.
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn serve_until_exit(&mut self) -> ShardExit {
        let Self { sockets, stop_reader: stopped, snapshots, recorder } = self;
        let clones: Result<Vec<UdpSocket>, _> =
            sockets.iter().map(|intake| intake.socket.try_clone()).collect();
        let clones = match clones {
            Ok(clones) => clones,
            Err(error) => return ShardExit::Failed(error),
        };
        let mut waiter = PollSet::new(clones.iter().map(AsFd::as_fd).chain([stopped.as_fd()]));
        let mut desk = ShardWorker::new(snapshots, recorder);
        loop {
            let is_woken = match waiter.wait(desk.poll_timeout_ms()) {
                Ok(is_woken) => is_woken,
                Err(error) => return ShardExit::Failed(error),
            };
            if desk.has_new_second || !is_woken {
                desk.count_drops(sockets);
            }
            let is_last = waiter.is_ready(sockets.len());
            for (place, intake) in sockets.iter_mut().enumerate() {
                if is_last {
                    desk.serve(intake, MAX_BATCHES_AT_STOP);
                } else if waiter.is_ready(place) {
                    desk.serve(intake, MAX_BATCHES_PER_SOCKET);
                }
            }
            if is_last {
                return ShardExit::Stopped;
            }
        }
    }
}

/// What a shard answers with.
struct ShardWorker<'a> {
    snapshots: Cache<&'a ArcSwap<Snapshot>, Arc<Snapshot>>,
    generation: Option<u64>,
    draws: DrawState,
    names: NameBuffers,
    batch: Box<Batch>,
    /// When the last batch came, in seconds since 1970.
    now_secs: u32,
    /// Whether that was another second than the batch before it.
    has_new_second: bool,
    /// Whether a batch came since the kernel was last asked for its drops.
    has_unread_drops: bool,
    answers: BatchReplies,
    recorder: &'a mut Recorder,
}

impl<'a> ShardWorker<'a> {
    fn new(snapshots: &'a ArcSwap<Snapshot>, recorder: &'a mut Recorder) -> Self {
        Self {
            snapshots: Cache::new(snapshots),
            generation: None,
            draws: DrawState::new(fastrand::u64(..)),
            names: NameBuffers::new(),
            batch: Box::new(Batch::new()),
            now_secs: 0,
            has_new_second: false,
            has_unread_drops: false,
            answers: BatchReplies::new(),
            recorder,
        }
    }

    /// Receives, answers and sends until nothing is there, or so many batches. While answers were
    /// made more has mostly come: to look costs less than to wait for being told. A query that came
    /// alone is seldom followed.
    fn serve(&mut self, intake: &mut ShardSocket, batches: usize) {
        for _ in 0..batches {
            let count = match self.batch.receive(intake.socket.as_fd(), intake.control_messages) {
                Ok(count) => count,
                Err(error) => return handle_receive_error(&error),
            };
            self.recorder.received(count as u64);
            self.answer(count);
            self.send(&intake.socket);
            if count == 1 {
                return;
            }
        }
    }

    /// How long to wait for datagrams: not for ever while there may be drops that were not counted.
    fn poll_timeout_ms(&self) -> i32 {
        if self.has_unread_drops { DROP_COUNT_INTERVAL_MS } else { -1 }
    }

    /// Asks the kernel what it dropped: once a second is enough, and once after the last query.
    fn count_drops(&mut self, sockets: &mut [ShardSocket]) {
        for intake in sockets {
            self.recorder.kernel_dropped(intake.new_drops());
        }
        (self.has_new_second, self.has_unread_drops) = (false, false);
    }

    fn answer(&mut self, count: usize) {
        let snapshot = self.snapshots.load();
        if self.generation != Some(snapshot.generation) {
            self.draws.reserve_turns(snapshot.turn_counters);
            self.recorder.use_topology(&snapshot.topology);
            self.generation = Some(snapshot.generation);
        }
        let now_secs = panic_guard::now_secs();
        self.has_new_second |= now_secs != self.now_secs;
        (self.now_secs, self.has_unread_drops) = (now_secs, true);
        self.answers.clear();
        #[cfg(test)]
        assert!(
            !self.batch.contains(count, super::tests::SHARD_PANIC_QUERY),
            "a test asks for this panic"
        );
        let Self { names, batch, draws, answers, recorder, .. } = self;
        let together = || {
            for first in (0..count).step_by(MAX_GROUP) {
                let mut group = QueryGroup::new(names);
                for datagram in batch.datagrams(first..count.min(first + MAX_GROUP)) {
                    let index = datagram.index;
                    let added = parse_datagram(datagram, now_secs).and_then(|(query, reply)| {
                        panic_guard::add(&mut group, index, query, reply)
                    });
                    if let Err(silence) = added {
                        answers.record_outcome(index, Err(silence), recorder);
                    }
                }
                group.answer(snapshot, draws, |index, reply| {
                    #[cfg(test)]
                    assert!(
                        reply.labels.rtype != super::tests::GROUP_PANIC_TYPE,
                        "a test asks for this panic"
                    );
                    answers.record_outcome(index, Ok(reply), recorder);
                });
            }
        };
        if panic_guard::catch_panic(together).is_some() {
            return;
        }
        // A panic costs the message that it came for: the others are answered one by one.
        panic_guard::log_group_panic();
        for datagram in batch.datagrams(0..count) {
            let index = datagram.index;
            if answers.is_settled[index] {
                continue;
            }
            let answered = parse_datagram(datagram, now_secs)
                .and_then(|(query, reply)| panic_guard::answer(snapshot, &query, draws, reply));
            answers.record_outcome(index, answered, recorder);
        }
    }

    /// Sends all replies; one that the system refuses does not hold up the others.
    fn send(&mut self, socket: &UdpSocket) {
        let mut done = 0;
        let mut has_waited = false;
        while done < self.answers.outgoing.len() {
            match self.batch.send(socket.as_fd(), &self.answers.outgoing[done..]) {
                Ok(sent) => {
                    self.answers.tallies[done..done + sent]
                        .iter()
                        .for_each(|tally| self.recorder.answered(tally));
                    done += sent;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !has_waited => {
                    // Once a batch: a link that takes nothing must not stop the shard from reading.
                    has_waited = true;
                    let _ = syscall::wait_writable(socket.as_fd(), SEND_TIMEOUT_MS);
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

/// What became of a batch's datagrams.
struct BatchReplies {
    /// The replies, and what each counts as.
    outgoing: Vec<OutgoingReply>,
    tallies: Vec<ReplyLabels>,
    /// By place: whether there is a reply, or will be none.
    is_settled: [bool; MAX_DATAGRAMS],
}

impl BatchReplies {
    fn new() -> Self {
        Self {
            outgoing: Vec::with_capacity(MAX_DATAGRAMS),
            tallies: Vec::with_capacity(MAX_DATAGRAMS),
            is_settled: [false; MAX_DATAGRAMS],
        }
    }

    fn clear(&mut self) {
        self.outgoing.clear();
        self.tallies.clear();
        self.is_settled = [false; MAX_DATAGRAMS];
    }

    fn record_outcome(
        &mut self,
        index: usize,
        answered: Result<WrittenReply, NoReplyReason>,
        recorder: &mut Recorder,
    ) {
        self.is_settled[index] = true;
        match answered {
            Ok(reply) => {
                self.outgoing.push(OutgoingReply { index, octets: reply.length });
                self.tallies.push(reply.labels);
            }
            Err(silence) => recorder.no_reply(silence),
        }
    }
}

/// The query in a datagram and the room for its reply, where it can be answered.
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

/// Logs what recvmmsg said, unless it is that there is nothing to receive.
fn handle_receive_error(error: &io::Error) {
    static ERRORS: LogThrottle = LogThrottle::new();
    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) {
        return;
    }
    if let Some(unsaid) = ERRORS.admit() {
        tracing::warn!(%error, suppressed = unsaid, "datagrams not received");
    }
    // It could be said again at once, and without end.
    thread::sleep(Duration::from_millis(1));
}
