//! The compiler: topology, geography and conditions to charts.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use ipnet::IpNet;

use super::{
    chart::{Chart, Distress, Family, FamilyChart, Plight, Reach},
    conditions::Conditions,
    endpoint::Target,
    kind::Kind,
    policy::{Finding, Tier},
    pool::{Failback, Member, MemberKind, Pace, Policy},
    preference::Preferences,
    published::Published,
    recovery::{ClientGroup, Supply},
    search::{Search, Stores, View},
    service::{OnAllDown, Service},
    survey::{FoldId, Survey, Surveys},
    topology::{AliasId, EndpointId, PoolId, ProbeId, ServiceId, Topology},
    wheel::Choice,
};
use crate::geo::Databases;

/// Makes charts, and makes anew only those that a change touches. Services that differ in nothing but their name share one.
#[derive(Debug)]
pub struct Compiler {
    topology: Arc<Topology>,
    plans: Vec<Plan>,
    /// By service: its plan.
    plan_of: Vec<u32>,
    /// By probe: the plans whose trees hold it.
    plans_of_probe: Vec<Vec<u32>>,
    /// By pool that may be regulated beside health: the plans whose trees hold it.
    plans_of_pool: HashMap<PoolId, Vec<u32>>,
    /// By alias: the plans whose trees hold it.
    plans_of_alias: Vec<Vec<u32>>,
    stores: Stores,
}

/// What changed since charts were made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Probes whose standing changed.
    pub probes: Vec<ProbeId>,
    /// Pools that are regulated otherwise, or whose endpoints' ramps went on.
    pub pools: Vec<PoolId>,
    /// Aliases that stand for other addresses.
    pub aliases: Vec<AliasId>,
    /// Services' pools that began or ceased to recover.
    pub recoveries: Vec<PoolId>,
}

impl Changes {
    /// Whether nothing did.
    pub fn is_empty(&self) -> bool {
        self.probes.is_empty() && self.pools.is_empty() && self.aliases.is_empty() && self.recoveries.is_empty()
    }
}

/// What services with one chart have in common.
#[derive(Debug)]
struct Plan {
    key: PlanKey,
    survey: Option<Arc<Survey>>,
    /// The geographic pools of the tree, in the order of the survey's sights.
    geographic: Vec<PoolId>,
    published: Published,
    may_answer_cname: bool,
}

/// All of a service that its chart depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct PlanKey {
    kind: Kind,
    pool: PoolId,
    ttl_secs: u32,
    on_all_down: OnAllDown,
    ipv6: bool,
    client_subnet: bool,
}

impl PlanKey {
    pub(super) fn of(service: &Service) -> Self {
        Self {
            kind: service.kind.clone(),
            pool: service.pool,
            ttl_secs: service.ttl_secs,
            on_all_down: service.on_all_down,
            ipv6: service.ipv6,
            client_subnet: service.client_subnet,
        }
    }

    /// Whether every wheel picks by the client's prefix.
    pub(super) fn is_by_client(&self) -> bool {
        self.kind.is_by_client()
    }

    /// The pools that the service may be answered from.
    pub(super) fn roots(&self) -> Vec<PoolId> {
        match self.on_all_down {
            OnAllDown::Pool(other) => vec![self.pool, other],
            OnAllDown::All | OnAllDown::Empty => vec![self.pool],
        }
    }
}

impl Compiler {
    /// Surveys what the services need of the world; the slow part, and the only one that reads the databases.
    pub fn new(topology: Arc<Topology>, databases: &Databases, surveys: &mut Surveys) -> Self {
        let mut plans: Vec<Plan> = Vec::new();
        let mut plans_of_probe = vec![Vec::new(); topology.probes.len()];
        let mut plans_of_pool: HashMap<PoolId, Vec<u32>> = HashMap::new();
        let regulated = regulated_pools(&topology);
        surveys.prepare(named_prefixes(&topology), databases);
        let mut plans_of_alias = vec![Vec::new(); topology.aliases.len()];
        let mut known: HashMap<PlanKey, u32> = HashMap::new();
        let mut plan_of = Vec::with_capacity(topology.services.len());
        for service in &topology.services {
            let key = PlanKey::of(service);
            let plan = *known.entry(key.clone()).or_insert_with(|| {
                let at = plans.len() as u32;
                let roots = key.roots();
                let (plan, probes) = Plan::new(&topology, key, databases, surveys);
                plans.push(plan);
                for pool in pools_below(&topology, &roots).into_iter().filter(|pool| regulated[pool.index()]) {
                    plans_of_pool.entry(pool).or_default().push(at);
                }
                probes.into_iter().for_each(|probe| plans_of_probe[probe.index()].push(at));
                aliases_below(&topology, &roots).iter().for_each(|alias| plans_of_alias[alias.index()].push(at));
                at
            });
            plan_of.push(plan);
        }
        Self { topology, plans, plan_of, plans_of_probe, plans_of_pool, plans_of_alias, stores: Stores::default() }
    }

