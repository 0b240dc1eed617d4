//! Cores: which of them the shards run on, and which are left for the control side.

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The fewest cores that the control side is confined to. On a single core it would wait more than
/// it does on the shards' cores, where it runs whenever a shard pauses.
const MIN_CONTROL_CORES: usize = 2;

/// The cores of the shards and those of the control side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoreAssignment {
    /// The cores that shards run on: core `i` is that of shard `i` if shards are pinned.
    pub(crate) shard_cores: Vec<usize>,
    /// Whether each shard has one core; else any shard runs on any of them.
    pub(crate) is_pinned: bool,
    /// The cores of all other threads; empty where they run on any core.
    control_cores: Vec<usize>,
}

impl CoreAssignment {
    /// Divides the cores that this process may use among `shards` shards and the control side.
    ///
    /// Shards are not pinned where there is only one, and where there are more of them than cores.
    /// Nor are they where their number was not configured (`is_chosen`) and differs from that of
    /// the cores: the number then follows a CPU quota, and other programs use the cores as well.
    pub fn for_shards(shards: usize, is_chosen: bool) -> Self {
        let cores = allowed_cores().unwrap_or_default();
        if is_chosen || cores.len() == shards {
            return Self::divide_cores(cores, shards);
        }
        Self { shard_cores: cores, is_pinned: false, control_cores: Vec::new() }
    }

    pub(crate) fn divide_cores(mut cores: Vec<usize>, shards: usize) -> Self {
        if shards > cores.len() || shards == 1 {
            return Self { shard_cores: cores, is_pinned: false, control_cores: Vec::new() };
        }
        let mut control_cores = cores.split_off(shards);
        if control_cores.len() < MIN_CONTROL_CORES {
            control_cores.clear();
        }
        Self { shard_cores: cores, is_pinned: true, control_cores }
    }

    /// Confines the calling thread, and the threads that it starts from now on, to the cores that
    /// shards leave free. Does nothing where they leave too few.
    pub fn pin_control_thread(&self) {
        if self.control_cores.is_empty() {
            return;
        }
        if let Err(error) = pin_to_cores(&self.control_cores) {
            tracing::debug!(%error, "control threads share the shards' cores");
        }
    }

    /// Whether the control side computes on cores of its own.
    pub(super) fn has_control_cores(&self) -> bool {
        !self.control_cores.is_empty()
    }

    /// The core that the shard is pinned to, if any.
    pub(crate) fn core_of_shard(&self, index: usize) -> Option<usize> {
        self.shard_cores.get(index).copied().filter(|_| self.is_pinned)
    }
}

/// The cores that this process may run on, in ascending order.
///
/// # Errors
/// The error of sched_getaffinity: the host has more than 1024 cores.
pub(crate) fn allowed_cores() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect())
}

/// Confines the calling thread to `cores`.
///
/// # Errors
/// The error of sched_setaffinity: this process may use none of them.
pub(crate) fn pin_to_cores(cores: &[usize]) -> io::Result<()> {
    if cores.iter().any(|&core| core >= CpuSet::MAX_CPU) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut set = CpuSet::new();
    cores.iter().for_each(|&core| set.set(core));
    Ok(sched_setaffinity(None, &set)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shard_has_a_core_and_the_control_side_gets_the_rest_if_it_is_at_least_two() {
        let divided = |cores: &[usize], shards| {
            let CoreAssignment { shard_cores, is_pinned, control_cores } =
                CoreAssignment::divide_cores(cores.to_vec(), shards);
            (shard_cores, is_pinned, control_cores)
        };
        assert_eq!(divided(&[0, 1, 2, 3], 2), (vec![0, 1], true, vec![2, 3]));
        assert_eq!(divided(&[4, 5, 7], 1), (vec![4, 5, 7], false, vec![]));
        assert_eq!(divided(&[0, 1, 2, 3], 3), (vec![0, 1, 2], true, vec![]));
        assert_eq!(divided(&[0, 1], 2), (vec![0, 1], true, vec![]));
        assert_eq!(divided(&[0, 1], 1), (vec![0, 1], false, vec![]));
        assert_eq!(divided(&[0, 1], 5), (vec![0, 1], false, vec![]));
        assert_eq!(divided(&[], 2), (vec![], false, vec![]));
    }
}
