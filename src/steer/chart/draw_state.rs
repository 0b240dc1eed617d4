//! What a shard brings to a draw: its random numbers and its turn counters.

/// A shard's randomness and turn counters. Not shared; each shard has its own.
#[derive(Debug)]
pub struct DrawState {
    random: fastrand::Rng,
    turns: Vec<u32>,
}

impl DrawState {
    /// `seed` decides every random draw that follows.
    pub fn new(seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), turns: Vec::new() }
    }

    /// 64 uniform bits.
    pub fn random(&mut self) -> u64 {
        self.random.u64(..)
    }

    /// Makes room for counters `0..count`; the only allocation, and only where a snapshot has more
    /// than any before it.
    pub fn reserve_turns(&mut self, count: usize) {
        if self.turns.len() < count {
            self.turns.resize(count, 0);
        }
    }

    /// The next turn of counter `index`, below `cycle`, after which it begins again; of a `cycle`
    /// of 0 after 2^32 turns. 0 for a counter that no room was made for.
    pub fn turn(&mut self, index: u32, cycle: u32) -> u32 {
        match self.turns.get_mut(index as usize) {
            Some(counter) => {
                // A counter goes on where its weights were others, and its cycle longer.
                let turn = if cycle > 0 && *counter >= cycle { 0 } else { *counter };
                *counter = turn.wrapping_add(1);
                turn
            }
            None => 0,
        }
    }
}
