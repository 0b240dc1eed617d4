//! The metronome: while the control side computes, something wakes on every shard's core all the
//! time.
//!
//! Linux looks at who should run when somebody wakes, and else at its tick, every 4 ms. A shard
//! that has just worked off a batch beside a thread that computes is ahead of its share by some
//! microseconds, so that the next datagram, which comes within those, wakes it in vain: it then
//! waits until the tick, though its share has long come round. Any other thread that wakes makes
//! the scheduler look again. On a core without anything that computes it is of no use, so it beats
//! only meanwhile; that takes five to eight percent of each core on a virtual machine, where a
//! timer is dear.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::Duration,
};

use super::{Cores, syscall};

const PERIOD: Duration = Duration::from_micros(200);
/// It keeps nothing on its stack.
const STACK_OCTETS: usize = 64 << 10;

/// Wakes the scheduler up while somebody holds a [`Beat`]. Cheap to clone; its threads end with the
/// last of them. The default has no threads.
#[derive(Debug, Clone, Default)]
pub struct Metronome {
    /// Whoever holds one may be heard.
    holder: Option<Arc<Holder>>,
}

#[derive(Debug)]
struct Holder(Arc<Shared>);

/// While there is one of these the metronome beats.
#[derive(Debug)]
pub struct Beat(Option<Arc<Holder>>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    beats: usize,
    is_over: bool,
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut State)) {
        // Whole at every moment.
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    fn wake_on(&self, core: usize) {
        if let Err(error) = syscall::keep_to(&[core]) {
            tracing::debug!(%error, core, "core not woken during computations: its shard may wait for a time slice");
            return;
        }
        if let Err(error) = syscall::wake_promptly() {
            tracing::debug!(%error, core, "default time slice kept: a computation may not be interrupted at every beat");
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.is_over {
            if state.beats == 0 {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            drop(state);
            thread::sleep(PERIOD);
            state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Metronome {
    /// Starts a thread for each core on which shards run, unless nothing else does. Where the
    /// system gives none, shards wait longer.
    pub fn start(cores: &Cores) -> Self {
        if cores.are_apart() {
            return Self::default();
        }
        let shared = Arc::new(Shared::default());
        for &core in &cores.shards {
            let thread =
                thread::Builder::new().name(format!("beat-{core}")).stack_size(STACK_OCTETS);
            let own = Arc::clone(&shared);
            if let Err(error) = thread.spawn(move || own.wake_on(core)) {
                tracing::debug!(%error, core, "core not woken during computations: its shard may wait for a time slice");
            }
        }
        Self { holder: Some(Arc::new(Holder(shared))) }
    }

    /// Beats until this is dropped.
    pub fn beat(&self) -> Beat {
        if let Some(holder) = &self.holder {
            holder.0.change(|state| state.beats += 1);
        }
        Beat(self.holder.clone())
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        if let Some(holder) = &self.0 {
            holder.0.change(|state| state.beats -= 1);
        }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.0.change(|state| state.is_over = true);
    }
}
