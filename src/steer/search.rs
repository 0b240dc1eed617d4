//! The search: what each pool of a tree comes to under given conditions, for one family and one
//! area.

mod availability;
mod layers;

use std::{collections::HashMap, hash::Hasher, net::IpAddr, sync::Arc};

use siphasher::sip::SipHasher13;

use super::{
    chart::{EndpointAnswer, FallbackStage, Family, Rdata, SrvRdata},
    conditions::Conditions,
    datacenter::ServingState,
    endpoint::{EndpointTarget, HealthOverride, SrvHost},
    fraction::Fraction,
    policy::{self, Candidates, FailoverState, MemberGroups, SearchResult, SelectContext, Tier},
    pool::{AnswerCount, FamilyCoupling, Member, MemberKind, MinUp, Policy, Pool, Spread},
    preference::{LossRange, Ranking},
    resolved_alias::UNRESOLVED,
    slots::{
        self, FillMethod, Picks, SlotTableCache, Slots, TableSpec, WeightedMember, steady_slots,
    },
    topology::{AliasId, DatacenterId, EndpointId, PoolId, ProbeId, Topology},
    wheel::{Wheel, WheelChoice},
};
use crate::health::HealthStatus;

pub(super) use availability::{EndpointAvailability, PoolEndpoint};
use layers::LayerDraw;

/// Up to so many turn counters without a wheel are kept, for members that flap.
const MAX_UNUSED_TURNS: usize = 64;

/// Turn counters by what is taken in turn: a new wheel continues where the last one was, also after
/// a load.
#[derive(Debug, Clone, Default)]
pub(super) struct TurnCounters {
    by_key: HashMap<TurnKey, Arc<u32>>,
    /// Numbers given up, to be given again.
    free: Vec<u32>,
    count: usize,
}

/// The pool and its members in turn, by hashes of their names, and the family.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct TurnKey {
    pool: u64,
    family: Family,
    members: Vec<u64>,
}

/// A pool, how a client picks from it, and of each member selected: its group, its position, what
/// it takes, and the identity of what it came to.
type WheelKey = (PoolId, Spread, Vec<(u16, u16, Fraction, usize)>);

/// What wheels share across compilations and loads. All of it is found by content, nothing by its
/// position in the topology.
#[derive(Debug, Clone, Default)]
pub struct WheelCache {
    pub(super) slot_tables: SlotTableCache,
    pub(super) turns: TurnCounters,
}

impl WheelCache {
    /// The number of turn counters in use.
    pub fn turn_counters(&self) -> usize {
        self.turns.count()
    }

    /// Forgets what no wheel uses any more, but for a few: endless flapping among many members must
    /// not fill the memory.
    pub(super) fn prune(&mut self) {
        self.slot_tables.prune();
        self.turns.prune();
    }
}

impl TurnCounters {
    /// Counters are numbered below this.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    fn counter(&mut self, key: TurnKey) -> Arc<u32> {
        let Self { by_key: known, free, count } = self;
        let new = || {
            let number = free.pop().unwrap_or_else(|| {
                *count += 1;
                *count as u32 - 1
            });
            Arc::new(number)
        };
        Arc::clone(known.entry(key).or_insert_with(new))
    }

    fn prune(&mut self) {
        let is_unused = |number: &Arc<u32>| Arc::strong_count(number) == 1;
        if self.by_key.values().filter(|number| is_unused(number)).count() > MAX_UNUSED_TURNS {
            let unused = self.by_key.extract_if(|_, number| is_unused(number));
            self.free.extend(unused.map(|(_, number)| *number));
        }
    }
}

/// What a pool is searched with beside its members: what the client's area makes of the geographic
/// pools.
#[derive(Debug, Clone, Copy)]
pub(super) struct SearchContext<'a> {
    pub family: Family,
    pub stage: FallbackStage,
    /// The geographic pools, and what the area makes of each.
    pub pools: &'a [PoolId],
    pub rankings: &'a [Ranking],
    /// Where the area stands among those with the same nearest member, by pool; may be empty.
    pub loss_ranges: &'a [Option<LossRange>],
    /// Members without an address of the family count too, and come to NODATA. So it must be where
    /// a CNAME may be answered.
    pub counts_other_family: bool,
    /// Every wheel picks by the client's prefix, whatever its pool's spread.
    pub is_by_client: bool,
}

