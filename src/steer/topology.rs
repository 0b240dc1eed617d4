//! The topology: every datacenter, monitor, endpoint, pool and service of one configuration, by
//! index.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    net::IpAddr,
    sync::Arc,
};

use super::{
    CombinedProbe, Datacenter, Endpoint, EndpointTarget, LoadFeeds, MemberKind, OnAllDown, Pool,
    Service,
};
use crate::{
    dns::Name,
    health::{Check, Monitor},
    load::LoadSource,
};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u32);

        impl $name {
            /// As a position in the topology's list.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

ids! {
    /// A position in [`Topology::datacenters`].
    DatacenterId,
    /// A position in [`Topology::monitors`].
    MonitorId,
    /// A position in [`Topology::load_sources`].
    LoadSourceId,
    /// A position in [`Topology::endpoints`].
    EndpointId,
    /// A position in [`Topology::pools`].
    PoolId,
    /// A position in [`Topology::services`].
    ServiceId,
    /// A position in the configuration's zones.
    ZoneId,
    /// A position in [`Topology::probes`].
    ProbeId,
    /// A position in [`LoadFeeds::list`].
    FeedId,
    /// A position in [`Topology::aliases`].
    AliasId,
}

/// Everything that steers, validated: every id is in range, pools form no cycle, names are unique.
#[derive(Debug, Clone, Default)]
pub struct Topology {
    /// In order of name.
    pub datacenters: Vec<Datacenter>,
    /// In order of name.
    pub monitors: Vec<Monitor>,
    /// In order of name.
    pub load_sources: Vec<LoadSource>,
    /// Pool by pool, in the order written. Shared by the topologies of successive loads, as far as
    /// equal.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// Named pools and the inline pools of services. Shared like the endpoints.
    pub pools: Vec<Arc<Pool>>,
    /// In order of name. Shared by the topologies of successive loads, where equal.
    pub services: Arc<Vec<Service>>,
    /// What is probed: each (monitor, target) once, however many endpoints share it.
    pub probes: Arc<Vec<Probe>>,
    /// For each probe of a combined monitor: what it is made of. Parts stand before what is made of
    /// them.
    pub combined_probes: Arc<Vec<Option<CombinedProbe>>>,
    /// For each endpoint, for each of its addresses (or its one CNAME or alias): the probe, where
    /// it is monitored.
    pub endpoint_probes: Arc<Vec<Vec<Option<ProbeId>>>>,
    /// What load reports describe: each (source, target) once, however many members share it.
    pub feeds: Arc<LoadFeeds>,
    /// What is resolved: each alias once, however many endpoints share it.
    pub aliases: Vec<Name>,
    /// For each endpoint: its alias, where it is one.
    pub endpoint_alias: Vec<Option<AliasId>>,
}

/// One thing to probe.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Probe {
    /// With what.
    pub monitor: MonitorId,
    /// Whom.
    pub target: ProbeTarget,
}

/// Whom a probe asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ProbeTarget {
    /// An address of an endpoint.
    Address(IpAddr),
    /// The name that an endpoint stands for. An alias is probed at the addresses that it was
    /// resolved to; any other name is resolved by the system's resolver at each probe.
    Host(Name),
}

impl fmt::Display for ProbeTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Host(name) => name.fmt(f),
        }
    }
}

impl Topology {
    /// Puts the parts together and lists what there is to probe. The parts refer to each other by
    /// position. Without load sources: who has some sets them.
    pub fn new(
        datacenters: Vec<Datacenter>,
        monitors: Vec<Monitor>,
        endpoints: Vec<Endpoint>,
        pools: Vec<Pool>,
        services: Vec<Service>,
    ) -> Self {
        let endpoints = endpoints.into_iter().map(Arc::new).collect();
        let pools = pools.into_iter().map(Arc::new).collect();
        Self::from_shared(datacenters, monitors, endpoints, pools, services)
    }

