//! The scenario of a plan: drains and outages that are assumed in addition to the files.

use std::{fmt, sync::Arc};

use crate::{
    config::SpellingSuggester,
    listing::counted,
    steer::{
        Conditions, DatacenterId, Endpoint, EndpointId, MemberKind, PoolId, ServingState, Topology,
    },
};

/// The steering inputs of one side: what is configured, and the conditions.
#[derive(Debug, Clone)]
pub(super) struct SideInputs {
    pub(super) topology: Arc<Topology>,
    pub(super) conditions: Conditions,
}

/// Drains and outages by subject, as written on the command line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scenario<'a> {
    pub(super) drains: &'a [String],
    pub(super) downs: &'a [String],
}

/// Why a scenario cannot be assumed.
#[derive(Debug, PartialEq)]
pub(super) enum ScenarioError {
    /// Nothing has this name. The second is the most similar name, if one is similar.
    Unknown(String, Option<String>),
    /// The subject is in this state, so that there is nothing to drain.
    NotInService(String, ServingState),
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name, nearest) => {
                write!(f, "there is no datacenter, region, pool or member {name:?}\n  help: ")?;
                match nearest {
                    Some(nearest) => write!(f, "did you mean {nearest:?}?"),
                    None => f.write_str(
                        "name a datacenter, a region, a pool, POOL/MEMBER or service:NAME/MEMBER; `portolan status` lists datacenters",
                    ),
                }
            }
            Self::NotInService(name, state) => write!(
                f,
                "{name} is {}: there is nothing to drain\n  help: to see the effect of its targets going down, use --down",
                state.as_str()
            ),
        }
    }
}

impl std::error::Error for ScenarioError {}

/// What a subject names.
#[derive(Debug, PartialEq)]
enum FoundSubject {
    Datacenters(Vec<DatacenterId>),
    Endpoints(Vec<EndpointId>),
}

impl Scenario<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.drains.is_empty() && self.downs.is_empty()
    }

    /// The scenario as a phrase: `with fra drained and iad down`.
    pub(super) fn phrase(&self) -> String {
        let part = |subjects: &[String], word: &str| {
            (!subjects.is_empty()).then(|| format!("{} {word}", subjects.join(", ")))
        };
        let parts = [part(self.drains, "drained"), part(self.downs, "down")];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { String::new() } else { format!(" with {}", parts.join(" and ")) }
    }

    /// The inputs under the scenario, and sentences about what it does not change.
    ///
    /// # Errors
    /// A subject is unknown, or cannot be drained.
    pub(super) fn apply(
        &self,
        inputs: SideInputs,
    ) -> Result<(SideInputs, Vec<String>), ScenarioError> {
        let SideInputs { mut topology, mut conditions } = inputs;
        let mut notes = Vec::new();
        for name in self.drains {
            match find(&topology, name)? {
                FoundSubject::Datacenters(ids) => drain(&mut conditions, &topology, &ids)?,
                FoundSubject::Endpoints(ids) => {
                    topology = Arc::new(with_drained(&topology, name, &ids)?);
                }
            }
        }
        for name in self.downs {
            let endpoints = match find(&topology, name)? {
                FoundSubject::Datacenters(ids) => topology.endpoints_in(&ids),
                FoundSubject::Endpoints(ids) => ids,
            };
            notes.extend(unaffected(&topology, name, &endpoints));
            conditions = conditions.with_endpoints_down(&topology, endpoints);
        }
        Ok((SideInputs { topology, conditions }, notes))
    }
}

fn drain(
    conditions: &mut Conditions,
    topology: &Topology,
    ids: &[DatacenterId],
) -> Result<(), ScenarioError> {
    for id in ids {
        let state = &mut conditions.datacenters[id.index()];
        match state {
            ServingState::Active | ServingState::Draining => *state = ServingState::Draining,
            ServingState::Standby | ServingState::Disabled => {
                let name = topology.datacenters[id.index()].name.to_string();
                return Err(ScenarioError::NotInService(name, *state));
            }
        }
        conditions.adjustments.datacenter_fractions.remove(id);
    }
    Ok(())
}

