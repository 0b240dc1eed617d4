//! Neighbours: which pools the excess of a pool goes to. This depends on the topology and on the
//! members in service.

use std::collections::{BTreeSet, HashMap};

use super::fullness::{PoolLoad, even_fullness};
use crate::steer::{
    compile::{MatchedRules, biased_km, member_coordinates, raised_to_cover_all},
    model::{MemberKind, Policy, Pool, PoolId, Topology},
};

/// A pool whose members give clients to each other, if some of them have a capacity.
#[derive(Debug, Clone, PartialEq)]
struct ParentPool {
    id: PoolId,
    /// The orders in which clients are offered the members; `None` where they are offered all of
    /// them at once.
    orders: Option<Vec<Vec<usize>>>,
    is_by_distance: bool,
    members: Vec<CappedSubtree>,
}

/// The pools with a capacity at and below a member, by position in the group.
#[derive(Debug, Clone, PartialEq, Default)]
struct CappedSubtree {
    /// The member itself, if it is one of them.
    itself: Option<usize>,
    /// All of them: any may give clients to another member.
    all: Vec<usize>,
    /// Those that are below no other: they stand for the member's load. Where there is none its
    /// load is not known.
    outermost: Vec<usize>,
}

/// Pools that give clients to each other, directly or through others, by the pools that they are
/// members of.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::steer::feedback) struct Neighbours {
    parents: Vec<ParentPool>,
}

impl Neighbours {
    /// The neighbours among pools with a capacity, in groups that have nothing to do with each
    /// other: the positions in `capped`, and the neighbours by position in the group.
    pub(in crate::steer::feedback) fn group_pools(
        topology: &Topology,
        capped: &[PoolId],
    ) -> Vec<(Vec<usize>, Self)> {
        let parents: Vec<ParentPool> = topology
            .pools
            .iter()
            .zip((0..).map(PoolId))
            .filter(|(pool, _)| pool.members.len() > 1 && pool.policy != Policy::All)
            .map(|(pool, id)| ParentPool {
                id,
                orders: member_orders(topology, pool),
                is_by_distance: matches!(pool.policy, Policy::Nearest { .. }),
                members: pool
                    .members
                    .iter()
                    .map(|member| CappedSubtree::new(topology, capped, member.kind))
                    .collect(),
            })
            .filter(|parent| parent.members.iter().any(|below| !below.all.is_empty()))
            .collect();
        let mut group_of: Vec<usize> = (0..capped.len()).collect();
        for parent in &parents {
            let mut pools = parent.pools();
            let Some(first) = pools.next() else { continue };
            for pool in pools {
                let (from, to) = (group_of[pool], group_of[first]);
                group_of.iter_mut().filter(|group| **group == from).for_each(|group| *group = to);
            }
        }
        let groups: BTreeSet<usize> = group_of.iter().copied().collect();
        groups
            .into_iter()
            .map(|group| {
                let pools: Vec<usize> =
                    (0..capped.len()).filter(|&pool| group_of[pool] == group).collect();
                let in_group = |pool: usize| pools.iter().position(|&at| at == pool);
                let own = parents
                    .iter()
                    .filter(|parent| parent.pools().any(|pool| in_group(pool).is_some()));
                let parents = own.map(|parent| parent.renumbered(&in_group)).collect();
                (pools, Self { parents })
            })
            .collect()
    }

    /// The pools whose members give clients to each other.
    pub(in crate::steer::feedback) fn parents(&self) -> impl Iterator<Item = PoolId> {
        self.parents.iter().map(|parent| parent.id)
    }

