//! The quorum: whether enough members of a pool are usable for its `min-up`.

use super::pool_selection::Quorum;
use crate::steer::{
    compile::policy::{SearchResult, Tier},
    model::{Member, MinUp, Pool},
};

/// Counts the usable members of a pool whose `min-up` is not the default. `in_families` are the
/// results of a member for each address family: a member counts if it is usable in either.
///
/// Returns the quorum, and the least time until a verdict could change it, in seconds.
pub(super) fn quorum(
    pool: &Pool,
    mut in_families: impl FnMut(&Member) -> [SearchResult; 2],
) -> (Quorum, u32) {
    let (mut healthy, mut usable) = (MemberCount::default(), MemberCount::default());
    let mut one_family_down = MemberCount::default();
    let (mut total_weight, mut flips_in_secs) = (0, u32::MAX);
    for member in &pool.members {
        let results = in_families(member);
        total_weight += u32::from(member.weight);
        flips_in_secs =
            results.iter().map(|result| result.flips_in_secs).fold(flips_in_secs, u32::min);
        let tiers =
            || results.iter().filter(|result| result.choice.is_some()).map(|result| result.tier);
        match tiers().min() {
            Some(Tier::OneFamilyDown) => one_family_down.add(member),
            Some(_) => usable.add(member),
            None => {}
        }
        if tiers().any(|tier| !tier.is_pending() && !tier.has_family_down()) {
            healthy.add(member);
        }
    }
    // Where no member has all of its families, those that have one count.
    let (healthy, usable) =
        if usable.members == 0 { (one_family_down, one_family_down) } else { (healthy, usable) };
    let is_met = |count: MemberCount| match pool.min_up {
        MinUp::Members(least) => count.members >= least.get(),
        MinUp::Share(least) => f64::from(count.weight) >= least * f64::from(total_weight),
    };
    let quorum = match (is_met(healthy), is_met(usable)) {
        (true, _) => Quorum::Met,
        (false, true) => Quorum::Pending,
        (false, false) => Quorum::Missed,
    };
    (quorum, flips_in_secs)
}

/// A number of members, and the sum of their weights.
#[derive(Debug, Clone, Copy, Default)]
struct MemberCount {
    members: u32,
    weight: u32,
}

impl MemberCount {
    fn add(&mut self, member: &Member) {
        self.members += 1;
        self.weight += u32::from(member.weight);
    }
}
