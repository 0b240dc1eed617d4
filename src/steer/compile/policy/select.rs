//! Selection: the pool's policy picks members, and says which members it offers at all.

use super::{all, failover, geo, nearest, weighted};
use super::{
    candidates::{Candidates, MemberGroups},
    geo::MatchedRules,
    select_context::SelectContext,
};
use crate::steer::{
    compile::preference::Ranking,
    model::{Policy, Pool},
};

/// What a pool picks. `wanted` is how many members an answer is to have.
pub(in crate::steer) fn select(
    pool: &Pool,
    vista: SelectContext<'_>,
    wanted: usize,
    ballot: &mut Candidates<'_>,
) -> MemberGroups {
    match (&pool.policy, vista.ranking) {
        (Policy::Weighted | Policy::Load(_), _) => weighted::select(ballot),
        (Policy::All, _) => all::select(ballot),
        (Policy::Nearest { .. }, Some(Ranking::Nearest { order, tied, .. })) => {
            nearest::select(order, tied, vista.loss_range, wanted, ballot)
        }
        (Policy::Geo { rules, default }, Some(Ranking::Geo(matching))) => {
            geo::select(rules, matching, default, wanted, ballot)
        }
        // Geography that no sight was made for has no say: the order written stands.
        (Policy::Failover | Policy::Nearest { .. } | Policy::Geo { .. }, _) => {
            failover::select(vista.failover, pool.regulation.trickle, wanted, ballot)
        }
    }
}

/// The members that a pool offers in an area, whatever their health.
pub(in crate::steer) fn offered(pool: &Pool, sight: Option<&Ranking>) -> Vec<u16> {
    match (&pool.policy, sight) {
        (Policy::Geo { rules, default }, Some(Ranking::Geo(matching))) => {
            MatchedRules::new(rules, matching).order(default)
        }
        _ => (0..pool.members.len() as u16).collect(),
    }
}