    /// Which of so many pools can give clients to which; `serving` says for each parent whether
    /// each member answers clients.
    pub(in crate::steer::feedback) fn spill_flows(
        &self,
        pools: usize,
        serving: &[Vec<bool>],
        holders: &HashMap<PoolId, u16>,
    ) -> Flows {
        let nobody = Receivers { is_by_weight: true, ..Receivers::default() };
        let mut flows = Flows { receivers: vec![nobody; pools], chains: Vec::new() };
        let parents: Vec<ParentPool> = self
            .in_service(serving)
            .into_iter()
            .map(|parent| parent.with_holder_first(holders))
            .collect();
        for (parent, serving) in parents.iter().zip(serving) {
            let is_serving = |at: usize| serving.get(at) == Some(&true);
            for at in (0..parent.members.len()).filter(|&at| is_serving(at)) {
                let ways = parent.next_choices(at, is_serving);
                for &giver in &parent.members[at].all {
                    let receivers = &mut flows.receivers[giver];
                    ways.iter().flatten().for_each(|&taker| receivers.add(&parent.members[taker]));
                    // The first of an order takes what is given, and passes on what it has no room
                    // for.
                    let first = |way: &'_ Vec<usize>| -> Vec<usize> {
                        way.iter()
                            .copied()
                            .take(if parent.orders.is_some() { 1 } else { way.len() })
                            .collect()
                    };
                    let takes_part = ways.iter().any(|way| !way.is_empty());
                    receivers.is_by_weight &= parent.orders.is_none() || !takes_part;
                    receivers.is_by_distance |= parent.is_by_distance && takes_part;
                    receivers
                        .destinations
                        .extend(ways.iter().map(|way| {
                            SpillDestinations::to_members(&first(way), &parent.members)
                        }));
                }
            }
        }
        let chains = parents
            .iter()
            .zip(serving)
            .filter_map(|(parent, serving)| parent.failover_chain(serving));
        flows.chains = chains
            .filter(|chain| chain.last().is_some_and(|&last| flows.only_receives(last)))
            .collect();
        flows
    }

    /// The parents without the pools that answer clients in none of them: such pools have no
    /// clients to give.
    fn in_service(&self, serving: &[Vec<bool>]) -> Vec<ParentPool> {
        let members = || {
            self.parents
                .iter()
                .zip(serving)
                .flat_map(|(parent, serving)| parent.members.iter().zip(serving))
        };
        let (mut serves, mut rests) = (BTreeSet::new(), BTreeSet::new());
        for (below, is_serving) in members() {
            below.itself.into_iter().for_each(|pool| {
                _ = if *is_serving { serves.insert(pool) } else { rests.insert(pool) }
            });
        }
        let in_service =
            |pool: usize| Some(pool).filter(|pool| serves.contains(pool) || !rests.contains(pool));
        self.parents.iter().map(|parent| parent.renumbered(&in_service)).collect()
    }
}

/// The orders in which a pool's clients are offered its members; `None` where by weight. Those of a
/// `nearest` pool are not known without the clients: they are taken to be as far from the members
/// as the nearest of these is.
fn member_orders(topology: &Topology, pool: &Pool) -> Option<Vec<Vec<usize>>> {
    let count = pool.members.len();
    match &pool.policy {
        Policy::Weighted | Policy::Load(_) | Policy::All => None,
        Policy::Failover => Some(vec![(0..count).collect()]),
        Policy::Nearest { .. } => {
            let places: Vec<_> =
                pool.members.iter().map(|member| member_coordinates(topology, member)).collect();
            let order = |from: usize| {
                let km = |to: usize| {
                    let from = places[from].first().copied();
                    from.map_or(f64::INFINITY, |from| {
                        biased_km(&places[to], pool.members[to].bias, from)
                    })
                };
                let mut others: Vec<usize> = (0..count).filter(|&other| other != from).collect();
                others.sort_by(|&a, &b| km(a).total_cmp(&km(b)));
                [from].into_iter().chain(others).collect()
            };
            Some((0..count).map(order).collect())
        }
        Policy::Geo { rules, default } => {
            let by_rule = rules
                .iter()
                .map(|rule| MatchedRules::new(std::slice::from_ref(rule), &[0]).order(default));
            let orders = by_rule.chain([MatchedRules::new(&[], &[]).order(default)]);
            let orders: BTreeSet<Vec<usize>> =
                orders.map(|order| order.into_iter().map(usize::from).collect()).collect();
            Some(orders.into_iter().collect())
        }
    }
}

impl ParentPool {
    /// The same where clients stay with a member although one before it is usable: it comes first.
    fn with_holder_first(mut self, holders: &HashMap<PoolId, u16>) -> Self {
        if let Some(&holder) = holders.get(&self.id) {
            let holder = usize::from(holder);
            for order in self.orders.iter_mut().flatten() {
                order.retain(|&at| at != holder);
                order.insert(0, holder);
            }
        }
        self
    }

