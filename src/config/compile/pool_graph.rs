//! Checks how pools are nested: no cycles, not too deep, not too wide, and each pool able to apply
//! its policy.

use super::{
    answer_size::LargestAnswer,
    pools::CompiledPools,
    topological_order::{Cycle, topological_order},
};
use crate::{
    config::{
        place::SourcePlace,
        problems::Problems,
        quoted::Quoted,
        spec::{DatacenterSpec, MemberTarget, OnAllDownSpec, PolicyName, PoolSpec},
    },
    steer::{AnswerCount, EndpointTarget, MemberKind, MinUp, Policy, Pool},
};

/// The maximum depth of nested pools.
const MAX_DEPTH: u32 = 16;
/// The maximum number of endpoints of one pool with all pools in it: a wheel numbers its members
/// with 16 bits, and has at most 65,536 slots.
const MAX_ENDPOINTS: u64 = 65_535;

/// A summary of everything below a pool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct PoolSubtree {
    /// The number of nested levels, including the pool itself.
    depth: u32,
    /// The number of endpoints, each counted once for each path that leads to it.
    endpoints: u64,
    /// The number of CNAME endpoints among them.
    cnames: u64,
    /// The place of the first CNAME endpoint.
    pub(super) first_cname: Option<SourcePlace>,
    /// The places of the first SRV host, and of the first endpoint that is not one.
    pub(super) first_with_port: Option<SourcePlace>,
    pub(super) first_without_port: Option<SourcePlace>,
    /// The size of the largest answer.
    pub(super) largest_answer: LargestAnswer,
    /// Whether an endpoint is in a datacenter with a location. A location that cannot be read
    /// counts, because it has been reported.
    has_location: bool,
}

/// The pools of a configuration, each list by pool.
#[derive(Clone, Copy)]
pub(super) struct PoolGraph<'p> {
    /// The pools as written: named ones, then the inline pools of services.
    pub(super) specs: &'p [&'p PoolSpec],
    pub(super) compiled: &'p CompiledPools,
    pub(super) subtrees: &'p [PoolSubtree],
}

/// Checks all pools, and returns the summary of each.
pub(super) fn check(
    specs: &[&PoolSpec],
    compiled: &CompiledPools,
    datacenters: &[DatacenterSpec],
    problems: &mut Problems,
) -> Vec<PoolSubtree> {
    let mut subtrees = vec![PoolSubtree::default(); specs.len()];
    for index in order_by_nesting(specs, compiled, problems) {
        subtrees[index] = pool_subtree(
            &compiled.pools[index],
            &compiled.member_places[index],
            compiled,
            datacenters,
            &subtrees,
        );
        subtrees[index].largest_answer =
            LargestAnswer::for_pool(&compiled.pools[index], compiled, |inner| {
                subtrees[inner.index()].largest_answer
            });
        check_size(specs[index], subtrees[index], problems);
        check_members(specs[index], &compiled.pools[index], problems);
        check_answers(specs[index], subtrees[index], problems);
        check_strict(specs, &compiled.pools[index], &compiled.member_places[index], problems);
        check_nearest(
            specs[index],
            &compiled.pools[index],
            &compiled.member_places[index],
            compiled,
            datacenters,
            &subtrees,
            problems,
        );
    }
    subtrees
}

/// The pools, each after those in it. Cycles are reported and cut.
fn order_by_nesting(
    specs: &[&PoolSpec],
    compiled: &CompiledPools,
    problems: &mut Problems,
) -> Vec<usize> {
    let child = |pool: usize, position: usize| {
        compiled.pools[pool].members.get(position).map(|member| match member.kind {
            MemberKind::Pool(inner) => Some(inner.index()),
            MemberKind::Endpoint(_) => None,
        })
    };
    topological_order(specs.len(), child, |Cycle { nodes, closing_child }| {
        let place = nodes.last().map(|pool| compiled.member_places[*pool][closing_child]);
        place.into_iter().for_each(|place| report_cycle(specs, nodes, place, problems));
    })
}

fn report_cycle(specs: &[&PoolSpec], cycle: &[usize], place: SourcePlace, problems: &mut Problems) {
    const SHOWN: usize = 12;
    let name = |&pool: &usize| specs[pool].name.value.to_string();
    let mut path: Vec<_> = cycle.iter().take(SHOWN).map(name).collect();
    if cycle.len() > SHOWN {
        path.push("...".into());
    }
    path.extend(cycle.first().map(name));
    let first = path.last().cloned().unwrap_or_default();
    problems
        .error(place, format!("pool {} contains itself: {}", Quoted(&first), path.join(" -> ")))
        .help("take one of the pools out of the other's members");
}

/// Finds `on-all-down` pools that lead back to the pool that they replace.
pub(super) struct FallbackCheck<'c> {
    pub(super) specs: &'c [&'c PoolSpec],
    pub(super) compiled: &'c CompiledPools,
    /// The pool that each pool's `on-all-down` names, by pool.
    pub(super) fallback_pools: &'c [Option<usize>],
}

