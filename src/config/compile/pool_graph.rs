//! The shape of the pools together: no cycles, not too deep, not too wide, and each pool able to do
//! what its policy says.

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

/// How many pools may be inside each other.
const MAX_DEPTH: u32 = 16;
/// How many endpoints one pool may hold with all pools in it: a wheel numbers its members with 16
/// bits, and has at most 65,536 slots.
const MAX_ENDPOINTS: u64 = 65_535;

/// What is below a pool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct PoolSubtree {
    /// How many pools are inside each other, itself included.
    depth: u32,
    /// Endpoints, counted once for each way that leads to them.
    endpoints: u64,
    /// CNAME endpoints among them.
    cnames: u64,
    /// Where the first of those is written.
    pub(super) first_cname: Option<SourcePlace>,
    /// Where the first host with a port is written, and the first endpoint that is none.
    pub(super) first_with_port: Option<SourcePlace>,
    pub(super) first_without_port: Option<SourcePlace>,
    /// The most that one answer holds.
    pub(super) largest_answer: LargestAnswer,
    /// Whether an endpoint is in a datacenter that has a location; one that cannot be read has been
    /// reported.
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

/// Checks all pools; yields what is below each, children before parents being no concern of the
/// caller.
pub(super) fn check(
    specs: &[&PoolSpec],
    compiled: &CompiledPools,
    datacenters: &[DatacenterSpec],
    problems: &mut Problems,
) -> Vec<PoolSubtree> {
    let mut reach = vec![PoolSubtree::default(); specs.len()];
    for at in order_by_nesting(specs, compiled, problems) {
        reach[at] = pool_subtree(
            &compiled.pools[at],
            &compiled.member_places[at],
            compiled,
            datacenters,
            &reach,
        );
        reach[at].largest_answer =
            LargestAnswer::for_pool(&compiled.pools[at], compiled, |inner| {
                reach[inner.index()].largest_answer
            });
        check_size(specs[at], reach[at], problems);
        check_members(specs[at], &compiled.pools[at], problems);
        check_answers(specs[at], reach[at], problems);
        check_strict(specs, &compiled.pools[at], &compiled.member_places[at], problems);
        check_nearest(
            specs[at],
            &compiled.pools[at],
            &compiled.member_places[at],
            compiled,
            datacenters,
            &reach,
            problems,
        );
    }
    reach
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

/// Where the `on-all-down` of a pool or a service leads back to the pool that it is to stand in
/// for.
pub(super) struct FallbackCheck<'c> {
    pub(super) specs: &'c [&'c PoolSpec],
    pub(super) compiled: &'c CompiledPools,
    /// The pool that each pool's `on-all-down` names.
    pub(super) fallback_pools: &'c [Option<usize>],
}

