//! Phrases for the results of an inspection.

use std::sync::Arc;

use crate::{
    dns::Name,
    number_format::thousands,
    steer::{
        Conditions, DatacenterId, Decision, FallbackStage, Family, InspectedEndpoint,
        InspectedMember, InspectedNode, InspectedPool, MatchedKey, Member, MinUp, Override,
        PickReason, Policy, Pool, ResolvedAlias, ServingState, SkipReason, Spread, Topology,
    },
};

/// What phrases need besides an inspection: the topology that its positions refer to, and the
/// conditions.
#[derive(Clone, Copy)]
pub(super) struct PhraseContext<'a> {
    pub(super) topology: &'a Topology,
    pub(super) conditions: &'a Conditions,
    pub(super) family: Family,
}

impl<'a> PhraseContext<'a> {
    pub(super) fn pool(&self, pool: &InspectedPool) -> &'a Pool {
        &self.topology.pools[pool.id.index()]
    }

    pub(super) fn member_name(&self, member: &Member) -> &'a str {
        self.topology.member_name(member.kind)
    }

    /// The alias of an endpoint, and the addresses that it was resolved to.
    pub(super) fn alias(
        &self,
        endpoint: &InspectedEndpoint,
    ) -> Option<(&'a Name, &'a ResolvedAlias)> {
        let alias = self.topology.endpoint_alias[endpoint.id.index()]?;
        Some((&self.topology.aliases[alias.index()], self.conditions.resolved_alias(alias)))
    }

    /// Why a member was picked or skipped.
    pub(super) fn reason(&self, parent: &InspectedPool, member: &InspectedMember) -> String {
        match member.decision {
            Decision::Picked(pick) => {
                let family_down = || {
                    format!(
                        "its {} is down, and no member has all of its families",
                        self.other_family()
                    )
                };
                let phrases = std::iter::once(self.pick_phrase(parent, member, pick))
                    .chain(self.modifier_phrases(parent, member));
                phrases
                    .chain(member.has_family_down.then(family_down))
                    .collect::<Vec<_>>()
                    .join("; ")
            }
            Decision::Skipped(reason @ SkipReason::Behind(_)) => {
                self.skip_phrase(parent, member, reason)
            }
            Decision::Skipped(reason) => {
                let distance = member
                    .distance_km
                    .map(|(km, _)| format!(" ({})", format_kilometres(km)))
                    .unwrap_or_default();
                self.skip_phrase(parent, member, reason) + &distance
            }
        }
    }

    fn other_family(&self) -> &'static str {
        family_name(self.family.other())
    }

    fn pick_phrase(
        &self,
        parent: &InspectedPool,
        member: &InspectedMember,
        pick: PickReason,
    ) -> String {
        let pool = self.pool(parent);
        let rank = match (&pool.policy, &member.matched_key, member.distance_km) {
            (Policy::Nearest { .. }, _, Some(distance)) => format_distance(distance),
            (Policy::Nearest { .. }, ..) if pick != PickReason::Remainder => {
                return self.phrase_without_distance(pick).to_owned();
            }
            (_, Some(offer), _) => format_key(offer),
            _ => String::new(),
        };
        let is_nearest = matches!(pool.policy, Policy::Nearest { .. });
        let is_geo = matches!(pool.policy, Policy::Geo { .. });
        match pick {
            PickReason::Weight if pool.members.len() == 1 => "the only member".to_owned(),
            PickReason::Weight if picked(parent).count() == 1 => match parent.search_stage {
                FallbackStage::Normal => "the only usable member".to_owned(),
                _ => "the only member left".to_owned(),
            },
            PickReason::Weight => {
                let weight =
                    |member: &InspectedMember| u32::from(pool.members[member.position].weight);
                self.weight(parent, member, picked(parent).map(weight).sum())
            }
            PickReason::AllUsable => "every usable member answers".to_owned(),
            PickReason::LastResort => "standby, and nothing else is usable".to_owned(),
            PickReason::Holder => self.holder(parent),
            PickReason::Trickle => self.trickle(parent),
            PickReason::Remainder if rank.is_empty() => self.rest(parent, member),
            PickReason::Remainder => format!("{}: {rank}", self.rest(parent, member)),
            PickReason::First if is_nearest => format!("nearest: {rank}"),
            PickReason::FirstUsable if is_nearest => format!("nearest usable: {rank}"),
            PickReason::Tied => format!("ties with the nearest: {rank}"),
            PickReason::NextInOrder if is_nearest => format!("next nearest: {rank}"),
            PickReason::First if is_geo => format!("first for {rank}"),
            PickReason::FirstUsable if is_geo => format!("first usable for {rank}"),
            PickReason::First => "first in order".to_owned(),
            PickReason::FirstUsable => "first usable in order".to_owned(),
            PickReason::NextInOrder => "next in order".to_owned(),
        }
    }

    /// Why a member of a `nearest` pool was picked without a known distance.
    fn phrase_without_distance(&self, pick: PickReason) -> &'static str {
        match pick {
            PickReason::LastResort => "standby, and nothing else is usable",
            PickReason::NextInOrder => "next in order: no distance is known",
            PickReason::FirstUsable => "first usable in order: no distance is known",
            _ => "first in order: no distance is known",
        }
    }

    pub(super) fn skip_phrase(
        &self,
        parent: &InspectedPool,
        member: &InspectedMember,
        reason: SkipReason,
    ) -> String {
        let (pool, configured) = (self.pool(parent), &self.pool(parent).members[member.position]);
        match (reason, &member.content) {
            (SkipReason::Down, InspectedNode::Endpoint(_)) => {
                "down since its last probes".to_owned()
            }
            (SkipReason::Down, InspectedNode::Pool(_)) => "down".to_owned(),
            (SkipReason::ForcedDown, InspectedNode::Endpoint(endpoint)) => {
                let by = self.topology.overrides.forced.get(&endpoint.id);
                format!("forced down by the operator{}", by_override(by))
            }
            (SkipReason::ForcedDown, _) => "forced down by the operator".to_owned(),
            (SkipReason::Draining | SkipReason::Disabled, InspectedNode::Endpoint(endpoint)) => {
                match endpoint.state_of {
                    Some(datacenter) => self.datacenter_state(datacenter),
                    None => {
                        let by = self.topology.overrides.endpoints.get(&endpoint.id);
                        format!("{}{}", endpoint.state.as_str(), by_override(by))
                    }
                }
            }
            (SkipReason::Draining, _) => ServingState::Draining.as_str().to_owned(),
            (SkipReason::Disabled, _) => ServingState::Disabled.as_str().to_owned(),
            (SkipReason::NoAddress, _) => format!("no {} address", family_name(self.family)),
            (SkipReason::Unresolved, _) => "its alias is not resolved".to_owned(),
            (SkipReason::Unusable, InspectedNode::Pool(inner)) => self.unusable(inner),
            (SkipReason::Unusable, InspectedNode::Endpoint(_)) => "not usable".to_owned(),
            (SkipReason::BelowMinUp, InspectedNode::Pool(inner)) => {
                format!("below its min-up of {}", format_min_up(self.pool(inner).min_up))
            }
            (SkipReason::BelowMinUp, _) | (SkipReason::PoolBelowMinUp, _) => {
                "its pool is below its min-up".to_owned()
            }
            (SkipReason::Standby, _) if configured.weight == 0 => {
                "weight 0: only when nothing else is usable".to_owned()
            }
            (SkipReason::Standby, _) => "standby: only when nothing else is usable".to_owned(),
            (SkipReason::Pending, _) => {
                "no verdict yet: ranks behind healthy members until its first health check"
                    .to_owned()
            }
            (SkipReason::OtherFamilyDown, _) => {
                format!("its {} is down, and the pool keeps families together", self.other_family())
            }
            (SkipReason::AwaitingFailback(holder), _) => self.waiting(parent, holder),
            (SkipReason::GivesClientsAway, _) => self.yielding(parent, member),
            (SkipReason::NoRule, _) => "no rule offers it to this client".to_owned(),
            (SkipReason::Behind(first), _) => match (&pool.policy, member.distance_km) {
                (Policy::Nearest { .. }, Some(distance)) => {
                    format!("farther: {}", format_distance(distance))
                }
                _ => self.behind(parent, member, first),
            },
        }
    }

    fn behind(&self, parent: &InspectedPool, member: &InspectedMember, first: usize) -> String {
        let before = parent.members.iter().find(|other| other.position == first);
        let name = self.member_name(&self.pool(parent).members[first]);
        match (before.and_then(|before| before.matched_key.as_ref()), &member.matched_key) {
            (Some(first_key), Some(key)) if first_key != key => {
                format!("behind {name}: {} before {}", format_key(first_key), format_key(key))
            }
            _ => format!("behind {name} in order"),
        }
    }

    /// Why a pool is unusable: the cause that its endpoints share, or the number of endpoints for
    /// each cause.
    fn unusable(&self, pool: &InspectedPool) -> String {
        let mut causes: Vec<(String, usize)> = Vec::new();
        self.count_causes(pool, &mut causes);
        match &causes[..] {
            [] => "nothing in it for this client".to_owned(),
            [(cause, _)] => cause.clone(),
            several => {
                let counted: Vec<String> =
                    several.iter().map(|(cause, count)| format!("{count} {cause}")).collect();
                format!("nothing usable: {}", counted.join(", "))
            }
        }
    }

    fn count_causes(&self, pool: &InspectedPool, causes: &mut Vec<(String, usize)>) {
        for member in &pool.members {
            match (&member.content, member.decision) {
                (InspectedNode::Pool(inner), Decision::Skipped(SkipReason::Unusable)) => {
                    self.count_causes(inner, causes)
                }
                (_, Decision::Skipped(reason)) => {
                    let cause = self.skip_phrase(pool, member, reason);
                    match causes.iter_mut().find(|(known, _)| *known == cause) {
                        Some((_, count)) => *count += 1,
                        None => causes.push((cause, 1)),
                    }
                }
                (_, Decision::Picked(_)) => {}
            }
        }
    }

    /// The state of a datacenter: `fra is draining: kernel upgrade, until 2026-12-01T06:00:00Z`.
    fn datacenter_state(&self, id: DatacenterId) -> String {
        let datacenter = &self.topology.datacenters[id.index()];
        let state =
            self.conditions.datacenters.get(id.index()).copied().unwrap_or(datacenter.state);
        let by = by_override(self.topology.overrides.datacenters.get(&id));
        let mut text = format!("{} is {}{by}", datacenter.name, state.as_str());
        if let Some(reason) = &datacenter.reason {
            text += &format!(": {reason}");
        }
        if let Some(until) = datacenter.until.and_then(format_timestamp) {
            text += &format!(", until {until}");
        }
        text
    }
}

