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
//!
//! | file | step |
//! |---|---|
//! | `shard` | the thread: waits for datagrams, and restarts after a panic |
//! | `worker` | one batch: receive, answer, send |

mod shard;
mod worker;

use std::{
    fmt, io,
    net::UdpSocket,
    sync::Arc,
    thread::{self, JoinHandle},
};

use arc_swap::ArcSwap;

use self::{shard::Shard, worker::ShardSocket};
use super::{
    counters::Counters,
    engine::{DnsEngine, Engine},
};
use crate::{engine::Transport, os::CoreAssignment, snapshot::Snapshot};

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
            // A shard catches its own panics; nothing can be done about one that it could not
            // catch.
            let _ = thread.join();
        }
    }

    /// Whether every shard still runs. If not, this process answers only some of its clients and
    /// should end.
    pub fn are_alive(&self) -> bool {
        !self.threads.iter().any(JoinHandle::is_finished)
    }
}
