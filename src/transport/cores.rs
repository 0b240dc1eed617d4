//! Cores: which of them shards keep to, and what is left for the control side.

use super::syscall;

/// How many cores must be left over for the control side to be kept to them. On fewer it would be
/// worse off than it is where it goes wherever a shard pauses.
const MIN_CONTROL_CORES: usize = 2;

/// Who runs on which core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoreAssignment {
    /// Where shards run: a core each, or any of them.
    pub(super) shard_cores: Vec<usize>,
    pub(super) is_pinned: bool,
    /// Where all else runs; empty for anywhere.
    control_cores: Vec<usize>,
}

impl CoreAssignment {
    /// Shares out the cores that this process may use among so many shards and the control side. A
    /// shard alone goes where the scheduler puts it, as do all where there are more of them than
    /// cores, and where their number was not chosen and is not that of the cores: then a quota made
    /// it, and the cores are others' as well.
    pub fn for_shards(shards: usize, is_chosen: bool) -> Self {
        let cores = syscall::allowed_cores().unwrap_or_default();
        if is_chosen || cores.len() == shards {
            return Self::divide_cores(cores, shards);
        }
        Self { shard_cores: cores, is_pinned: false, control_cores: Vec::new() }
    }

    pub(super) fn divide_cores(mut cores: Vec<usize>, shards: usize) -> Self {
        let left = cores.len().saturating_sub(shards);
        let has_rest = left >= MIN_CONTROL_CORES;
        if shards > cores.len() || shards == 1 {
            return Self { shard_cores: cores, is_pinned: false, control_cores: Vec::new() };
        }
        let rest = cores.split_off(shards);
        Self {
            shard_cores: cores,
            is_pinned: true,
            control_cores: if has_rest { rest } else { Vec::new() },
        }
    }

    /// Keeps the calling thread, and those that it starts from now on, to the cores that shards
    /// leave over, where there are any.
    pub fn pin_control_thread(&self) {
        if self.control_cores.is_empty() {
            return;
        }
        if let Err(error) = syscall::pin_to_cores(&self.control_cores) {
            tracing::debug!(%error, "control threads share the shards' cores");
        }
    }

    /// Whether whatever computes is kept off the shards' cores.
    pub(super) fn has_control_cores(&self) -> bool {
        !self.control_cores.is_empty()
    }

    /// The core of a shard, if it has one.
    pub(super) fn core_of_shard(&self, index: usize) -> Option<usize> {
        self.shard_cores.get(index).copied().filter(|_| self.is_pinned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shard_has_a_core_and_the_control_side_what_is_left_if_it_is_enough() {
        let divided = |cores: &[usize], shards| {
            let CoreAssignment { shard_cores: shards, is_pinned, control_cores: rest } =
                CoreAssignment::divide_cores(cores.to_vec(), shards);
            (shards, is_pinned, rest)
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