impl FallbackCheck<'_> {
    /// Reports each pool whose `on-all-down` leads back to it, by itself or by those of others.
    pub(super) fn check_pools(&self, problems: &mut Problems) {
        for pool in 0..self.specs.len() {
            let mut path = vec![pool];
            while let Some(next) = path.last().and_then(|last| self.fallback_pools[*last]) {
                let place = match &self.specs[pool].on_all_down {
                    Some(OnAllDownSpec::Pool(name)) => name.place,
                    _ => break,
                };
                if self.contains_only(next, pool, 0) {
                    // A circle of several pools is reported once, at the first of them.
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

    /// Reports a service whose own `on-all-down` is the pool that it has anyway.
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
        let name = |at: &usize| self.specs[*at].name.value.to_string();
        let mut names: Vec<String> = path.iter().map(name).collect();
        if path.last() != Some(&pool) {
            names.push(name(&pool));
        }
        problems
            .error(place, format!("`on-all-down` leads back to pool {}, which is down then: {}", Quoted(&name(&pool)), names.join(" -> ")))
            .help("name a pool with other members, or write \"all\" to answer all members when all are down, or \"empty\"");
    }

    /// Whether a pool is `sought`, or holds nothing but it.
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
    reach: &[PoolSubtree],
) -> PoolSubtree {
    let mut sum = PoolSubtree { depth: 1, ..PoolSubtree::default() };
    for (member, place) in pool.members.iter().zip(places) {
        let below = member_subtree(member.kind, *place, compiled, datacenters, reach);
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
    reach: &[PoolSubtree],
) -> PoolSubtree {
    match kind {
        MemberKind::Pool(child) => reach[child.index()],
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

fn check_size(spec: &PoolSpec, reach: PoolSubtree, problems: &mut Problems) {
    let name = Quoted(&spec.name.value);
    // Told once, of the pool where the bound is first passed.
    if reach.depth == MAX_DEPTH + 1 {
        problems
            .error(
                spec.name.place,
                format!("pools are more than {MAX_DEPTH} deep inside each other below pool {name}"),
            )
            .help("name the inner pools' endpoints directly");
    }
    if reach.endpoints > MAX_ENDPOINTS {
        problems
            .error(
                spec.name.place,
                format!(
                    "pool {name} holds {} endpoints with all pools in it; the maximum is {MAX_ENDPOINTS}",
                    reach.endpoints
                ),
            )
            .help("a pool that is reached by several ways counts as often");
    }
}

/// Numbers and weights of a pool's own members.
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
                    "pool {} has {count} members and wants {least} of them up",
                    Quoted(&spec.name.value)
                ),
            )
            .help(format!("it could never be used; `min-up` is at most {count}"));
    }
    let is_geo = matches!(pool.policy, Policy::Geo { .. });
    if !is_geo && pool.members.iter().all(|member| member.weight == 0) {
        problems
            .error(spec.name.place, format!("every member of pool {} has weight 0", Quoted(&spec.name.value)))
            .help("weight 0 is standby: used when nothing else is usable; give those that serve 1 or more");
    }
}

/// A CNAME stands alone at its name (RFC 1034 section 3.6.2), so it cannot share an answer.
fn check_answers(spec: &PoolSpec, reach: PoolSubtree, problems: &mut Problems) {
    let puts_several = spec.policy.value == PolicyName::All
        || spec.answers.value != AnswerCount::Count(std::num::NonZeroU32::MIN);
    if let (true, true, Some(cname)) = (puts_several, reach.endpoints > 1, reach.first_cname) {
        let name = Quoted(&spec.name.value);
        let message = match reach.cnames == reach.endpoints {
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

/// A pool that holds a `geo` pool turns to its next member where that one comes to nothing, so that
/// a strict rule inside could not keep its promise.
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
            .help("name a pool with strict rules in a service directly, or leave `strict` away");
    }
}

fn check_nearest(
    spec: &PoolSpec,
    pool: &Pool,
    places: &[SourcePlace],
    compiled: &CompiledPools,
    datacenters: &[DatacenterSpec],
    reach: &[PoolSubtree],
    problems: &mut Problems,
) {
    if spec.policy.value != PolicyName::Nearest {
        return;
    }
    for (member, &place) in pool.members.iter().zip(places) {
        if member_subtree(member.kind, place, compiled, datacenters, reach).has_location {
            continue;
        }
        let name = match member.kind {
            MemberKind::Pool(id) => &compiled.pools[id.index()].name,
            MemberKind::Endpoint(id) => &compiled.endpoints[id.index()].name,
        };
        // That its datacenter does not exist has been told.
        if spec
            .all_members()
            .any(|member| member.place == place && names_datacenter(&member.target))
            && is_unplaced(member.kind, compiled)
        {
            continue;
        }
        problems
            .error(place, format!("member {} of nearest pool {} is nowhere", Quoted(name), Quoted(&spec.name.value)))
            .help("give it a `datacenter`, and that datacenter a location = { latitude = ..., longitude = ... }");
    }
}

fn names_datacenter(target: &MemberTarget) -> bool {
    matches!(target, MemberTarget::Endpoint(endpoint) if endpoint.datacenter.is_some())
}

fn is_unplaced(kind: MemberKind, compiled: &CompiledPools) -> bool {
    matches!(kind, MemberKind::Endpoint(id) if compiled.endpoints[id.index()].datacenters.is_empty())
}
