//! The work of a shard: receive a batch, answer it, send the replies.

use std::{io, net::UdpSocket, os::fd::AsFd, sync::Arc, thread, time::Duration};

use arc_swap::{ArcSwap, cache::Cache};

use crate::{
    engine::{MAX_GROUP, NameBuffers, Query, QueryGroup, ReplyLabels, Transport, WrittenReply},
    os::{self, Batch, ControlMessages, Datagram, MAX_DATAGRAMS, OutgoingReply},
    snapshot::Snapshot,
    steer::DrawState,
    transport::{
        bind,
        clock::now_secs,
        counters::{NoReplyReason, Recorder},
        engine::Engine,
        log_throttle::LogThrottle,
        panic_guard,
    },
};

/// The longest interval between two reads of the kernel's drop counters while queries arrive.
const DROP_COUNT_INTERVAL: Duration = Duration::from_secs(1);
/// How long a shard waits for room in a full send buffer before its replies count as failed.
const SEND_TIMEOUT: Duration = Duration::from_millis(20);
/// The pause after a failed receive, so that an error that recurs at once does not use up a core.
const RECEIVE_ERROR_DELAY: Duration = Duration::from_millis(1);

/// A socket of a shard, and the kernel's count of the datagrams that it dropped there.
pub(super) struct ShardSocket {
    pub(super) socket: UdpSocket,
    control_messages: ControlMessages,
    kernel_drops: u32,
}

impl ShardSocket {
    pub(super) fn new(socket: UdpSocket) -> Self {
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

/// The state with which a shard answers; after a panic the shard starts with a new one.
pub(super) struct ShardWorker<'a, E> {
    engine: E,
    snapshots: Cache<&'a ArcSwap<Snapshot>, Arc<Snapshot>>,
    generation: Option<u64>,
    draws: DrawState,
    names: NameBuffers,
    batch: Box<Batch>,
    /// The time of the last batch, in seconds since 1970.
    now_secs: u32,
    /// Whether `now_secs` has changed since the kernel's drops were last counted.
    pub(super) has_new_second: bool,
    /// Whether a batch arrived since the kernel's drops were last counted.
    has_unread_drops: bool,
    replies: BatchReplies,
    recorder: &'a mut Recorder,
}

impl<'a, E: Engine> ShardWorker<'a, E> {
    pub(super) fn new(
        engine: E,
        snapshots: &'a ArcSwap<Snapshot>,
        recorder: &'a mut Recorder,
    ) -> Self {
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
    pub(super) fn serve(&mut self, socket: &mut ShardSocket, max_batches: usize) {
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
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        self.has_unread_drops.then_some(DROP_COUNT_INTERVAL)
    }

    /// Counts the datagrams that the kernel dropped. Called once a second while queries arrive, and
    /// once after the last one.
    pub(super) fn count_drops(&mut self, sockets: &mut [ShardSocket]) {
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
            replies.sample(batch, snapshot, now_secs, recorder);
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

    /// Records from which networks the queries came whose replies are sampled. Queries of a batch
    /// during which the engine panicked are not sampled.
    fn sample(
        &self,
        batch: &mut Batch,
        snapshot: &Snapshot,
        now_secs: u32,
        recorder: &mut Recorder,
    ) {
        let mut first = 0;
        while let Some(position) = recorder.next_sample(self.outgoing.len() - first) {
            first += position + 1;
            let (reply, labels) = (self.outgoing[first - 1], &self.labels[first - 1]);
            for datagram in batch.datagrams(reply.index..reply.index + 1) {
                if let Ok((query, _)) = parse_datagram(datagram, now_secs) {
                    recorder.sample(snapshot, &query, labels);
                }
            }
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
