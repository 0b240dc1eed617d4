//! The compiler: makes chart plans from topology and databases, and finds the plans that a change
//! touches.

use std::{
    collections::BTreeSet,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Weak},
};

use hashbrown::HashTable;
use ipnet::IpNet;

use super::{
    chart_plan::{ChartKey, ChartPlan},
    dependencies::{CompileInputs, Dependencies},
    policy::Tier,
    search::{GroupAvailability, PoolSearch, SearchContext},
    survey::{Survey, Surveys},
};
use crate::{
    geo::Databases,
    steer::{
        chart::{Chart, FallbackStage},
        model::{ClientGroup, Conditions, Family, Policy, PoolId, ProbeId, ServiceId, Topology},
    },
};

/// Makes the charts of one topology. Services that differ only in their names share a plan, and so
/// a chart.
#[derive(Debug)]
pub struct Compiler {
    topology: Arc<Topology>,
    plans: Vec<Arc<ChartPlan>>,
    /// By service: the position of its plan in `plans`.
    plan_of: Box<[u32]>,
    plan_index: PlanIndex,
    dependencies: Dependencies,
    /// The compiler that this one was made from, and the pools that differ; `None` if it was not
    /// made from another.
    origin: Option<CompilerBase>,
}

/// The compiler that another one was made from by [`Compiler::next`].
#[derive(Debug)]
struct CompilerBase {
    compiler: Weak<Compiler>,
    /// The pools that differ from those of that compiler's topology.
    changed: Vec<PoolId>,
}

impl Compiler {
    /// Makes the plans of all services of a topology.
    pub fn new(topology: Arc<Topology>, databases: &Databases, surveys: &mut Surveys) -> Arc<Self> {
        Arc::new(Self::build(topology, |_, _| None, databases, surveys))
    }

    /// Makes the compiler of the next topology, and keeps the plans whose pools did not change. The
    /// pools and endpoints keep their numbers ([`crate::steer::Numbering`]), and the databases are
    /// the same.
    pub fn next(
        self: &Arc<Self>,
        topology: Arc<Topology>,
        databases: &Databases,
        surveys: &mut Surveys,
    ) -> Arc<Self> {
        let (old, conditions) = (&self.topology, Conditions::default());
        let mut changed: Option<(Vec<PoolId>, Vec<bool>)> = None;
        let kept = |key: &ChartKey, dependencies: &Dependencies| {
            let (_, is_changed) = changed.get_or_insert_with(|| {
                let inputs = |topology| CompileInputs { topology, conditions: &conditions };
                let pools = dependencies.changed_topology(inputs(old), inputs(&topology));
                let is_changed = dependencies.dependents(pools.iter().copied());
                (pools, is_changed)
            });
            let plan = &self.plans[self.plan_index.find(key, &self.plans)? as usize];
            let is_same = key.roots().iter().all(|root| !is_changed[root.index()])
                && plan.is_valid_in(&topology, old);
            is_same.then(|| Arc::clone(plan))
        };
        let mut next = Self::build(Arc::clone(&topology), kept, databases, surveys);
        next.origin =
            changed.map(|(changed, _)| CompilerBase { compiler: Arc::downgrade(self), changed });
        Arc::new(next)
    }

    /// The plans whose inputs under the conditions `now` differ from those of another compiler
    /// under its conditions (`before`), in ascending order. Pools and endpoints have the same
    /// numbers in both compilers.
    pub(in crate::steer) fn touched(
        &self,
        before: (&Arc<Self>, &Conditions),
        now: &Conditions,
    ) -> Vec<u32> {
        let (compiler, conditions) = before;
        let dependencies = &self.dependencies;
        if std::ptr::eq(&raw const **compiler, self) {
            return dependencies.plans_above(dependencies.changed(conditions, now));
        }
        let (old, new) = (compiler.topology(), &self.topology);
        let is_known = |origin: &&CompilerBase| {
            std::ptr::eq(origin.compiler.as_ptr(), Arc::as_ptr(compiler))
                && Arc::ptr_eq(&old.endpoint_probes, &new.endpoint_probes)
                && old.endpoint_alias == new.endpoint_alias
        };
        match self.origin.as_ref().filter(is_known) {
            Some(origin) => {
                let changed = dependencies.changed(conditions, now).into_iter();
                dependencies.plans_above(changed.chain(origin.changed.iter().copied()))
            }
            None => {
                let before = CompileInputs { topology: old, conditions };
                let now = CompileInputs { topology: new, conditions: now };
                dependencies.plans_above(dependencies.changed_topology(before, now))
            }
        }
    }