impl SearchContext<'_> {
    /// What anybody sees who is not told apart by geography, while all is well.
    pub(super) fn without_geography(family: Family) -> Self {
        let (pools, rankings, loss_ranges) = (&[][..], &[][..], &[][..]);
        SearchContext {
            family,
            stage: FallbackStage::Normal,
            pools,
            rankings,
            loss_ranges,
            counts_other_family: false,
            is_by_client: false,
        }
    }

    /// How a client picks from a pool's wheel.
    pub(super) fn spread(&self, pool: &Pool) -> Spread {
        if self.is_by_client { Spread::Client } else { pool.spread }
    }
}

/// One compilation's memory. Made for one set of conditions and thrown away with it.
pub(super) struct PoolSearch<'a> {
    topology: &'a Topology,
    conditions: &'a Conditions,
    /// Where wheels get their slots; `NormalizedStream` in a search that only finds what is usable.
    wheel_cache: Option<&'a mut WheelCache>,
    /// By endpoint, family and plight, and whether it counts without an address of the family.
    endpoints: HashMap<(EndpointId, Family, FallbackStage, bool), SearchResult>,
    /// By pool, family and plight, and whether members count without an address of the family, and
    /// whether all is by client: pools that geography has no part in.
    pools: HashMap<(PoolId, Family, FallbackStage, bool, bool), SearchResult>,
    wheels: HashMap<WheelKey, Arc<Wheel>>,
}

/// Whether a pool has as many usable members as `min-up` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quorum {
    /// Enough are known to be healthy.
    Met,
    /// Enough are usable, some of which were never judged.
    Pending,
    /// Too few are usable.
    Missed,
}

/// What a pool's policy picked.
pub(super) struct PoolSelection {
    /// Whether enough members are usable; where not, none is picked.
    pub quorum: Quorum,
    /// The members picked.
    pub selection: MemberGroups,
    /// What each member that the policy looked at came to.
    pub results: Vec<Option<SearchResult>>,
    /// What each member takes of what comes to it.
    pub fractions: Vec<Fraction>,
    /// The least time until a verdict that the pick hangs on could flip, in seconds.
    pub flips_in_secs: u32,
}

impl<'a> PoolSearch<'a> {
    pub(super) fn new(
        topology: &'a Topology,
        conditions: &'a Conditions,
        wheels: &'a mut WheelCache,
    ) -> Self {
        Self { wheel_cache: Some(wheels), ..Self::without_wheels(topology, conditions) }
    }

    /// A search that only finds what is usable: nothing can be drawn from its wheels.
    pub(super) fn without_wheels(topology: &'a Topology, conditions: &'a Conditions) -> Self {
        let (endpoints, pools, wheels) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { topology, conditions, wheel_cache: None, endpoints, pools, wheels }
    }