    /// The topology that this compiler is for.
    pub fn topology(&self) -> &Arc<Topology> {
        &self.topology
    }

    /// Tables of slots kept, those that no chart uses at present among them.
    #[cfg(test)]
    pub(super) fn slot_tables(&self) -> usize {
        self.stores.slot_tables.len()
    }

    /// How many turn counters the charts made so far use.
    pub fn turn_counters(&self) -> usize {
        self.stores.turns.count()
    }

    /// Every service's chart, by [`ServiceId`].
    pub fn compile(&mut self, conditions: &Conditions, surveys: &mut Surveys) -> Vec<Arc<Chart>> {
        let made = self.charts(0..self.plans.len() as u32, conditions, surveys);
        self.plan_of.iter().map(|plan| Arc::clone(&made[plan])).collect()
    }

    /// Makes anew the charts that what changed has a part in. The rest stay as they are, to the pointer.
    pub fn recompile(
        &mut self,
        conditions: &Conditions,
        changed: &Changes,
        surveys: &mut Surveys,
        charts: &mut [Arc<Chart>],
    ) {
        let by_probe = changed.probes.iter().flat_map(|probe| &self.plans_of_probe[probe.index()]);
        let by_pool = changed.pools.iter().filter_map(|pool| self.plans_of_pool.get(pool)).flatten();
        let by_alias = changed.aliases.iter().flat_map(|alias| &self.plans_of_alias[alias.index()]);
        let mut touched: Vec<u32> = by_probe.chain(by_pool).chain(by_alias).copied().collect();
        if !changed.recoveries.is_empty() {
            let recovers = |plan: &&(u32, &Plan)| changed.recoveries.contains(&plan.1.key.pool);
            touched.extend((0..).zip(&self.plans).filter(|plan| recovers(&plan)).map(|(at, _)| at));
        }
        touched.sort_unstable();
        touched.dedup();
        if touched.is_empty() {
            return;
        }
        let made = self.charts(touched.into_iter(), conditions, surveys);
        for (chart, plan) in charts.iter_mut().zip(&self.plan_of) {
            if let Some(new) = made.get(plan) {
                *chart = Arc::clone(new);
            }
        }
    }

    /// Of each of these pools, whether each member is usable for any client under these conditions, whatever ramps and
    /// feedback say. A member that was never judged is so only where none is known to be healthy.
    pub fn usable_members(&mut self, conditions: &Conditions, pools: &[PoolId]) -> Vec<Vec<bool>> {
        let mut search = Search::new(&self.topology, conditions, &mut self.stores);
        let mut tier = |member: &Member| -> Option<Tier> {
            let found = [Family::V4, Family::V6].map(|family| search.member(member, View::blind(family)));
            found.iter().filter(|finding| finding.choice.is_some()).map(|finding| finding.tier).min()
        };
        let mut of_pool = |pool: &PoolId| {
            let tiers: Vec<_> = self.topology.pools[pool.index()].members.iter().map(&mut tier).collect();
            let is_any_known = tiers.iter().flatten().any(|tier| !tier.is_pending());
            tiers.into_iter().map(|tier| tier.is_some_and(|tier| !(is_any_known && tier.is_pending()))).collect()
        };
        pools.iter().map(&mut of_pool).collect()
    }

    /// How each of these groups of clients is served under these conditions, whatever ramps and feedback say.
    pub(super) fn supplies(&mut self, conditions: &Conditions, groups: &[ClientGroup]) -> Vec<Supply> {
        let mut search = Search::new(&self.topology, conditions, &mut self.stores);
        let supply = |group: &ClientGroup| Supply {
            share_back: search.share_back(group),
            is_served: search.is_served(group),
            endpoints: search.endpoints_of(group),
        };
        groups.iter().map(supply).collect()
    }