    fn build(
        topology: Arc<Topology>,
        mut kept: impl FnMut(&ChartKey, &Dependencies) -> Option<Arc<ChartPlan>>,
        databases: &Databases,
        surveys: &mut Surveys,
    ) -> Self {
        surveys.prepare(named_prefixes(&topology), databases);
        let mut plan_index = PlanIndex::default();
        let mut keys: Vec<ChartKey> = Vec::new();
        let plan_of = topology
            .services
            .iter()
            .map(|service| plan_index.add(ChartKey::new(service), &mut keys))
            .collect();
        let roots: Vec<Vec<PoolId>> = keys.iter().map(ChartKey::roots).collect();
        let dependencies = Dependencies::new(&topology, &roots);
        let mut plan = |key: ChartKey| {
            kept(&key, &dependencies)
                .unwrap_or_else(|| Arc::new(ChartPlan::new(&topology, key, databases, surveys)))
        };
        let plans = keys.into_iter().map(&mut plan).collect();
        Self { plans, plan_of, plan_index, dependencies, origin: None, topology }
    }

    /// The topology whose charts this compiler makes.
    pub fn topology(&self) -> &Arc<Topology> {
        &self.topology
    }

    /// For each of these pools, the share of its clients that each member gets, from 0 to 1; `None`
    /// if no member is usable.
    pub fn member_shares(
        &self,
        conditions: &Conditions,
        pools: &[PoolId],
    ) -> Vec<Option<Vec<f64>>> {
        let mut search = PoolSearch::without_wheels(&self.topology, conditions);
        let mut shares_in = |&pool: &PoolId| {
            search.shares(pool, Family::V4).or_else(|| search.shares(pool, Family::V6))
        };
        pools.iter().map(&mut shares_in).collect()
    }

    /// For each of these pools, whether each member is usable for any client under these
    /// conditions, regardless of ramps and feedback. A member without a verdict counts as usable
    /// only if no member is known to be healthy.
    pub fn usable_members(&self, conditions: &Conditions, pools: &[PoolId]) -> Vec<Vec<bool>> {
        let mut search = PoolSearch::without_wheels(&self.topology, conditions);
        let mut usable_in = |pool: &PoolId| {
            let tiers = search.member_tiers(*pool);
            let is_any_whole = tiers.iter().flatten().any(|tier| !tier.has_family_down());
            let is_any_known =
                tiers.iter().flatten().any(|tier| !tier.is_pending() && !tier.has_family_down());
            let is_passed_over = |tier: Tier| {
                is_any_whole && tier.has_family_down() || is_any_known && tier.is_pending()
            };
            tiers.into_iter().map(|tier| tier.is_some_and(|tier| !is_passed_over(tier))).collect()
        };
        pools.iter().map(&mut usable_in).collect()
    }

    /// For each of these pools, whether each member serves clients in either family: the members of
    /// the best tier that has a usable member do.
    pub(in crate::steer) fn serving_members(
        &self,
        conditions: &Conditions,
        pools: &[PoolId],
    ) -> Vec<Vec<bool>> {
        let mut search = PoolSearch::without_wheels(&self.topology, conditions);
        let mut serving_in = |pool: &PoolId| {
            let tiers = search.member_tiers(*pool);
            let best = tiers.iter().flatten().min().copied();
            tiers.into_iter().map(|tier| tier.is_some() && tier == best).collect()
        };
        pools.iter().map(&mut serving_in).collect()
    }

    /// How each of these groups of clients is served under these conditions, regardless of ramps
    /// and feedback.
    pub(in crate::steer) fn group_availability(
        &self,
        conditions: &Conditions,
        groups: &[ClientGroup],
    ) -> Vec<GroupAvailability> {
        let mut search = PoolSearch::without_wheels(&self.topology, conditions);
        let availability = |group: &ClientGroup| GroupAvailability {
            recovered_share: search.recovered_share(group),
            is_served: search.is_served(group),
            endpoints: search.endpoints_of(group),
        };
        groups.iter().map(availability).collect()
    }

