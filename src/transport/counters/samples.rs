//! Samples: the networks of clients whose answers are drawn at random, on their way from a writer
//! to the control side.

use std::{
    array,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::demand::NetworkGroup;

/// One reply out of this many is sampled, on average.
const REPLIES_PER_SAMPLE: f64 = 64.0;
/// The samples that a writer keeps until they are taken: those of some 65,000 answers.
const SLOTS: usize = 1024;

/// The newest samples of one writer, 8 KiB. Later samples replace the oldest ones.
#[derive(Debug)]
pub(super) struct SampleBuffer {
    /// The number of samples since the last were taken.
    written: AtomicU64,
    /// A [`NetworkGroup`] as a number; 0 for a slot without a sample.
    slots: [AtomicU64; SLOTS],
}

impl SampleBuffer {
    pub(super) fn new() -> Self {
        Self { written: AtomicU64::new(0), slots: array::from_fn(|_| AtomicU64::new(0)) }
    }

    /// Adds a sample. Takes no lock; several threads may call it at once.
    pub(super) fn push(&self, group: NetworkGroup) {
        let position = self.written.fetch_add(1, Relaxed);
        self.slots[position as usize % SLOTS].store(group.to_bits(), Relaxed);
    }

    /// Takes all samples and passes each to `each` with its weight. Where samples were replaced,
    /// those that are left weigh more, so that the sum is that of all. A sample that a writer is
    /// just adding may be taken the next time, or be replaced.
    pub(super) fn take(&self, each: &mut impl FnMut(NetworkGroup, f64)) {
        if self.written.load(Relaxed) == 0 {
            return;
        }
        let written = self.written.swap(0, Relaxed);
        let used = usize::try_from(written).map_or(SLOTS, |written| written.min(SLOTS));
        let taken = self.slots[..used].iter().map(|slot| slot.swap(0, Relaxed));
        let taken: Vec<NetworkGroup> = taken.filter_map(NetworkGroup::from_bits).collect();
        let weight = written as f64 / taken.len().max(1) as f64;
        taken.into_iter().for_each(|group| each(group, weight));
    }
}

/// Draws the number of replies up to the next one that is sampled, 1 for the next reply. Each reply
/// is sampled with the same probability, whatever was sampled before: no rhythm in the queries can
/// agree with the samples, and connections with few messages have their part.
pub(super) fn draw_interval() -> usize {
    // The inverse of the geometric distribution's cumulative function.
    let passed = (1.0 - fastrand::f64()).ln() / (1.0 - 1.0 / REPLIES_PER_SAMPLE).ln();
    (passed as usize).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(number: u32) -> NetworkGroup {
        NetworkGroup::containing(std::net::Ipv4Addr::from_bits(number << 8).into())
    }

    fn taken(buffer: &SampleBuffer) -> Vec<(NetworkGroup, f64)> {
        let mut taken = Vec::new();
        buffer.take(&mut |group, weight| taken.push((group, weight)));
        taken
    }

    #[test]
    fn each_sample_is_taken_once() {
        let buffer = SampleBuffer::new();
        assert_eq!(taken(&buffer), []);
        buffer.push(group(1));
        buffer.push(group(2));
        assert_eq!(taken(&buffer), [(group(1), 1.0), (group(2), 1.0)]);
        assert_eq!(taken(&buffer), []);
        buffer.push(group(3));
        assert_eq!(taken(&buffer), [(group(3), 1.0)]);
    }

    #[test]
    fn samples_that_are_left_weigh_as_much_as_all_that_were_added() {
        let buffer = SampleBuffer::new();
        (0..3 * SLOTS as u32).for_each(|number| buffer.push(group(number)));
        let taken = taken(&buffer);
        assert_eq!(taken.len(), SLOTS);
        assert!(
            taken
                .iter()
                .all(|(sample, weight)| *sample >= group(2 * SLOTS as u32) && *weight == 3.0)
        );
    }

    #[test]
    fn one_reply_of_64_is_sampled_on_average() {
        fastrand::seed(7);
        let draws = 100_000;
        let sum: usize = (0..draws).map(|_| draw_interval()).sum();
        let mean = sum as f64 / f64::from(draws);
        assert!((63.0..65.0).contains(&mean), "{mean}");
        let immediate = (0..draws).filter(|_| draw_interval() == 1).count();
        assert!((1400..1725).contains(&immediate), "{immediate} of {draws}, not 1 of 64");
    }
}
