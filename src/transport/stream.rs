//! One stream connection: messages with a two-octet length (RFC 1035 section 4.2.2, RFC 7766), over
//! TCP or TLS.
//!
//! A connection reads the octets that have arrived, answers all complete messages in them in order
//! (pipelining, RFC 7766 section 6.2.1.1), and writes the replies together. It reads no further
//! while replies wait to be written, so that a client that never reads uses one buffer until the
//! write timeout. Buffers grow with the octets received, never with the length that a message
//! claims.

use std::{cell::RefCell, io, net::IpAddr, sync::Arc};

use arc_swap::ArcSwap;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Instant, timeout},
};

use super::{
    clock::now_secs,
    connections::{BufferReservation, ConnectionPermit},
    counters::{ConnectionEvent, NoReplyReason, Recorder},
    engine::DnsEngine,
    panic_guard,
};
use crate::{
    engine::{Query, ReplyLabels, Transport},
    snapshot::Snapshot,
    steer::DrawState,
};

/// The initial size of a connection's input buffer; nearly every query fits.
const INITIAL_BUFFER_OCTETS: usize = 512;
/// The longest message with its length.
const MAX_FRAME_OCTETS: usize = 2 + MAX_MESSAGE_OCTETS;
/// The longest DNS message.
pub(super) const MAX_MESSAGE_OCTETS: usize = 65535;
/// The octets of replies from which on they are written before further messages are answered.
const WRITE_THRESHOLD_OCTETS: usize = 16 << 10;
/// The octets of replies that every connection may buffer without a reservation.
const UNRESERVED_OCTETS: usize = 4 << 10;
/// The maximum number of messages without octets that a connection may send before it is closed.
const MAX_EMPTY_MESSAGES: u32 = 8;

/// What the connections of one transport have in common.
#[derive(Debug)]
pub(super) struct StreamContext {
    pub(super) transport: Transport,
    pub(super) snapshots: Arc<ArcSwap<Snapshot>>,
    pub(super) recorder: Recorder,
}

/// The memory in which a reply is made.
struct Scratch {
    draws: DrawState,
    reply: Box<[u8]>,
}

impl Scratch {
    fn new() -> Self {
        Self {
            draws: DrawState::new(fastrand::u64(..)),
            reply: vec![0; MAX_MESSAGE_OCTETS].into_boxed_slice(),
        }
    }
}

thread_local! {
    /// One for each thread is enough, because answering never awaits.
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::new());
}

/// Answers one message of a stream transport, and passes the reply to `take` with the labels that
/// it is counted by.
///
/// # Errors
/// The reason why there is no reply, which is counted here.
pub(super) fn answer_stream(
    context: &StreamContext,
    recorder: &mut Recorder,
    message: &[u8],
    source: IpAddr,
    take: impl FnOnce(&[u8], ReplyLabels),
) -> Result<(), NoReplyReason> {
    let snapshot = context.snapshots.load();
    recorder.received(1);
    recorder.use_topology(&snapshot.topology);
    let query = Query { message, source, transport: context.transport, now_secs: now_secs() };
    SCRATCH.with_borrow_mut(|Scratch { draws, reply: out }| {
        draws.reserve_turns(snapshot.turn_counters);
        match panic_guard::answer(DnsEngine, &snapshot, &query, draws, out) {
            Ok(reply) => {
                if recorder.next_sample(1).is_some() {
                    recorder.sample(&snapshot, &query, &reply.labels);
                }
                take(&out[..reply.length.min(MAX_MESSAGE_OCTETS)], reply.labels);
                Ok(())
            }
            Err(reason) => {
                recorder.no_reply(reason);
                Err(reason)
            }
        }
    })
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CloseReason {
    /// The client closed it, or the connection failed.
    Disconnected,
    /// The client sent or read too slowly.
    TimedOut,
    /// The connection was evicted, or the server stops.
    EndRequested,
    /// All connections together buffer as much as they may.
    BuffersFull,
    /// The client sent too many messages without octets.
    EmptyMessages,
}

/// Serves one connection until it ends, and counts a timeout. The first message must be complete by
/// `first_message_deadline`.
pub(super) async fn serve_stream<S>(
    stream: S,
    source: IpAddr,
    context: &StreamContext,
    permit: &ConnectionPermit,
    first_message_deadline: Instant,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut connection = StreamConnection {
        stream,
        source,
        context,
        recorder: context.recorder.share(),
        reservation: permit.buffer_reservation(),
        permit,
        input: Vec::new(),
        output: Vec::new(),
        output_labels: Vec::new(),
        empty_messages: 0,
    };
    let reason = connection.run(first_message_deadline).await;
    if reason == CloseReason::TimedOut {
        connection.recorder.connection_event(ConnectionEvent::TimedOut, 1);
    }
    if matches!(reason, CloseReason::Disconnected | CloseReason::EndRequested) {
        // Sends close_notify over TLS, so that the client need not wait for a timeout.
        let _ = timeout(permit.close_grace(), connection.stream.shutdown()).await;
    }
}

struct StreamConnection<'a, S> {
    stream: S,
    source: IpAddr,
    context: &'a StreamContext,
    recorder: Recorder,
    permit: &'a ConnectionPermit,
    reservation: BufferReservation,
    /// Octets read and not answered yet: at most one incomplete message.
    input: Vec<u8>,
    /// Replies that are not written yet, each with its length.
    output: Vec<u8>,
    /// The labels by which the replies in `output` are counted once they are written.
    output_labels: Vec<ReplyLabels>,
    /// The number of messages without octets that the client has sent.
    empty_messages: u32,
}

