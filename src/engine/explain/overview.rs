//! A pool as a whole: its members with state, health and share, and what sets the share.
//!
//! A client's place is not known here. What depends on it is left out or says so;
//! [`super::explain`] has it for one client.

use std::net::IpAddr;

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
    /// The share of the pool's answers that contain the member, in percent: of the answers with
    /// IPv4 addresses; of those with IPv6 addresses if the pool or the member has no others. Absent
    /// if it depends on the client's place, and while the pool has no usable member: what is
    /// answered then depends on the `on-all-down` of the service.
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

/// A pool, searched for one family.
#[derive(Clone, Copy)]
struct FamilyInspection<'a> {
    phrases: PhraseContext<'a>,
    pool: &'a InspectedPool,
}

impl<'a> FamilyInspection<'a> {
    fn member(&self, position: usize) -> Option<&'a InspectedMember> {
        self.pool.members.iter().find(|member| member.position == position)
    }
}

/// A pool as a whole, in the family in which it has usable members, IPv4 first. A member without
/// addresses of that family is described in the other one. It searches the pool again, under the
/// conditions of the snapshot in force.
pub fn pool_overview(context: &SnapshotContext<'_>, pool: PoolId) -> PoolOverview {
    let (topology, conditions) = (&context.snapshot.topology, context.conditions);
    let found =
        Family::ALL.map(|family| (family, inspect_pool(topology, conditions, pool, family)));
    let [first, second] = found.each_ref().map(|(family, pool)| {
        let phrases = PhraseContext { topology, conditions, family: *family };
        FamilyInspection { phrases, pool }
    });
    match !first.pool.is_usable && second.pool.is_usable {
        true => overview([second, first]),
        false => overview([first, second]),
    }
}

/// A pool in the first of two families, and in the other one for members that have only that.
fn overview(families: [FamilyInspection<'_>; 2]) -> PoolOverview {
    let [FamilyInspection { phrases, pool }, _] = families;
    let configured = phrases.pool(pool);
    let mut positions: Vec<usize> = pool.members.iter().map(|member| member.position).collect();
    positions.sort_unstable();
    let is_by_place = depends_on_place(&phrases, pool);
    PoolOverview {
        name: configured.name.to_string(),
        policy: configured.policy.as_str().to_owned(),
        min_up: format_min_up(configured.min_up),
        is_usable: pool.is_usable,
        is_by_place,
        members: positions
            .into_iter()
            .filter_map(|position| member(families, position, is_by_place))
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

/// The member at a position, in the first family or, if it has addresses of the other one alone,
/// in that.
fn member(
    [first, second]: [FamilyInspection<'_>; 2],
    position: usize,
    is_by_place: bool,
) -> Option<MemberOverview> {
    let (in_first, in_second) = (first.member(position)?, second.member(position)?);
    let is_of_second =
        !has_family(in_first, first.phrases.family) && has_family(in_second, second.phrases.family);
    let (parent, inspected) = if is_of_second { (second, in_second) } else { (first, in_first) };
    let phrases = &parent.phrases;
    let why = why(phrases, parent.pool, inspected);
    let configured = &phrases.pool(parent.pool).members[position];
    let has_share = !is_by_place && parent.pool.is_usable;
    let base = MemberOverview {
        name: phrases.member_name(configured).to_owned(),
        weight: configured.weight,
        percent: has_share.then(|| (inspected.share * 1e10).round() / 1e8),
        why: if is_of_second { format!("{} alone: {why}", phrases.family.as_str()) } else { why },
        state: None,
        force: None,
        datacenters: Vec::new(),
        alias: None,
        targets: Vec::new(),
        pool: None,
    };
    Some(match (&in_first.content, &in_second.content, &inspected.content) {
        (InspectedNode::Pool(pool), InspectedNode::Pool(other), _) => {
            let families =
                [FamilyInspection { pool, ..first }, FamilyInspection { pool: other, ..second }];
            let inner = overview(if is_of_second { [families[1], families[0]] } else { families });
            MemberOverview { pool: Some(Box::new(inner)), ..base }
        }
        (_, _, InspectedNode::Endpoint(endpoint)) => MemberOverview {
            state: Some(endpoint.state.as_str().to_owned()),
            force: phrases.topology.endpoints[endpoint.id.index()].force.map(forced_health),
            datacenters: steering::datacenters(phrases, &inspected.datacenters),
            alias: phrases.alias(endpoint).map(|(name, _)| name.to_string()),
            targets: steering::targets(phrases, endpoint),
            ..base
        },
        _ => base,
    })
}

/// Whether a member, up or down, has something to answer in a family. What an alias has is not
/// known before it is resolved.
fn has_family(member: &InspectedMember, family: Family) -> bool {
    match &member.content {
        InspectedNode::Pool(inner) => inner.members.iter().any(|member| has_family(member, family)),
        InspectedNode::Endpoint(endpoint) => {
            let is_of_family = |address: IpAddr| address.is_ipv4() == (family == Family::V4);
            let mut addresses = endpoint.addresses.iter();
            endpoint.addresses.is_empty()
                || addresses.any(|(address, _)| address.is_none_or(is_of_family))
        }
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
