//! How many runs and descriptors a scheduler may use at once.

use std::num::NonZeroUsize;

/// The resources that a scheduler may use at once.
#[derive(Debug, Clone, Copy)]
pub struct SchedulerLimits {
    /// The maximum number of probes that run at once; each holds one descriptor. The sum of
    /// `timeout / interval` over all targets suffices. With fewer, probes start late when all
    /// targets hang.
    pub in_flight: NonZeroUsize,
    /// The maximum number of descriptors that probes hold beyond the first of each: for further
    /// addresses of names, and for the pipes of programs.
    pub extra_descriptors: usize,
}

impl SchedulerLimits {
    /// The limits of a scheduler that may hold `count` descriptors: a quarter of them as extra
    /// descriptors.
    pub fn within_descriptors(count: usize) -> Self {
        let extra_descriptors = count / 4;
        let in_flight = NonZeroUsize::new(count - extra_descriptors).unwrap_or(NonZeroUsize::MIN);
        Self { in_flight, extra_descriptors }
    }
}
