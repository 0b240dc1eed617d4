//! Pools and their endpoints, each by itself: names become positions.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use hashbrown::HashMap;

use super::{Scope, geo, regulation};
use crate::{
    config::{
        diagnostics::Quoted,
        place::Place,
        problems::Problems,
        spec::{EndpointSpec, MemberSpec, MemberTarget, PaceSpec, PolicyWord, PoolSpec},
    },
    steer::{
        DatacenterId, Endpoint, EndpointId, Host, Member, MemberKind, MinUp, MonitorId, Policy,
        Pool, PoolId, Target,
    },
};

/// The pools and endpoints of a configuration.
#[derive(Default)]
pub(super) struct Compiled {
    pub(super) pools: Vec<Arc<Pool>>,
    pub(super) endpoints: Vec<Arc<Endpoint>>,
    /// Of each pool, of each member: where it is written.
    pub(super) member_places: Vec<Vec<Place>>,
}

/// What endpoints that name none have from their pool.
struct Inherited {
    datacenters: Vec<DatacenterId>,
    monitor: Option<MonitorId>,
    pace: PaceSpec,
}

/// Members by the name that must be theirs alone.
type Seen<'s> = HashMap<(bool, &'s str), (usize, Place)>;

pub(super) fn compile(
    specs: &[&PoolSpec],
    scope: &mut Scope<'_>,
    problems: &mut Problems,
) -> Compiled {
    let mut compiled = Compiled {
        pools: Vec::with_capacity(specs.len()),
        endpoints: Vec::with_capacity(specs.len()),
        member_places: Vec::with_capacity(specs.len()),
    };
    for spec in specs {
        let (pool, places) = compiled.pool(spec, scope, problems);
        compiled.pools.push(Arc::new(pool));
        compiled.member_places.push(places);
    }
    compiled
}

