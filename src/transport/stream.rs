//! One stream connection: messages with a two-octet length (RFC 1035 section 4.2.2, RFC 7766), over
//! TCP or TLS.
//!
//! Reads what is there, answers every whole message in it in order (pipelining, RFC 7766 section
//! 6.2.1.1), and writes the replies together. It does not read on while replies wait to be written,
//! so that a client that never reads costs one buffer, a time limit and then nothing. Buffers grow
//! with what came in, never with what a length claims.

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

/// What a connection's buffer holds at first; nearly every query fits.
const INITIAL_BUFFER_OCTETS: usize = 512;
/// A length and the longest message.
const MAX_FRAME_OCTETS: usize = 2 + MAX_MESSAGE_OCTETS;
pub(super) const MAX_MESSAGE_OCTETS: usize = 65535;
/// Replies are written once there is this much of them.
const WRITE_THRESHOLD_OCTETS: usize = 16 << 10;
/// Replies of this many octets in all are within what every connection may hold.
const UNRESERVED_OCTETS: usize = 4 << 10;
/// More messages without octets end a connection.
const MAX_EMPTY_MESSAGES: u32 = 8;

/// What the connections of one transport share.
#[derive(Debug)]
pub(super) struct StreamContext {
    pub(super) transport: Transport,
    pub(super) snapshots: Arc<ArcSwap<Snapshot>>,
    pub(super) recorder: Recorder,
}

thread_local! {
    /// The draws of this thread, and room for the reply being written: answering never awaits, so
    /// one a thread is enough.
    static SCRATCH: RefCell<(DrawState, Box<[u8]>)> =
        RefCell::new((DrawState::new(fastrand::u64(..)), vec![0; MAX_MESSAGE_OCTETS].into_boxed_slice()));
}

/// Answers one message of a stream transport: hands the reply to `take`, with what it counts as.
///
/// # Errors
/// Why there is no reply, which is counted.
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
    SCRATCH.with_borrow_mut(|(draws, out)| {
        draws.reserve_turns(snapshot.turn_counters);
        match panic_guard::answer(DnsEngine, &snapshot, &query, draws, out) {
            Ok(reply) => {
                take(&out[..reply.length.min(MAX_MESSAGE_OCTETS)], reply.labels);
                Ok(())
            }
            Err(silence) => {
                recorder.no_reply(silence);
                Err(silence)
            }
        }
    })
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CloseReason {
    /// The client closed it, or it broke.
    Disconnected,
    /// The client took too long.
    TimedOut,
    /// It was told to leave.
    EndRequested,
    /// Its buffers would be more than all connections may have.
    BuffersFull,
    /// It sent too many messages without octets.
    EmptyMessages,
}

/// Serves one connection until it ends, and counts how it did. Its first message must be complete
/// by `first`.
pub(super) async fn serve_stream<S>(
    stream: S,
    source: IpAddr,
    context: &StreamContext,
    permit: &ConnectionPermit,
    first: Instant,
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
        tallies: Vec::new(),
        empty_messages: 0,
    };
    let end = connection.run(first).await;
    if end == CloseReason::TimedOut {
        connection.recorder.connection_event(ConnectionEvent::TimedOut, 1);
    }
    if matches!(end, CloseReason::Disconnected | CloseReason::EndRequested) {
        // A goodbye (TLS close_notify) that the client need not wait for.
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
    /// Octets read and not yet answered: at most one message that is not whole.
    input: Vec<u8>,
    /// Replies, each with its length in front.
    output: Vec<u8>,
    /// What the replies in `output` count as, once they are written.
    tallies: Vec<ReplyLabels>,
    /// Messages without octets that it has sent.
    empty_messages: u32,
}