impl FallbackCheck<'_> {
    /// Reports each pool whose `on-all-down` leads back to it, directly or through those of other
    /// pools.
    pub(super) fn check_pools(&self, problems: &mut Problems) {
        for pool in 0..self.specs.len() {
            let mut path = vec![pool];
            while let Some(next) = path.last().and_then(|last| self.fallback_pools[*last]) {
                let place = match &self.specs[pool].on_all_down {
                    Some(OnAllDownSpec::Pool(name)) => name.place,
                    _ => break,
                };
                if self.contains_only(next, pool, 0) {
                    // A cycle of several pools is reported once, at the first of them.
                    if path.iter().all(|other| pool <= *other) {
                        path.push(next);
                        self.report(&path, pool, place, problems);
                    }
                    break;
                }
                if path.contains(&next) {
                    break;
                }
                path.push(next);
            }
        }
    }

    /// Reports a service whose `on-all-down` is the pool that it uses anyway.
    pub(super) fn check_service(
        &self,
        pool: usize,
        other: usize,
        place: SourcePlace,
        problems: &mut Problems,
    ) {
        if self.contains_only(other, pool, 0) {
            self.report(&[pool, other], pool, place, problems);
        }
    }

    fn report(&self, path: &[usize], pool: usize, place: SourcePlace, problems: &mut Problems) {
        let name = |pool: &usize| self.specs[*pool].name.value.to_string();
        let mut names: Vec<String> = path.iter().map(name).collect();
        if path.last() != Some(&pool) {
            names.push(name(&pool));
        }
        problems
            .error(place, format!("`on-all-down` leads back to pool {}, which is down then: {}", Quoted(&name(&pool)), names.join(" -> ")))
            .help("name a pool with other members, or write \"all\" to answer all members when all are down, or \"empty\"");
    }

    /// Whether a pool is `sought`, or contains nothing else.
    fn contains_only(&self, pool: usize, sought: usize, depth: u32) -> bool {
        let members = &self.compiled.pools[pool].members;
        let leads_there = |kind| match kind {
            MemberKind::Pool(child) => self.contains_only(child.index(), sought, depth + 1),
            MemberKind::Endpoint(_) => false,
        };
        pool == sought
            || depth < MAX_DEPTH
                && !members.is_empty()
                && members.iter().all(|member| leads_there(member.kind))
    }
}

fn pool_subtree(
    pool: &Pool,
    places: &[SourcePlace],
    compiled: &CompiledPools,
    datacenters: &[DatacenterSpec],
    subtrees: &[PoolSubtree],
) -> PoolSubtree {
    let mut sum = PoolSubtree { depth: 1, ..PoolSubtree::default() };
    for (member, place) in pool.members.iter().zip(places) {
        let below = member_subtree(member.kind, *place, compiled, datacenters, subtrees);
        sum.depth = sum.depth.max(below.depth.saturating_add(1));
        sum.endpoints = sum.endpoints.saturating_add(below.endpoints);
        sum.cnames = sum.cnames.saturating_add(below.cnames);
        sum.first_cname = sum.first_cname.or(below.first_cname);
        sum.first_with_port = sum.first_with_port.or(below.first_with_port);
        sum.first_without_port = sum.first_without_port.or(below.first_without_port);
        sum.has_location |= below.has_location;
    }
    sum
}

fn member_subtree(
    kind: MemberKind,
    place: SourcePlace,
    compiled: &CompiledPools,
    datacenters: &[DatacenterSpec],
    subtrees: &[PoolSubtree],
) -> PoolSubtree {
    match kind {
        MemberKind::Pool(child) => subtrees[child.index()],
        MemberKind::Endpoint(id) => {
            let endpoint = &compiled.endpoints[id.index()];
            let is_cname = matches!(endpoint.target, EndpointTarget::Cname(_));
            let is_host = matches!(endpoint.target, EndpointTarget::Host(_));
            PoolSubtree {
                depth: 0,
                endpoints: 1,
                cnames: u64::from(is_cname),
                first_cname: is_cname.then_some(place),
                first_with_port: is_host.then_some(place),
                first_without_port: (!is_host).then_some(place),
                largest_answer: LargestAnswer::default(),
                has_location: endpoint
                    .datacenters
                    .iter()
                    .any(|dc| datacenters[dc.index()].has_location),
            }
        }
    }
}

fn check_size(spec: &PoolSpec, subtree: PoolSubtree, problems: &mut Problems) {
    let name = Quoted(&spec.name.value);
    // Reported once, for the pool at which the bound is first exceeded.
    if subtree.depth == MAX_DEPTH + 1 {
        problems
            .error(
                spec.name.place,
                format!("pools are nested more than {MAX_DEPTH} deep below pool {name}"),
            )
            .help("name the inner pools' endpoints directly");
    }
    if subtree.endpoints > MAX_ENDPOINTS {
        problems
            .error(
                spec.name.place,
                format!(
                    "pool {name} holds {} endpoints with all pools in it; the maximum is {MAX_ENDPOINTS}",
                    subtree.endpoints
                ),
            )
            .help("a pool that is contained several times counts each time");
    }
}

