//! The topology as a document: all that charts are compiled from, so that another process can
//! compile the same charts. It has no settings of health checks and load sources, and so no secret.

use std::{num::NonZeroU8, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    datacenter::Datacenter, document_forms, endpoint::Endpoint, pool::Pool, service::Service,
    topology::Topology,
};
use crate::health::{Check, CombineCheck, Monitor, TcpCheck};

/// A topology without the settings of its monitors and load sources. Ids are positions in the
/// lists, as in the topology.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TopologyDocument {
    datacenters: Vec<Datacenter>,
    monitors: Vec<MonitorDocument>,
    #[serde(with = "document_forms::shared_list")]
    endpoints: Vec<Arc<Endpoint>>,
    #[serde(with = "document_forms::shared_list")]
    pools: Vec<Arc<Pool>>,
    services: Vec<Service>,
}

/// A monitor by its name, and the monitors that it combines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct MonitorDocument {
    name: Box<str>,
    /// The names of the monitors that it combines; empty if it probes by itself.
    combines: Vec<Box<str>>,
    /// The number of those monitors that must be up.
    min_up: u32,
}

impl TopologyDocument {
    /// The document of a topology.
    pub fn of(topology: &Topology) -> Self {
        Self {
            datacenters: topology.datacenters.clone(),
            monitors: topology.monitors.iter().map(MonitorDocument::of).collect(),
            endpoints: topology.endpoints.clone(),
            pools: topology.pools.clone(),
            services: Vec::clone(&topology.services),
        }
    }

    /// The topology of the document. Its probes are those of the original; their settings, which
    /// charts do not depend on, are not.
    pub fn into_topology(self) -> Topology {
        let monitors = self.monitors.into_iter().map(MonitorDocument::into_monitor).collect();
        Topology::from_shared(self.datacenters, monitors, self.endpoints, self.pools, self.services)
    }
}

impl MonitorDocument {
    fn of(monitor: &Monitor) -> Self {
        let (combines, min_up) = match &monitor.check {
            Check::Combine(combine) => (combine.monitors.clone(), combine.min_up),
            _ => (Vec::new(), 0),
        };
        Self { name: monitor.name.clone(), combines, min_up }
    }

    fn into_monitor(self) -> Monitor {
        let check = match self.combines.is_empty() {
            true => Check::Tcp(TcpCheck { port: 0 }),
            false => Check::Combine(CombineCheck { min_up: self.min_up, monitors: self.combines }),
        };
        Monitor {
            name: self.name,
            check,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            rise: NonZeroU8::MIN,
            fall: NonZeroU8::MIN,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::steer::model::{
        AnswerCount, ClientGroup, Conditions, EndpointId, EndpointTarget, Fraction, GeoRule,
        Member, MemberKind, MinUp, MonitorId, OnAllDown, Policy, PoolId, RampTimes, RecordKind,
        Regulation, ServingState, Spread, ZoneId,
    };

    fn topology() -> Topology {
        let monitor = |name: &str, check| Monitor {
            name: name.into(),
            check,
            interval: Duration::from_secs(7),
            timeout: Duration::from_secs(2),
            rise: NonZeroU8::MIN,
            fall: NonZeroU8::MIN,
        };
        let combined = CombineCheck { min_up: 1, monitors: vec!["tcp".into()] };
        let monitors = vec![
            monitor("both", Check::Combine(combined)),
            monitor("tcp", Check::Tcp(TcpCheck { port: 443 })),
        ];
        let endpoint = |name: &str, target| Endpoint {
            name: name.into(),
            target,
            datacenters: Vec::new(),
            monitor: Some(MonitorId(0)),
            state: ServingState::Active,
            force: None,
            load: None,
            ramp_times: RampTimes::default(),
        };
        let endpoints = vec![
            endpoint("a", EndpointTarget::Addresses(vec!["192.0.2.1".parse().unwrap()])),
            endpoint("b", EndpointTarget::Alias("lb.example.net".parse().unwrap())),
        ];
        let rule = GeoRule {
            subnets: vec!["10.0.0.0/8".parse().unwrap()],
            members: vec![0],
            ..GeoRule::default()
        };
        let member = |id| Member { kind: MemberKind::Endpoint(EndpointId(id)), weight: 1, bias: 0 };
        let pool = Pool {
            name: "web".into(),
            policy: Policy::Geo { rules: vec![rule], default: vec![1] },
            spread: Spread::Client,
            answers: AnswerCount::Count(NonZeroU32::MIN),
            min_up: MinUp::Share(0.5),
            families: Default::default(),
            members: vec![member(0), member(1)],
            regulation: Regulation::default(),
        };
        let service = Service {
            name: r"we\.ird.example.com".parse().unwrap(),
            zone: ZoneId(0),
            kind: RecordKind::default(),
            pool: PoolId(0),
            ttl_secs: 30,
            on_all_down: OnAllDown::Pool(PoolId(0)),
            ipv6: true,
            client_subnet: true,
        };
        let datacenter =
            Datacenter { name: "fra".into(), capacity: Some(0.1), ..Datacenter::default() };
        Topology::new(vec![datacenter], monitors, endpoints, vec![pool], vec![service])
    }

    #[test]
    fn a_document_has_all_that_charts_are_compiled_from() {
        let topology = topology();
        let json = serde_json::to_string(&TopologyDocument::of(&topology)).unwrap();
        assert!(!json.contains("443"), "settings of monitors stay on the server: {json}");
        let document: TopologyDocument = serde_json::from_str(&json).unwrap();
        let read = document.into_topology();
        assert_eq!(read.datacenters, topology.datacenters);
        assert_eq!(read.endpoints, topology.endpoints);
        assert_eq!(read.pools, topology.pools);
        assert_eq!(read.services, topology.services);
        assert_eq!(read.probes, topology.probes);
        assert_eq!(read.combined_probes, topology.combined_probes);
        assert_eq!(read.aliases, topology.aliases);
    }

    #[test]
    fn conditions_are_equal_after_a_round_trip() {
        let topology = topology();
        let mut conditions = Conditions::unprobed(&topology, 0);
        conditions = conditions.with_endpoints_down(&topology, [EndpointId(0)]);
        conditions.adjustments.weights.insert(PoolId(0), vec![1000, 24].into());
        conditions.adjustments.kept_fractions.insert(PoolId(0), Fraction::from_share(0.3));
        let group = ClientGroup { pool: PoolId(0), members: Box::new([1]), is_strict: true };
        conditions.recovering.insert(group, 9);
        let json = serde_json::to_string(&conditions).unwrap();
        assert_eq!(serde_json::from_str::<Conditions>(&json).unwrap(), conditions);
    }
}
