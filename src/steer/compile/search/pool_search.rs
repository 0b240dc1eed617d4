//! The search of a pool: which of its members are selected for one family, one area and one stage
//! of the fallback, and the answer that a client gets from them.

use std::{collections::HashMap, num::NonZeroU32};

use super::{
    endpoint_search::{EndpointQuery, EndpointSearch},
    outage_set::OutageSet,
    pool_selection::{PoolSelection, Quorum, picks},
    quorum::quorum,
    search_context::SearchContext,
    wheel_builder::{WheelBuilder, weighted_members},
    wheel_cache::WheelCache,
};
use crate::steer::{
    chart::{FallbackStage, WheelChoice},
    compile::{
        policy::{self, Candidates, Decision, FailoverState, SearchResult, SelectContext, Tier},
        preference::Ranking,
        slots,
    },
    model::{
        AliasId, Conditions, EndpointId, Family, FamilyCoupling, Fraction, Member, MemberKind,
        MinUp, Policy, Pool, PoolId, Topology,
    },
};

/// Searches pools under one set of conditions, and remembers the results. It is made for one
/// compilation and dropped with it.
pub(in crate::steer) struct PoolSearch<'a> {
    pub(super) topology: &'a Topology,
    pub(super) conditions: &'a Conditions,
    wheels: WheelBuilder<'a>,
    endpoints: HashMap<EndpointQuery, SearchResult>,
    /// The results of pools that do not depend on geography.
    pools: HashMap<PoolQuery, PoolFinding>,
    /// By endpoint: the outages that can change it; empty where no proof needs them.
    outages: &'a [OutageSet],
    /// The outages that can change the endpoints evaluated since this was last taken.
    evaluated: OutageSet,
}

/// The result of a pool, and the outages that can change it.
struct PoolFinding {
    result: SearchResult,
    outages: OutageSet,
}

/// What a pool is searched for, but for geography.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct PoolQuery {
    pool: PoolId,
    family: Family,
    stage: FallbackStage,
    counts_other_family: bool,
    is_by_client: bool,
}

impl<'a> PoolSearch<'a> {
    pub(in crate::steer) fn new(
        topology: &'a Topology,
        conditions: &'a Conditions,
        cache: &'a mut WheelCache,
    ) -> Self {
        Self::with_cache(topology, conditions, Some(cache))
    }

    /// A search that only finds what is usable: nothing can be drawn from its wheels.
    pub(in crate::steer) fn without_wheels(
        topology: &'a Topology,
        conditions: &'a Conditions,
    ) -> Self {
        Self::with_cache(topology, conditions, None)
    }

    fn with_cache(
        topology: &'a Topology,
        conditions: &'a Conditions,
        cache: Option<&'a mut WheelCache>,
    ) -> Self {
        let wheels = WheelBuilder::new(topology, conditions, cache);
        Self {
            topology,
            conditions,
            wheels,
            endpoints: HashMap::new(),
            pools: HashMap::new(),
            outages: &[],
            evaluated: OutageSet::default(),
        }
    }

    /// The same search, which also notes which outages can change its results. `outages` has those
    /// of each endpoint.
    pub(in crate::steer) fn noting_outages(self, outages: &'a [OutageSet]) -> Self {
        Self { outages, ..self }
    }

    /// The outages that can change what was found since the last call.
    pub(in crate::steer) fn take_outages(&mut self) -> OutageSet {
        std::mem::take(&mut self.evaluated)
    }