/// Checks the number and the weights of a pool's members.
pub(super) fn check_members(spec: &PoolSpec, pool: &Pool, problems: &mut Problems) {
    let count = pool.members.len();
    let written = spec.members.as_ref().map_or(count, Vec::len);
    if !spec.is_complete || count == 0 || count != written {
        return;
    }
    if let (Some(min_up), MinUp::Members(least)) = (&spec.min_up, pool.min_up)
        && least.get() as usize > count
    {
        problems
            .error(
                min_up.place,
                format!(
                    "pool {} has {count} members and requires {least} of them up",
                    Quoted(&spec.name.value)
                ),
            )
            .help(format!("it could never be used; `min-up` is at most {count}"));
    }
    let is_geo = matches!(pool.policy, Policy::Geo { .. });
    if !is_geo && pool.members.iter().all(|member| member.weight == 0) {
        problems
            .error(spec.name.place, format!("every member of pool {} has weight 0", Quoted(&spec.name.value)))
            .help("weight 0 is standby: used when nothing else is usable; write 1 or more for members that serve");
    }
}

/// Checks that an answer does not combine a CNAME with other records: it is the only record of its
/// name (RFC 1034 section 3.6.2).
fn check_answers(spec: &PoolSpec, subtree: PoolSubtree, problems: &mut Problems) {
    let puts_several = spec.policy.value == PolicyName::All
        || spec.answers.value != AnswerCount::Count(std::num::NonZeroU32::MIN);
    if let (true, true, Some(cname)) = (puts_several, subtree.endpoints > 1, subtree.first_cname) {
        let name = Quoted(&spec.name.value);
        let message = match subtree.cnames == subtree.endpoints {
            true => format!("pool {name} would put several CNAMEs into one answer"),
            false => format!("pool {name} would put a CNAME beside addresses into one answer"),
        };
        problems
            .error(cname, message)
            .label("the CNAME")
            .also(if spec.policy.value == PolicyName::All { spec.policy.place } else { spec.answers.place }, "several endpoints in one answer")
            .help("a CNAME stands alone: answer one endpoint at a time (answers = 1 and a policy other than \"all\"), or use addresses");
    }
}

/// Reports strict rules in a nested `geo` pool: if the pool's choice is empty, the outer pool uses
/// its next member, and so the rule would not be strict.
fn check_strict(specs: &[&PoolSpec], pool: &Pool, places: &[SourcePlace], problems: &mut Problems) {
    for (member, &place) in pool.members.iter().zip(places) {
        let MemberKind::Pool(inner) = member.kind else { continue };
        let Some(strict) = specs[inner.index()].rules.iter().find_map(|rule| rule.strict) else {
            continue;
        };
        let (inner, outer) = (Quoted(&specs[inner.index()].name.value), Quoted(&pool.name));
        problems
            .error(place, format!("pool {inner} has a strict rule, and pool {outer} would send its clients elsewhere"))
            .also(strict, "the strict rule")
            .help("name a pool with strict rules in a service directly, or omit `strict`");
    }
}

fn check_nearest(
    spec: &PoolSpec,
    pool: &Pool,
    places: &[SourcePlace],
    compiled: &CompiledPools,
    datacenters: &[DatacenterSpec],
    subtrees: &[PoolSubtree],
    problems: &mut Problems,
) {
    if spec.policy.value != PolicyName::Nearest {
        return;
    }
    for (member, &place) in pool.members.iter().zip(places) {
        if member_subtree(member.kind, place, compiled, datacenters, subtrees).has_location {
            continue;
        }
        let name = match member.kind {
            MemberKind::Pool(id) => &compiled.pools[id.index()].name,
            MemberKind::Endpoint(id) => &compiled.endpoints[id.index()].name,
        };
        // An undefined datacenter has been reported already.
        if spec
            .all_members()
            .any(|member| member.place == place && names_datacenter(&member.target))
            && is_unplaced(member.kind, compiled)
        {
            continue;
        }
        problems
            .error(place, format!("member {} of nearest pool {} has no location", Quoted(name), Quoted(&spec.name.value)))
            .help("add a `datacenter` to it, and to that datacenter location = { latitude = ..., longitude = ... }");
    }
}

fn names_datacenter(target: &MemberTarget) -> bool {
    matches!(target, MemberTarget::Endpoint(endpoint) if endpoint.datacenter.is_some())
}

fn is_unplaced(kind: MemberKind, compiled: &CompiledPools) -> bool {
    matches!(kind, MemberKind::Endpoint(id) if compiled.endpoints[id.index()].datacenters.is_empty())
}