    /// The same as [`Topology::new`], from endpoints and pools that other topologies may share.
    pub fn from_shared(
        datacenters: Vec<Datacenter>,
        monitors: Vec<Monitor>,
        endpoints: Vec<Arc<Endpoint>>,
        pools: Vec<Arc<Pool>>,
        services: Vec<Service>,
    ) -> Self {
        let ProbeLists { probes, combinations: combined_probes, probes_of: endpoint_probes } =
            ProbeLists::new(&monitors, &endpoints);
        let (load_sources, feeds) = (Vec::new(), LoadFeeds::default());
        let (aliases, endpoint_alias) = aliases(&endpoints);
        Self {
            datacenters,
            monitors,
            load_sources,
            endpoints,
            pools,
            services: Arc::new(services),
            probes,
            combined_probes,
            endpoint_probes,
            feeds: Arc::new(feeds),
            aliases,
            endpoint_alias,
        }
    }

    /// With the sources that datacenters, endpoints and pools refer to by position.
    pub fn with_load_sources(mut self, loads: Vec<LoadSource>) -> Self {
        self.load_sources = loads;
        self.feeds = Arc::new(LoadFeeds::new(&self));
        self
    }

    /// A member's name: the endpoint's or the pool's.
    pub fn member_name(&self, kind: MemberKind) -> &str {
        match kind {
            MemberKind::Endpoint(id) => &self.endpoints[id.index()].name,
            MemberKind::Pool(id) => &self.pools[id.index()].name,
        }
    }

    /// The longest TTL of the services that have a member in a datacenter, in seconds; `None` where
    /// none has.
    pub fn longest_ttl_secs(&self, datacenter: DatacenterId) -> Option<u32> {
        let mut known = vec![None; self.pools.len()];
        let mut longest = None;
        for service in self.services.iter() {
            if longest >= Some(service.ttl_secs) {
                continue;
            }
            if service.roots().any(|pool| self.has_endpoint_in(pool, datacenter, &mut known)) {
                longest = Some(service.ttl_secs);
            }
        }
        longest
    }

    /// Whether an endpoint below a pool is in a datacenter. Pools are at most 16 deep.
    fn has_endpoint_in(
        &self,
        pool: PoolId,
        datacenter: DatacenterId,
        known: &mut [Option<bool>],
    ) -> bool {
        if let Some(is_in) = known[pool.index()] {
            return is_in;
        }
        let is_in = self.pools[pool.index()].members.iter().any(|member| match member.kind {
            MemberKind::Endpoint(id) => {
                self.endpoints[id.index()].datacenters.contains(&datacenter)
            }
            MemberKind::Pool(inner) => self.has_endpoint_in(inner, datacenter, known),
        });
        known[pool.index()] = Some(is_in);
        is_in
    }

    /// For each datacenter: the services that have a member in it, in order.
    pub fn services_by_datacenter(&self) -> Vec<Vec<ServiceId>> {
        let mut of_pool: Vec<Option<BTreeSet<DatacenterId>>> = vec![None; self.pools.len()];
        let mut services = vec![Vec::new(); self.datacenters.len()];
        for (service, id) in self.services.iter().zip((0..).map(ServiceId)) {
            let mut datacenters = self.datacenters_below(service.pool, &mut of_pool);
            if let OnAllDown::Pool(other) = service.on_all_down {
                datacenters.extend(self.datacenters_below(other, &mut of_pool));
            }
            datacenters.iter().for_each(|datacenter| services[datacenter.index()].push(id));
        }
        services
    }

    /// A pool and every pool below it.
    pub fn pools_below(&self, pool: PoolId) -> Vec<PoolId> {
        super::chart_plan::pools_below(self, &[pool])
    }

    /// Every endpoint below a pool.
    pub fn endpoints_below(&self, pool: PoolId) -> BTreeSet<EndpointId> {
        super::chart_plan::endpoints_below(self, &[pool]).into_iter().collect()
    }

    fn datacenters_below(
        &self,
        pool: PoolId,
        known: &mut Vec<Option<BTreeSet<DatacenterId>>>,
    ) -> BTreeSet<DatacenterId> {
        if let Some(datacenters) = &known[pool.index()] {
            return datacenters.clone();
        }
        let mut datacenters = BTreeSet::new();
        for member in &self.pools[pool.index()].members {
            match member.kind {
                MemberKind::Endpoint(id) => {
                    datacenters.extend(&self.endpoints[id.index()].datacenters)
                }
                MemberKind::Pool(inner) => datacenters.extend(self.datacenters_below(inner, known)),
            }
        }
        known[pool.index()] = Some(datacenters.clone());
        datacenters
    }
}

