//! The search of one endpoint: whether it may be answered, and with which rdata.

use std::{net::IpAddr, sync::Arc};

use crate::{
    health::HealthStatus,
    steer::{
        chart::{EndpointAnswer, FallbackStage, Rdata, SrvRdata, WheelChoice},
        compile::policy::{SearchResult, Tier},
        model::{
            Conditions, Endpoint, EndpointId, EndpointTarget, Family, Fraction, HealthOverride,
            ProbeId, ServingState, SrvHost, Topology, UNRESOLVED, effective_datacenter,
            effective_state, ramp_fraction,
        },
    },
};

/// What an endpoint is searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct EndpointQuery {
    pub endpoint: EndpointId,
    pub family: Family,
    pub stage: FallbackStage,
    /// An endpoint without an address of the family counts too, with an empty answer.
    pub counts_empty: bool,
}

/// Searches endpoints under one set of conditions.
#[derive(Debug, Clone, Copy)]
pub(super) struct EndpointSearch<'a> {
    pub topology: &'a Topology,
    pub conditions: &'a Conditions,
}

impl EndpointSearch<'_> {
    /// The answer of an endpoint: its addresses of the family, its CNAME or its SRV record.
    pub(super) fn search(self, query: EndpointQuery) -> SearchResult {
        let EndpointQuery { endpoint: id, stage, .. } = query;
        let endpoint = &self.topology.endpoints[id.index()];
        let state = effective_state(self.topology, self.conditions, id);
        if !self.is_open(id, endpoint, state, stage) {
            return SearchResult::nothing(u32::MAX);
        }
        let FoundRdata { rdata, health, flips_in_secs } = self.rdata(query, endpoint);
        let rdata = rdata.filter(|_| health != TargetHealth::Down);
        let tier = if state == ServingState::Standby { Tier::Standby } else { Tier::Primary };
        let datacenter = effective_datacenter(self.topology, self.conditions, id)
            .map(|(datacenter, _)| datacenter);
        let (fraction, kept_fraction) = if stage == FallbackStage::Normal {
            (ramp_fraction(self.topology, self.conditions, id), self.kept_by_datacenter(endpoint))
        } else {
            (Fraction::FULL, Fraction::FULL)
        };
        SearchResult {
            choice: rdata.map(|rdata| {
                WheelChoice::Answer(Arc::new(EndpointAnswer { datacenter, endpoint: id, rdata }))
            }),
            tier: if health == TargetHealth::Pending { tier.as_pending() } else { tier },
            fraction,
            kept_fraction,
            flips_in_secs,
            is_empty_by_config: false,
        }
    }

    /// Whether the endpoint has addresses, and none is of the family.
    pub(super) fn lacks(self, id: EndpointId, family: Family) -> bool {
        match (
            &self.topology.endpoints[id.index()].target,
            self.topology.endpoint_alias[id.index()],
        ) {
            (EndpointTarget::Addresses(addresses), _) => {
                !addresses.iter().any(|&address| family.contains(address))
            }
            (EndpointTarget::Alias(_), Some(alias)) => {
                self.conditions.resolved_alias(alias).lacks(family)
            }
            (EndpointTarget::Cname(_) | EndpointTarget::Alias(_) | EndpointTarget::Host(_), _) => {
                false
            }
        }
    }

    /// Whether the operator lets clients reach the endpoint at this stage of the fallback.
    fn is_open(
        self,
        id: EndpointId,
        endpoint: &Endpoint,
        state: ServingState,
        stage: FallbackStage,
    ) -> bool {
        match state {
            ServingState::Active | ServingState::Standby => {
                endpoint.force != Some(HealthOverride::Down)
                    || stage >= FallbackStage::OnlyDrainedLeft
            }
            ServingState::Draining => {
                stage >= FallbackStage::OnlyDrainedLeft
                    || !ramp_fraction(self.topology, self.conditions, id).is_zero()
            }
            ServingState::Disabled => stage == FallbackStage::OnlyDisabledLeft,
        }
    }

    fn rdata(self, query: EndpointQuery, endpoint: &Endpoint) -> FoundRdata {
        let EndpointQuery { endpoint: id, family, stage, counts_empty } = query;
        let trusts_all =
            stage != FallbackStage::Normal || endpoint.force == Some(HealthOverride::Up);
        let mut flips_in_secs = u32::MAX;
        let mut health_of = |probe: Option<ProbeId>| {
            if trusts_all {
                return TargetHealth::Healthy;
            }
            let status = self.conditions.health_status(probe);
            flips_in_secs = flips_in_secs.min(status.flips_in_secs.unwrap_or(u32::MAX));
            TargetHealth::from_status(status)
        };
        let is_wanted = |address: &IpAddr| counts_empty || family.contains(*address);
        let probes = &self.topology.endpoint_probes[id.index()];
        let (rdata, health) = match &endpoint.target {
            EndpointTarget::Cname(name) => {
                (Some(Rdata::Cname(name.as_wire().into())), health_of(probes[0]))
            }
            EndpointTarget::Host(SrvHost { name, port, priority, weight }) => {
                let (priority, weight, port) = (*priority, *weight, *port);
                let rdata =
                    Rdata::Srv(SrvRdata { priority, weight, port, target: name.as_wire().into() });
                (Some(rdata), health_of(probes[0]))
            }
            EndpointTarget::Alias(_) => {
                let health = health_of(probes[0]);
                let alias = self.topology.endpoint_alias[id.index()];
                let resolved =
                    alias.map_or(&UNRESOLVED, |alias| self.conditions.resolved_alias(alias));
                flips_in_secs = flips_in_secs.min(resolved.ttl_secs());
                let has_any = resolved.addresses().iter().any(is_wanted);
                (has_any.then(|| rdata_of(resolved.addresses(), family)), health)
            }
            EndpointTarget::Addresses(addresses) => {
                let wanted = addresses.iter().zip(probes).filter(|(address, _)| is_wanted(address));
                let with_health: Vec<(IpAddr, TargetHealth)> =
                    wanted.map(|(address, probe)| (*address, health_of(*probe))).collect();
                // Addresses without a verdict are answered only where none is known to be healthy.
                let best = with_health
                    .iter()
                    .map(|(_, health)| *health)
                    .min()
                    .unwrap_or(TargetHealth::Down);
                let answered: Vec<IpAddr> = with_health
                    .into_iter()
                    .filter(|(_, health)| *health == best)
                    .map(|(address, _)| address)
                    .collect();
                (Some(rdata_of(&answered, family)), best)
            }
        };
        FoundRdata { rdata, health, flips_in_secs }
    }

    /// The fraction of its clients that the endpoint keeps by the `keep` of its datacenters: the
    /// greatest of them.
    fn kept_by_datacenter(self, endpoint: &Endpoint) -> Fraction {
        let keeps =
            endpoint.datacenters.iter().map(|id| self.topology.datacenters[id.index()].keep);
        keeps.max().unwrap_or_default()
    }
}