impl<S: AsyncRead + AsyncWrite + Unpin> StreamConnection<'_, S> {
    async fn run(&mut self, first: Instant) -> CloseReason {
        let mut deadline = first;
        loop {
            if let Err(end) = self.read_message(deadline).await {
                return end;
            }
            self.permit.record_progress();
            if let Err(end) = self.answer_whole_messages().await {
                return end;
            }
            if self.permit.is_ending() {
                return CloseReason::EndRequested;
            }
            self.shrink();
            deadline = Instant::now() + self.permit.idle_timeout();
        }
    }

    /// Reads until `input` starts with a whole message that has octets: one without is no progress.
    /// The time limit is for all of it: octets that drip in do not extend it.
    async fn read_message(&mut self, deadline: Instant) -> Result<(), CloseReason> {
        loop {
            self.drop_empty_messages()?;
            if whole_message(&self.input).is_some() {
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

    /// Drops and counts the messages without octets that `input` starts with.
    fn drop_empty_messages(&mut self) -> Result<(), CloseReason> {
        while self.input.starts_with(&[0, 0]) {
            self.input.drain(..2);
            // It is counted as too short.
            let _ = answer_stream(self.context, &mut self.recorder, &[], self.source, |_, _| {});
            self.empty_messages += 1;
            if self.empty_messages > MAX_EMPTY_MESSAGES {
                return Err(CloseReason::EmptyMessages);
            }
        }
        Ok(())
    }

    /// Makes room to read into: twice of what is used, and no more than a message needs.
    async fn grow(&mut self) -> Result<(), CloseReason> {
        if self.input.len() < self.input.capacity() {
            return Ok(());
        }
        let wanted = (self.input.len() * 2).clamp(INITIAL_BUFFER_OCTETS, MAX_FRAME_OCTETS);
        if wanted > INITIAL_BUFFER_OCTETS
            && !self.reservation.resize_with_retry(wanted + self.output.capacity()).await
        {
            return Err(CloseReason::BuffersFull);
        }
        self.input.reserve_exact(wanted - self.input.len());
        Ok(())
    }

    /// Answers in order; leaves in `input` what is not a whole message, and nothing in `output`.
    async fn answer_whole_messages(&mut self) -> Result<(), CloseReason> {
        let mut done = 0;
        while let Some(message) = whole_message(&self.input[done..]) {
            let (tallies, output) = (&mut self.tallies, &mut self.output);
            // A message without a reply is counted; the others are answered all the same.
            let _ = answer_stream(
                self.context,
                &mut self.recorder,
                message,
                self.source,
                |reply, tally| {
                    // A reply is at most 65535 octets, which the scratch it was written to sees to.
                    output.extend_from_slice(&(reply.len() as u16).to_be_bytes());
                    output.extend_from_slice(reply);
                    tallies.push(tally);
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

    /// Writes the replies, as long as the client keeps taking some of them.
    async fn write(&mut self) -> Result<(), CloseReason> {
        let written = self.write_all().await;
        for tally in self.tallies.drain(..) {
            match written {
                Ok(()) => self.recorder.answered(&tally),
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
        let held = self.input.capacity() + self.output.capacity();
        if self.output.capacity() > UNRESERVED_OCTETS
            && !self.reservation.resize_with_retry(held).await
        {
            return Err(CloseReason::BuffersFull);
        }
        let Self { stream, output, permit, .. } = self;
        let writing = async {
            stream.write_all(output).await?;
            stream.flush().await
        };
        let last_moment = async {
            permit.end_requested().await;
            tokio::time::sleep(permit.close_grace()).await;
        };
        tokio::select! {
            biased;
            written = writing => written.map_err(|_| CloseReason::Disconnected),
            () = last_moment => Err(CloseReason::EndRequested),
            () = tokio::time::sleep(permit.limits().write_timeout) => Err(CloseReason::TimedOut),
        }
    }

    /// Gives back what a long message or many replies needed: a connection that waits holds little.
    fn shrink(&mut self) {
        if self.output.capacity() > 0 {
            self.output = Vec::new();
            self.tallies = Vec::new();
        }
        if self.input.len() <= INITIAL_BUFFER_OCTETS {
            self.input.shrink_to(INITIAL_BUFFER_OCTETS);
            // Taking less never fails.
            let _ = self.reservation.try_resize(0);
        }
    }
}

/// The first message, if all of it is there.
fn whole_message(input: &[u8]) -> Option<&[u8]> {
    let (length, rest) = input.split_first_chunk::<2>()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}