impl Compiled {
    /// One pool, whose endpoints are added, and where each of its members is written.
    pub(super) fn pool<'s>(
        &mut self,
        spec: &'s PoolSpec,
        scope: &mut Scope<'_>,
        problems: &mut Problems,
    ) -> (Pool, Vec<Place>) {
        let inherited = Inherited {
            datacenters: spec
                .datacenter
                .as_ref()
                .map_or(Vec::new(), |name| scope.places.find(name, problems)),
            monitor: spec.monitor.as_ref().and_then(|name| monitor(scope, name, problems)),
            pace: spec.regulation.pace,
        };
        let mut building = Building { members: Vec::new(), places: Vec::new(), seen: Seen::new() };
        for member in spec.members.iter().flatten() {
            let before = building.members.len();
            if let Some(index) = self.member(member, &inherited, &mut building, scope, problems)
                && index < before
            {
                twice(member, &building, index, problems);
            }
        }
        let policy = match spec.policy.value {
            PolicyWord::Weighted => Policy::Weighted,
            PolicyWord::Load => Policy::Load(spec.regulation.policy.clone()),
            PolicyWord::Failover => Policy::Failover,
            PolicyWord::Nearest => Policy::Nearest { tie: spec.tie },
            PolicyWord::All => Policy::All,
            PolicyWord::Geo => {
                geo::check_rules(&spec.rules, problems);
                let mut list = |members: &'s [MemberSpec]| {
                    self.list(members, &inherited, &mut building, scope, problems)
                };
                let rules =
                    spec.rules.iter().map(|rule| geo::rule(rule, list(&rule.members))).collect();
                Policy::Geo { rules, default: list(&spec.default) }
            }
        };
        self.warn_of_equal_addresses(spec, &building, problems);
        let pool = Pool {
            name: spec.name.value.clone(),
            policy,
            spread: spec.spread,
            answers: spec.answers.value,
            min_up: spec.min_up.map_or(MinUp::Members(std::num::NonZeroU32::MIN), |at| at.value),
            families: spec.families,
            members: building.members,
            regulation: regulation::of_pool(spec, scope, problems),
        };
        (pool, building.places)
    }

    /// Two members with one address are one target: its clients add up, and a drain of one of the
    /// two ends nothing.
    fn warn_of_equal_addresses(
        &self,
        spec: &PoolSpec,
        building: &Building<'_>,
        problems: &mut Problems,
    ) {
        let mut places_of: HashMap<IpAddr, Vec<Place>> =
            HashMap::with_capacity(building.members.len());
        for (member, &place) in building.members.iter().zip(&building.places) {
            let MemberKind::Endpoint(id) = member.kind else { continue };
            let Target::Addresses(addresses) = &self.endpoints[id.index()].target else { continue };
            addresses.iter().for_each(|address| places_of.entry(*address).or_default().push(place));
        }
        // Both addresses of a dual-stack member are one mistake.
        let mut by_places: BTreeMap<Vec<Place>, Vec<IpAddr>> = BTreeMap::new();
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

    /// One list of a `geo` pool, as positions in the pool's members; lists may share members.
    fn list<'s>(
        &mut self,
        members: &'s [MemberSpec],
        inherited: &Inherited,
        building: &mut Building<'s>,
        scope: &mut Scope<'_>,
        problems: &mut Problems,
    ) -> Vec<u32> {
        let mut list: Vec<u32> = Vec::with_capacity(members.len());
        for member in members {
            let Some(index) = self.member(member, inherited, building, scope, problems) else {
                continue;
            };
            if list.contains(&(index as u32)) {
                twice(member, building, index, problems);
            }
            list.push(index as u32);
        }
        list
    }

    /// The position of a member, which is added unless the same one is there.
    fn member<'s>(
        &mut self,
        spec: &'s MemberSpec,
        inherited: &Inherited,
        building: &mut Building<'s>,
        scope: &mut Scope<'_>,
        problems: &mut Problems,
    ) -> Option<usize> {
        let key = match &spec.target {
            MemberTarget::Pool(name) => (true, &*name.value),
            MemberTarget::Endpoint(endpoint) => (false, &*endpoint.name.value),
        };
        if let Some(&(index, _)) = building.seen.get(&key) {
            let first = (&building.members[index], building.places[index]);
            return self.check_same(spec, inherited, first, scope, problems).then_some(index);
        }
        let kind = match &spec.target {
            MemberTarget::Pool(name) => {
                MemberKind::Pool(PoolId(scope.pools.find(name, problems)? as u32))
            }
            MemberTarget::Endpoint(endpoint) => {
                let endpoint = self.endpoint(endpoint, spec.weight, inherited, scope, problems);
                self.endpoints.push(Arc::new(endpoint));
                MemberKind::Endpoint(EndpointId(self.endpoints.len() as u32 - 1))
            }
        };
        let index = building.members.len();
        building.seen.insert(key, (index, spec.place));
        building.members.push(Member { kind, weight: spec.weight, bias: spec.bias });
        building.places.push(spec.place);
        Some(index)
    }

    fn endpoint(
        &self,
        spec: &EndpointSpec,
        weight: u16,
        inherited: &Inherited,
        scope: &mut Scope<'_>,
        problems: &mut Problems,
    ) -> Endpoint {
        let datacenters = match &spec.datacenter {
            Some(name) => scope.places.find(name, problems),
            None => inherited.datacenters.clone(),
        };
        let monitor = match &spec.monitor {
            Some(name) => monitor(scope, name, problems),
            None => inherited.monitor,
        };
        let pace = datacenters
            .iter()
            .map(|at| scope.paces[at.index()])
            .fold(spec.pace.or(inherited.pace), PaceSpec::or);
        Endpoint {
            name: spec.name.value.clone(),
            target: match spec.target.clone() {
                Target::Host(host) => Target::Host(Host { weight, ..host }),
                target => target,
            },
            datacenters,
            monitor,
            state: spec.state,
            force: spec.force,
            load: regulation::load(scope, spec.load.as_ref(), problems),
            pace: pace.pace(),
        }
    }

    /// Two endpoints of one pool with one name must be one and the same, listed in two rules of a
    /// `geo` pool.
    fn check_same(
        &self,
        spec: &MemberSpec,
        inherited: &Inherited,
        (first, first_place): (&Member, Place),
        scope: &mut Scope<'_>,
        problems: &mut Problems,
    ) -> bool {
        let (MemberTarget::Endpoint(endpoint), MemberKind::Endpoint(id)) =
            (&spec.target, first.kind)
        else {
            return true;
        };
        let is_same = self.endpoint(endpoint, spec.weight, inherited, scope, problems)
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
struct Building<'s> {
    members: Vec<Member>,
    places: Vec<Place>,
    seen: Seen<'s>,
}

fn twice(member: &MemberSpec, building: &Building<'_>, index: usize, problems: &mut Problems) {
    let (kind, name) = match &member.target {
        MemberTarget::Pool(name) => ("pool", &name.value),
        MemberTarget::Endpoint(endpoint) => ("endpoint", &endpoint.name.value),
    };
    problems
        .error(member.place, format!("{kind} {} is a member twice", Quoted(name)))
        .also(building.places[index], "already a member here")
        .help("leave one away; to give it more clients raise its weight");
}

fn monitor(
    scope: &mut Scope<'_>,
    name: &crate::config::place::At<Box<str>>,
    problems: &mut Problems,
) -> Option<MonitorId> {
    scope.monitors.find(name, problems).map(|index| MonitorId(index as u32))
}
