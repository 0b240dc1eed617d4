//! The search: what each pool of a tree comes to under given conditions, for one family and one
//! area.

mod layers;
mod recovery;

use std::{collections::HashMap, hash::Hasher, net::IpAddr, sync::Arc};

use siphasher::sip::SipHasher13;

use super::{
    chart::{Answer, Family, Plight, Rdata, SrvRdata},
    conditions::Conditions,
    datacenter::State,
    endpoint::{Force, Host, Target},
    part::Part,
    policy::{self, Ballot, Finding, Past, Selection, Tier, Vista},
    pool::{Answers, Families, Member, MemberKind, MinUp, Policy, Pool, Spread},
    preference::{Sight, Span},
    resolved::UNKNOWN,
    slots::{self, Filling, Picks, Recipe, SlotTables, Slots, Stake, steady_slots},
    topology::{AliasId, DatacenterId, EndpointId, PoolId, ProbeId, Topology},
    wheel::{Choice, Wheel},
};
use crate::health::Standing;

use layers::Drawn;
pub(super) use recovery::{Ability, Seen};

/// Up to so many turn counters without a wheel are kept, for members that flap.
const SPARE_TURNS: usize = 64;

/// Turn counters by what is taken in turn: a new wheel continues where the last one was, also after
/// a load.
#[derive(Debug, Clone, Default)]
pub(super) struct TurnCounters {
    known: HashMap<TurnKey, Arc<u32>>,
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
type WheelKey = (PoolId, Spread, Vec<(u16, u16, Part, usize)>);

/// What wheels share across compilations and loads. All of it is found by content, nothing by its
/// position in the topology.
#[derive(Debug, Clone, Default)]
pub struct Wheels {
    pub(super) slot_tables: SlotTables,
    pub(super) turns: TurnCounters,
}

impl Wheels {
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

    fn of(&mut self, key: TurnKey) -> Arc<u32> {
        let Self { known, free, count } = self;
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
        if self.known.values().filter(|number| is_unused(number)).count() > SPARE_TURNS {
            let unused = self.known.extract_if(|_, number| is_unused(number));
            self.free.extend(unused.map(|(_, number)| *number));
        }
    }
}

/// What a pool is searched with beside its members: what the client's area makes of the geographic
/// pools.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub family: Family,
    pub plight: Plight,
    /// The geographic pools, and what the area makes of each.
    pub pools: &'a [PoolId],
    pub sights: &'a [Sight],
    /// Where the area stands among those with the same nearest member, by pool; may be empty.
    pub spans: &'a [Option<Span>],
    /// Members without an address of the family count too, and come to NODATA. So it must be where
    /// a CNAME may be answered.
    pub counts_other_family: bool,
    /// Every wheel picks by the client's prefix, whatever its pool's spread.
    pub by_client: bool,
}

impl View<'_> {
    /// What anybody sees who is not told apart by geography, while all is well.
    pub(super) fn blind(family: Family) -> Self {
        let (pools, sights, spans) = (&[][..], &[][..], &[][..]);
        View {
            family,
            plight: Plight::None,
            pools,
            sights,
            spans,
            counts_other_family: false,
            by_client: false,
        }
    }

    /// How a client picks from a pool's wheel.
    pub(super) fn spread(&self, pool: &Pool) -> Spread {
        if self.by_client { Spread::Client } else { pool.spread }
    }
}

