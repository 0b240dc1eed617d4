//! A summary of what a configuration would serve, for `check`: zones with their records and
//! services, the members that each service chooses among, and how many services depend on each
//! datacenter.

use std::{collections::BTreeSet, fmt};

use serde_json::{Value, json};

use super::Config;
use crate::{
    listing,
    steer::{DatacenterId, MemberKind, PoolId, Service, Topology, datacenter_states},
};

/// A summary of a configuration. Displays as text for people.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    zones: Vec<ZoneSummary>,
    datacenters: Vec<DatacenterSummary>,
    monitors: usize,
    probes: usize,
    /// The number of load sources that are used.
    loads: usize,
    feeds: usize,
    expectations: usize,
    assertions: usize,
}

#[derive(Debug, Clone, PartialEq)]
struct ZoneSummary {
    name: String,
    records: usize,
    /// The number of names that are delegated to other servers.
    delegations: usize,
    services: Vec<ServiceSummary>,
}

#[derive(Debug, Clone, PartialEq)]
struct ServiceSummary {
    name: String,
    /// The type of its records, if that is not A and AAAA alone.
    rtype: Option<&'static str>,
    pool: String,
    policy: &'static str,
    ttl_secs: u32,
    members: Vec<String>,
    endpoints: usize,
}

#[derive(Debug, Clone, PartialEq)]
struct DatacenterSummary {
    name: String,
    region: Option<String>,
    state: &'static str,
    reason: Option<String>,
    /// The state as written, if its `until` has passed.
    ended: Option<&'static str>,
    services: usize,
}

/// The maximum number of a service's members that are shown in text. JSON has all.
const SHOWN_MEMBERS: usize = 8;
/// Further zones and services are counted in text, and not shown.
const SHOWN_ZONES: usize = 50;
const SHOWN_SERVICES: usize = 200;

impl Summary {
    /// Summarises a configuration as it is in force at `now`, in seconds since
    /// 1970-01-01T00:00:00Z.
    pub fn new(config: &Config, now: i64) -> Self {
        let topology = &config.topology;
        let states = datacenter_states(topology, now);
        let mut depending = vec![0; topology.datacenters.len()];
        let mut services: Vec<Vec<ServiceSummary>> = vec![Vec::new(); config.zones.len()];
        for service in topology.services.iter() {
            let below = ReachableTargets::collect(topology, service.pool);
            below.datacenters.iter().for_each(|datacenter| depending[datacenter.index()] += 1);
            services[service.zone.index()].push(ServiceSummary::new(
                topology,
                service,
                below.endpoints,
            ));
        }
        let zones = config.zones.iter().zip(services).map(|(zone, services)| ZoneSummary {
            name: zone.apex.to_string(),
            records: zone.record_count(),
            delegations: zone.delegation_count(),
            services,
        });
        let datacenters = topology.datacenters.iter().zip(states).zip(depending);
        let datacenters = datacenters.map(|((datacenter, state), services)| DatacenterSummary {
            name: datacenter.name.to_string(),
            region: datacenter.region.as_deref().map(str::to_owned),
            state: state.as_str(),
            // The reason of a state that has ended does not describe the state in force.
            reason: datacenter
                .reason
                .as_deref()
                .map(str::to_owned)
                .filter(|_| state == datacenter.state),
            ended: (state != datacenter.state).then(|| datacenter.state.as_str()),
            services,
        });
        Self {
            zones: zones.collect(),
            datacenters: datacenters.collect(),
            monitors: topology.monitors.len(),
            loads: topology
                .feeds
                .list
                .iter()
                .map(|feed| feed.source)
                .collect::<BTreeSet<_>>()
                .len(),
            feeds: topology.feeds.list.len(),
            expectations: config.requirements.list.expectations.len(),
            assertions: config.requirements.list.assertions.len(),
            probes: topology
                .combined_probes
                .iter()
                .filter(|combination| combination.is_none())
                .count(),
        }
    }

    /// The summary for programs: an object with `zones`, `datacenters`, `monitors`, `probes`,
    /// `loads`, `feeds`, `expectations` and `assertions`.
    pub fn to_json(&self) -> Value {
        let service = |service: &ServiceSummary| {
            json!({
                "name": service.name, "type": service.rtype, "pool": service.pool, "policy": service.policy, "ttl": service.ttl_secs,
                "members": service.members, "endpoints": service.endpoints,
            })
        };
        let zone = |zone: &ZoneSummary| {
            let services: Vec<_> = zone.services.iter().map(service).collect();
            json!({
                "name": zone.name, "records": zone.records, "delegations": zone.delegations, "services": services,
            })
        };
        let datacenter = |datacenter: &DatacenterSummary| {
            json!({
                "name": datacenter.name, "region": datacenter.region, "state": datacenter.state,
                "reason": datacenter.reason, "services": datacenter.services,
            })
        };
        json!({
            "zones": self.zones.iter().map(zone).collect::<Vec<_>>(),
            "datacenters": self.datacenters.iter().map(datacenter).collect::<Vec<_>>(),
            "monitors": self.monitors,
            "probes": self.probes,
            "loads": self.loads,
            "feeds": self.feeds,
            "expectations": self.expectations,
            "assertions": self.assertions,
        })
    }
}

