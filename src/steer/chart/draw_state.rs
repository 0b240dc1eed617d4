//! The state of draws: a shard's random numbers and turn counters.

/// A shard's random number generator and turn counters. Each shard has its own; they are not
/// shared.
#[derive(Debug)]
pub struct DrawState {
    random: fastrand::Rng,
    turns: Vec<u32>,
}

impl DrawState {
    /// A state without turn counters; equal seeds give equal random draws.
    pub fn new(seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), turns: Vec::new() }
    }

    /// The next 64 random bits, uniformly distributed.
    pub fn random(&mut self) -> u64 {
        self.random.u64(..)
    }

    /// Allocates counters `0..count`. This is the only allocation, and happens only if a snapshot
    /// has more counters than any before it.
    pub fn reserve_turns(&mut self, count: usize) {
        if self.turns.len() < count {
            self.turns.resize(count, 0);
        }
    }

    /// The next turn of counter `index`, below `cycle`; the counter wraps at `cycle`, or at 2^32 if
    /// `cycle` is 0. The turn is 0 for a counter that was not allocated.
    pub fn turn(&mut self, index: u32, cycle: u32) -> u32 {
        match self.turns.get_mut(index as usize) {
            Some(counter) => {
                // The counter may come from a snapshot in which the cycle was longer.
                let turn = if cycle > 0 && *counter >= cycle { 0 } else { *counter };
                *counter = turn.wrapping_add(1);
                turn
            }
            None => 0,
        }
    }
}