/// The rdata of an endpoint, with what its health checks say.
struct FoundRdata {
    /// `None` for an alias without an address of the family.
    rdata: Option<Rdata>,
    health: TargetHealth,
    /// The least time until a verdict or an alias could change, in seconds.
    flips_in_secs: u32,
}

/// The health of a probe's target, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum TargetHealth {
    /// Up, or counted as up.
    Healthy,
    /// Without a verdict; the first outcome is still expected.
    Pending,
    Down,
}

impl TargetHealth {
    fn from_status(status: HealthStatus) -> Self {
        match (status.verdict.is_usable(), status.is_pending) {
            (false, _) => Self::Down,
            (true, true) => Self::Pending,
            (true, false) => Self::Healthy,
        }
    }
}

fn rdata_of(addresses: &[IpAddr], family: Family) -> Rdata {
    match family {
        Family::V4 => Rdata::A(addresses.iter().filter_map(octets_v4).collect()),
        Family::V6 => Rdata::Aaaa(addresses.iter().filter_map(octets_v6).collect()),
    }
}

fn octets_v4(address: &IpAddr) -> Option<[u8; 4]> {
    match address {
        IpAddr::V4(address) => Some(address.octets()),
        IpAddr::V6(_) => None,
    }
}

fn octets_v6(address: &IpAddr) -> Option<[u8; 16]> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(address.octets()),
    }
}