    /// The groups of clients that a service answers as if all members were up, because none that they are offered is usable.
    pub(super) fn groups_down(
        &mut self,
        conditions: &Conditions,
        service: ServiceId,
        chart: &Chart,
    ) -> Vec<ClientGroup> {
        let Some(plan) = self.plan_of.get(service.index()).and_then(|at| self.plans.get(*at as usize)) else {
            return Vec::new();
        };
        let search = Search::new(&self.topology, conditions, &mut self.stores);
        let mut groups = BTreeSet::new();
        for family in [Family::V4, Family::V6] {
            for at in chart.distress(family).iter().filter(|at| at.plight >= Plight::AllDown) {
                let sights = plan.survey.as_ref().and_then(|survey| survey.sights.get(at.area as usize));
                let sights = sights.map_or(&[][..], |sights| sights);
                let view = View { pools: &plan.geographic, sights, ..View::blind(family) };
                let group = search.client_group(plan.key.pool, view);
                if plan.key.fails_open(group.is_strict) {
                    groups.insert(group);
                }
            }
        }
        groups.into_iter().collect()
    }

    /// The services whose answers a probe has a part in.
    pub fn services_of(&self, probe: ProbeId) -> impl Iterator<Item = ServiceId> {
        let plans = &self.plans_of_probe[probe.index()];
        let of_plans = |(_, plan): &(usize, &u32)| plans.contains(plan);
        self.plan_of.iter().enumerate().filter(of_plans).map(|(at, _)| ServiceId(at as u32))
    }

    /// The survey of a service, and the geographic pools that its sights are of, in that order; nothing where the service tells
    /// no places apart.
    pub(super) fn survey(&self, service: ServiceId) -> Option<(&Survey, &[PoolId])> {
        let plan = self.plans.get(*self.plan_of.get(service.index())? as usize)?;
        Some((plan.survey.as_deref()?, &plan.geographic))
    }

    fn charts(
        &mut self,
        plans: impl Iterator<Item = u32>,
        conditions: &Conditions,
        surveys: &mut Surveys,
    ) -> HashMap<u32, Arc<Chart>> {
        self.stores.prune();
        let mut search = Search::new(&self.topology, conditions, &mut self.stores);
        let drafts: Vec<_> = plans.map(|at| (at, self.plans[at as usize].draft(&mut search, surveys))).collect();
        surveys.make_folds();
        drafts.into_iter().map(|(at, draft)| (at, Arc::new(draft.chart(surveys)))).collect()
    }
}

impl Plan {
    fn new(topology: &Topology, key: PlanKey, databases: &Databases, surveys: &mut Surveys) -> (Self, Vec<ProbeId>) {
        let (preferences, geographic) = Preferences::of(topology, &key.roots());
        let endpoints = endpoints_below(topology, &key.roots());
        let has = |wanted: fn(&Target) -> bool| {
            endpoints.iter().any(|endpoint| wanted(&topology.endpoints[endpoint.index()].target))
        };
        let may_answer_cname = has(|target| matches!(target, Target::Cname(_)));
        let published = key.published(topology);
        let mut probes: Vec<ProbeId> = endpoints
            .iter()
            .flat_map(|endpoint| topology.probes_of[endpoint.index()].iter().flatten().copied())
            .collect();
        probes.sort_unstable();
        probes.dedup();
        let survey = surveys.survey(preferences, databases);
        (Self { key, survey, geographic, published, may_answer_cname }, probes)
    }

    fn draft(&self, search: &mut Search<'_>, surveys: &mut Surveys) -> Draft {
        let (v4, v4_fold) = self.family(Family::V4, search, surveys);
        let (v6, v6_fold) = self.family(Family::V6, search, surveys);
        let chart = Chart {
            ttl_secs: self.key.ttl_secs,
            v4,
            v6,
            may_answer_cname: self.may_answer_cname,
            kind: self.key.kind.clone(),
        };
        Draft { chart, folds: [v4_fold, v6_fold] }
    }