    /// What a service comes to that turns to this pool, and the view that it was found in. A CNAME
    /// stands for every type (RFC 1034 section 3.6.2): it is answered for one family only where
    /// members of the other do not come before it, lest resolvers that keep it follow it for those
    /// too.
    pub(super) fn service<'v>(
        &mut self,
        pool: PoolId,
        view: SearchContext<'v>,
    ) -> (SearchResult, SearchContext<'v>) {
        let found = self.pool(pool, view);
        if !found.choice.as_ref().is_some_and(WheelChoice::may_be_cname) {
            return (found, view);
        }
        let view = SearchContext { counts_other_family: true, ..view };
        (self.pool(pool, view), view)
    }

    /// What a pool comes to.
    pub(super) fn pool(&mut self, id: PoolId, view: SearchContext<'_>) -> SearchResult {
        // A pool that sees no geography comes to the same thing in every area.
        let key = (id, view.family, view.stage, view.counts_other_family, view.is_by_client);
        let is_blind = !self.sees_geography(id, view);
        if is_blind && let Some(found) = self.pools.get(&key) {
            return found.clone();
        }
        let found = self.evaluate_pool(id, view);
        if is_blind {
            self.pools.insert(key, found.clone());
        }
        found
    }

    fn sees_geography(&self, id: PoolId, view: SearchContext<'_>) -> bool {
        !view.pools.is_empty()
            && (view.pools.contains(&id)
                || self.topology.pools[id.index()].members.iter().any(|member| match member.kind {
                    MemberKind::Pool(inner) => self.sees_geography(inner, view),
                    MemberKind::Endpoint(_) => false,
                }))
    }

    fn evaluate_pool(&mut self, id: PoolId, view: SearchContext<'_>) -> SearchResult {
        let PoolSelection {
            quorum: min_up,
            selection,
            results: found,
            fractions: parts,
            flips_in_secs,
        } = self.select_members(id, view);
        let Some(&first) = selection.groups.first().and_then(|group| group.first()) else {
            return SearchResult {
                is_empty_by_config: selection.is_empty_by_config,
                ..SearchResult::nothing(flips_in_secs)
            };
        };
        let tier = found[usize::from(first)].as_ref().map_or(Tier::Primary, |finding| finding.tier);
        let tier = if min_up == Quorum::Pending { tier.as_pending() } else { tier };
        let taken = |of: fn(&SearchResult) -> Fraction| {
            combined_fraction(&selection, |member| found[usize::from(member)].as_ref().map(of))
        };
        let (part, keep) =
            (taken(|finding| finding.fraction), taken(|finding| finding.kept_fraction));
        let keep = if view.stage == FallbackStage::Normal {
            keep.times(self.kept_by_pool(id))
        } else {
            Fraction::FULL
        };
        let choice = self.choice(id, view, &selection, &parts, &found);
        SearchResult {
            choice,
            tier,
            fraction: part,
            kept_fraction: keep,
            flips_in_secs,
            is_empty_by_config: false,
        }
    }

    /// What a pool keeps of its clients by itself: by the operator's word, and by its load.
    fn kept_by_pool(&self, id: PoolId) -> Fraction {
        let by_load =
            self.conditions.adjustments.kept_fractions.get(&id).copied().unwrap_or_default();
        self.topology.pools[id.index()].regulation.keep.times(by_load)
    }

    /// Has a pool's policy pick among its members.
    pub(super) fn select_members(&mut self, id: PoolId, view: SearchContext<'_>) -> PoolSelection {
        let topology = self.topology;
        let pool = &topology.pools[id.index()];
        let mut found: Vec<Option<SearchResult>> = vec![None; pool.members.len()];
        let (min_up, min_up_flips) = self.quorum(pool, view);
        if min_up == Quorum::Missed {
            let (selection, parts) = (MemberGroups::default(), vec![Fraction::FULL; found.len()]);
            return PoolSelection {
                quorum: min_up,
                selection,
                results: found,
                fractions: parts,
                flips_in_secs: min_up_flips,
            };
        }
        let at = view.pools.iter().position(|&at| at == id);
        let vista = SelectContext {
            ranking: at.and_then(|at| view.rankings.get(at)),
            loss_range: at.and_then(|at| view.loss_ranges.get(at).copied().flatten()),
            failover: FailoverState {
                holder: self.conditions.adjustments.holders.get(&id).copied(),
                failback: self.conditions.adjustments.failbacks.get(&id).copied(),
            },
        };
        let mut look = |at: usize| {
            let finding = self.member(pool, &pool.members[at], view);
            found[at] = Some(finding.clone());
            finding
        };
        let mut ballot = Candidates::new(pool.members.len(), &mut look);
        let selection =
            policy::select(pool, vista, picks(pool).of(pool.members.len()), &mut ballot);
        let flips_in_secs = ballot.flips_in_secs().min(min_up_flips);
        let parts = ballot.into_fractions();
        PoolSelection { quorum: min_up, selection, results: found, fractions: parts, flips_in_secs }
    }

    /// What a member of a pool comes to: its weight can make it a standby, and its other family can
    /// take it out of service.
    pub(super) fn member(
        &mut self,
        pool: &Pool,
        member: &Member,
        view: SearchContext<'_>,
    ) -> SearchResult {
        let mut finding = self.evaluate(member.kind, view);
        if member.weight == 0 {
            finding.tier = finding.tier.as_standby();
        }
        let needs_all =
            pool.families == FamilyCoupling::Coupled && view.stage == FallbackStage::Normal;
        let other =
            SearchContext { family: view.family.other(), counts_other_family: false, ..view };
        if needs_all && finding.choice.is_some() && self.has_family(member.kind, other) {
            let found = self.evaluate(member.kind, other);
            finding.flips_in_secs = finding.flips_in_secs.min(found.flips_in_secs);
            finding.tier = if found.choice.is_none() { Tier::OneFamilyDown } else { finding.tier };
        }
        finding
    }

    /// The tier of each member of a pool that is usable in either family.
    pub(super) fn member_tiers(&mut self, pool: PoolId) -> Vec<Option<Tier>> {
        let pool = &self.topology.pools[pool.index()];
        let tier = |member: &Member| -> Option<Tier> {
            let found = [Family::V4, Family::V6]
                .map(|family| self.member(pool, member, SearchContext::without_geography(family)));
            found
                .iter()
                .filter(|finding| finding.choice.is_some())
                .map(|finding| finding.tier)
                .min()
        };
        pool.members.iter().map(tier).collect()
    }

    fn evaluate(&mut self, kind: MemberKind, view: SearchContext<'_>) -> SearchResult {
        match kind {
            MemberKind::Endpoint(id) => self.endpoint(id, view),
            MemberKind::Pool(id) => self.pool(id, view),
        }
    }

    /// Whether an endpoint or a pool has members of the view's family, whatever their health and
    /// state.
    fn has_family(&self, kind: MemberKind, view: SearchContext<'_>) -> bool {
        match kind {
            MemberKind::Pool(id) => self.may_offer(id, view),
            MemberKind::Endpoint(id) => !self.lacks(id, view.family),
        }
    }

    /// Whether enough members are usable, whatever their family; the seconds until a verdict could
    /// change that.
    fn quorum(&mut self, pool: &Pool, view: SearchContext<'_>) -> (Quorum, u32) {
        let one = MinUp::Members(std::num::NonZeroU32::MIN);
        if pool.min_up == one || view.stage != FallbackStage::Normal {
            return (Quorum::Met, u32::MAX);
        }
        let (mut healthy, mut usable, mut weight, mut flips) =
            (MemberCount::default(), MemberCount::default(), 0, u32::MAX);
        let mut halved = MemberCount::default();
        for member in &pool.members {
            let either = [Family::V4, Family::V6]
                .map(|family| self.member(pool, member, SearchContext { family, ..view }));
            weight += u32::from(member.weight);
            flips = either.iter().map(|finding| finding.flips_in_secs).fold(flips, u32::min);
            let tiers = || {
                either.iter().filter(|finding| finding.choice.is_some()).map(|finding| finding.tier)
            };
            match tiers().min() {
                Some(Tier::OneFamilyDown) => halved.add(member),
                Some(_) => usable.add(member),
                None => {}
            }
            if tiers().any(|tier| !tier.is_pending() && !tier.has_family_down()) {
                healthy.add(member);
            }
        }
        // Where no member has all of its families, those that have one count.
        let (healthy, usable) =
            if usable.members == 0 { (halved, halved) } else { (healthy, usable) };
        let is_met = |count: MemberCount| match pool.min_up {
            MinUp::Members(least) => count.members >= least.get(),
            MinUp::Share(least) => f64::from(count.weight) >= least * f64::from(weight),
        };
        let quorum = match (is_met(healthy), is_met(usable)) {
            (true, _) => Quorum::Met,
            (false, true) => Quorum::Pending,
            (false, false) => Quorum::Missed,
        };
        (quorum, flips)
    }

    /// What an endpoint comes to: the addresses of the family that may be answered.
    fn endpoint(&mut self, id: EndpointId, view: SearchContext<'_>) -> SearchResult {
        let SearchContext { family, stage: plight, .. } = view;
        let counts_empty = view.counts_other_family && self.lacks(id, family);
        let key = (id, family, plight, counts_empty);
        if let Some(found) = self.endpoints.get(&key) {
            return found.clone();
        }
        let found = self.find_endpoint(id, family, plight, counts_empty);
        self.endpoints.insert(key, found.clone());
        found
    }

    /// Whether an endpoint has addresses, and none is of the family.
    fn lacks(&self, id: EndpointId, family: Family) -> bool {
        match (
            &self.topology.endpoints[id.index()].target,
            self.topology.endpoint_alias[id.index()],
        ) {
            (EndpointTarget::Addresses(addresses), _) => {
                !addresses.iter().any(|&address| family.contains(address))
            }
            (EndpointTarget::Alias(_), Some(alias)) => {
                self.conditions.resolved_alias(alias).lacks(family)
            }
            (EndpointTarget::Cname(_) | EndpointTarget::Alias(_) | EndpointTarget::Host(_), _) => {
                false
            }
        }
    }

    /// Whether an alias may come to addresses of the family: it has some, or nothing is known of it
    /// yet.
    pub(super) fn may_have(&self, alias: AliasId, family: Family) -> bool {
        !self.conditions.resolved_alias(alias).lacks(family)
    }

    /// Whether nothing is known of an alias yet.
    pub(super) fn is_unresolved(&self, alias: AliasId) -> bool {
        self.conditions.resolved_alias(alias).addresses().is_empty()
    }

    /// Whether a rule with `strict = true` ends the search of a `geo` pool in the view's area.
    pub(super) fn is_strict(&self, id: PoolId, view: SearchContext<'_>) -> bool {
        let sight = view.pools.iter().position(|&at| at == id).and_then(|at| view.rankings.get(at));
        match (&self.topology.pools[id.index()].policy, sight) {
            (Policy::Geo { rules, .. }, Some(Ranking::Geo(matching))) => {
                policy::MatchedRules::new(rules, matching)
                    .final_rule()
                    .is_some_and(|rule| rule.strict)
            }
            _ => false,
        }
    }

    /// Whether a pool has members of the view's family that it offers in the view's area, whatever
    /// their health and state.
    pub(super) fn may_offer(&self, id: PoolId, view: SearchContext<'_>) -> bool {
        let pool = &self.topology.pools[id.index()];
        let at = view.pools.iter().position(|&at| at == id);
        let offered = policy::offered(pool, at.and_then(|at| view.rankings.get(at)));
        offered
            .into_iter()
            .any(|member| self.has_family(pool.members[usize::from(member)].kind, view))
    }

    fn find_endpoint(
        &self,
        id: EndpointId,
        family: Family,
        plight: FallbackStage,
        counts_empty: bool,
    ) -> SearchResult {
        let endpoint = &self.topology.endpoints[id.index()];
        let state = effective_state(self.topology, self.conditions, id);
        let is_open = match state {
            ServingState::Active | ServingState::Standby => {
                endpoint.force != Some(HealthOverride::Down)
                    || plight >= FallbackStage::OnlyDrainedLeft
            }
            ServingState::Draining => {
                plight >= FallbackStage::OnlyDrainedLeft
                    || !ramp_fraction(self.topology, self.conditions, id).is_zero()
            }
            ServingState::Disabled => plight == FallbackStage::OnlyDisabledLeft,
        };
        if !is_open {
            return SearchResult::nothing(u32::MAX);
        }
        let trusts_all =
            plight != FallbackStage::Normal || endpoint.force == Some(HealthOverride::Up);
        let mut flips_in_secs = u32::MAX;
        let mut judge = |probe: Option<ProbeId>| {
            if trusts_all {
                return TargetHealth::Healthy;
            }
            let standing = self.conditions.standing(probe);
            flips_in_secs =
                standing.flips_in_secs.map_or(flips_in_secs, |secs| flips_in_secs.min(secs));
            TargetHealth::from_standing(standing)
        };
        let probes = &self.topology.endpoint_probes[id.index()];
        let (rdata, trust) = match &endpoint.target {
            EndpointTarget::Cname(name) => {
                (Some(Rdata::Cname(name.as_wire().into())), judge(probes[0]))
            }
            EndpointTarget::Host(SrvHost { name, port, priority, weight }) => {
                let (priority, weight, port) = (*priority, *weight, *port);
                let rdata =
                    Rdata::Srv(SrvRdata { priority, weight, port, target: name.as_wire().into() });
                (Some(rdata), judge(probes[0]))
            }
            EndpointTarget::Alias(_) => {
                let trust = judge(probes[0]);
                let alias = self.topology.endpoint_alias[id.index()];
                let resolved =
                    alias.map_or(&UNRESOLVED, |alias| self.conditions.resolved_alias(alias));
                flips_in_secs = flips_in_secs.min(resolved.ttl_secs());
                let has_some = resolved
                    .addresses()
                    .iter()
                    .any(|&address| counts_empty || family.contains(address));
                (has_some.then(|| rdata_of(resolved.addresses(), family)), trust)
            }
            EndpointTarget::Addresses(addresses) => {
                let of_family = addresses
                    .iter()
                    .zip(probes)
                    .filter(|(at, _)| counts_empty || family.contains(**at));
                let judged: Vec<(IpAddr, TargetHealth)> =
                    of_family.map(|(at, probe)| (*at, judge(*probe))).collect();
                // Addresses never judged are answered only where none is known to be healthy.
                let best =
                    judged.iter().map(|(_, trust)| *trust).min().unwrap_or(TargetHealth::Down);
                let answered: Vec<IpAddr> = judged
                    .into_iter()
                    .filter(|(_, trust)| *trust == best)
                    .map(|(at, _)| at)
                    .collect();
                (Some(rdata_of(&answered, family)), best)
            }
        };
        let rdata = rdata.filter(|_| trust != TargetHealth::Down);
        let tier = if state == ServingState::Standby { Tier::Standby } else { Tier::Primary };
        let datacenter = effective_datacenter(self.topology, self.conditions, id)
            .map(|(datacenter, _)| datacenter);
        SearchResult {
            choice: rdata.map(|rdata| {
                WheelChoice::Answer(Arc::new(EndpointAnswer { datacenter, endpoint: id, rdata }))
            }),
            tier: if trust == TargetHealth::Pending { tier.as_pending() } else { tier },
            fraction: if plight == FallbackStage::Normal {
                ramp_fraction(self.topology, self.conditions, id)
            } else {
                Fraction::FULL
            },
            kept_fraction: if plight == FallbackStage::Normal {
                self.kept_by_datacenter(id)
            } else {
                Fraction::FULL
            },
            flips_in_secs,
            is_empty_by_config: false,
        }
    }

    /// What an endpoint keeps of its clients by its datacenter's word.
    fn kept_by_datacenter(&self, id: EndpointId) -> Fraction {
        let places = &self.topology.endpoints[id.index()].datacenters;
        places.iter().map(|at| self.topology.datacenters[at.index()].keep).max().unwrap_or_default()
    }

    /// The wheel over what was selected, or the one thing that was.
    fn choice(
        &mut self,
        id: PoolId,
        view: SearchContext<'_>,
        selection: &MemberGroups,
        parts: &[Fraction],
        found: &[Option<SearchResult>],
    ) -> Option<WheelChoice> {
        let groups = &selection.groups;
        let chosen = |member: u16| {
            found[usize::from(member)].as_ref().and_then(|finding| finding.choice.as_ref())
        };
        if let [group] = &groups[..]
            && let [member] = group[..]
        {
            return chosen(member).cloned();
        }
        let identity = |(at, group): (usize, &Vec<u16>)| -> Vec<(u16, u16, Fraction, usize)> {
            let of = |&member: &u16| {
                (
                    at as u16,
                    member,
                    parts[usize::from(member)],
                    chosen(member).map_or(0, WheelChoice::identity),
                )
            };
            group.iter().map(of).collect()
        };
        let spread = view.spread(&self.topology.pools[id.index()]);
        let key = (id, spread, groups.iter().enumerate().flat_map(identity).collect());
        if let Some(wheel) = self.wheels.get(&key) {
            return Some(WheelChoice::Wheel(Arc::clone(wheel)));
        }
        let choices: Option<Box<[WheelChoice]>> =
            groups.iter().flatten().map(|&member| chosen(member).cloned()).collect();
        let wheel = Arc::new(self.wheel(id, (view.family, spread), selection, parts, choices?));
        self.wheels.insert(key, Arc::clone(&wheel));
        Some(WheelChoice::Wheel(wheel))
    }

    fn wheel(
        &mut self,
        id: PoolId,
        (family, spread): (Family, Spread),
        selection: &MemberGroups,
        parts: &[Fraction],
        choices: Box<[WheelChoice]>,
    ) -> Wheel {
        let pool = &self.topology.pools[id.index()];
        let stakes = self.weighted_members(id, selection, parts);
        let salt = stable_hash(pool.name.as_bytes());
        let filling = match spread {
            Spread::Client => FillMethod::Steady { slots: steady_slots(pool.members.len()) },
            Spread::Query => FillMethod::Exact,
            Spread::Turn => FillMethod::Cycle,
        };
        if let FillMethod::Steady { slots } = filling
            && let Some(wheel) =
                self.layered(&stakes, &choices, &LayerDraw { picks: picks(pool), slots, salt })
        {
            return wheel;
        }
        let undrawn = |slots| Wheel {
            spread,
            slots,
            choices,
            salt,
            turn_counter: None,
            cycle: 0,
            is_ranked: false,
            is_layered: false,
        };
        let Some(parts) = self.wheel_cache.as_deref_mut() else {
            return undrawn(Arc::new(Slots::undrawn()));
        };
        let turn = (spread == Spread::Turn).then(|| {
            let members = stakes.iter().flatten().map(|stake| stake.id).collect();
            parts.turns.counter(TurnKey { pool: salt, family, members })
        });
        let slots = parts.slot_tables.table(TableSpec::new(stakes, picks(pool), filling));
        let is_ranked = selection.is_ranked && slots.picks() > 1;
        let cycle = slots.cycle();
        Wheel { turn_counter: turn, cycle, is_ranked, ..undrawn(slots) }
    }

    /// The share of a pool's clients that each of its members gets, from 0 to 1, where geography
    /// tells no clients apart; nothing where no member is usable.
    pub(super) fn shares(&mut self, id: PoolId, family: Family) -> Option<Vec<f64>> {
        let PoolSelection { selection, fractions: parts, .. } =
            self.select_members(id, SearchContext::without_geography(family));
        let mut stakes = self.weighted_members(id, &selection, &parts);
        slots::normalise(&mut stakes);
        let mut shares = vec![0.0; parts.len()];
        let members = selection.groups.iter().flatten();
        members
            .zip(slots::shares(&stakes))
            .for_each(|(&member, share)| shares[usize::from(member)] = share);
        (!stakes.is_empty()).then_some(shares)
    }

    /// The stakes of those selected, with what each takes of its share. `all` answers every member
    /// whole.
    fn weighted_members(
        &self,
        id: PoolId,
        selection: &MemberGroups,
        parts: &[Fraction],
    ) -> Vec<Vec<WeightedMember>> {
        let pool = &self.topology.pools[id.index()];
        let weights = self.conditions.adjustments.weights.get(&id);
        let stake = |&member: &u16| {
            let stake = configured_member(self.topology, pool, member);
            let by_load = weights.and_then(|weights| weights.get(usize::from(member)).copied());
            let part = if pool.policy == Policy::All {
                Fraction::FULL
            } else {
                parts[usize::from(member)]
            };
            WeightedMember {
                weight: by_load.unwrap_or(stake.weight).max(1),
                fraction: part,
                ..stake
            }
        };
        selection.groups.iter().map(|group| group.iter().map(stake).collect()).collect()
    }
}