impl<S: AsyncRead + AsyncWrite + Unpin> StreamConnection<'_, S> {
    async fn run(&mut self, first_message_deadline: Instant) -> CloseReason {
        let mut deadline = first_message_deadline;
        loop {
            if let Err(reason) = self.read_message(deadline).await {
                return reason;
            }
            self.permit.record_progress();
            if let Err(reason) = self.answer_complete_messages().await {
                return reason;
            }
            if self.permit.is_ending() {
                return CloseReason::EndRequested;
            }
            self.shrink();
            deadline = Instant::now() + self.permit.idle_timeout();
        }
    }

    /// Reads until `input` starts with a complete message that has octets; one without is no
    /// progress. The deadline is for the whole message: a client cannot extend it by sending octets
    /// slowly.
    async fn read_message(&mut self, deadline: Instant) -> Result<(), CloseReason> {
        loop {
            self.drop_empty_messages()?;
            if complete_message(&self.input).is_some() {
                return Ok(());
            }
            self.grow().await?;
            let read = tokio::select! {
                biased;
                read = self.stream.read_buf(&mut self.input) => read,
                () = self.permit.end_requested() => return Err(CloseReason::EndRequested),
                () = tokio::time::sleep_until(deadline) => return Err(CloseReason::TimedOut),
            };
            match read {
                Ok(1..) => {}
                Ok(0) => return Err(CloseReason::Disconnected),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(CloseReason::Disconnected),
            }
        }
    }

    /// Removes and counts the messages without octets that `input` starts with.
    fn drop_empty_messages(&mut self) -> Result<(), CloseReason> {
        while self.input.starts_with(&[0, 0]) {
            self.input.drain(..2);
            // Counts it as too short; such a message gets no reply.
            let _ = answer_stream(self.context, &mut self.recorder, &[], self.source, |_, _| {});
            self.empty_messages += 1;
            if self.empty_messages > MAX_EMPTY_MESSAGES {
                return Err(CloseReason::EmptyMessages);
            }
        }
        Ok(())
    }

    /// Makes room to read into: twice the octets in use, and no more than one message needs.
    async fn grow(&mut self) -> Result<(), CloseReason> {
        if self.input.len() < self.input.capacity() {
            return Ok(());
        }
        let capacity = (self.input.len() * 2).clamp(INITIAL_BUFFER_OCTETS, MAX_FRAME_OCTETS);
        if capacity > INITIAL_BUFFER_OCTETS
            && !self.reservation.resize_with_retry(capacity + self.output.capacity()).await
        {
            return Err(CloseReason::BuffersFull);
        }
        self.input.reserve_exact(capacity - self.input.len());
        Ok(())
    }

    /// Answers the complete messages in order. Leaves an incomplete message in `input`, and nothing
    /// in `output`.
    async fn answer_complete_messages(&mut self) -> Result<(), CloseReason> {
        let mut done = 0;
        while let Some(message) = complete_message(&self.input[done..]) {
            let (output, output_labels) = (&mut self.output, &mut self.output_labels);
            // A message without a reply is counted, and the following ones are answered all the
            // same.
            let _ = answer_stream(
                self.context,
                &mut self.recorder,
                message,
                self.source,
                |reply, labels| {
                    // The scratch buffer has 65,535 octets, so the length of a reply fits.
                    output.extend_from_slice(&(reply.len() as u16).to_be_bytes());
                    output.extend_from_slice(reply);
                    output_labels.push(labels);
                },
            );
            done += 2 + message.len();
            if self.output.len() >= WRITE_THRESHOLD_OCTETS {
                self.write().await?;
            }
        }
        self.input.drain(..done);
        self.write().await
    }

    /// Writes the replies, and counts them as sent or not.
    async fn write(&mut self) -> Result<(), CloseReason> {
        let written = self.write_all().await;
        for labels in self.output_labels.drain(..) {
            match written {
                Ok(()) => self.recorder.answered(&labels),
                Err(_) => self.recorder.send_failed(),
            }
        }
        self.output.clear();
        written?;
        self.permit.record_progress();
        Ok(())
    }

    async fn write_all(&mut self) -> Result<(), CloseReason> {
        if self.output.is_empty() {
            return Ok(());
        }
        let buffered = self.input.capacity() + self.output.capacity();
        if self.output.capacity() > UNRESERVED_OCTETS
            && !self.reservation.resize_with_retry(buffered).await
        {
            return Err(CloseReason::BuffersFull);
        }
        let Self { stream, output, permit, .. } = self;
        let writing = async {
            stream.write_all(output).await?;
            stream.flush().await
        };
        let end_of_grace = async {
            permit.end_requested().await;
            tokio::time::sleep(permit.close_grace()).await;
        };
        tokio::select! {
            biased;
            written = writing => written.map_err(|_| CloseReason::Disconnected),
            () = end_of_grace => Err(CloseReason::EndRequested),
            () = tokio::time::sleep(permit.limits().write_timeout) => Err(CloseReason::TimedOut),
        }
    }

    /// Releases the buffers of a long message or of many replies, so that an idle connection
    /// buffers little.
    fn shrink(&mut self) {
        if self.output.capacity() > 0 {
            self.output = Vec::new();
            self.output_labels = Vec::new();
        }
        if self.input.len() <= INITIAL_BUFFER_OCTETS {
            self.input.shrink_to(INITIAL_BUFFER_OCTETS);
            // Making a reservation smaller never fails.
            let _ = self.reservation.try_resize(0);
        }
    }
}

/// The first message, if it is complete.
fn complete_message(input: &[u8]) -> Option<&[u8]> {
    let (length, rest) = input.split_first_chunk::<2>()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}