/// The topology with these endpoints draining.
fn with_drained(
    topology: &Topology,
    name: &str,
    ids: &[EndpointId],
) -> Result<Topology, ScenarioError> {
    let mut drained = topology.clone();
    let state_of = |id: &EndpointId| topology.endpoints[id.index()].state;
    let in_service =
        |id: &&EndpointId| matches!(state_of(id), ServingState::Active | ServingState::Draining);
    if let (Some(first), 0) = (ids.first(), ids.iter().filter(in_service).count()) {
        return Err(ScenarioError::NotInService(name.to_owned(), state_of(first)));
    }
    for id in ids.iter().filter(in_service) {
        let endpoint = Endpoint::clone(&topology.endpoints[id.index()]);
        drained.endpoints[id.index()] =
            Arc::new(Endpoint { state: ServingState::Draining, ..endpoint });
    }
    Ok(drained)
}

/// A sentence about endpoints whose clients stay although they are down: no monitor finds out, or
/// `force` overrides it.
fn unaffected(topology: &Topology, name: &str, endpoints: &[EndpointId]) -> Option<String> {
    let stays = |id: &&EndpointId| {
        let endpoint = &topology.endpoints[id.index()];
        endpoint.monitor.is_none() || endpoint.force == Some(crate::steer::HealthOverride::Up)
    };
    match endpoints.iter().filter(stays).count() {
        0 => None,
        count => Some(format!(
            "{name} down: {} keep their clients, since no monitor checks them or `force` is \"up\"",
            counted(count, "endpoint")
        )),
    }
}

fn find(topology: &Topology, name: &str) -> Result<FoundSubject, ScenarioError> {
    let datacenters = || topology.datacenters.iter().zip((0..).map(DatacenterId));
    let named: Vec<DatacenterId> = datacenters()
        .filter(|(datacenter, _)| {
            &*datacenter.name == name || datacenter.region.as_deref() == Some(name)
        })
        .map(|(_, id)| id)
        .collect();
    if !named.is_empty() {
        return Ok(FoundSubject::Datacenters(named));
    }
    let (owner, member) = match name.rsplit_once('/') {
        Some((owner, member)) => (owner, Some(member)),
        None => (name, None),
    };
    let pool = pool_named(topology, owner);
    let endpoints = match (pool, member) {
        (Some(pool), None) => Some(topology.endpoints_below([pool])),
        (Some(pool), Some(member)) => endpoints_of_member(topology, pool, member),
        (None, _) => None,
    };
    endpoints.map(FoundSubject::Endpoints).ok_or_else(|| {
        ScenarioError::Unknown(name.to_owned(), nearest(topology, name, owner, pool))
    })
}

/// The pool of this name, or that of `service:NAME`.
fn pool_named(topology: &Topology, owner: &str) -> Option<PoolId> {
    match owner.strip_prefix("service:") {
        Some(service) => {
            let name = service.parse().ok()?;
            topology.services.iter().find(|service| service.name == name).map(|found| found.pool)
        }
        None => {
            let position = topology.pools.iter().position(|pool| &*pool.name == owner)?;
            Some(PoolId(position as u32))
        }
    }
}

fn endpoints_of_member(topology: &Topology, pool: PoolId, member: &str) -> Option<Vec<EndpointId>> {
    let members = &topology.pools[pool.index()].members;
    let found = members.iter().find(|known| topology.member_name(known.kind) == member)?;
    Some(match found.kind {
        MemberKind::Endpoint(id) => vec![id],
        MemberKind::Pool(id) => topology.endpoints_below([id]),
    })
}

/// The subject that was probably meant.
fn nearest(topology: &Topology, name: &str, owner: &str, pool: Option<PoolId>) -> Option<String> {
    let known: Vec<String> = match pool {
        Some(pool) => {
            let members = topology.pools[pool.index()].members.iter();
            members.map(|member| format!("{owner}/{}", topology.member_name(member.kind))).collect()
        }
        None => {
            let datacenters = topology.datacenters.iter();
            let places = datacenters.flat_map(|datacenter| {
                [Some(&datacenter.name), datacenter.region.as_ref()].into_iter().flatten()
            });
            let pools = topology.pools.iter().map(|pool| &pool.name);
            let services =
                topology.services.iter().map(|service| format!("service:{}", service.name));
            places.chain(pools).map(ToString::to_string).chain(services).collect()
        }
    };
    let known = known.iter().map(String::as_str);
    SpellingSuggester::default().suggest(name, known).map(str::to_owned)
}