    /// The groups of clients that a service answers with all members, as if they were up, because
    /// none of the members that they are offered is usable.
    pub(in crate::steer) fn unserved_groups(
        &self,
        conditions: &Conditions,
        service: ServiceId,
        chart: &Chart,
    ) -> Vec<ClientGroup> {
        let Some(plan) = self.plan(service) else { return Vec::new() };
        let search = PoolSearch::without_wheels(&self.topology, conditions);
        let mut groups = BTreeSet::new();
        for family in [Family::V4, Family::V6] {
            let areas = chart.unusable_areas(family).iter();
            for area in areas.filter(|area| area.stage >= FallbackStage::AllDown) {
                let rankings =
                    plan.survey.as_ref().and_then(|survey| survey.rankings.get(area.area as usize));
                let context = SearchContext {
                    pools: &plan.geographic,
                    rankings: rankings.map_or(&[], |rankings| rankings),
                    ..SearchContext::without_geography(family)
                };
                let group = search.client_group(plan.key.own_pool(), context);
                if plan.key.fails_open(group.is_strict) {
                    groups.insert(group);
                }
            }
        }
        groups.into_iter().collect()
    }

    /// The services whose answers depend on a probe.
    pub fn services_of(&self, probe: ProbeId) -> impl Iterator<Item = ServiceId> {
        let plans = self.dependencies.plans_above(self.dependencies.pools_of_probe(probe));
        let depends = move |(_, plan): &(usize, &u32)| plans.binary_search(plan).is_ok();
        self.plan_of.iter().enumerate().filter(depends).map(|(index, _)| ServiceId(index as u32))
    }

    /// The survey of a service, and the geographic pools that its rankings belong to, in their
    /// order; `None` if the service answers the same everywhere.
    pub(in crate::steer) fn survey(&self, service: ServiceId) -> Option<(&Survey, &[PoolId])> {
        let plan = self.plan(service)?;
        Some((plan.survey.as_deref()?, &plan.geographic))
    }

    /// The plan of each service, by position in [`Compiler::plans`].
    pub(in crate::steer) fn plan_of(&self) -> &[u32] {
        &self.plan_of
    }

    pub(in crate::steer) fn plans(&self) -> &[Arc<ChartPlan>] {
        &self.plans
    }

    /// The position of a plan in [`Compiler::plans`], if it is one of them.
    pub(in crate::steer) fn position_of(&self, plan: &Arc<ChartPlan>) -> Option<usize> {
        let index = self.plan_index.find(&plan.key, &self.plans)? as usize;
        Arc::ptr_eq(plan, &self.plans[index]).then_some(index)
    }

    fn plan(&self, service: ServiceId) -> Option<&ChartPlan> {
        self.plans.get(*self.plan_of.get(service.index())? as usize).map(|plan| &**plan)
    }
}

/// The positions of plans by their keys, which the plans hold.
#[derive(Debug, Default)]
struct PlanIndex {
    hasher: RandomState,
    positions: HashTable<u32>,
}

impl PlanIndex {
    /// The position of a key in `keys`; a new key is added.
    fn add(&mut self, key: ChartKey, keys: &mut Vec<ChartKey>) -> u32 {
        let hash = self.hasher.hash_one(&key);
        if let Some(&index) = self.positions.find(hash, |&index| keys[index as usize] == key) {
            return index;
        }
        let index = keys.len() as u32;
        keys.push(key);
        let rehash = |&index: &u32| self.hasher.hash_one(&keys[index as usize]);
        self.positions.insert_unique(hash, index, rehash);
        index
    }

    fn find(&self, key: &ChartKey, plans: &[Arc<ChartPlan>]) -> Option<u32> {
        self.positions
            .find(self.hasher.hash_one(key), |&index| plans[index as usize].key == *key)
            .copied()
    }
}

/// The prefixes that the rules of any pool name.
pub(in crate::steer) fn named_prefixes(topology: &Topology) -> Vec<IpNet> {
    let rules = topology.pools.iter().flat_map(|pool| match &pool.policy {
        Policy::Geo { rules, .. } => rules.as_slice(),
        _ => &[],
    });
    rules.flat_map(|rule| rule.subnets.iter().copied()).collect()
}
