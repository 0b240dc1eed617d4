//! Compiles pools and their endpoints, each by itself: names become positions.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use hashbrown::HashMap;

use super::{geo, name_scope::NameScope, regulation};
use crate::{
    config::{
        place::SourcePlace,
        problems::Problems,
        quoted::Quoted,
        spec::{EndpointSpec, MemberSpec, MemberTarget, PolicyName, PoolSpec, RampSpec},
    },
    steer::{
        DatacenterId, Endpoint, EndpointId, EndpointTarget, Member, MemberKind, MinUp, MonitorId,
        Policy, Pool, PoolId, SrvHost,
    },
};

/// The pools and endpoints of a configuration.
#[derive(Default)]
pub(super) struct CompiledPools {
    pub(super) pools: Vec<Arc<Pool>>,
    pub(super) endpoints: Vec<Arc<Endpoint>>,
    /// For each pool, the place of each member.
    pub(super) member_places: Vec<Vec<SourcePlace>>,
}

/// The values that endpoints inherit from their pool.
struct PoolDefaults {
    datacenters: Vec<DatacenterId>,
    monitor: Option<MonitorId>,
    ramps: RampSpec,
}

/// The position and place of each member, by whether it is a pool and by its name.
type MembersByName<'s> = HashMap<(bool, &'s str), (usize, SourcePlace)>;

pub(super) fn compile(
    specs: &[&PoolSpec],
    scope: &mut NameScope<'_>,
    problems: &mut Problems,
) -> CompiledPools {
    let mut compiled = CompiledPools {
        pools: Vec::with_capacity(specs.len()),
        endpoints: Vec::with_capacity(specs.len()),
        member_places: Vec::with_capacity(specs.len()),
    };
    for spec in specs {
        let (pool, places) = compiled.compile_pool(spec, scope, problems);
        compiled.pools.push(Arc::new(pool));
        compiled.member_places.push(places);
    }
    compiled
}

