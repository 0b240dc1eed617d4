//! The selection by a pool's policy, and the decision about each member.

use super::{
    all,
    candidates::{Candidates, MemberGroups},
    decision::{Decision, SkipReason},
    failover, geo, nearest,
    select_context::SelectContext,
    weighted,
};
use crate::steer::{
    compile::preference::Ranking,
    model::{Policy, Pool},
};

/// Picks members of a pool. `wanted` is how many members an answer is to have.
pub(in crate::steer) fn select(
    pool: &Pool,
    context: SelectContext<'_>,
    wanted: usize,
    candidates: &mut Candidates<'_>,
) -> MemberGroups {
    match (&pool.policy, context.ranking) {
        (Policy::Weighted | Policy::Load(_), _) => weighted::select(candidates),
        (Policy::All, _) => all::select(candidates),
        (Policy::Nearest { .. }, Some(Ranking::Nearest { order, tied, .. })) => {
            nearest::select(order, tied, context.loss_range, wanted, candidates)
        }
        (Policy::Geo { rules, default }, Some(Ranking::Geo(matching))) => {
            geo::select(rules, matching, default, wanted, candidates)
        }
        // Without a ranking, the configured order decides.
        (Policy::Failover | Policy::Nearest { .. } | Policy::Geo { .. }, _) => {
            failover::select(context.failover, pool.regulation.trickle, wanted, candidates)
        }
    }
}

/// By member: the decision of [`select`], which recorded its reasons in `candidates`.
pub(in crate::steer) fn decisions(
    pool: &Pool,
    context: SelectContext<'_>,
    selection: &MemberGroups,
    candidates: &mut Candidates<'_>,
) -> Vec<Decision> {
    let offered = offered(pool, context.ranking);
    let (first, holder) = (selection.first(), context.failover.holder);
    let mut decision = |member: u16| match candidates.pick_reason(member) {
        Some(reason) => Decision::Picked(reason),
        None if !offered.contains(&member) => Decision::Skipped(SkipReason::NoRule),
        None => Decision::Skipped(candidates.skip_reason(member, first, holder)),
    };
    (0..pool.members.len() as u16).map(&mut decision).collect()
}

/// By member: the decision about a pool that picks none because it is below its `min-up`.
pub(in crate::steer) fn decisions_below_min_up(
    pool: &Pool,
    ranking: Option<&Ranking>,
    mut is_usable: impl FnMut(usize) -> bool,
) -> Vec<Decision> {
    let offered = offered(pool, ranking);
    let reason = |member: usize| {
        if !offered.contains(&(member as u16)) {
            SkipReason::NoRule
        } else if is_usable(member) {
            SkipReason::PoolBelowMinUp
        } else {
            SkipReason::Unusable
        }
    };
    (0..pool.members.len()).map(reason).map(Decision::Skipped).collect()
}

/// The members that a pool offers in an area, whatever their health.
pub(in crate::steer) fn offered(pool: &Pool, ranking: Option<&Ranking>) -> Vec<u16> {
    match (&pool.policy, ranking) {
        (Policy::Geo { rules, default }, Some(Ranking::Geo(matching))) => {
            geo::MatchedRules::new(rules, matching).order(default)
        }
        _ => (0..pool.members.len() as u16).collect(),
    }
}