/// What the members of a pool take together if each takes a part. Members of one group take part
/// for the same clients: the greatest part counts. To that each group behind adds what it takes of
/// the rest.
fn combined_fraction(selection: &MemberGroups, part: impl Fn(u16) -> Option<Fraction>) -> Fraction {
    let of_group = |group: &Vec<u16>| {
        group.iter().filter_map(|&member| part(member)).max().unwrap_or_default()
    };
    let left = selection.groups.iter().map(of_group).try_fold(1.0, |left, part| {
        // One that takes all leaves nothing, whatever rounding says.
        if part.is_full() { None } else { Some(left * (1.0 - part.share())) }
    });
    left.map_or(Fraction::FULL, |left| Fraction::from_share(1.0 - left))
}

/// What is known of a target's health, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum TargetHealth {
    /// Up, or counted as up.
    Healthy,
    /// Never judged, and its first outcome is still to be expected.
    Pending,
    /// Down.
    Down,
}

impl TargetHealth {
    fn from_standing(standing: HealthStatus) -> Self {
        match (standing.verdict.is_usable(), standing.is_pending) {
            (false, _) => Self::Down,
            (true, true) => Self::Pending,
            (true, false) => Self::Healthy,
        }
    }
}

/// Members, and the sum of their weights.
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

/// A member's stake as configured.
fn configured_member(topology: &Topology, pool: &Pool, member: u16) -> WeightedMember {
    let member = &pool.members[usize::from(member)];
    let name = topology.member_name(member.kind);
    // Standbys share alike whether they are so by weight 0 or by state.
    WeightedMember {
        id: stable_hash(name.as_bytes()),
        weight: u32::from(member.weight).max(1),
        fraction: Fraction::FULL,
    }
}

