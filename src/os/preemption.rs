//! The preemption timer: while the control side computes, a thread on each shard's core wakes every
//! 0.2 ms.
//!
//! Linux decides which thread runs on a core when a thread wakes there, and otherwise at its tick,
//! every 4 ms. A shard that has just answered a batch is some microseconds ahead of its fair share.
//! A datagram that arrives in that time wakes the shard, but the shard does not preempt the
//! computing thread: it waits for the next tick, although it may run much earlier. The wake-up of
//! any other thread makes the scheduler decide again.
//!
//! On a core without a computing thread this is of no use, so the timer is active only while a
//! [`PreemptionGuard`] exists. It then takes five to eight percent of each core on a virtual
//! machine, where timers are expensive.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::Duration,
};

use super::{
    cores::{CoreAssignment, pin_to_cores},
    scheduler::shorten_time_slice,
};

const WAKE_PERIOD: Duration = Duration::from_micros(200);
/// The timer's threads keep nothing on their stacks.
const STACK_OCTETS: usize = 64 << 10;

/// Starts the wake-ups while a [`PreemptionGuard`] exists. Cheap to clone; its threads end when the
/// last clone and the last guard are dropped. The default has no threads and does nothing.
#[derive(Debug, Clone, Default)]
pub struct PreemptionTimer {
    stop_on_drop: Option<Arc<StopOnDrop>>,
}

/// Ends the threads when it is dropped.
#[derive(Debug)]
struct StopOnDrop(Arc<TimerShared>);

/// Keeps the preemption timer active until it is dropped.
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
        // A poisoned lock is taken all the same: no change leaves the state incomplete.
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    fn run_on_core(&self, core: usize) {
        if let Err(error) = pin_to_cores(&[core]) {
            tracing::debug!(%error, core, "core not woken during computations: its shard may wait for a time slice");
            return;
        }
        if let Err(error) = shorten_time_slice() {
            tracing::debug!(%error, core, "default time slice kept: a wake-up may not interrupt a computation");
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
    /// Starts a thread (`beat-0`, `beat-1`, ...) for each core that shards run on; none where the
    /// control side has cores of its own. If the system refuses a thread, the shard on that core
    /// waits longer.
    pub fn start(cores: &CoreAssignment) -> Self {
        if cores.has_control_cores() {
            return Self::default();
        }
        let shared = Arc::new(TimerShared::default());
        for &core in &cores.shard_cores {
            let thread =
                thread::Builder::new().name(format!("beat-{core}")).stack_size(STACK_OCTETS);
            let timer = Arc::clone(&shared);
            if let Err(error) = thread.spawn(move || timer.run_on_core(core)) {
                tracing::debug!(%error, core, "core not woken during computations: its shard may wait for a time slice");
            }
        }
        Self { stop_on_drop: Some(Arc::new(StopOnDrop(shared))) }
    }

    /// Activates the timer until the guard is dropped.
    pub fn activate(&self) -> PreemptionGuard {
        if let Some(threads) = &self.stop_on_drop {
            threads.0.update(|state| state.active_guards += 1);
        }
        PreemptionGuard(self.stop_on_drop.clone())
    }
}

impl Drop for PreemptionGuard {
    fn drop(&mut self) {
        if let Some(threads) = &self.0 {
            threads.0.update(|state| state.active_guards -= 1);
        }
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.update(|state| state.is_stopped = true);
    }
}
