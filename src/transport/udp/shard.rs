//! A shard: a thread that waits for datagrams and restarts after every panic.

use std::{
    io,
    net::UdpSocket,
    os::fd::AsFd,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::Duration,
};

use arc_swap::ArcSwap;

use super::worker::{ShardSocket, ShardWorker};
use crate::{
    os::{self, PollSet},
    snapshot::Snapshot,
    transport::{counters::Recorder, engine::Engine},
};

/// The maximum number of batches in a row from one socket before the shard turns to its other
/// sockets.
const MAX_BATCHES_PER_SOCKET: usize = 16;
/// The maximum number of batches that a stopping shard answers for each socket: more than a receive
/// buffer holds.
const MAX_BATCHES_AT_STOP: usize = 1024;
/// The pause before a shard restarts, so that a fault that recurs at once does not use up a core.
const RESTART_DELAY: Duration = Duration::from_millis(10);

pub(super) struct Shard<E> {
    pub(super) engine: E,
    pub(super) sockets: Vec<ShardSocket>,
    pub(super) stop_reader: io::PipeReader,
    pub(super) snapshots: Arc<ArcSwap<Snapshot>>,
    pub(super) recorder: Recorder,
}

/// Why a shard's loop ended.
enum ShardExit {
    Stopped,
    Failed(io::Error),
}

impl<E: Engine> Shard<E> {
    /// Serves until stopped; restarts after every panic and every error.
    pub(super) fn run_until_stopped(mut self, core: Option<usize>) {
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