/// An endpoint's state: its own or its datacenter's, the stricter of the two.
pub(super) fn effective_state(
    topology: &Topology,
    conditions: &Conditions,
    id: EndpointId,
) -> ServingState {
    let place =
        effective_datacenter(topology, conditions, id).map(|(_, state)| state).unwrap_or_default();
    std::cmp::max_by_key(topology.endpoints[id.index()].state, place, strictness)
}

/// An endpoint's datacenter and that one's state. Of a region's datacenters the first with the
/// mildest state counts.
pub(super) fn effective_datacenter(
    topology: &Topology,
    conditions: &Conditions,
    id: EndpointId,
) -> Option<(DatacenterId, ServingState)> {
    let datacenters = topology.endpoints[id.index()].datacenters.iter();
    let with_state = |id: &DatacenterId| Some((*id, *conditions.datacenters.get(id.index())?));
    datacenters.filter_map(with_state).min_by_key(|(_, state)| strictness(state))
}

fn strictness(state: &ServingState) -> u8 {
    match state {
        ServingState::Active => 0,
        ServingState::Standby => 1,
        ServingState::Draining => 2,
        ServingState::Disabled => 3,
    }
}

/// The share of its clients that an endpoint keeps during a drain or a slow start: by its own state
/// or by its datacenter's, the lesser of the two. A drain without a ramp leaves nothing.
pub(super) fn ramp_fraction(
    topology: &Topology,
    conditions: &Conditions,
    id: EndpointId,
) -> Fraction {
    let of_state = |state: ServingState, ramp: Option<&Fraction>| {
        ramp.copied().unwrap_or_else(|| fraction_without_ramp(state))
    };
    let endpoint = &topology.endpoints[id.index()];
    let of_place = |at: &DatacenterId| {
        let state = conditions.datacenters.get(at.index()).copied().unwrap_or_default();
        of_state(state, conditions.adjustments.datacenter_fractions.get(at))
    };
    let place = endpoint.datacenters.iter().map(of_place).max().unwrap_or_default();
    of_state(endpoint.state, conditions.adjustments.endpoint_fractions.get(&id)).min(place)
}

