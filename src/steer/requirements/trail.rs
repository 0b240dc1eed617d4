//! The trail of an answer: the pools from a service to the endpoint answered, as `explain` finds
//! them.

use ipnet::IpNet;

use super::requirement_context::RequirementContext;
use crate::steer::{
    chart::FallbackStage,
    compile::Decision,
    inspect::{ClientLocation, InspectedNode, InspectedPool, inspect},
    model::{Conditions, EndpointId, Family, ServiceId, Topology},
};

/// Clients of one network that ask a service.
#[derive(Debug, Clone, Copy)]
pub(super) struct AnsweredClient {
    pub(super) service: ServiceId,
    pub(super) family: Family,
    pub(super) network: IpNet,
}

/// The pools from the service to an endpoint, such as `web > eu > fra`, and the stage of the
/// fallback. Without an endpoint, the pool that was searched last.
pub(super) fn trail(
    context: &RequirementContext<'_>,
    conditions: &Conditions,
    client: AnsweredClient,
    endpoint: Option<EndpointId>,
) -> String {
    let (topology, databases) = (context.topology, context.databases);
    let address = client.network.network();
    let found = databases.lookup(address);
    let location = ClientLocation { address, location: &found.location };
    let inspection =
        inspect(topology, conditions, databases, client.service, client.family, location);
    let Some(last) = inspection.attempts.last() else { return String::new() };
    let mut names = vec![&*topology.pools[last.tree.id.index()].name];
    if let Some(endpoint) = endpoint {
        descend(topology, &last.tree, endpoint, &mut names);
    }
    let path = names.join(" > ");
    match last.stage {
        _ if last.serves_other_family => format!("{path} (only the other family is answered)"),
        FallbackStage::Normal | FallbackStage::OtherFamily => path,
        FallbackStage::AllDown => format!("{path} (no member is usable: on-all-down decides)"),
        FallbackStage::OnlyDrainedLeft => format!("{path} (only draining members are left)"),
        FallbackStage::OnlyDisabledLeft => format!("{path} (only disabled members are left)"),
    }
}

/// Appends the names of the members that were picked on the way to an endpoint. Returns whether
/// there is a way.
fn descend<'a>(
    topology: &'a Topology,
    pool: &InspectedPool,
    endpoint: EndpointId,
    names: &mut Vec<&'a str>,
) -> bool {
    let picked =
        pool.members.iter().filter(|member| matches!(member.decision, Decision::Picked(_)));
    for member in picked {
        let kind = topology.pools[pool.id.index()].members[member.position].kind;
        names.push(topology.member_name(kind));
        let is_reached = match &member.content {
            InspectedNode::Endpoint(found) => found.id == endpoint,
            InspectedNode::Pool(inner) => descend(topology, inner, endpoint, names),
        };
        if is_reached {
            return true;
        }
        names.pop();
    }
    false
}