/// One compilation's memory. Made for one set of conditions and thrown away with it.
pub(super) struct Search<'a> {
    topology: &'a Topology,
    conditions: &'a Conditions,
    /// Where wheels get their slots; `None` in a search that only finds what is usable.
    wheel_parts: Option<&'a mut Wheels>,
    /// By endpoint, family and plight, and whether it counts without an address of the family.
    endpoints: HashMap<(EndpointId, Family, Plight, bool), Finding>,
    /// By pool, family and plight, and whether members count without an address of the family, and
    /// whether all is by client: pools that geography has no part in.
    pools: HashMap<(PoolId, Family, Plight, bool, bool), Finding>,
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
pub(super) struct Election {
    /// Whether enough members are usable; where not, none is picked.
    pub min_up: Quorum,
    /// The members picked.
    pub selection: Selection,
    /// What each member that the policy looked at came to.
    pub found: Vec<Option<Finding>>,
    /// What each member takes of what comes to it.
    pub parts: Vec<Part>,
    /// The least time until a verdict that the pick hangs on could flip, in seconds.
    pub flips_in_secs: u32,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        topology: &'a Topology,
        conditions: &'a Conditions,
        wheels: &'a mut Wheels,
    ) -> Self {
        Self { wheel_parts: Some(wheels), ..Self::asking(topology, conditions) }
    }

    /// A search that only finds what is usable: nothing can be drawn from its wheels.
    pub(super) fn asking(topology: &'a Topology, conditions: &'a Conditions) -> Self {
        let (endpoints, pools, wheels) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { topology, conditions, wheel_parts: None, endpoints, pools, wheels }
    }

    /// What a service comes to that turns to this pool, and the view that it was found in. A CNAME
    /// stands for every type (RFC 1034 section 3.6.2): it is answered for one family only where
    /// members of the other do not come before it, lest resolvers that keep it follow it for those
    /// too.
    pub(super) fn service<'v>(&mut self, pool: PoolId, view: View<'v>) -> (Finding, View<'v>) {
        let found = self.pool(pool, view);
        if !found.choice.as_ref().is_some_and(Choice::may_be_cname) {
            return (found, view);
        }
        let view = View { counts_other_family: true, ..view };
        (self.pool(pool, view), view)
    }

    /// What a pool comes to.
    pub(super) fn pool(&mut self, id: PoolId, view: View<'_>) -> Finding {
        // A pool that sees no geography comes to the same thing in every area.
        let key = (id, view.family, view.plight, view.counts_other_family, view.by_client);
        let is_blind = !self.sees_geography(id, view);
        if is_blind && let Some(found) = self.pools.get(&key) {
            return found.clone();
        }
        let found = self.find(id, view);
        if is_blind {
            self.pools.insert(key, found.clone());
        }
        found
    }

    fn sees_geography(&self, id: PoolId, view: View<'_>) -> bool {
        !view.pools.is_empty()
            && (view.pools.contains(&id)
                || self.topology.pools[id.index()].members.iter().any(|member| match member.kind {
                    MemberKind::Pool(inner) => self.sees_geography(inner, view),
                    MemberKind::Endpoint(_) => false,
                }))
    }

    fn find(&mut self, id: PoolId, view: View<'_>) -> Finding {
        let Election { min_up, selection, found, parts, flips_in_secs } = self.elect(id, view);
        let Some(&first) = selection.groups.first().and_then(|group| group.first()) else {
            return Finding { deliberate: selection.deliberate, ..Finding::nothing(flips_in_secs) };
        };
        let tier = found[usize::from(first)].as_ref().map_or(Tier::Primary, |finding| finding.tier);
        let tier = if min_up == Quorum::Pending { tier.as_pending() } else { tier };
        let taken = |of: fn(&Finding) -> Part| {
            taken(&selection, |member| found[usize::from(member)].as_ref().map(of))
        };
        let (part, keep) = (taken(|finding| finding.part), taken(|finding| finding.keep));
        let keep =
            if view.plight == Plight::None { keep.times(self.own_keep(id)) } else { Part::FULL };
        let choice = self.choice(id, view, &selection, &parts, &found);
        Finding { choice, tier, part, keep, flips_in_secs, deliberate: false }
    }

    /// What a pool keeps of its clients by itself: by the operator's word, and by its load.
    fn own_keep(&self, id: PoolId) -> Part {
        let by_load = self.conditions.steering.keeps.get(&id).copied().unwrap_or_default();
        self.topology.pools[id.index()].regulation.keep.times(by_load)
    }

    /// Has a pool's policy pick among its members.
    pub(super) fn elect(&mut self, id: PoolId, view: View<'_>) -> Election {
        let topology = self.topology;
        let pool = &topology.pools[id.index()];
        let mut found: Vec<Option<Finding>> = vec![None; pool.members.len()];
        let (min_up, min_up_flips) = self.min_up(pool, view);
        if min_up == Quorum::Missed {
            let (selection, parts) = (Selection::default(), vec![Part::FULL; found.len()]);
            return Election { min_up, selection, found, parts, flips_in_secs: min_up_flips };
        }
        let at = view.pools.iter().position(|&at| at == id);
        let vista = Vista {
            sight: at.and_then(|at| view.sights.get(at)),
            span: at.and_then(|at| view.spans.get(at).copied().flatten()),
            past: Past {
                holder: self.conditions.steering.holders.get(&id).copied(),
                returning: self.conditions.steering.returns.get(&id).copied(),
            },
        };
        let mut look = |at: usize| {
            let finding = self.member(pool, &pool.members[at], view);
            found[at] = Some(finding.clone());
            finding
        };
        let mut ballot = Ballot::new(pool.members.len(), &mut look);
        let selection =
            policy::select(pool, vista, picks(pool).of(pool.members.len()), &mut ballot);
        let flips_in_secs = ballot.flips_in_secs().min(min_up_flips);
        let parts = ballot.into_parts();
        Election { min_up, selection, found, parts, flips_in_secs }
    }

    /// What a member of a pool comes to: its weight can make it a standby, and its other family can
    /// take it out of service.
    pub(super) fn member(&mut self, pool: &Pool, member: &Member, view: View<'_>) -> Finding {
        let mut finding = self.kind(member.kind, view);
        if member.weight == 0 {
            finding.tier = finding.tier.as_standby();
        }
        let needs_all = pool.families == Families::Together && view.plight == Plight::None;
        let other = View { family: view.family.other(), counts_other_family: false, ..view };
        if needs_all && finding.choice.is_some() && self.has_family(member.kind, other) {
            let found = self.kind(member.kind, other);
            finding.flips_in_secs = finding.flips_in_secs.min(found.flips_in_secs);
            finding.tier = if found.choice.is_none() { Tier::Halved } else { finding.tier };
        }
        finding
    }

    /// The tier of each member of a pool that is usable in either family.
    pub(super) fn member_tiers(&mut self, pool: PoolId) -> Vec<Option<Tier>> {
        let pool = &self.topology.pools[pool.index()];
        let tier = |member: &Member| -> Option<Tier> {
            let found = [Family::V4, Family::V6]
                .map(|family| self.member(pool, member, View::blind(family)));
            found
                .iter()
                .filter(|finding| finding.choice.is_some())
                .map(|finding| finding.tier)
                .min()
        };
        pool.members.iter().map(tier).collect()
    }

    fn kind(&mut self, kind: MemberKind, view: View<'_>) -> Finding {
        match kind {
            MemberKind::Endpoint(id) => self.endpoint(id, view),
            MemberKind::Pool(id) => self.pool(id, view),
        }
    }

    /// Whether an endpoint or a pool has members of the view's family, whatever their health and
    /// state.
    fn has_family(&self, kind: MemberKind, view: View<'_>) -> bool {
        match kind {
            MemberKind::Pool(id) => self.may_offer(id, view),
            MemberKind::Endpoint(id) => !self.lacks(id, view.family),
        }
    }

    /// Whether enough members are usable, whatever their family; the seconds until a verdict could
    /// change that.
    fn min_up(&mut self, pool: &Pool, view: View<'_>) -> (Quorum, u32) {
        let one = MinUp::Members(std::num::NonZeroU32::MIN);
        if pool.min_up == one || view.plight != Plight::None {
            return (Quorum::Met, u32::MAX);
        }
        let (mut healthy, mut usable, mut weight, mut flips) =
            (Count::default(), Count::default(), 0, u32::MAX);
        let mut halved = Count::default();
        for member in &pool.members {
            let either = [Family::V4, Family::V6]
                .map(|family| self.member(pool, member, View { family, ..view }));
            weight += u32::from(member.weight);
            flips = either.iter().map(|finding| finding.flips_in_secs).fold(flips, u32::min);
            let tiers = || {
                either.iter().filter(|finding| finding.choice.is_some()).map(|finding| finding.tier)
            };
            match tiers().min() {
                Some(Tier::Halved) => halved.add(member),
                Some(_) => usable.add(member),
                None => {}
            }
            if tiers().any(|tier| !tier.is_pending() && !tier.is_halved()) {
                healthy.add(member);
            }
        }
        // Where no member has all of its families, those that have one count.
        let (healthy, usable) =
            if usable.members == 0 { (halved, halved) } else { (healthy, usable) };
        let is_met = |count: Count| match pool.min_up {
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
    fn endpoint(&mut self, id: EndpointId, view: View<'_>) -> Finding {
        let View { family, plight, .. } = view;
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
        match (&self.topology.endpoints[id.index()].target, self.topology.alias_of[id.index()]) {
            (Target::Addresses(addresses), _) => {
                !addresses.iter().any(|&address| family.holds(address))
            }
            (Target::Alias(_), Some(alias)) => self.conditions.resolved(alias).lacks(family),
            (Target::Cname(_) | Target::Alias(_) | Target::Host(_), _) => false,
        }
    }

    /// Whether an alias may come to addresses of the family: it has some, or nothing is known of it
    /// yet.
    pub(super) fn may_have(&self, alias: AliasId, family: Family) -> bool {
        !self.conditions.resolved(alias).lacks(family)
    }

    /// Whether nothing is known of an alias yet.
    pub(super) fn is_unresolved(&self, alias: AliasId) -> bool {
        self.conditions.resolved(alias).addresses().is_empty()
    }

    /// Whether a rule with `strict = true` ends the search of a `geo` pool in the view's area.
    pub(super) fn is_strict(&self, id: PoolId, view: View<'_>) -> bool {
        let sight = view.pools.iter().position(|&at| at == id).and_then(|at| view.sights.get(at));
        match (&self.topology.pools[id.index()].policy, sight) {
            (Policy::Geo { rules, .. }, Some(Sight::Geo(matching))) => {
                policy::Reached::of(rules, matching).last_word().is_some_and(|rule| rule.strict)
            }
            _ => false,
        }
    }

    /// Whether a pool has members of the view's family that it offers in the view's area, whatever
    /// their health and state.
    pub(super) fn may_offer(&self, id: PoolId, view: View<'_>) -> bool {
        let pool = &self.topology.pools[id.index()];
        let at = view.pools.iter().position(|&at| at == id);
        let offered = policy::offered(pool, at.and_then(|at| view.sights.get(at)));
        offered
            .into_iter()
            .any(|member| self.has_family(pool.members[usize::from(member)].kind, view))
    }

    fn find_endpoint(
        &self,
        id: EndpointId,
        family: Family,
        plight: Plight,
        counts_empty: bool,
    ) -> Finding {
        let endpoint = &self.topology.endpoints[id.index()];
        let state = state_of(self.topology, self.conditions, id);
        let is_open = match state {
            State::Active | State::Standby => {
                endpoint.force != Some(Force::Down) || plight >= Plight::Drained
            }
            State::Draining => {
                plight >= Plight::Drained || !part_of(self.topology, self.conditions, id).is_none()
            }
            State::Disabled => plight == Plight::Disabled,
        };
        if !is_open {
            return Finding::nothing(u32::MAX);
        }
        let trusts_all = plight != Plight::None || endpoint.force == Some(Force::Up);
        let mut flips_in_secs = u32::MAX;
        let mut judge = |probe: Option<ProbeId>| {
            if trusts_all {
                return Trust::Healthy;
            }
            let standing = self.conditions.standing(probe);
            flips_in_secs =
                standing.flips_in_secs.map_or(flips_in_secs, |secs| flips_in_secs.min(secs));
            Trust::of(standing)
        };
        let probes = &self.topology.probes_of[id.index()];
        let (rdata, trust) = match &endpoint.target {
            Target::Cname(name) => (Some(Rdata::Cname(name.as_wire().into())), judge(probes[0])),
            Target::Host(Host { name, port, priority, weight }) => {
                let (priority, weight, port) = (*priority, *weight, *port);
                let rdata =
                    Rdata::Srv(SrvRdata { priority, weight, port, target: name.as_wire().into() });
                (Some(rdata), judge(probes[0]))
            }
            Target::Alias(_) => {
                let trust = judge(probes[0]);
                let alias = self.topology.alias_of[id.index()];
                let resolved = alias.map_or(&UNKNOWN, |alias| self.conditions.resolved(alias));
                flips_in_secs = flips_in_secs.min(resolved.ttl_secs());
                let has_some = resolved
                    .addresses()
                    .iter()
                    .any(|&address| counts_empty || family.holds(address));
                (has_some.then(|| rdata_of(resolved.addresses(), family)), trust)
            }
            Target::Addresses(addresses) => {
                let of_family = addresses
                    .iter()
                    .zip(probes)
                    .filter(|(at, _)| counts_empty || family.holds(**at));
                let judged: Vec<(IpAddr, Trust)> =
                    of_family.map(|(at, probe)| (*at, judge(*probe))).collect();
                // Addresses never judged are answered only where none is known to be healthy.
                let best = judged.iter().map(|(_, trust)| *trust).min().unwrap_or(Trust::Down);
                let answered: Vec<IpAddr> = judged
                    .into_iter()
                    .filter(|(_, trust)| *trust == best)
                    .map(|(at, _)| at)
                    .collect();
                (Some(rdata_of(&answered, family)), best)
            }
        };
        let rdata = rdata.filter(|_| trust != Trust::Down);
        let tier = if state == State::Standby { Tier::Standby } else { Tier::Primary };
        let datacenter =
            place_of(self.topology, self.conditions, id).map(|(datacenter, _)| datacenter);
        Finding {
            choice: rdata
                .map(|rdata| Choice::Answer(Arc::new(Answer { datacenter, endpoint: id, rdata }))),
            tier: if trust == Trust::Pending { tier.as_pending() } else { tier },
            part: if plight == Plight::None {
                part_of(self.topology, self.conditions, id)
            } else {
                Part::FULL
            },
            keep: if plight == Plight::None { self.keep_of(id) } else { Part::FULL },
            flips_in_secs,
            deliberate: false,
        }
    }

    /// What an endpoint keeps of its clients by its datacenter's word.
    fn keep_of(&self, id: EndpointId) -> Part {
        let places = &self.topology.endpoints[id.index()].datacenters;
        places.iter().map(|at| self.topology.datacenters[at.index()].keep).max().unwrap_or_default()
    }

    /// The wheel over what was selected, or the one thing that was.
    fn choice(
        &mut self,
        id: PoolId,
        view: View<'_>,
        selection: &Selection,
        parts: &[Part],
        found: &[Option<Finding>],
    ) -> Option<Choice> {
        let groups = &selection.groups;
        let chosen = |member: u16| {
            found[usize::from(member)].as_ref().and_then(|finding| finding.choice.as_ref())
        };
        if let [group] = &groups[..]
            && let [member] = group[..]
        {
            return chosen(member).cloned();
        }
        let identity = |(at, group): (usize, &Vec<u16>)| -> Vec<(u16, u16, Part, usize)> {
            let of = |&member: &u16| {
                (
                    at as u16,
                    member,
                    parts[usize::from(member)],
                    chosen(member).map_or(0, Choice::identity),
                )
            };
            group.iter().map(of).collect()
        };
        let spread = view.spread(&self.topology.pools[id.index()]);
        let key = (id, spread, groups.iter().enumerate().flat_map(identity).collect());
        if let Some(wheel) = self.wheels.get(&key) {
            return Some(Choice::Wheel(Arc::clone(wheel)));
        }
        let choices: Option<Box<[Choice]>> =
            groups.iter().flatten().map(|&member| chosen(member).cloned()).collect();
        let wheel = Arc::new(self.wheel(id, (view.family, spread), selection, parts, choices?));
        self.wheels.insert(key, Arc::clone(&wheel));
        Some(Choice::Wheel(wheel))
    }

    fn wheel(
        &mut self,
        id: PoolId,
        (family, spread): (Family, Spread),
        selection: &Selection,
        parts: &[Part],
        choices: Box<[Choice]>,
    ) -> Wheel {
        let pool = &self.topology.pools[id.index()];
        let stakes = self.stakes(id, selection, parts);
        let salt = stable_hash(pool.name.as_bytes());
        let filling = match spread {
            Spread::Client => Filling::Steady { slots: steady_slots(pool.members.len()) },
            Spread::Query => Filling::Exact,
            Spread::Turn => Filling::Cycle,
        };
        if let Filling::Steady { slots } = filling
            && let Some(wheel) =
                self.layered(&stakes, &choices, &Drawn { picks: picks(pool), slots, salt })
        {
            return wheel;
        }
        let undrawn = |slots| Wheel {
            spread,
            slots,
            choices,
            salt,
            turn: None,
            cycle: 0,
            is_ranked: false,
            is_layered: false,
        };
        let Some(parts) = self.wheel_parts.as_deref_mut() else {
            return undrawn(Arc::new(Slots::undrawn()));
        };
        let turn = (spread == Spread::Turn).then(|| {
            let members = stakes.iter().flatten().map(|stake| stake.id).collect();
            parts.turns.of(TurnKey { pool: salt, family, members })
        });
        let slots = parts.slot_tables.of(Recipe::new(stakes, picks(pool), filling));
        let is_ranked = selection.is_ranked && slots.picks() > 1;
        let cycle = slots.cycle();
        Wheel { turn, cycle, is_ranked, ..undrawn(slots) }
    }

    /// The share of a pool's clients that each of its members gets, from 0 to 1, where geography
    /// tells no clients apart; nothing where no member is usable.
    pub(super) fn shares(&mut self, id: PoolId, family: Family) -> Option<Vec<f64>> {
        let Election { selection, parts, .. } = self.elect(id, View::blind(family));
        let mut stakes = self.stakes(id, &selection, &parts);
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
    fn stakes(&self, id: PoolId, selection: &Selection, parts: &[Part]) -> Vec<Vec<Stake>> {
        let pool = &self.topology.pools[id.index()];
        let weights = self.conditions.steering.weights.get(&id);
        let stake = |&member: &u16| {
            let stake = configured_stake(self.topology, pool, member);
            let by_load = weights.and_then(|weights| weights.get(usize::from(member)).copied());
            let part =
                if pool.policy == Policy::All { Part::FULL } else { parts[usize::from(member)] };
            Stake { weight: by_load.unwrap_or(stake.weight).max(1), part, ..stake }
        };
        selection.groups.iter().map(|group| group.iter().map(stake).collect()).collect()
    }
}

/// What the members of a pool take together if each takes a part. Members of one group take part
/// for the same clients: the greatest part counts. To that each group behind adds what it takes of
/// the rest.
fn taken(selection: &Selection, part: impl Fn(u16) -> Option<Part>) -> Part {
    let of_group = |group: &Vec<u16>| {
        group.iter().filter_map(|&member| part(member)).max().unwrap_or_default()
    };
    let left = selection.groups.iter().map(of_group).try_fold(1.0, |left, part| {
        // One that takes all leaves nothing, whatever rounding says.
        if part.is_full() { None } else { Some(left * (1.0 - part.share())) }
    });
    left.map_or(Part::FULL, |left| Part::of(1.0 - left))
}

/// What is known of a target's health, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trust {
    /// Up, or counted as up.
    Healthy,
    /// Never judged, and its first outcome is still to be expected.
    Pending,
    /// Down.
    Down,
}

impl Trust {
    fn of(standing: Standing) -> Self {
        match (standing.verdict.is_usable(), standing.is_pending) {
            (false, _) => Self::Down,
            (true, true) => Self::Pending,
            (true, false) => Self::Healthy,
        }
    }
}

/// Members, and the sum of their weights.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    members: u32,
    weight: u32,
}