/// The share of its clients that a state leaves to an endpoint which is not in a ramp.
pub(super) fn fraction_without_ramp(state: ServingState) -> Fraction {
    if state == ServingState::Draining { Fraction::ZERO } else { Fraction::FULL }
}

/// How many members an answer of this pool is to have.
fn picks(pool: &Pool) -> Picks {
    match (&pool.policy, pool.answers) {
        (Policy::All, _) | (_, AnswerCount::All) => Picks::All,
        (_, AnswerCount::Count(count)) => Picks::Count(count.get() as usize),
    }
}

fn rdata_of(addresses: &[IpAddr], family: Family) -> Rdata {
    match family {
        Family::V4 => Rdata::A(addresses.iter().filter_map(octets_v4).collect()),
        Family::V6 => Rdata::Aaaa(addresses.iter().filter_map(octets_v6).collect()),
    }
}

fn octets_v4(address: &IpAddr) -> Option<[u8; 4]> {
    match address {
        IpAddr::V4(address) => Some(address.octets()),
        IpAddr::V6(_) => None,
    }
}

fn octets_v6(address: &IpAddr) -> Option<[u8; 16]> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(address.octets()),
    }
}

/// A hash that is the same on every machine and in every release.
pub(super) fn stable_hash(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0, 0);
    hasher.write(bytes);
    hasher.finish()
}