    /// Searches a pool that a service is answered from. Returns the context that the result was
    /// found in.
    ///
    /// A resolver that caches a CNAME follows it for every type (RFC 1034 section 3.6.2). So a
    /// CNAME is answered for one family only where no member of the other family is picked before
    /// it.
    pub(in crate::steer) fn service<'c>(
        &mut self,
        pool: PoolId,
        context: SearchContext<'c>,
    ) -> (SearchResult, SearchContext<'c>) {
        let result = self.pool(pool, context);
        if !result.choice.as_ref().is_some_and(WheelChoice::may_be_cname) {
            return (result, context);
        }
        let context = SearchContext { counts_other_family: true, ..context };
        (self.pool(pool, context), context)
    }

    /// Searches a pool and the pools below it.
    pub(in crate::steer) fn pool(
        &mut self,
        id: PoolId,
        context: SearchContext<'_>,
    ) -> SearchResult {
        let SearchContext { family, stage, counts_other_family, is_by_client, .. } = context;
        let key = PoolQuery { pool: id, family, stage, counts_other_family, is_by_client };
        // Without geography, the result is the same in every area.
        let is_same_everywhere = !self.depends_on_geography(id, context);
        if is_same_everywhere && let Some(known) = self.pools.get(&key) {
            self.evaluated.extend(known.outages);
            return known.result.clone();
        }
        let before = self.take_outages();
        let result = self.evaluate_pool(id, context);
        if is_same_everywhere {
            let known = PoolFinding { result: result.clone(), outages: self.evaluated };
            self.pools.insert(key, known);
        }
        self.evaluated.extend(before);
        result
    }

    fn depends_on_geography(&self, id: PoolId, context: SearchContext<'_>) -> bool {
        !context.pools.is_empty()
            && (context.pools.contains(&id)
                || self.topology.pools[id.index()].members.iter().any(|member| match member.kind {
                    MemberKind::Pool(inner) => self.depends_on_geography(inner, context),
                    MemberKind::Endpoint(_) => false,
                }))
    }

    fn evaluate_pool(&mut self, id: PoolId, context: SearchContext<'_>) -> SearchResult {
        let selected = self.select_members(id, context);
        let Some(&first) = selected.selection.groups.first().and_then(|group| group.first()) else {
            return SearchResult {
                is_empty_by_config: selected.selection.is_empty_by_config,
                ..SearchResult::nothing(selected.flips_in_secs)
            };
        };
        let tier = selected.result(first).map_or(Tier::Primary, |result| result.tier);
        let tier = if selected.quorum == Quorum::Pending { tier.as_pending() } else { tier };
        let fraction = selected.combined_fraction(|result| result.fraction);
        let kept_fraction = if context.stage == FallbackStage::Normal {
            selected.combined_fraction(|result| result.kept_fraction).times(self.kept_by_pool(id))
        } else {
            Fraction::FULL
        };
        let spread = context.spread(&self.topology.pools[id.index()]);
        SearchResult {
            choice: self.wheels.choice(id, context.family, spread, &selected),
            tier,
            fraction,
            kept_fraction,
            flips_in_secs: selected.flips_in_secs,
            is_empty_by_config: false,
        }
    }

    /// The fraction of its clients that the pool itself keeps: by its `keep` and by its load.
    fn kept_by_pool(&self, id: PoolId) -> Fraction {
        let by_load =
            self.conditions.adjustments.kept_fractions.get(&id).copied().unwrap_or_default();
        self.topology.pools[id.index()].regulation.keep.times(by_load)
    }

    /// Selects members of a pool by its policy.
    pub(in crate::steer) fn select_members(
        &mut self,
        id: PoolId,
        context: SearchContext<'_>,
    ) -> PoolSelection {
        self.select(id, context, None)
    }

    /// Selects members of a pool, and says of each member whether it was picked, and why.
    pub(in crate::steer) fn select_with_decisions(
        &mut self,
        id: PoolId,
        context: SearchContext<'_>,
    ) -> (PoolSelection, Vec<Decision>) {
        let mut decisions = Vec::new();
        let selected = self.select(id, context, Some(&mut decisions));
        (selected, decisions)
    }

    fn select(
        &mut self,
        id: PoolId,
        context: SearchContext<'_>,
        decisions: Option<&mut Vec<Decision>>,
    ) -> PoolSelection {
        let topology = self.topology;
        let pool = &topology.pools[id.index()];
        let (quorum, quorum_flips_in_secs) = self.quorum(pool, context);
        if quorum == Quorum::Missed {
            if let Some(decisions) = decisions {
                *decisions = policy::decisions_below_min_up(pool, context.ranking(id), |member| {
                    self.member(pool, &pool.members[member], context).choice.is_some()
                });
            }
            return PoolSelection::below_min_up(pool.members.len(), quorum_flips_in_secs);
        }
        let select_context = SelectContext {
            ranking: context.ranking(id),
            loss_range: context.loss_range(id),
            failover: FailoverState {
                holder: self.conditions.adjustments.holders.get(&id).copied(),
                failback: self.conditions.adjustments.failbacks.get(&id).copied(),
            },
        };
        let mut results: Vec<Option<SearchResult>> = vec![None; pool.members.len()];
        let mut search = |member: usize| {
            let result = self.member(pool, &pool.members[member], context);
            results[member] = Some(result.clone());
            result
        };
        let mut candidates = Candidates::new(pool.members.len(), &mut search);
        if decisions.is_some() {
            candidates.record_reasons();
        }
        let wanted = picks(pool).of(pool.members.len());
        let selection = policy::select(pool, select_context, wanted, &mut candidates);
        if let Some(decisions) = decisions {
            *decisions = policy::decisions(pool, select_context, &selection, &mut candidates);
        }
        let flips_in_secs = candidates.flips_in_secs().min(quorum_flips_in_secs);
        let fractions = candidates.into_fractions();
        PoolSelection { quorum, selection, results, fractions, flips_in_secs }
    }

    /// Searches a member of a pool. Weight 0 makes it a standby; in a pool that couples families,
    /// it ranks last while its other family is down.
    pub(in crate::steer) fn member(
        &mut self,
        pool: &Pool,
        member: &Member,
        context: SearchContext<'_>,
    ) -> SearchResult {
        let mut result = self.evaluate(member.kind, context);
        if member.weight == 0 {
            result.tier = result.tier.as_standby();
        }
        let needs_all =
            pool.families == FamilyCoupling::Coupled && context.stage == FallbackStage::Normal;
        let other =
            SearchContext { family: context.family.other(), counts_other_family: false, ..context };
        if needs_all && result.choice.is_some() && self.has_family(member.kind, other) {
            let in_other = self.evaluate(member.kind, other);
            result.flips_in_secs = result.flips_in_secs.min(in_other.flips_in_secs);
            result.tier = if in_other.choice.is_none() { Tier::OneFamilyDown } else { result.tier };
        }
        result
    }

    /// By member of a pool: its tier, where it is usable in either family.
    pub(in crate::steer) fn member_tiers(&mut self, pool: PoolId) -> Vec<Option<Tier>> {
        let pool = &self.topology.pools[pool.index()];
        let tier = |member: &Member| -> Option<Tier> {
            let results = Family::ALL
                .map(|family| self.member(pool, member, SearchContext::without_geography(family)));
            let usable = results.iter().filter(|result| result.choice.is_some());
            usable.map(|result| result.tier).min()
        };
        pool.members.iter().map(tier).collect()
    }

    fn evaluate(&mut self, kind: MemberKind, context: SearchContext<'_>) -> SearchResult {
        match kind {
            MemberKind::Endpoint(id) => self.endpoint(id, context),
            MemberKind::Pool(id) => self.pool(id, context),
        }
    }

    /// Whether an endpoint or a pool has members of the context's family, whatever their health and
    /// state.
    fn has_family(&self, kind: MemberKind, context: SearchContext<'_>) -> bool {
        match kind {
            MemberKind::Pool(id) => self.may_offer(id, context),
            MemberKind::Endpoint(id) => !self.endpoint_search().lacks(id, context.family),
        }
    }

    /// Whether enough members are usable, in whichever family; and the seconds until a verdict
    /// could change that.
    fn quorum(&mut self, pool: &Pool, context: SearchContext<'_>) -> (Quorum, u32) {
        let is_default = pool.min_up == MinUp::Members(NonZeroU32::MIN);
        if is_default || context.stage != FallbackStage::Normal {
            return (Quorum::Met, u32::MAX);
        }
        quorum(pool, |member| {
            Family::ALL.map(|family| self.member(pool, member, SearchContext { family, ..context }))
        })
    }

    /// Evaluates an endpoint: its state, its health and its records.
    pub(super) fn endpoint(&mut self, id: EndpointId, context: SearchContext<'_>) -> SearchResult {
        let SearchContext { family, stage, .. } = context;
        let search = self.endpoint_search();
        let counts_empty = context.counts_other_family && search.lacks(id, family);
        let query = EndpointQuery { endpoint: id, family, stage, counts_empty };
        self.evaluated.extend(self.outages.get(id.index()).copied().unwrap_or_default());
        self.endpoints.entry(query).or_insert_with(|| search.search(query)).clone()
    }

    fn endpoint_search(&self) -> EndpointSearch<'a> {
        EndpointSearch { topology: self.topology, conditions: self.conditions }
    }

    /// Whether an alias may have addresses of the family: it has some, or was never resolved.
    pub(in crate::steer) fn may_have(&self, alias: AliasId, family: Family) -> bool {
        !self.conditions.resolved_alias(alias).lacks(family)
    }

    /// Whether an alias was never resolved.
    pub(in crate::steer) fn is_unresolved(&self, alias: AliasId) -> bool {
        self.conditions.resolved_alias(alias).addresses().is_empty()
    }

    /// Whether a rule with `strict = true` ends the search of a `geo` pool in the context's area.
    pub(in crate::steer) fn is_strict(&self, id: PoolId, context: SearchContext<'_>) -> bool {
        match (&self.topology.pools[id.index()].policy, context.ranking(id)) {
            (Policy::Geo { rules, .. }, Some(Ranking::Geo(matching))) => {
                policy::MatchedRules::new(rules, matching)
                    .final_rule()
                    .is_some_and(|rule| rule.strict)
            }
            _ => false,
        }
    }

    /// Whether a pool offers members of the context's family in the context's area, whatever their
    /// health and state.
    pub(in crate::steer) fn may_offer(&self, id: PoolId, context: SearchContext<'_>) -> bool {
        let pool = &self.topology.pools[id.index()];
        policy::offered(pool, context.ranking(id))
            .into_iter()
            .any(|member| self.has_family(pool.members[usize::from(member)].kind, context))
    }

    /// By member of a pool: the share of the pool's clients that it gets, from 0 to 1, where
    /// geography tells no clients apart; `None` where no member is usable.
    pub(in crate::steer) fn shares(&mut self, id: PoolId, family: Family) -> Option<Vec<f64>> {
        let PoolSelection { selection, fractions, .. } =
            self.select_members(id, SearchContext::without_geography(family));
        let mut groups =
            weighted_members(self.topology, self.conditions, id, &selection, &fractions);
        slots::normalise(&mut groups);
        let mut shares = vec![0.0; fractions.len()];
        let members = selection.groups.iter().flatten();
        members
            .zip(slots::shares(&groups))
            .for_each(|(&member, share)| shares[usize::from(member)] = share);
        (!groups.is_empty()).then_some(shares)
    }
}
