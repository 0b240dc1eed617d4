//! Checks that load reports exist where tables depend on them, and that each source can be polled
//! where it is attached.

use std::collections::HashSet;

use super::pools::CompiledPools;
use crate::{
    config::{
        place::SourcePlace,
        problems::Problems,
        quoted::Quoted,
        spec::{DatacenterSpec, PolicyName, PoolSpec, Specs},
    },
    health::Check,
    load::LoadSource,
    steer::{
        DatacenterId, Endpoint, EndpointTarget, LoadMeasure, LoadSourceId, MemberKind, MonitorId,
        Policy, PoolId,
    },
};

/// The tables that the check reads.
pub(super) struct LoadSourceCheck<'a> {
    pub(super) specs: &'a Specs,
    pub(super) pools: &'a [&'a PoolSpec],
    pub(super) compiled: &'a CompiledPools,
    /// The load source of each datacenter.
    pub(super) loads: &'a [Option<LoadSourceId>],
}

impl LoadSourceCheck<'_> {
    /// Reports pools that depend on reports that no source makes, and sources that are attached
    /// where they cannot be polled.
    pub(super) fn run(&self, problems: &mut Problems) {
        for (index, spec) in self.pools.iter().enumerate() {
            self.check_pool_sources(spec, index, problems);
            self.check_load_members(spec, index, problems);
            if let (Some(capacity), false) = (
                &spec.regulation.capacity,
                self.has_load_source(MemberKind::Pool(PoolId(index as u32))),
            ) {
                let name = Quoted(&spec.name.value);
                problems
                    .error(capacity.place, format!("pool {name} has a capacity, but nothing reports its load"))
                    .help("add load = \"NAME\" to the pool, to its endpoints or to their datacenter, and define [load.NAME]");
            }
        }
        for (spec, load) in self.specs.datacenters.iter().zip(self.loads) {
            self.check_datacenter(spec, *load, problems);
        }
    }

    fn source(&self, id: LoadSourceId) -> &LoadSource {
        &self.specs.loads[id.index()].value
    }

    /// Whether a source reports the load of a member.
    fn has_load_source(&self, kind: MemberKind) -> bool {
        let mut open = vec![kind];
        let mut seen = HashSet::new();
        while let Some(kind) = open.pop() {
            match kind {
                MemberKind::Pool(id) => {
                    let pool = &self.compiled.pools[id.index()];
                    if pool.regulation.load.is_some() {
                        return true;
                    }
                    if seen.insert(id) {
                        open.extend(pool.members.iter().map(|member| member.kind));
                    }
                }
                MemberKind::Endpoint(id) => {
                    let endpoint = &self.compiled.endpoints[id.index()];
                    let has_load =
                        |datacenter: &DatacenterId| self.loads[datacenter.index()].is_some();
                    if endpoint.load.is_some() || endpoint.datacenters.iter().any(has_load) {
                        return true;
                    }
                }
            }
        }
        false
    }

    /// Whether an endpoint of a member is probed.
    fn is_probed(&self, kind: MemberKind) -> bool {
        let mut open = vec![kind];
        let mut seen = HashSet::new();
        while let Some(kind) = open.pop() {
            match kind {
                MemberKind::Endpoint(id)
                    if self.compiled.endpoints[id.index()].monitor.is_some() =>
                {
                    return true;
                }
                MemberKind::Endpoint(_) => {}
                MemberKind::Pool(id) if seen.insert(id) => {
                    open.extend(
                        self.compiled.pools[id.index()].members.iter().map(|member| member.kind),
                    );
                }
                MemberKind::Pool(_) => {}
            }
        }
        false
    }

    /// Checks that a source reports the load of each member of a `load` pool.
    fn check_load_members(&self, spec: &PoolSpec, index: usize, problems: &mut Problems) {
        let pool = &self.compiled.pools[index];
        let (Policy::Load(policy), PolicyName::Load) = (&pool.policy, spec.policy.value) else {
            return;
        };
        for (member, &place) in pool.members.iter().zip(&self.compiled.member_places[index]) {
            let is_timed =
                policy.measure == LoadMeasure::ResponseTime && self.is_probed(member.kind);
            if is_timed || self.has_load_source(member.kind) {
                continue;
            }
            let name = match member.kind {
                MemberKind::Pool(id) => &self.compiled.pools[id.index()].name,
                MemberKind::Endpoint(id) => &self.compiled.endpoints[id.index()].name,
            };
            let help = match policy.measure {
                LoadMeasure::ResponseTime => "add a `monitor`, whose probes are timed, or a `load`",
                _ => {
                    "add load = \"NAME\" to it, to its endpoints or to their datacenter, and define [load.NAME]"
                }
            };
            problems
                .error(
                    place,
                    format!(
                        "nothing reports the load of member {} of pool {}",
                        Quoted(name),
                        Quoted(&spec.name.value)
                    ),
                )
                .help(help);
        }
    }

    /// Checks that the sources that a pool and its endpoints name can be polled there.
    fn check_pool_sources(&self, spec: &PoolSpec, index: usize, problems: &mut Problems) {
        let pool = &self.compiled.pools[index];
        if let (Some(id), Some(name)) = (pool.regulation.load, &spec.regulation.load) {
            self.check_not_per_address(
                id,
                name.place,
                "a pool has no address of its own",
                problems,
            );
        }
        for (member, &place) in pool.members.iter().zip(&self.compiled.member_places[index]) {
            let MemberKind::Endpoint(id) = member.kind else { continue };
            let endpoint = &self.compiled.endpoints[id.index()];
            if let Some(load) = endpoint.load {
                self.check_endpoint_source(endpoint, self.source(load), place, problems);
            }
        }
    }

    fn check_endpoint_source(
        &self,
        endpoint: &Endpoint,
        source: &LoadSource,
        place: SourcePlace,
        problems: &mut Problems,
    ) {
        let (name, load) = (Quoted(&endpoint.name), Quoted(&source.name));
        if source.is_per_address() && !matches!(endpoint.target, EndpointTarget::Addresses(_)) {
            problems
                .error(place, format!("endpoint {name} has no address for {{address}} in load {load}"))
                .help("give the endpoint `addresses`, or write the balancer's own host into the source's URL");
        }
        let is_http = |id: MonitorId| {
            matches!(
                self.specs.monitors.get(id.index()).map(|monitor| &monitor.value.check),
                Some(Check::Http(_))
            )
        };
        if !source.is_polled() && !endpoint.monitor.is_some_and(is_http) {
            problems
                .error(place, format!("endpoint {name} has load {load}, but no http monitor to carry its reports"))
                .help("ORCA reports come in the replies to health checks: give the endpoint a monitor of kind http or https");
        }
    }

    fn check_datacenter(
        &self,
        spec: &DatacenterSpec,
        load: Option<LoadSourceId>,
        problems: &mut Problems,
    ) {
        if let (Some(id), Some(name)) = (load, &spec.load) {
            self.check_not_per_address(
                id,
                name.place,
                "a datacenter has no address of its own",
                problems,
            );
        }
    }

    fn check_not_per_address(
        &self,
        id: LoadSourceId,
        place: SourcePlace,
        why: &str,
        problems: &mut Problems,
    ) {
        let source = self.source(id);
        let load = Quoted(&source.name);
        if !source.is_polled() {
            problems
                .error(
                    place,
                    format!("load {load} comes in the replies to health checks, which are sent to endpoints"),
                )
                .help("name it at the endpoints");
        } else if source.is_per_address() {
            problems
                .error(place, format!("load {load} asks each address by itself, and {why}"))
                .help("name it at the endpoints, or write the balancer's own host instead of {address}");
        }
    }
}
