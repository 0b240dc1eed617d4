//! Cores: which of them shards keep to, and what is left for the control side.

use super::syscall;

/// How many cores must be left over for the control side to be kept to them. On fewer it would be
/// worse off than it is where it goes wherever a shard pauses.
const ENOUGH_LEFT: usize = 2;

/// Who runs on which core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cores {
    /// Where shards run: a core each, or any of them.
    pub(super) shards: Vec<usize>,
    pub(super) is_pinned: bool,
    /// Where all else runs; empty for anywhere.
    rest: Vec<usize>,
}

impl Cores {
    /// Shares out the cores that this process may use among so many shards and the control side. A
    /// shard alone goes where the scheduler puts it, as do all where there are more of them than
    /// cores, and where their number was not chosen and is not that of the cores: then a quota made
    /// it, and the cores are others' as well.
    pub fn share_out(shards: usize, is_chosen: bool) -> Self {
        let cores = syscall::cores().unwrap_or_default();
        if is_chosen || cores.len() == shards {
            return Self::divide(cores, shards);
        }
        Self { shards: cores, is_pinned: false, rest: Vec::new() }
    }

    pub(super) fn divide(mut cores: Vec<usize>, shards: usize) -> Self {
        let left = cores.len().saturating_sub(shards);
        let has_rest = left >= ENOUGH_LEFT;
        if shards > cores.len() || shards == 1 {
            return Self { shards: cores, is_pinned: false, rest: Vec::new() };
        }
        let rest = cores.split_off(shards);
        Self { shards: cores, is_pinned: true, rest: if has_rest { rest } else { Vec::new() } }
    }

    /// Keeps the calling thread, and those that it starts from now on, to the cores that shards
    /// leave over, where there are any.
    pub fn keep_off_shards(&self) {
        if self.rest.is_empty() {
            return;
        }
        if let Err(error) = syscall::keep_to(&self.rest) {
            tracing::debug!(%error, "control threads share the shards' cores");
        }
    }

    /// Whether whatever computes is kept off the shards' cores.
    pub(super) fn are_apart(&self) -> bool {
        !self.rest.is_empty()
    }

    /// The core of a shard, if it has one.
    pub(super) fn of_shard(&self, index: usize) -> Option<usize> {
        self.shards.get(index).copied().filter(|_| self.is_pinned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shard_has_a_core_and_the_control_side_what_is_left_if_it_is_enough() {
        let divided = |cores: &[usize], shards| {
            let Cores { shards, is_pinned, rest } = Cores::divide(cores.to_vec(), shards);
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
