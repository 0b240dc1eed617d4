//! Probes: every pair of monitor and target that a topology's health checks need, each once.

use std::{collections::HashMap, fmt, net::IpAddr, sync::Arc};

use super::{
    combined_probe::CombinedProbe,
    endpoint::{Endpoint, EndpointTarget},
    ids::{MonitorId, ProbeId},
};
use crate::{
    dns::Name,
    health::{Check, Monitor},
};

/// A health check of one target by one monitor.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Probe {
    /// The monitor: how the target is checked.
    pub monitor: MonitorId,
    /// The address or name that is probed.
    pub target: ProbeTarget,
}

/// The address or name that is probed.
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

/// The lists of probes that a topology holds.
pub(in crate::steer) struct ProbeLists {
    pub(in crate::steer) probes: Arc<Vec<Probe>>,
    pub(in crate::steer) combinations: Arc<Vec<Option<CombinedProbe>>>,
    pub(in crate::steer) probes_of: Arc<Vec<Vec<Option<ProbeId>>>>,
}

impl ProbeLists {
    /// The probes of all endpoints, in the order in which endpoints name them first.
    pub(in crate::steer) fn new(monitors: &[Monitor], endpoints: &[Arc<Endpoint>]) -> Self {
        let mut registry = ProbeRegistry::new(monitors);
        let mut probe_of = |monitor: Option<MonitorId>, target: ProbeTarget| {
            Some(registry.add(Probe { monitor: monitor?, target }))
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
        let ProbeRegistry { probes, combinations, .. } = registry;
        Self {
            probes: Arc::new(probes),
            combinations: Arc::new(combinations),
            probes_of: Arc::new(probes_of),
        }
    }
}

/// The probes collected so far. A combined probe is preceded by the probes that it combines.
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
                let mut probes = Vec::with_capacity(combined.monitors.len());
                for name in &combined.monitors {
                    if let Some(&monitor) = self.by_name.get(&**name) {
                        probes.push(self.add(Probe { monitor, target: probe.target.clone() }));
                    }
                }
                Some(CombinedProbe { min_up: combined.min_up, probes })
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
