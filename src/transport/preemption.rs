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

use super::{CoreAssignment, syscall};

const WAKE_PERIOD: Duration = Duration::from_micros(200);
/// It keeps nothing on its stack.
const STACK_OCTETS: usize = 64 << 10;

/// Wakes the scheduler up while somebody holds a [`PreemptionGuard`]. Cheap to clone; its threads
/// end with the last of them. The default has no threads.
#[derive(Debug, Clone, Default)]
pub struct PreemptionTimer {
    /// Whoever holds one may be heard.
    stop_on_drop: Option<Arc<StopOnDrop>>,
}

#[derive(Debug)]
struct StopOnDrop(Arc<TimerShared>);

/// While there is one of these the metronome beats.
#[derive(Debug)]
pub struct PreemptionGuard(Option<Arc<StopOnDrop>>);

#[derive(Debug, Default)]
struct TimerShared {
    state: Mutex<TimerState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct TimerState {
    active_guards: usize,
    is_stopped: bool,
}

impl TimerShared {
    fn update(&self, change: impl FnOnce(&mut TimerState)) {
        // Whole at every moment.
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    fn run_on_core(&self, core: usize) {
        if let Err(error) = syscall::pin_to_cores(&[core]) {
            tracing::debug!(%error, core, "core not woken during computations: its shard may wait for a time slice");
            return;
        }
        if let Err(error) = syscall::shorten_time_slice() {
            tracing::debug!(%error, core, "default time slice kept: a computation may not be interrupted at every beat");
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.is_stopped {
            if state.active_guards == 0 {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            drop(state);
            thread::sleep(WAKE_PERIOD);
            state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl PreemptionTimer {
    /// Starts a thread for each core on which shards run, unless nothing else does. Where the
    /// system gives none, shards wait longer.
    pub fn start(cores: &CoreAssignment) -> Self {
        if cores.has_control_cores() {
            return Self::default();
        }
        let shared = Arc::new(TimerShared::default());
        for &core in &cores.shard_cores {
            let thread =
                thread::Builder::new().name(format!("beat-{core}")).stack_size(STACK_OCTETS);
            let own = Arc::clone(&shared);
            if let Err(error) = thread.spawn(move || own.run_on_core(core)) {
                tracing::debug!(%error, core, "core not woken during computations: its shard may wait for a time slice");
            }
        }
        Self { stop_on_drop: Some(Arc::new(StopOnDrop(shared))) }
    }

    /// Beats until this is dropped.
    pub fn activate(&self) -> PreemptionGuard {
        if let Some(holder) = &self.stop_on_drop {
            holder.0.update(|state| state.active_guards += 1);
        }
        PreemptionGuard(self.stop_on_drop.clone())
    }
}

impl Drop for PreemptionGuard {
    fn drop(&mut self) {
        if let Some(holder) = &self.0 {
            holder.0.update(|state| state.active_guards -= 1);
        }
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.update(|state| state.is_stopped = true);
    }
}
