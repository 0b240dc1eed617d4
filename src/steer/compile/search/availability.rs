//! What recovery from an outage needs to know of a pool: how much of it is back, and the state of
//! each endpoint below it.

use super::{pool_search::PoolSearch, search_context::SearchContext};
use crate::steer::compile::policy;
use crate::steer::{
    chart::FallbackStage,
    model::{
        ClientGroup, EndpointId, Family, HealthOverride, Member, MemberKind, Policy, Pool, PoolId,
        ServingState, effective_state,
    },
};

/// What one endpoint below a pool could do for clients.
#[derive(Debug, Clone, Copy)]
pub(in crate::steer) struct PoolEndpoint {
    pub endpoint: EndpointId,
    /// The pool that it is a member of.
    pub pool: PoolId,
    pub availability: EndpointAvailability,
}

/// Whether an endpoint can serve clients, and what keeps it from that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::steer) enum EndpointAvailability {
    /// An operator keeps clients away, whatever its health: draining, disabled, forced down.
    Withheld,
    /// Down, or never judged.
    Unhealthy,
    /// Up by its health checks, or not checked.
    Healthy,
    /// Up by the word of an operator.
    ForcedUp,
}

impl PoolSearch<'_> {
    /// The clients of a pool that are offered the same members as those of the view's area.
    pub(in crate::steer) fn client_group(
        &self,
        id: PoolId,
        view: SearchContext<'_>,
    ) -> ClientGroup {
        let pool = &self.topology.pools[id.index()];
        let sight = view.ranking(id);
        let members = match (&pool.policy, sight) {
            (Policy::Geo { .. }, Some(_)) => policy::offered(pool, sight),
            _ => (0..pool.members.len() as u16).collect(),
        };
        ClientGroup { pool: id, members: members.into(), is_strict: self.is_strict(id, view) }
    }

    /// The seconds for which clients of the view's area are answered all members after an outage of
    /// all, if they are.
    pub(in crate::steer) fn recovering(
        &self,
        pool: PoolId,
        view: SearchContext<'_>,
    ) -> Option<u32> {
        let of_pool = |group: &ClientGroup| group.pool == pool;
        if !self.conditions.recovering.keys().any(of_pool) {
            return None;
        }
        self.conditions.recovering.get(&self.client_group(pool, view)).copied()
    }

    /// How much of what a group is offered is usable by weight, from 0 to 1. Standbys and members
    /// that are out of service by an operator's word count only where there are no others.
    pub(in crate::steer) fn recovered_share(&mut self, group: &ClientGroup) -> f64 {
        let pool = &self.topology.pools[group.pool.index()];
        let offered = group.members.iter().map(|&at| &pool.members[usize::from(at)]);
        let members: Vec<MemberRecovery> =
            offered.filter_map(|member| self.member_recovery(pool, member)).collect();
        // One member serves all clients of such a group. Where it is not the one that all would be
        // sent to as if everything were up, there is nothing to protect, and they must not be sent
        // to one that is down.
        let is_one_for_all = pool.policy == Policy::Failover || group.is_strict;
        let first = members.iter().find(|member| member.weight > 0).or(members.first());
        if is_one_for_all
            && first.is_some_and(|first| !first.is_usable)
            && members.iter().any(|back| back.is_usable)
        {
            return 1.0;
        }
        let has_weights = members.iter().any(|member| member.weight > 0);
        let weight =
            |member: &MemberRecovery| f64::from(if has_weights { member.weight } else { 1 });
        let total: f64 = members.iter().map(weight).sum();
        let back: f64 = members.iter().map(|member| weight(member) * member.share).sum();
        if total > 0.0 { back / total } else { 0.0 }
    }

    /// Whether any member that a group is offered is usable, standbys among them.
    pub(in crate::steer) fn is_served(&mut self, group: &ClientGroup) -> bool {
        let pool = &self.topology.pools[group.pool.index()];
        group
            .members
            .iter()
            .any(|&at| self.is_usable(pool, &pool.members[usize::from(at)], FallbackStage::Normal))
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
        let mut best = |plight: FallbackStage| {
            let found = Family::ALL.map(|family| {
                self.endpoint(
                    id,
                    SearchContext { stage: plight, ..SearchContext::without_geography(family) },
                )
            });
            found.into_iter().any(|finding| {
                finding.choice.is_some()
                    && (plight != FallbackStage::Normal || !finding.tier.is_pending())
            })
        };
        let (is_open, is_healthy) = (best(FallbackStage::AllDown), best(FallbackStage::Normal));
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

    fn is_usable(&mut self, pool: &Pool, member: &Member, plight: FallbackStage) -> bool {
        let found = Family::ALL.map(|family| {
            self.member(
                pool,
                member,
                SearchContext { stage: plight, ..SearchContext::without_geography(family) },
            )
        });
        found.into_iter().any(|finding| finding.choice.is_some())
    }

    /// How much of a member is back; `None` where it would not be answered though it
    /// were healthy.
    fn member_recovery(&mut self, pool: &Pool, member: &Member) -> Option<MemberRecovery> {
        let in_service = Family::ALL
            .map(|family| {
                self.member(
                    pool,
                    member,
                    SearchContext {
                        stage: FallbackStage::AllDown,
                        ..SearchContext::without_geography(family)
                    },
                )
            })
            .into_iter()
            .filter(|finding| finding.choice.is_some())
            .map(|finding| finding.tier)
            .min()?;
        let weight = if in_service.is_standby() { 0 } else { u32::from(member.weight) };
        let is_usable = self.is_usable(pool, member, FallbackStage::Normal);
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

/// What has come back of one member.
struct MemberRecovery {
    /// 0 for a standby.
    weight: u32,
    is_usable: bool,
    /// From 0 to 1.
    share: f64,
}

/// How a group of clients is served.
#[derive(Debug)]
pub(in crate::steer) struct GroupAvailability {
    /// How much of what they are offered is usable by weight, from 0 to 1.
    pub recovered_share: f64,
    /// Whether anything is, standbys included.
    pub is_served: bool,
    /// The endpoints below what they are offered.
    pub endpoints: Vec<PoolEndpoint>,
}
