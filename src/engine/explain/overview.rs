//! A pool as a whole: its members with state, health and share, and what sets the share.
//!
//! A client's place is not known here. What depends on it is left out or says so;
//! [`super::explain`] has it for one client.

use serde::{Deserialize, Serialize};

use super::{
    phrase::{PhraseContext, format_min_up},
    steering,
    view::{DatacenterView, TargetView},
};
use crate::{
    engine::snapshot_context::SnapshotContext,
    steer::{
        Decision, Family, HealthOverride, InspectedMember, InspectedNode, InspectedPool, PoolId,
        SkipReason, inspect_pool,
    },
};

/// A pool with its members.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PoolOverview {
    /// The name of the pool; that of the service for a pool of its own.
    pub name: String,
    /// The policy, as in the zone file.
    pub policy: String,
    /// The value of `min-up` in the configuration: `1`, `50%`.
    pub min_up: String,
    /// Whether any client can be answered with a usable member.
    pub is_usable: bool,
    /// Whether the member that a client gets depends on the client's place, here or in a pool
    /// below.
    pub is_by_place: bool,
    /// The members in the order written.
    pub members: Vec<MemberOverview>,
}

/// A member of a pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MemberOverview {
    /// The name of the endpoint or pool.
    pub name: String,
    /// The weight in the configuration.
    pub weight: u16,
    /// The share of the pool's answers that contain the member, in percent; absent if it depends on
    /// the client's place.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub percent: Option<f64>,
    /// What sets the share, as a phrase.
    pub why: String,
    /// The state of an endpoint, including that of its datacenter; absent for a pool.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub state: Option<String>,
    /// `up` or `down` if that is set for an endpoint, whatever its health checks say.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub force: Option<String>,
    /// The datacenters of an endpoint; empty for a pool.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub datacenters: Vec<DatacenterView>,
    /// The name whose addresses an endpoint has, if it is an alias.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub alias: Option<String>,
    /// The addresses of an endpoint, or its name, with the verdict of each.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub targets: Vec<TargetView>,
    /// The pool that the member is, with its own members.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pool: Option<Box<PoolOverview>>,
}

/// A pool as a whole, in the family in which it has usable members, IPv4 first. It searches the
/// pool again, under the conditions of the snapshot in force.
pub fn pool_overview(context: &SnapshotContext<'_>, pool: PoolId) -> PoolOverview {
    let (topology, conditions) = (&context.snapshot.topology, context.conditions);
    let inspect = |family| (family, inspect_pool(topology, conditions, pool, family));
    let found = Family::ALL.map(inspect);
    let usable = found.iter().find(|(_, inspected)| inspected.is_usable);
    let (family, inspected) = usable.unwrap_or(&found[0]);
    let phrases = PhraseContext { topology, conditions, family: *family };
    overview(&phrases, inspected)
}

fn overview(phrases: &PhraseContext<'_>, inspected: &InspectedPool) -> PoolOverview {
    let configured = phrases.pool(inspected);
    let mut members: Vec<&InspectedMember> = inspected.members.iter().collect();
    members.sort_by_key(|member| member.position);
    let is_by_place = depends_on_place(phrases, inspected);
    PoolOverview {
        name: configured.name.to_string(),
        policy: configured.policy.as_str().to_owned(),
        min_up: format_min_up(configured.min_up),
        is_usable: inspected.is_usable,
        is_by_place,
        members: members
            .into_iter()
            .map(|inner| member(phrases, inspected, inner, is_by_place))
            .collect(),
    }
}

/// Whether a pool or a pool below it ranks members by the client's place.
fn depends_on_place(phrases: &PhraseContext<'_>, inspected: &InspectedPool) -> bool {
    let is_inner = |member: &InspectedMember| match &member.content {
        InspectedNode::Pool(inner) => depends_on_place(phrases, inner),
        InspectedNode::Endpoint(_) => false,
    };
    phrases.pool(inspected).policy.is_geographic() || inspected.members.iter().any(is_inner)
}

fn member(
    phrases: &PhraseContext<'_>,
    parent: &InspectedPool,
    inspected: &InspectedMember,
    is_by_place: bool,
) -> MemberOverview {
    let configured = &phrases.pool(parent).members[inspected.position];
    let base = MemberOverview {
        name: phrases.member_name(configured).to_owned(),
        weight: configured.weight,
        percent: (!is_by_place).then(|| (inspected.share * 1e10).round() / 1e8),
        why: why(phrases, parent, inspected),
        state: None,
        force: None,
        datacenters: Vec::new(),
        alias: None,
        targets: Vec::new(),
        pool: None,
    };
    match &inspected.content {
        InspectedNode::Pool(inner) => {
            MemberOverview { pool: Some(Box::new(overview(phrases, inner))), ..base }
        }
        InspectedNode::Endpoint(endpoint) => MemberOverview {
            state: Some(endpoint.state.as_str().to_owned()),
            force: phrases.topology.endpoints[endpoint.id.index()].force.map(forced_health),
            datacenters: steering::datacenters(phrases, &inspected.datacenters),
            alias: phrases.alias(endpoint).map(|(name, _)| name.to_string()),
            targets: steering::targets(phrases, endpoint),
            ..base
        },
    }
}

fn forced_health(force: HealthOverride) -> String {
    match force {
        HealthOverride::Up => "up".to_owned(),
        HealthOverride::Down => "down".to_owned(),
    }
}

/// What sets the share of a member. In a pool that ranks by the client's place, a usable member is
/// for the clients that it is nearest to, or that its rules name.
fn why(phrases: &PhraseContext<'_>, parent: &InspectedPool, inspected: &InspectedMember) -> String {
    let is_geographic = phrases.pool(parent).policy.is_geographic();
    match inspected.decision {
        Decision::Skipped(reason) if is_geographic && is_unusable(reason) => {
            phrases.skip_phrase(parent, inspected, reason)
        }
        _ if is_geographic => {
            let policy = phrases.pool(parent).policy.as_str();
            let by = if policy == "geo" { "by the rules of the pool" } else { "by distance" };
            let phrases =
                std::iter::once(by.to_owned()).chain(phrases.modifier_phrases(parent, inspected));
            phrases.collect::<Vec<_>>().join("; ")
        }
        _ => phrases.reason(parent, inspected),
    }
}

/// Whether a member is skipped for a reason that is the same for every client.
fn is_unusable(reason: SkipReason) -> bool {
    match reason {
        SkipReason::Down
        | SkipReason::ForcedDown
        | SkipReason::Draining
        | SkipReason::Disabled
        | SkipReason::NoAddress
        | SkipReason::Unresolved
        | SkipReason::Unusable
        | SkipReason::BelowMinUp
        | SkipReason::PoolBelowMinUp
        | SkipReason::Standby
        | SkipReason::Pending
        | SkipReason::OtherFamilyDown => true,
        SkipReason::AwaitingFailback(_)
        | SkipReason::GivesClientsAway
        | SkipReason::NoRule
        | SkipReason::Behind(_) => false,
    }
}