    /// Where the clients of a member can go, by order: those in service, the next choice first.
    fn next_choices(&self, member: usize, is_serving: impl Fn(usize) -> bool) -> Vec<Vec<usize>> {
        let Some(orders) = &self.orders else {
            let others =
                (0..self.members.len()).filter(|&other| other != member && is_serving(other));
            return vec![others.collect()];
        };
        let behind = |order: &Vec<usize>| -> Option<Vec<usize>> {
            let at = order.iter().position(|&at| at == member)?;
            Some(order[at + 1..].iter().copied().filter(|&other| is_serving(other)).collect())
        };
        // Its own clients are those whose first choice it is. Others come to it only when they are
        // given away.
        let own: Vec<_> = orders
            .iter()
            .filter(|order| order.first() == Some(&member))
            .filter_map(behind)
            .collect();
        if own.is_empty() { orders.iter().filter_map(behind).collect() } else { own }
    }

    /// The pools in service in the order in which every client is offered them, if each member is
    /// one and there is one order.
    fn failover_chain(&self, serving: &[bool]) -> Option<Vec<usize>> {
        let [order] = self.orders.as_deref()? else { return None };
        let members = order.iter().filter(|&&at| serving.get(at) == Some(&true));
        members
            .map(|&at| if let [pool] = self.members[at].outermost[..] { Some(pool) } else { None })
            .collect()
    }

    fn pools(&self) -> impl Iterator<Item = usize> {
        self.members.iter().flat_map(|below| below.all.iter().copied())
    }

    fn renumbered(&self, number: &impl Fn(usize) -> Option<usize>) -> Self {
        let renumber = |pools: &[usize]| pools.iter().filter_map(|&pool| number(pool)).collect();
        let below = |below: &CappedSubtree| CappedSubtree {
            itself: below.itself.and_then(number),
            all: renumber(&below.all),
            outermost: renumber(&below.outermost),
        };
        Self {
            orders: self.orders.clone(),
            members: self.members.iter().map(below).collect(),
            ..*self
        }
    }
}

impl CappedSubtree {
    fn new(topology: &Topology, capped: &[PoolId], kind: MemberKind) -> Self {
        let own = |kind| match kind {
            MemberKind::Pool(id) => capped.iter().position(|capped| *capped == id),
            MemberKind::Endpoint(_) => None,
        };
        let mut below = Self { itself: own(kind), ..Self::default() };
        let mut open = vec![(kind, true)];
        while let Some((kind, is_outermost)) = open.pop() {
            let MemberKind::Pool(id) = kind else { continue };
            let position = own(MemberKind::Pool(id));
            if let Some(position) = position.filter(|position| !below.all.contains(position)) {
                below.all.push(position);
                below.outermost.extend(is_outermost.then_some(position));
            }
            let is_outermost = is_outermost && position.is_none();
            open.extend(
                topology.pools[id.index()].members.iter().map(|member| (member.kind, is_outermost)),
            );
        }
        below
    }
}

/// Who takes what each pool of a group gives away.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::steer::feedback) struct Flows {
    receivers: Vec<Receivers>,
    /// Pools in the order in which every client is offered them, behind the last of which there is
    /// nobody.
    chains: Vec<Vec<usize>>,
}

/// Who takes what one pool gives away.
#[derive(Debug, Clone, PartialEq, Default)]
struct Receivers {
    pools: BTreeSet<usize>,
    /// A member of unknown load takes clients, too. It counts as having room.
    has_unknown: bool,
    /// All of them take clients at once, by weight.
    is_by_weight: bool,
    /// Some clients leave in the order of what they lose by it.
    is_by_distance: bool,
    /// One for each pool that it is a member of: where its clients go at first.
    destinations: Vec<SpillDestinations>,
}

/// Where clients go that a member gives away: to these pools, or to so many members of which no
/// load is known.
#[derive(Debug, Clone, PartialEq)]
struct SpillDestinations {
    pools: Vec<usize>,
    unknown_members: usize,
}