impl ServiceSummary {
    fn new(topology: &Topology, service: &Service, endpoints: usize) -> Self {
        let pool = &topology.pools[service.pool.index()];
        let name = |kind| match kind {
            MemberKind::Pool(pool) => topology.pools[pool.index()].name.to_string(),
            MemberKind::Endpoint(endpoint) => topology.endpoints[endpoint.index()].name.to_string(),
        };
        Self {
            name: service.name.to_string(),
            rtype: service.kind.keyword(),
            pool: pool.name.to_string(),
            policy: pool.policy.as_str(),
            ttl_secs: service.ttl_secs,
            members: pool.members.iter().map(|member| name(member.kind)).collect(),
            endpoints,
        }
    }
}

/// The pools, datacenters and endpoints below a pool, each counted once.
#[derive(Default)]
struct ReachableTargets {
    pools: BTreeSet<PoolId>,
    datacenters: BTreeSet<DatacenterId>,
    endpoints: usize,
}

impl ReachableTargets {
    fn collect(topology: &Topology, pool: PoolId) -> Self {
        let mut below = Self::default();
        let mut open = vec![pool];
        while let Some(pool) = open.pop() {
            if !below.pools.insert(pool) {
                continue;
            }
            for member in &topology.pools[pool.index()].members {
                match member.kind {
                    MemberKind::Pool(inner) => open.push(inner),
                    MemberKind::Endpoint(endpoint) => {
                        below.endpoints += 1;
                        below.datacenters.extend(&topology.endpoints[endpoint.index()].datacenters);
                    }
                }
            }
        }
        below
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for zone in self.zones.iter().take(SHOWN_ZONES) {
            let (records, services) = (zone.records, zone.services.len());
            write!(
                f,
                "zone {}: {}, {}",
                zone.name,
                count(records, "record"),
                count(services, "service")
            )?;
            match zone.delegations {
                0 => writeln!(f)?,
                some => writeln!(f, ", {}", count(some, "delegation"))?,
            }
            for service in zone.services.iter().take(SHOWN_SERVICES) {
                write!(f, "{service}")?;
            }
            if services > SHOWN_SERVICES {
                writeln!(f, "  and {} more", count(services - SHOWN_SERVICES, "service"))?;
            }
        }
        if self.zones.len() > SHOWN_ZONES {
            writeln!(f, "and {} more", count(self.zones.len() - SHOWN_ZONES, "zone"))?;
        }
        for datacenter in &self.datacenters {
            let region = datacenter
                .region
                .as_ref()
                .map(|region| format!(" in {region}"))
                .unwrap_or_default();
            let reason =
                datacenter.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
            let ended =
                datacenter.ended.map(|state| format!(" (the `until` of its {state} has passed)"));
            let ended = ended.unwrap_or_default();
            writeln!(
                f,
                "datacenter {}{region}: {}{ended}{}, {} on it",
                datacenter.name,
                datacenter.state,
                super::quoted::escaped(&reason),
                match datacenter.services {
                    1 => "1 service depends".into(),
                    many => format!("{many} services depend"),
                },
            )?;
        }
        write!(f, "{}, {}", count(self.monitors, "monitor"), count(self.probes, "target"))?;
        match self.loads {
            0 => writeln!(f)?,
            some => writeln!(
                f,
                ", {} reporting on {}",
                count(some, "load source"),
                count(self.feeds, "balancer")
            )?,
        }
        if self.expectations + self.assertions == 0 {
            return Ok(());
        }
        let assertions = count(self.assertions, "assertion");
        writeln!(f, "{} met, {assertions} proved", count(self.expectations, "expectation"))
    }
}

impl fmt::Display for ServiceSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = listing::join_first(&self.members, SHOWN_MEMBERS, self.members.len());
        let rtype = self.rtype.map(|rtype| format!(" {rtype}")).unwrap_or_default();
        let pool =
            if self.pool == self.name { String::new() } else { format!(" pool {}", self.pool) };
        writeln!(
            f,
            "  {}{rtype}{pool} {} ttl {}: {shown} ({})",
            self.name,
            self.policy,
            self.ttl_secs,
            count(self.endpoints, "endpoint")
        )
    }
}

/// A number with the noun that it counts, in the plural unless it is 1.
fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        many => format!("{many} {what}s"),
    }
}