impl Count {
    fn add(&mut self, member: &Member) {
        self.members += 1;
        self.weight += u32::from(member.weight);
    }
}

/// A member's stake as configured.
fn configured_stake(topology: &Topology, pool: &Pool, member: u16) -> Stake {
    let member = &pool.members[usize::from(member)];
    let name = topology.member_name(member.kind);
    // Standbys share alike whether they are so by weight 0 or by state.
    Stake {
        id: stable_hash(name.as_bytes()),
        weight: u32::from(member.weight).max(1),
        part: Part::FULL,
    }
}

/// An endpoint's state: its own or its datacenter's, the stricter of the two.
pub(super) fn state_of(topology: &Topology, conditions: &Conditions, id: EndpointId) -> State {
    let place = place_of(topology, conditions, id).map(|(_, state)| state).unwrap_or_default();
    std::cmp::max_by_key(topology.endpoints[id.index()].state, place, strictness)
}

/// An endpoint's datacenter and that one's state. Of a region's datacenters the first with the
/// mildest state counts.
pub(super) fn place_of(
    topology: &Topology,
    conditions: &Conditions,
    id: EndpointId,
) -> Option<(DatacenterId, State)> {
    let datacenters = topology.endpoints[id.index()].datacenters.iter();
    let with_state = |id: &DatacenterId| Some((*id, *conditions.datacenters.get(id.index())?));
    datacenters.filter_map(with_state).min_by_key(|(_, state)| strictness(state))
}