impl CompiledPools {
    /// Compiles one pool, whose endpoints are added. Also returns the place of each member.
    pub(super) fn compile_pool<'s>(
        &mut self,
        spec: &'s PoolSpec,
        scope: &mut NameScope<'_>,
        problems: &mut Problems,
    ) -> (Pool, Vec<SourcePlace>) {
        let inherited = PoolDefaults {
            datacenters: spec
                .datacenter
                .as_ref()
                .map_or(Vec::new(), |name| scope.datacenters.find(name, problems)),
            monitor: spec.monitor.as_ref().and_then(|name| resolve_monitor(scope, name, problems)),
            ramps: spec.regulation.ramps,
        };
        let mut builder =
            PoolBuilder { members: Vec::new(), places: Vec::new(), by_name: MembersByName::new() };
        for member in spec.members.iter().flatten() {
            let before = builder.members.len();
            if let Some(index) = self.add_member(member, &inherited, &mut builder, scope, problems)
                && index < before
            {
                report_duplicate_member(member, &builder, index, problems);
            }
        }
        let policy = match spec.policy.value {
            PolicyName::Weighted => Policy::Weighted,
            PolicyName::Load => Policy::Load(spec.regulation.load_policy.clone()),
            PolicyName::Failover => Policy::Failover,
            PolicyName::Nearest => Policy::Nearest { tie: spec.tie },
            PolicyName::All => Policy::All,
            PolicyName::Geo => {
                geo::check_rules(&spec.rules, problems);
                let mut list = |members: &'s [MemberSpec]| {
                    self.rule_members(members, &inherited, &mut builder, scope, problems)
                };
                let rules =
                    spec.rules.iter().map(|rule| geo::rule(rule, list(&rule.members))).collect();
                Policy::Geo { rules, default: list(&spec.default) }
            }
        };
        self.warn_of_equal_addresses(spec, &builder, problems);
        let pool = Pool {
            name: spec.name.value.clone(),
            policy,
            spread: spec.spread,
            answers: spec.answers.value,
            min_up: spec
                .min_up
                .map_or(MinUp::Members(std::num::NonZeroU32::MIN), |written| written.value),
            families: spec.families,
            members: builder.members,
            regulation: regulation::pool_regulation(spec, scope, problems),
        };
        (pool, builder.places)
    }

    /// Warns of members with the same address. They are one target: it gets the clients of both,
    /// and a drain of one member does not end its use.
    fn warn_of_equal_addresses(
        &self,
        spec: &PoolSpec,
        builder: &PoolBuilder<'_>,
        problems: &mut Problems,
    ) {
        let mut places_of: HashMap<IpAddr, Vec<SourcePlace>> =
            HashMap::with_capacity(builder.members.len());
        for (member, &place) in builder.members.iter().zip(&builder.places) {
            let MemberKind::Endpoint(id) = member.kind else { continue };
            let EndpointTarget::Addresses(addresses) = &self.endpoints[id.index()].target else {
                continue;
            };
            addresses.iter().for_each(|address| places_of.entry(*address).or_default().push(place));
        }
        // Both addresses of a dual-stack member are one mistake.
        let mut by_places: BTreeMap<Vec<SourcePlace>, Vec<IpAddr>> = BTreeMap::new();
        for (address, places) in places_of.into_iter().filter(|(_, places)| places.len() > 1) {
            by_places.entry(places).or_default().push(address);
        }
        for (places, mut addresses) in by_places {
            addresses.sort_unstable();
            let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            let (noun, gets, stays) = match shown.len() {
                1 => ("address", "it gets", "stays"),
                _ => ("addresses", "they get", "stay"),
            };
            let warning = problems.warning(
                places[1],
                format!(
                    "pool {} has the {noun} {} in {} members: {gets} the clients of all of them, and {stays} in use when one of them is drained or down",
                    Quoted(&spec.name.value),
                    shown.join(" and "),
                    places.len()
                ),
            );
            warning.also(places[0], "the first one");
            for place in &places[2..] {
                warning.also(*place, "another one");
            }
            warning.help("leave one of them; to give an address more clients raise its weight");
        }
    }

    /// Compiles one list of a `geo` pool to positions in the pool's members. Lists may share
    /// members.
    fn rule_members<'s>(
        &mut self,
        members: &'s [MemberSpec],
        inherited: &PoolDefaults,
        builder: &mut PoolBuilder<'s>,
        scope: &mut NameScope<'_>,
        problems: &mut Problems,
    ) -> Vec<u32> {
        let mut list: Vec<u32> = Vec::with_capacity(members.len());
        for member in members {
            let Some(index) = self.add_member(member, inherited, builder, scope, problems) else {
                continue;
            };
            if list.contains(&(index as u32)) {
                report_duplicate_member(member, builder, index, problems);
            }
            list.push(index as u32);
        }
        list
    }

    /// The position of a member, which is added unless the pool already has it.
    fn add_member<'s>(
        &mut self,
        spec: &'s MemberSpec,
        inherited: &PoolDefaults,
        builder: &mut PoolBuilder<'s>,
        scope: &mut NameScope<'_>,
        problems: &mut Problems,
    ) -> Option<usize> {
        let key = match &spec.target {
            MemberTarget::Pool(name) => (true, &*name.value),
            MemberTarget::Endpoint(endpoint) => (false, &*endpoint.name.value),
        };
        if let Some(&(index, _)) = builder.by_name.get(&key) {
            let first = (&builder.members[index], builder.places[index]);
            return self.check_same(spec, inherited, first, scope, problems).then_some(index);
        }
        let kind = match &spec.target {
            MemberTarget::Pool(name) => {
                MemberKind::Pool(PoolId(scope.pools.resolve(name, problems)? as u32))
            }
            MemberTarget::Endpoint(endpoint) => {
                let endpoint =
                    self.compile_endpoint(endpoint, spec.weight, inherited, scope, problems);
                self.endpoints.push(Arc::new(endpoint));
                MemberKind::Endpoint(EndpointId(self.endpoints.len() as u32 - 1))
            }
        };
        let index = builder.members.len();
        builder.by_name.insert(key, (index, spec.place));
        builder.members.push(Member { kind, weight: spec.weight, bias: spec.bias });
        builder.places.push(spec.place);
        Some(index)
    }

    fn compile_endpoint(
        &self,
        spec: &EndpointSpec,
        weight: u16,
        inherited: &PoolDefaults,
        scope: &mut NameScope<'_>,
        problems: &mut Problems,
    ) -> Endpoint {
        let datacenters = match &spec.datacenter {
            Some(name) => scope.datacenters.find(name, problems),
            None => inherited.datacenters.clone(),
        };
        let monitor = match &spec.monitor {
            Some(name) => resolve_monitor(scope, name, problems),
            None => inherited.monitor,
        };
        let ramps = datacenters
            .iter()
            .map(|datacenter| scope.datacenter_ramps[datacenter.index()])
            .fold(spec.ramps.or(inherited.ramps), RampSpec::or);
        Endpoint {
            name: spec.name.value.clone(),
            target: match spec.target.clone() {
                EndpointTarget::Host(host) => EndpointTarget::Host(SrvHost { weight, ..host }),
                target => target,
            },
            datacenters,
            monitor,
            state: spec.state,
            force: spec.force,
            load: regulation::resolve_load(scope, spec.load.as_ref(), problems),
            ramp_times: ramps.ramp_times(),
        }
    }

    /// Whether two endpoints of one pool with the same name are equal, as they must be; a `geo`
    /// pool may list one endpoint in several rules.
    fn check_same(
        &self,
        spec: &MemberSpec,
        inherited: &PoolDefaults,
        (first, first_place): (&Member, SourcePlace),
        scope: &mut NameScope<'_>,
        problems: &mut Problems,
    ) -> bool {
        let (MemberTarget::Endpoint(endpoint), MemberKind::Endpoint(id)) =
            (&spec.target, first.kind)
        else {
            return true;
        };
        let is_same = self.compile_endpoint(endpoint, spec.weight, inherited, scope, problems)
            == *self.endpoints[id.index()];
        if !is_same {
            let message = format!(
                "two different endpoints of a pool are called {}",
                Quoted(&endpoint.name.value)
            );
            problems
                .error(spec.place, message)
                .also(first_place, "the first one")
                .help("give one of them another name: name = \"...\"");
        }
        is_same
    }
}

/// A pool's members while they are collected.
struct PoolBuilder<'s> {
    members: Vec<Member>,
    places: Vec<SourcePlace>,
    by_name: MembersByName<'s>,
}

fn report_duplicate_member(
    member: &MemberSpec,
    builder: &PoolBuilder<'_>,
    index: usize,
    problems: &mut Problems,
) {
    let (kind, name) = match &member.target {
        MemberTarget::Pool(name) => ("pool", &name.value),
        MemberTarget::Endpoint(endpoint) => ("endpoint", &endpoint.name.value),
    };
    problems
        .error(member.place, format!("{kind} {} is a member twice", Quoted(name)))
        .also(builder.places[index], "already a member here")
        .help("remove one; to give it more clients raise its weight");
}

fn resolve_monitor(
    scope: &mut NameScope<'_>,
    name: &crate::config::place::Placed<Box<str>>,
    problems: &mut Problems,
) -> Option<MonitorId> {
    scope.monitors.resolve(name, problems).map(|index| MonitorId(index as u32))
}
