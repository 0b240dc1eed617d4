//! Availability: how much of what clients are offered has recovered from an outage, and the state
//! of each endpoint below it.

use super::{pool_search::PoolSearch, search_context::SearchContext};
use crate::steer::{
    chart::FallbackStage,
    compile::policy::{self, Tier},
    model::{
        ClientGroup, EndpointId, Family, HealthOverride, Member, MemberKind, Policy, Pool, PoolId,
        ServingState, effective_state,
    },
};

/// An endpoint below a pool, and whether it can serve clients.
#[derive(Debug, Clone, Copy)]
pub(in crate::steer) struct PoolEndpoint {
    pub endpoint: EndpointId,
    /// The pool that it is a member of.
    pub pool: PoolId,
    pub availability: EndpointAvailability,
}

/// Whether an endpoint can serve clients, and what prevents it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::steer) enum EndpointAvailability {
    /// An operator keeps clients away, whatever its health: draining, disabled, forced down.
    Withheld,
    /// Down, or without a verdict.
    Unhealthy,
    /// Up by its health checks, or not checked.
    Healthy,
    /// Forced up by an operator.
    ForcedUp,
}

impl PoolSearch<'_> {
    /// The group of the clients of a pool that are offered the same members as those of the
    /// context's area.
    pub(in crate::steer) fn client_group(
        &self,
        id: PoolId,
        context: SearchContext<'_>,
    ) -> ClientGroup {
        let members = policy::offered(&self.topology.pools[id.index()], context.ranking(id));
        ClientGroup { pool: id, members: members.into(), is_strict: self.is_strict(id, context) }
    }

    /// The longest time, in seconds, for which clients of the context's area are still answered
    /// with all members after an outage of all; `None` where they are not.
    pub(in crate::steer) fn recovering(
        &self,
        pool: PoolId,
        context: SearchContext<'_>,
    ) -> Option<u32> {
        let recovering = &self.conditions.recovering;
        if !recovering.keys().any(|group| group.pool == pool) {
            return None;
        }
        recovering.get(&self.client_group(pool, context)).copied()
    }

    /// The usable share, by weight, of what a group is offered, from 0 to 1. Standbys and members
    /// that an operator took out of service count only where there are no others.
    pub(in crate::steer) fn recovered_share(&mut self, group: &ClientGroup) -> f64 {
        let pool = &self.topology.pools[group.pool.index()];
        let offered = group.members.iter().map(|&member| &pool.members[usize::from(member)]);
        let members: Vec<MemberRecovery> =
            offered.filter_map(|member| self.member_recovery(pool, member)).collect();
        // A single member serves all clients of such a group. If the first one is down while
        // another is usable, answering as if all were up would send every client to a member that
        // is down.
        let is_single = pool.policy == Policy::Failover || group.is_strict;
        let first = members.iter().find(|member| member.weight > 0).or(members.first());
        if is_single
            && first.is_some_and(|first| !first.is_usable)
            && members.iter().any(|member| member.is_usable)
        {
            return 1.0;
        }
        let has_weights = members.iter().any(|member| member.weight > 0);
        let weight =
            |member: &MemberRecovery| f64::from(if has_weights { member.weight } else { 1 });
        let total: f64 = members.iter().map(weight).sum();
        let usable: f64 = members.iter().map(|member| weight(member) * member.share).sum();
        if total > 0.0 { usable / total } else { 0.0 }
    }

    /// Whether any member that a group is offered is usable, standbys included.
    pub(in crate::steer) fn is_served(&mut self, group: &ClientGroup) -> bool {
        let pool = &self.topology.pools[group.pool.index()];
        let mut members = group.members.iter().map(|&member| &pool.members[usize::from(member)]);
        members.any(|member| self.best_tier(pool, member, FallbackStage::Normal).is_some())
    }

    /// Every endpoint below what a group is offered.
    pub(in crate::steer) fn endpoints_of(&mut self, group: &ClientGroup) -> Vec<PoolEndpoint> {
        let topology = self.topology;
        let top = &topology.pools[group.pool.index()];
        let members = group.members.iter().map(|&member| top.members[usize::from(member)].kind);
        let mut endpoints: Vec<(PoolId, EndpointId)> = Vec::new();
        let mut inner = Vec::new();
        for member in members {
            match member {
                MemberKind::Endpoint(id) => endpoints.push((group.pool, id)),
                MemberKind::Pool(id) => inner.push(id),
            }
        }
        for pool in topology.pools_below(inner) {
            let members = topology.pools[pool.index()].members.iter();
            endpoints.extend(members.filter_map(|member| match member.kind {
                MemberKind::Endpoint(id) => Some((pool, id)),
                MemberKind::Pool(_) => None,
            }));
        }
        endpoints
            .into_iter()
            .map(|(pool, endpoint)| PoolEndpoint {
                endpoint,
                pool,
                availability: self.availability(endpoint),
            })
            .collect()
    }

    fn availability(&mut self, id: EndpointId) -> EndpointAvailability {
        let mut can_serve = |stage: FallbackStage| {
            let mut results = Family::ALL.into_iter().map(|family| {
                let context = SearchContext { stage, ..SearchContext::without_geography(family) };
                self.endpoint(id, context)
            });
            results.any(|result| {
                result.choice.is_some()
                    && (stage != FallbackStage::Normal || !result.tier.is_pending())
            })
        };
        let (is_open, is_healthy) =
            (can_serve(FallbackStage::AllDown), can_serve(FallbackStage::Normal));
        let force = self.topology.endpoints[id.index()].force;
        match force {
            Some(HealthOverride::Up) if is_healthy => EndpointAvailability::ForcedUp,
            _ if is_healthy => EndpointAvailability::Healthy,
            Some(HealthOverride::Down) => EndpointAvailability::Withheld,
            _ if is_open => EndpointAvailability::Unhealthy,
            _ => match effective_state(self.topology, self.conditions, id) {
                ServingState::Active | ServingState::Standby => EndpointAvailability::Unhealthy,
                ServingState::Draining | ServingState::Disabled => EndpointAvailability::Withheld,
            },
        }
    }

    /// The best tier of a member in either family; `None` where it is usable in neither.
    fn best_tier(&mut self, pool: &Pool, member: &Member, stage: FallbackStage) -> Option<Tier> {
        let results = Family::ALL.map(|family| {
            let context = SearchContext { stage, ..SearchContext::without_geography(family) };
            self.member(pool, member, context)
        });
        let usable = results.iter().filter(|result| result.choice.is_some());
        usable.map(|result| result.tier).min()
    }

    /// How much of a member has recovered; `None` where it would not be answered even if it were
    /// healthy.
    fn member_recovery(&mut self, pool: &Pool, member: &Member) -> Option<MemberRecovery> {
        let in_service = self.best_tier(pool, member, FallbackStage::AllDown)?;
        let weight = if in_service.is_standby() { 0 } else { u32::from(member.weight) };
        let is_usable = self.best_tier(pool, member, FallbackStage::Normal).is_some();
        let share = match member.kind {
            MemberKind::Pool(id) if is_usable => {
                let members = (0..self.topology.pools[id.index()].members.len() as u16).collect();
                self.recovered_share(&ClientGroup { pool: id, members, is_strict: false })
            }
            MemberKind::Pool(_) | MemberKind::Endpoint(_) => f64::from(u8::from(is_usable)),
        };
        Some(MemberRecovery { weight, is_usable, share })
    }
}

/// How much of one member has recovered.
struct MemberRecovery {
    /// The weight of the member; 0 for a standby.
    weight: u32,
    is_usable: bool,
    /// The usable share of the member, by weight, from 0 to 1.
    share: f64,
}

/// How a group of clients is served.
#[derive(Debug)]
pub(in crate::steer) struct GroupAvailability {
    /// The usable share, by weight, of what they are offered, from 0 to 1.
    pub recovered_share: f64,
    /// Whether any of it is usable, standbys included.
    pub is_served: bool,
    /// The endpoints below what they are offered.
    pub endpoints: Vec<PoolEndpoint>,
}