fn strictness(state: &State) -> u8 {
    match state {
        State::Active => 0,
        State::Standby => 1,
        State::Draining => 2,
        State::Disabled => 3,
    }
}

/// The share of its clients that an endpoint keeps during a drain or a slow start: by its own state
/// or by its datacenter's, the lesser of the two. A drain without a ramp leaves nothing.
pub(super) fn part_of(topology: &Topology, conditions: &Conditions, id: EndpointId) -> Part {
    let of_state =
        |state: State, ramp: Option<&Part>| ramp.copied().unwrap_or_else(|| unramped(state));
    let endpoint = &topology.endpoints[id.index()];
    let of_place = |at: &DatacenterId| {
        let state = conditions.datacenters.get(at.index()).copied().unwrap_or_default();
        of_state(state, conditions.steering.datacenter_parts.get(at))
    };
    let place = endpoint.datacenters.iter().map(of_place).max().unwrap_or_default();
    of_state(endpoint.state, conditions.steering.endpoint_parts.get(&id)).min(place)
}

/// The share of its clients that a state leaves to an endpoint which is not in a ramp.
pub(super) fn unramped(state: State) -> Part {
    if state == State::Draining { Part::NONE } else { Part::FULL }
}

/// How many members an answer of this pool is to have.
fn picks(pool: &Pool) -> Picks {
    match (&pool.policy, pool.answers) {
        (Policy::All, _) | (_, Answers::All) => Picks::All,
        (_, Answers::Count(count)) => Picks::Count(count.get() as usize),
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