    /// What the service comes to in one family, but for its atlas.
    fn family(&self, family: Family, search: &mut Search<'_>, surveys: &mut Surveys) -> (FamilyChart, Option<FoldId>) {
        if !self.published.holds(family, search) {
            return (FamilyChart::default(), None);
        }
        // Areas that come to the same choice become one: that is what gives each answer its widest scope.
        let mut areas: Vec<Reach> = Vec::new();
        let mut number_of: HashMap<usize, u32> = HashMap::new();
        let mut map = Vec::new();
        let (mut plight, mut distress) = (Plight::None, Vec::new());
        let no_sights = Vec::from([Box::default()]);
        let every_sights = self.survey.as_ref().map_or(&no_sights, |survey| &survey.sights);
        for (at, sights) in every_sights.iter().enumerate() {
            let pools = &self.geographic;
            let spans = self.survey.as_ref().map_or(&[][..], |survey| survey.spans(at));
            let by_client = self.key.kind.is_by_client();
            let view = View { pools, sights, spans, by_client, ..View::blind(family) };
            let Resolution { finding, plight: found_plight, pool, is_recovering } =
                self.key.resolve(view, &self.published, search);
            plight = plight.max(found_plight);
            let identity = finding.choice.as_ref().map_or(0, Choice::identity);
            let number = *number_of.entry(identity).or_insert_with(|| {
                let keeps_order = finding.choice.as_ref().is_some_and(Choice::keeps_order);
                areas.push(Reach { choice: finding.choice.clone(), flips_in_secs: u32::MAX, keeps_order });
                areas.len() as u32 - 1
            });
            let flips_in_secs = &mut areas[number as usize].flips_in_secs;
            *flips_in_secs = finding.flips_in_secs.min(*flips_in_secs);
            map.push(number);
            if found_plight != Plight::None {
                distress.push(Distress { area: at as u32, reach: number, plight: found_plight, pool, is_recovering });
            }
        }
        let by_client = areas.iter().any(|reach| reach.choice.as_ref().is_some_and(Choice::spreads_by_client));
        let fold = match &self.survey {
            Some(survey) if areas.len() > 1 => Some(surveys.fold(survey, &map)),
            // One answer for all, but drawn by the client's prefix: special-purpose prefixes still say nothing.
            _ if by_client => {
                let undivided = surveys.undivided();
                Some(surveys.fold(&undivided, &vec![0; undivided.sights.len()]))
            }
            _ => None,
        };
        (
            FamilyChart {
                atlas: None,
                areas: areas.into_boxed_slice(),
                by_client,
                ignores_subnets: !self.key.client_subnet,
                plight,
                distress: distress.into_boxed_slice(),
            },
            fold,
        )
    }
}

/// A chart whose atlases are still to be made, with those of all others.
struct Draft {
    chart: Chart,
    folds: [Option<FoldId>; 2],
}

impl Draft {
    fn chart(mut self, surveys: &Surveys) -> Chart {
        let [v4, v6] = self.folds.map(|fold| fold.and_then(|fold| surveys.atlas(fold)));
        (self.chart.v4.atlas, self.chart.v6.atlas) = (v4, v6);
        self.chart
    }
}

/// What a service comes to in one area.
struct Resolution {
    finding: Finding,
    /// How far it had to go for it.
    plight: Plight,
    /// The pool that it was found in; nothing for NODATA.
    pool: Option<PoolId>,
    /// Members are usable, but too few after an outage of all.
    is_recovering: bool,
}

/// A pool that a service turns to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    /// Which.
    pub pool: PoolId,
    /// What it is searched for.
    pub within: Plight,
    /// How far the service has gone by then.
    pub plight: Plight,
}

impl PlanKey {
    /// The pools that the service turns to, one after the other until one comes to something.
    pub(super) fn attempts(&self) -> Vec<Attempt> {
        let own = |plight| Attempt { pool: self.pool, within: plight, plight };
        let mut attempts = vec![own(Plight::None)];
        if let OnAllDown::Pool(other) = self.on_all_down {
            attempts.push(Attempt { pool: other, within: Plight::None, plight: Plight::AllDown });
        }
        if self.on_all_down != OnAllDown::Empty {
            attempts.extend([Plight::AllDown, Plight::Drained, Plight::Disabled].map(own));
        }
        attempts
    }

    /// What the service comes to in one area.
    fn resolve(&self, view: View<'_>, published: &Published, search: &mut Search<'_>) -> Resolution {
        let mut found = self.search(view, published, search);
        // An area that the family has no member for is NODATA by configuration, whatever the health.
        if found.plight != Plight::None && !search.may_offer(self.pool, view) {
            found.plight = Plight::None;
        }
        found
    }

