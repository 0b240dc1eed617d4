//! Policies: each says which members a pool picks and in which groups, one file per policy.
//!
//! A policy sees members only through [`Ballot::look`], which tells what each comes to; what it looks at decides how long the
//! answer may be cached, because those are the verdicts that the choice hangs on.

mod all;
mod failover;
mod geo;
mod nearest;
mod weighted;

use super::{pool::Policy, preference::Sight, wheel::Choice};

/// Whether a member is for now or for when nothing else is usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Tier {
    /// In service.
    Primary,
    /// Weight 0 or standby: only when nothing else is usable.
    Standby,
}

/// What a member or a pool comes to, for one family and one area.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    /// What to answer; `None` is not usable.
    pub choice: Option<Choice>,
    /// For now or for when nothing else is usable.
    pub tier: Tier,
    /// Until a verdict that this finding hangs on could flip, in seconds.
    pub flips_in_secs: u32,
    /// There is nothing by the operator's will (`default = []`), not by a failure.
    pub deliberate: bool,
}

impl Finding {
    /// Nothing usable.
    pub(super) fn nothing(flips_in_secs: u32) -> Self {
        Self { choice: None, tier: Tier::Primary, flips_in_secs, deliberate: false }
    }
}

/// A pool's members as a policy sees them. Each is looked at once, and only if the policy wants to know.
pub(super) struct Ballot<'a> {
    look: &'a mut dyn FnMut(usize) -> Finding,
    seen: Vec<Option<(bool, Tier)>>,
    flips_in_secs: u32,
}

/// The members picked, as positions in the pool: those of an earlier group always before those of a later.
#[derive(Debug, Default)]
pub(super) struct Selection {
    pub groups: Vec<Vec<u16>>,
    /// There is nothing by the operator's will.
    pub deliberate: bool,
}

impl<'a> Ballot<'a> {
    pub(super) fn new(members: usize, look: &'a mut dyn FnMut(usize) -> Finding) -> Self {
        Self { look, seen: vec![None; members], flips_in_secs: u32::MAX }
    }

    /// The least time until a verdict that was looked at could flip, in seconds.
    pub(super) fn flips_in_secs(&self) -> u32 {
        self.flips_in_secs
    }

    fn is_usable(&mut self, member: u16, tier: Tier) -> bool {
        let at = usize::from(member);
        let (usable, found) = match self.seen[at] {
            Some(seen) => seen,
            None => {
                let finding = (self.look)(at);
                self.flips_in_secs = self.flips_in_secs.min(finding.flips_in_secs);
                *self.seen[at].insert((finding.choice.is_some(), finding.tier))
            }
        };
        usable && found == tier
    }

    /// The usable members of the best tier that has any.
    fn usable(&mut self) -> Vec<u16> {
        for tier in [Tier::Primary, Tier::Standby] {
            let usable: Vec<u16> = (0..self.seen.len() as u16).filter(|&member| self.is_usable(member, tier)).collect();
            if !usable.is_empty() {
                return usable;
            }
        }
        Vec::new()
    }

    /// The first `wanted` usable members along `order`, of the best tier that has any. Those tied with the first one (how
    /// many of the next ranks, by rank, in `tied`) make one group with it; every other is a group of its own.
    fn ranked(&mut self, order: &[u16], tied: &[u16], wanted: usize) -> Selection {
        for tier in [Tier::Primary, Tier::Standby] {
            let mut groups: Vec<Vec<u16>> = Vec::new();
            let mut picked = 0;
            let mut rank = 0;
            while rank < order.len() && picked < wanted {
                let last =
                    if groups.is_empty() { rank + tied.get(rank).map_or(0, |&next| usize::from(next)) } else { rank };
                if self.is_usable(order[rank], tier) {
                    let group: Vec<u16> =
                        order[rank..=last].iter().copied().filter(|&member| self.is_usable(member, tier)).collect();
                    picked += group.len();
                    groups.push(group);
                    rank = last;
                }
                rank += 1;
            }
            if !groups.is_empty() {
                return Selection { groups, deliberate: false };
            }
        }
        Selection::default()
    }
}

/// What `policy` picks. `wanted` is how many members an answer is to have.
pub(super) fn select(policy: &Policy, sight: Option<&Sight>, wanted: usize, ballot: &mut Ballot<'_>) -> Selection {
    match (policy, sight) {
        (Policy::Weighted, _) => weighted::select(ballot),
        (Policy::All, _) => all::select(ballot),
        (Policy::Nearest { .. }, Some(Sight::Nearest { order, tied })) => nearest::select(order, tied, wanted, ballot),
        (Policy::Geo { rules, default }, Some(Sight::Geo(matching))) => {
            geo::select(rules, matching, default, wanted, ballot)
        }
        // Geography that no sight was made for has no say: the order written stands.
        (Policy::Failover | Policy::Nearest { .. } | Policy::Geo { .. }, _) => failover::select(wanted, ballot),
    }
}
