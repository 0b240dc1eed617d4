//! The search: what each pool of a tree comes to under given conditions, for one family and one area.

use std::{collections::HashMap, hash::Hasher, net::IpAddr, sync::Arc};

use siphasher::sip::SipHasher13;

use super::{
    chart::{Answer, Family, Plight, Rdata, SrvRdata},
    conditions::Conditions,
    datacenter::State,
    endpoint::{Force, Host, Target},
    policy::{self, Ballot, Finding, Selection, Tier},
    pool::{Answers, Member, MemberKind, MinUp, Policy, Pool, Spread},
    preference::Sight,
    resolved::UNKNOWN,
    slots::{self, Slots, Stake},
    topology::{AliasId, EndpointId, PoolId, ProbeId, Topology},
    wheel::{Choice, Wheel},
};

/// Tables of slots by the weights they hold: wheels of equal weights share one.
pub(super) type SlotTables = HashMap<(Vec<Vec<u32>>, usize), Arc<Slots>>;

/// Of these, and of turn counters, as many may lie unused: what flaps comes back to them.
const SPARE: usize = 64;

/// Turn counters by the pool and the members in turn: a wheel made anew counts on where the last one was.
#[derive(Debug, Default)]
pub(super) struct TurnCounters {
    known: HashMap<(PoolId, Family, Vec<u16>), Arc<u32>>,
    /// Numbers given up, to be given again.
    free: Vec<u32>,
    count: usize,
}

/// A pool, how a client picks from it, and of each member selected: its group, its position, and the identity of what it came to.
type WheelKey = (PoolId, Spread, Vec<(u16, u16, usize)>);

/// What outlives one compilation.
#[derive(Debug, Default)]
pub(super) struct Stores {
    pub slot_tables: SlotTables,
    pub turns: TurnCounters,
}

impl Stores {
    /// Forgets what no wheel uses any more, but for a few: endless flapping among many members must not fill the memory.
    pub(super) fn prune(&mut self) {
        if self.slot_tables.len() > SPARE {
            self.slot_tables.retain(|_, slots| Arc::strong_count(slots) > 1);
        }
        self.turns.prune();
    }
}

impl TurnCounters {
    /// Counters are numbered below this.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    fn of(&mut self, pool: PoolId, family: Family, members: Vec<u16>) -> Arc<u32> {
        let Self { known, free, count } = self;
        let new = || {
            let number = free.pop().unwrap_or_else(|| {
                *count += 1;
                *count as u32 - 1
            });
            Arc::new(number)
        };
        Arc::clone(known.entry((pool, family, members)).or_insert_with(new))
    }

    fn prune(&mut self) {
        if self.known.len() > SPARE {
            let unused = self.known.extract_if(|_, number| Arc::strong_count(number) == 1);
            self.free.extend(unused.map(|(_, number)| *number));
        }
    }
}

/// What a pool is searched with beside its members: what the client's area makes of the geographic pools.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub family: Family,
    pub plight: Plight,
    /// The geographic pools, and what the area makes of each.
    pub pools: &'a [PoolId],
    pub sights: &'a [Sight],
    /// Members without an address of the family count too, and come to NODATA. So it must be where a CNAME may be answered.
    pub counts_other_family: bool,
    /// Every wheel picks by the client's prefix, whatever its pool's spread.
    pub by_client: bool,
}

impl View<'_> {
    /// How a client picks from a pool's wheel.
    pub(super) fn spread(&self, pool: &Pool) -> Spread {
        if self.by_client { Spread::Client } else { pool.spread }
    }
}

/// One compilation's memory. Made for one set of conditions and thrown away with it.
pub(super) struct Search<'a> {
    topology: &'a Topology,
    conditions: &'a Conditions,
    stores: &'a mut Stores,
    /// By endpoint, family and plight, and whether it counts without an address of the family.
    endpoints: HashMap<(EndpointId, Family, Plight, bool), Finding>,
    /// By pool, family and plight, and whether members count without an address of the family, and whether all is by client: pools that geography has
    /// no part in.
    pools: HashMap<(PoolId, Family, Plight, bool, bool), Finding>,
    wheels: HashMap<WheelKey, Arc<Wheel>>,
}