    fn search(&self, view: View<'_>, published: &Published, search: &mut Search<'_>) -> Resolution {
        // The answer depends on the verdicts that left nothing usable in the stages before it, too.
        let is_strict = search.is_strict(self.pool, view);
        let recovering = search.recovering(self.pool, view).filter(|_| self.fails_open(is_strict));
        let mut flips_in_secs = recovering.unwrap_or(u32::MAX);
        for Attempt { pool, within, plight } in self.attempts() {
            if is_strict && pool != self.pool {
                continue;
            }
            let view = View { plight: within, ..view };
            let (found, _) = search.service(pool, view);
            flips_in_secs = flips_in_secs.min(found.flips_in_secs);
            let is_passed_over = plight == Plight::None && recovering.is_some();
            if found.choice.is_some() && !is_passed_over || plight == Plight::None && found.deliberate {
                let pool = found.choice.is_some().then_some(pool);
                let is_recovering = recovering.is_some() && plight == Plight::AllDown;
                return Resolution { finding: Finding { flips_in_secs, ..found }, plight, pool, is_recovering };
            }
            if is_passed_over {
                continue;
            }
            if let Some(other) = published.other_family(pool, view, search) {
                flips_in_secs = flips_in_secs.min(other.flips_in_secs);
                if other.choice.is_some() {
                    let finding = Finding::nothing(flips_in_secs);
                    let plight = Plight::OtherFamily;
                    return Resolution { finding, plight, pool: None, is_recovering: false };
                }
            }
        }
        let finding = Finding::nothing(flips_in_secs);
        Resolution { finding, plight: Plight::AllDown, pool: None, is_recovering: false }
    }

    /// Whether clients are answered all members as if they were up as soon as none is usable. A strict rule turns to no other
    /// pool before that.
    pub(super) fn fails_open(&self, is_strict: bool) -> bool {
        match self.on_all_down {
            OnAllDown::All => true,
            OnAllDown::Pool(_) => is_strict,
            OnAllDown::Empty => false,
        }
    }

    /// The pool that the service names.
    pub(super) fn own_pool(&self) -> PoolId {
        self.pool
    }

    /// The families that the service publishes.
    pub(super) fn published(&self, topology: &Topology) -> Published {
        Published::of(topology, &self.kind, self.ipv6, &endpoints_below(topology, &[self.pool]))
    }
}

/// The prefixes that rules name, whosever they are.
fn named_prefixes(topology: &Topology) -> Vec<IpNet> {
    let rules = topology.pools.iter().flat_map(|pool| match &pool.policy {
        Policy::Geo { rules, .. } => rules.as_slice(),
        _ => &[],
    });
    rules.flat_map(|rule| rule.subnets.iter().copied()).collect()
}

/// By pool: whether anything but health and edits can change what it comes to.
fn regulated_pools(topology: &Topology) -> Vec<bool> {
    let has_ramp = |pace: &Pace| *pace != Pace::default();
    let ramps = |id: EndpointId| {
        let endpoint = &topology.endpoints[id.index()];
        let places = endpoint.datacenters.iter().map(|at| &topology.datacenters[at.index()].pace);
        std::iter::once(&endpoint.pace).chain(places).any(has_ramp)
    };
    let is_regulated = |pool: &Arc<super::Pool>| {
        let by_feedback = matches!(pool.policy, Policy::Load(_)) || pool.regulation.capacity.is_some();
        by_feedback
            || pool.regulation.failback != Failback::Auto
            || pool.members.iter().any(|member| matches!(member.kind, MemberKind::Endpoint(id) if ramps(id)))
    };
    topology.pools.iter().map(is_regulated).collect()
}

/// The roots and every pool below them, each once.
pub(super) fn pools_below(topology: &Topology, roots: &[PoolId]) -> Vec<PoolId> {
    let mut seen = std::collections::HashSet::new();
    let mut open = roots.to_vec();
    while let Some(id) = open.pop() {
        if seen.insert(id) {
            open.extend(topology.pools[id.index()].members.iter().filter_map(|member| match member.kind {
                MemberKind::Pool(inner) => Some(inner),
                MemberKind::Endpoint(_) => None,
            }));
        }
    }
    seen.into_iter().collect()
}

/// Every endpoint below the roots, each once.
pub(super) fn endpoints_below(topology: &Topology, roots: &[PoolId]) -> Vec<EndpointId> {
    let mut endpoints = Vec::new();
    let mut seen = std::collections::HashSet::new();
    let mut open = roots.to_vec();
    while let Some(id) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        for member in &topology.pools[id.index()].members {
            match member.kind {
                MemberKind::Pool(inner) => open.push(inner),
                MemberKind::Endpoint(endpoint) => endpoints.push(endpoint),
            }
        }
    }
    endpoints.sort_unstable();
    endpoints.dedup();
    endpoints
}

/// Every alias below the roots, each once.
fn aliases_below(topology: &Topology, roots: &[PoolId]) -> Vec<AliasId> {
    if topology.aliases.is_empty() {
        return Vec::new();
    }
    let endpoints = endpoints_below(topology, roots);
    let mut aliases: Vec<_> = endpoints.iter().filter_map(|id| topology.alias_of[id.index()]).collect();
    aliases.sort_unstable();
    aliases.dedup();
    aliases
}
