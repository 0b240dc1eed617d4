//! The selection of a pool: which members its policy picked, and what each was found to answer.

use crate::steer::{
    compile::{
        policy::{MemberGroups, SearchResult},
        slots::Picks,
    },
    model::{AnswerCount, Fraction, Policy, Pool},
};

/// Whether a pool has as many usable members as `min-up` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::steer) enum Quorum {
    /// Enough members are known to be healthy.
    Met,
    /// Enough members are usable, some of which have no verdict yet.
    Pending,
    /// Too few members are usable.
    Missed,
}

/// The members that a pool's policy picked.
pub(in crate::steer) struct PoolSelection {
    /// Whether enough members are usable; no member is picked where they are not.
    pub quorum: Quorum,
    pub selection: MemberGroups,
    /// By member: its search result; `None` for a member that the policy did not evaluate.
    pub results: Vec<Option<SearchResult>>,
    /// By member: the fraction that it takes of the clients that come to it.
    pub fractions: Vec<Fraction>,
    /// The least time until a verdict that the selection depends on could flip, in seconds.
    pub flips_in_secs: u32,
}

impl PoolSelection {
    /// A selection of no member, for a pool whose quorum is missed.
    pub(super) fn below_min_up(members: usize, flips_in_secs: u32) -> Self {
        Self {
            quorum: Quorum::Missed,
            selection: MemberGroups::default(),
            results: vec![None; members],
            fractions: vec![Fraction::FULL; members],
            flips_in_secs,
        }
    }

    /// The search result of a member that was picked.
    pub(in crate::steer) fn result(&self, member: u16) -> Option<&SearchResult> {
        self.results[usize::from(member)].as_ref()
    }

    /// The fraction that the pool takes if each member takes `fraction_of` its result. The members
    /// of one group take theirs of the same clients, so that the greatest one counts; each further
    /// group receives its own of the rest.
    pub(super) fn combined_fraction(&self, fraction_of: fn(&SearchResult) -> Fraction) -> Fraction {
        let greatest = |group: &Vec<u16>| {
            let results = group.iter().filter_map(|&member| self.result(member));
            results.map(fraction_of).max().unwrap_or_default()
        };
        let rest = self.selection.groups.iter().map(greatest).try_fold(1.0, |rest, fraction| {
            // A group that accepts all leaves nothing, whatever the rounding.
            if fraction.is_full() { None } else { Some(rest * (1.0 - fraction.share())) }
        });
        rest.map_or(Fraction::FULL, |rest| Fraction::from_share(1.0 - rest))
    }
}

/// How many members an answer of this pool is to have.
pub(super) fn picks(pool: &Pool) -> Picks {
    match (&pool.policy, pool.answers) {
        (Policy::All, _) | (_, AnswerCount::All) => Picks::All,
        (_, AnswerCount::Count(count)) => Picks::Count(count.get() as usize),
    }
}