/// What a pool's policy picked.
pub(super) struct Election {
    /// Enough members are usable; where not, nobody is picked.
    pub meets_min_up: bool,
    /// The members picked.
    pub selection: Selection,
    /// What each member that the policy looked at came to.
    pub found: Vec<Option<Finding>>,
    /// The least time until a verdict that the pick hangs on could flip, in seconds.
    pub flips_in_secs: u32,
}

impl<'a> Search<'a> {
    pub(super) fn new(topology: &'a Topology, conditions: &'a Conditions, stores: &'a mut Stores) -> Self {
        Self { topology, conditions, stores, endpoints: HashMap::new(), pools: HashMap::new(), wheels: HashMap::new() }
    }

    /// What a service comes to that turns to this pool, and the view that it was found in. A CNAME stands for every type
    /// (RFC 1034 section 3.6.2): it is answered for one family only where members of the other do not come before it,
    /// lest resolvers that keep it follow it for those too.
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
        let Election { selection, found, flips_in_secs, .. } = self.elect(id, view);
        let Some(&first) = selection.groups.first().and_then(|group| group.first()) else {
            return Finding { deliberate: selection.deliberate, ..Finding::nothing(flips_in_secs) };
        };
        let tier = found[usize::from(first)].as_ref().map_or(Tier::Primary, |finding| finding.tier);
        let choice = self.choice(id, view, &selection.groups, &found);
        Finding { choice, tier, flips_in_secs, deliberate: false }
    }

    /// Has a pool's policy pick among its members.
    pub(super) fn elect(&mut self, id: PoolId, view: View<'_>) -> Election {
        let topology = self.topology;
        let pool = &topology.pools[id.index()];
        let mut found: Vec<Option<Finding>> = vec![None; pool.members.len()];
        let min_up_flips = match self.meets_min_up(pool, view) {
            Ok(flips) => flips,
            Err(flips_in_secs) => {
                return Election { meets_min_up: false, selection: Selection::default(), found, flips_in_secs };
            }
        };
        let sight = view.pools.iter().position(|&at| at == id).and_then(|at| view.sights.get(at));
        let mut look = |at: usize| {
            let finding = self.member(&pool.members[at], view);
            found[at] = Some(finding.clone());
            finding
        };
        let mut ballot = Ballot::new(pool.members.len(), &mut look);
        let selection = policy::select(&pool.policy, sight, wanted(pool), &mut ballot);
        let flips_in_secs = ballot.flips_in_secs().min(min_up_flips);
        Election { meets_min_up: true, selection, found, flips_in_secs }
    }

    /// What a member comes to: its weight can make it a standby.
    pub(super) fn member(&mut self, member: &Member, view: View<'_>) -> Finding {
        let mut finding = match member.kind {
            MemberKind::Endpoint(id) => self.endpoint(id, view),
            MemberKind::Pool(id) => self.pool(id, view),
        };
        if member.weight == 0 {
            finding.tier = Tier::Standby;
        }
        finding
    }

    /// `Ok` while enough members are usable, whatever their family; the seconds until a verdict could change that.
    fn meets_min_up(&mut self, pool: &Pool, view: View<'_>) -> Result<u32, u32> {
        let one = MinUp::Members(std::num::NonZeroU32::MIN);
        if pool.min_up == one || view.plight != Plight::None {
            return Ok(u32::MAX);
        }
        let (mut up, mut weight_up, mut weight, mut flips) = (0, 0, 0, u32::MAX);
        for member in &pool.members {
            let either = [Family::V4, Family::V6].map(|family| self.member(member, View { family, ..view }));
            weight += u32::from(member.weight);
            flips = either.iter().map(|finding| finding.flips_in_secs).fold(flips, u32::min);
            if either.iter().any(|finding| finding.choice.is_some()) {
                up += 1;
                weight_up += u32::from(member.weight);
            }
        }
        let is_met = match pool.min_up {
            MinUp::Members(least) => up >= least.get(),
            MinUp::Share(least) => f64::from(weight_up) >= least * f64::from(weight),
        };
        if is_met { Ok(flips) } else { Err(flips) }
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
            (Target::Addresses(addresses), _) => !addresses.iter().any(|&address| family.holds(address)),
            (Target::Alias(_), Some(alias)) => self.conditions.resolved(alias).lacks(family),
            (Target::Cname(_) | Target::Alias(_) | Target::Host(_), _) => false,
        }
    }

    /// Whether an alias may come to addresses of the family: it has some, or nothing is known of it yet.
    pub(super) fn may_have(&self, alias: AliasId, family: Family) -> bool {
        !self.conditions.resolved(alias).lacks(family)
    }

    fn find_endpoint(&self, id: EndpointId, family: Family, plight: Plight, counts_empty: bool) -> Finding {
        let endpoint = &self.topology.endpoints[id.index()];
        let state = state_of(self.topology, self.conditions, id);
        let is_open = match state {
            State::Active | State::Standby => endpoint.force != Some(Force::Down) || plight >= Plight::Drained,
            State::Draining => plight >= Plight::Drained,
            State::Disabled => plight == Plight::Disabled,
        };
        if !is_open {
            return Finding::nothing(u32::MAX);
        }
        let trusts_all = plight != Plight::None || endpoint.force == Some(Force::Up);
        let mut flips_in_secs = u32::MAX;
        let mut may_answer = |probe: Option<ProbeId>| {
            let standing = self.conditions.standing(probe);
            if !trusts_all {
                flips_in_secs = standing.flips_in_secs.map_or(flips_in_secs, |secs| flips_in_secs.min(secs));
            }
            trusts_all || standing.verdict.is_usable()
        };
        let probes = &self.topology.probes_of[id.index()];
        let rdata = match &endpoint.target {
            Target::Cname(name) => may_answer(probes[0]).then(|| Rdata::Cname(name.as_wire().into())),
            Target::Host(host) => may_answer(probes[0]).then(|| {
                let Host { name, port, priority, weight } = host;
                let (priority, weight, port) = (*priority, *weight, *port);
                Rdata::Srv(SrvRdata { priority, weight, port, target: name.as_wire().into() })
            }),
            Target::Alias(_) => {
                let may_answer = may_answer(probes[0]);
                let alias = self.topology.alias_of[id.index()];
                let resolved = alias.map_or(&UNKNOWN, |alias| self.conditions.resolved(alias));
                flips_in_secs = flips_in_secs.min(resolved.ttl_secs());
                let has_some = resolved.addresses().iter().any(|&address| counts_empty || family.holds(address));
                (may_answer && has_some).then(|| rdata_of(resolved.addresses(), family))
            }
            Target::Addresses(addresses) => {
                let of_family =
                    addresses.iter().zip(probes).filter(|(address, _)| counts_empty || family.holds(**address));
                let usable: Vec<IpAddr> =
                    of_family.filter(|(_, probe)| may_answer(**probe)).map(|(address, _)| *address).collect();
                (!usable.is_empty()).then(|| rdata_of(&usable, family))
            }
        };
        let datacenter = endpoint.datacenters.first().copied();
        Finding {
            choice: rdata.map(|rdata| Choice::Answer(Arc::new(Answer { datacenter, rdata }))),
            tier: if state == State::Standby { Tier::Standby } else { Tier::Primary },
            flips_in_secs,
            deliberate: false,
        }
    }

    /// The wheel over what was selected, or the one thing that was.
    fn choice(&mut self, id: PoolId, view: View<'_>, groups: &[Vec<u16>], found: &[Option<Finding>]) -> Option<Choice> {
        let chosen = |member: u16| found[usize::from(member)].as_ref().and_then(|finding| finding.choice.as_ref());
        if let [group] = groups
            && let [member] = group[..]
        {
            return chosen(member).cloned();
        }
        let identity = |(at, group): (usize, &Vec<u16>)| -> Vec<(u16, u16, usize)> {
            group.iter().map(|&member| (at as u16, member, chosen(member).map_or(0, Choice::identity))).collect()
        };
        let spread = view.spread(&self.topology.pools[id.index()]);
        let key = (id, spread, groups.iter().enumerate().flat_map(identity).collect());
        if let Some(wheel) = self.wheels.get(&key) {
            return Some(Choice::Wheel(Arc::clone(wheel)));
        }
        let choices: Option<Box<[Choice]>> = groups.iter().flatten().map(|&member| chosen(member).cloned()).collect();
        let wheel = Arc::new(self.wheel(id, (view.family, spread), groups, choices?));
        self.wheels.insert(key, Arc::clone(&wheel));
        Some(Choice::Wheel(wheel))
    }

    fn wheel(
        &mut self,
        id: PoolId,
        (family, spread): (Family, Spread),
        groups: &[Vec<u16>],
        choices: Box<[Choice]>,
    ) -> Wheel {
        let pool = &self.topology.pools[id.index()];
        let salt = stable_hash(pool.name.as_bytes());
        let picks = wanted(pool).min(choices.len());
        let stakes: Vec<Vec<Stake>> =
            groups.iter().map(|group| group.iter().map(|&member| self.stake(pool, member)).collect()).collect();
        let slots = if spread == Spread::Client {
            let configured: Vec<Stake> = (0..pool.members.len() as u16).map(|at| self.stake(pool, at)).collect();
            Arc::new(slots::steady(&stakes, picks, salt, &configured))
        } else {
            let weights = stakes.iter().map(|group| group.iter().map(|stake| stake.weight).collect()).collect();
            let tables = &mut self.stores.slot_tables;
            Arc::clone(tables.entry((weights, picks)).or_insert_with(|| Arc::new(slots::exact(&stakes, picks))))
        };
        let turn = (spread == Spread::Turn).then(|| self.stores.turns.of(id, family, groups.concat()));
        Wheel { spread, slots, choices, salt, turn, is_ranked: groups.len() > 1 && picks > 1 }
    }

    fn stake(&self, pool: &Pool, member: u16) -> Stake {
        let member = &pool.members[usize::from(member)];
        let name = match member.kind {
            MemberKind::Endpoint(id) => &self.topology.endpoints[id.index()].name,
            MemberKind::Pool(id) => &self.topology.pools[id.index()].name,
        };
        // Standbys share alike whether they are so by weight 0 or by state.
        Stake { id: stable_hash(name.as_bytes()), weight: u32::from(member.weight).max(1) }
    }
}

/// An endpoint's state: its own or its datacenter's, the stricter of the two. One that names a region has the mildest of
/// the region's datacenters.
pub(super) fn state_of(topology: &Topology, conditions: &Conditions, id: EndpointId) -> State {
    let strictness = |state: &State| match state {
        State::Active => 0,
        State::Standby => 1,
        State::Draining => 2,
        State::Disabled => 3,
    };
    let endpoint = &topology.endpoints[id.index()];
    let of_datacenter = |id: &super::DatacenterId| conditions.datacenters.get(id.index()).copied();
    let place = endpoint.datacenters.iter().filter_map(of_datacenter).min_by_key(strictness).unwrap_or_default();
    std::cmp::max_by_key(endpoint.state, place, strictness)
}

/// How many members an answer of this pool is to have.
fn wanted(pool: &Pool) -> usize {
    match (&pool.policy, pool.answers) {
        (Policy::All, _) | (_, Answers::All) => pool.members.len().max(1),
        (_, Answers::Count(count)) => count.get() as usize,
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
fn stable_hash(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0, 0);
    hasher.write(bytes);
    hasher.finish()
}