/// The override that decides, if one does: ` (override of fra by anna since 2026-12-01T06:00:00Z)`.
pub(super) fn by_override(one: Option<&Arc<Override>>) -> String {
    let text = |one: &Arc<Override>| {
        let since = format_timestamp(one.set_at).unwrap_or_default();
        format!(" (override of {} by {} since {since})", one.subject, one.author)
    };
    one.map(text).unwrap_or_default()
}

pub(super) fn picked(pool: &InspectedPool) -> impl Iterator<Item = &InspectedMember> {
    pool.members.iter().filter(|member| matches!(member.decision, Decision::Picked(_)))
}

/// A time in seconds since 1970 as RFC 3339; `None` if it is out of range.
pub(super) fn format_timestamp(secs: i64) -> Option<String> {
    jiff::Timestamp::from_second(secs).ok().map(|time| time.to_string())
}

/// A distance, and the distance after the bias if they differ: `432 km, biased to 216 km`.
fn format_distance((km, biased): (f64, f64)) -> String {
    if (km - biased).abs() < 0.5 {
        format_kilometres(km)
    } else {
        format!("{}, biased to {}", format_kilometres(km), format_kilometres(biased))
    }
}

/// A distance as text: `5,432 km`.
fn format_kilometres(km: f64) -> String {
    format!("{} km", thousands(km.round() as u64))
}

/// The key of a `geo` rule: `country DE`, `default`.
pub(super) fn format_key(key: &MatchedKey) -> String {
    match key {
        MatchedKey::Subnet(prefix) => format!("subnet {prefix}"),
        MatchedKey::Asn(asn) => format!("AS{asn}"),
        MatchedKey::Subdivision(code) => format!("subdivision {code}"),
        MatchedKey::Country(code) => format!("country {code}"),
        MatchedKey::Continent(code) => format!("continent {code}"),
        MatchedKey::Default => "default".to_owned(),
    }
}

/// The name of a family: `IPv4` or `IPv6`.
pub(super) fn family_name(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

/// The spread, as in the zone file.
pub(super) fn spread_name(spread: Spread) -> &'static str {
    match spread {
        Spread::Query => "query",
        Spread::Client => "client",
        Spread::Turn => "turn",
    }
}

/// The `min-up` value, as in the zone file.
pub(super) fn format_min_up(min_up: MinUp) -> String {
    match min_up {
        MinUp::Members(count) => count.to_string(),
        MinUp::Share(share) => format!("{}%", (share * 1000.0).round() / 10.0),
    }
}