impl SpillDestinations {
    fn to_members(members: &[usize], below: &[CappedSubtree]) -> Self {
        let pools = members.iter().flat_map(|&at| below[at].outermost.iter().copied()).collect();
        Self {
            pools,
            unknown_members: members.iter().filter(|&&at| below[at].outermost.is_empty()).count(),
        }
    }
}

impl Receivers {
    fn add(&mut self, member: &CappedSubtree) {
        self.pools.extend(member.outermost.iter().copied());
        self.has_unknown |= member.outermost.is_empty();
    }
}

impl Flows {
    /// Whether anybody takes what a pool gives away.
    pub(in crate::steer::feedback) fn has_receivers(&self, pool: usize) -> bool {
        let receivers = &self.receivers[pool];
        receivers.has_unknown || !receivers.pools.is_empty()
    }

    /// The fullness at which a pool and those that take what it gives would be equally full; 0
    /// where one of them has an unknown load.
    pub(super) fn rest_fullness(&self, pool: usize, loads: &[Option<PoolLoad>]) -> f64 {
        let receivers = &self.receivers[pool];
        let all = receivers.pools.iter().chain([&pool]);
        let known: Option<Vec<&PoolLoad>> = all.map(|&at| loads[at].as_ref()).collect();
        known.filter(|_| !receivers.has_unknown).map_or(0.0, |known| even_fullness(&known))
    }

    /// What comes to each pool where these give so much, each in the unit of its own measure.
    pub(super) fn inflows(&self, given: &[f64], loads: &[Option<PoolLoad>]) -> Vec<f64> {
        let mut inflows = vec![0.0; given.len()];
        let size = |at: usize| loads[at].as_ref().map_or(0.0, |load| load.amount(load.target));
        for (giver, receivers) in self.receivers.iter().enumerate() {
            let Some(load) = &loads[giver] else { continue };
            let amount = load.amount(given[giver]) / receivers.destinations.len().max(1) as f64;
            for way in &receivers.destinations {
                let sizes: f64 = way.pools.iter().map(|&at| size(at)).sum();
                let mean = sizes / way.pools.len().max(1) as f64;
                let all = sizes + mean * way.unknown_members as f64;
                for &at in way.pools.iter().filter(|_| all > 0.0) {
                    let Some(load) = &loads[at] else { continue };
                    inflows[at] += load.level_of_amount(amount * size(at) / all);
                }
            }
        }
        inflows
    }

    /// What each pool keeps in effect: what nobody in a chain keeps is shared by all in proportion
    /// to what they take, and the last one is left with what comes.
    pub(super) fn redistribute_unkept(&self, keeps: &mut [f64]) {
        for chain in &self.chains {
            let parts: Vec<f64> = chain.iter().map(|&at| keeps[at]).collect();
            chain.iter().zip(raised_to_cover_all(&parts)).for_each(|(&at, keep)| keeps[at] = keep);
        }
    }

    /// The pools that give clients to each other by weight, and to nobody else, in sets: of what
    /// they keep only the proportions count.
    pub(super) fn closed_weighted_sets(&self) -> Vec<Vec<usize>> {
        let sets: BTreeSet<BTreeSet<usize>> = (0..self.receivers.len())
            .filter(|&pool| !self.receivers[pool].pools.is_empty())
            .map(|pool| self.receivers[pool].pools.iter().copied().chain([pool]).collect())
            .collect();
        let is_closed = |set: &BTreeSet<usize>| {
            set.iter().all(|pool| {
                let own = &self.receivers[*pool];
                own.is_by_weight
                    && !own.has_unknown
                    && own.pools.len() + 1 == set.len()
                    && own.pools.is_subset(set)
            })
        };
        sets.into_iter().filter(is_closed).map(|set| set.into_iter().collect()).collect()
    }

    /// Whether some of a pool's clients leave in the order of what they lose by it.
    pub(super) fn is_by_distance(&self, pool: usize) -> bool {
        self.receivers[pool].is_by_distance
    }

    /// Whether a pool takes what others give, and gives nothing itself.
    pub(super) fn only_receives(&self, pool: usize) -> bool {
        !self.has_receivers(pool)
            && self.receivers.iter().any(|receivers| receivers.pools.contains(&pool))
    }
}