/// Each alias once, and which of them each endpoint is.
fn aliases(endpoints: &[Arc<Endpoint>]) -> (Vec<Name>, Vec<Option<AliasId>>) {
    let mut known = HashMap::new();
    let mut list = Vec::new();
    let mut id_of = |name: &Name| {
        *known.entry(name.clone()).or_insert_with(|| {
            list.push(name.clone());
            AliasId(list.len() as u32 - 1)
        })
    };
    let of = endpoints.iter().map(|endpoint| match &endpoint.target {
        EndpointTarget::Alias(name) => Some(id_of(name)),
        EndpointTarget::Addresses(_) | EndpointTarget::Cname(_) | EndpointTarget::Host(_) => None,
    });
    let of = of.collect();
    (list, of)
}

/// What is probed, as a topology holds it.
pub(super) struct ProbeLists {
    pub(super) probes: Arc<Vec<Probe>>,
    pub(super) combinations: Arc<Vec<Option<CombinedProbe>>>,
    pub(super) probes_of: Arc<Vec<Vec<Option<ProbeId>>>>,
}

impl ProbeLists {
    /// The probes of all endpoints, in the order in which endpoints name them first.
    pub(super) fn new(monitors: &[Monitor], endpoints: &[Arc<Endpoint>]) -> Self {
        let mut register = ProbeRegistry::new(monitors);
        let mut probe_of = |monitor: Option<MonitorId>, target: ProbeTarget| {
            Some(register.add(Probe { monitor: monitor?, target }))
        };
        let probes_of = endpoints
            .iter()
            .map(|endpoint| match &endpoint.target {
                EndpointTarget::Addresses(addresses) => addresses
                    .iter()
                    .map(|&a| probe_of(endpoint.monitor, ProbeTarget::Address(a)))
                    .collect(),
                EndpointTarget::Cname(name) | EndpointTarget::Alias(name) => {
                    vec![probe_of(endpoint.monitor, ProbeTarget::Host(name.clone()))]
                }
                EndpointTarget::Host(host) => {
                    vec![probe_of(endpoint.monitor, ProbeTarget::Host(host.name.clone()))]
                }
            })
            .collect();
        let ProbeRegistry { probes, combinations, .. } = register;
        Self {
            probes: Arc::new(probes),
            combinations: Arc::new(combinations),
            probes_of: Arc::new(probes_of),
        }
    }
}

/// The probes while they are collected, those of a combined monitor with their parts.
struct ProbeRegistry<'m> {
    monitors: &'m [Monitor],
    by_name: HashMap<&'m str, MonitorId>,
    known: HashMap<Probe, ProbeId>,
    probes: Vec<Probe>,
    combinations: Vec<Option<CombinedProbe>>,
}

impl<'m> ProbeRegistry<'m> {
    fn new(monitors: &'m [Monitor]) -> Self {
        let by_name = monitors
            .iter()
            .zip((0..).map(MonitorId))
            .map(|(monitor, id)| (&*monitor.name, id))
            .collect();
        Self {
            monitors,
            by_name,
            known: HashMap::new(),
            probes: Vec::new(),
            combinations: Vec::new(),
        }
    }

    fn add(&mut self, probe: Probe) -> ProbeId {
        if let Some(id) = self.known.get(&probe) {
            return *id;
        }
        let monitors = self.monitors;
        let combination = match monitors.get(probe.monitor.index()).map(|monitor| &monitor.check) {
            Some(Check::Combine(combined)) => {
                let mut parts = Vec::with_capacity(combined.monitors.len());
                for name in &combined.monitors {
                    if let Some(&monitor) = self.by_name.get(&**name) {
                        parts.push(self.add(Probe { monitor, target: probe.target.clone() }));
                    }
                }
                Some(CombinedProbe { min_up: combined.min_up, probes: parts })
            }
            _ => None,
        };
        let id = ProbeId(self.probes.len() as u32);
        self.known.insert(probe.clone(), id);
        self.probes.push(probe);
        self.combinations.push(combination);
        id
    }
}
