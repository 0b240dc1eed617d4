//! What an inspection found, in an operator's words.

use crate::{
    dns::Name,
    number_format::thousands,
    steer::{
        Conditions, DatacenterId, Decision, FallbackStage, Family, InspectedEndpoint,
        InspectedMember, InspectedNode, InspectedPool, MatchedKey, Member, MemberKind, MinUp,
        PickReason, Policy, Pool, ResolvedAlias, ServingState, SkipReason, Spread, Topology,
    },
};

/// Names what an inspection holds by position.
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
        match member.kind {
            MemberKind::Endpoint(id) => &self.topology.endpoints[id.index()].name,
            MemberKind::Pool(id) => &self.topology.pools[id.index()].name,
        }
    }

    /// The alias that an endpoint is, and what it stands for.
    pub(super) fn alias(
        &self,
        endpoint: &InspectedEndpoint,
    ) -> Option<(&'a Name, &'a ResolvedAlias)> {
        let alias = self.topology.endpoint_alias[endpoint.id.index()]?;
        Some((&self.topology.aliases[alias.index()], self.conditions.resolved_alias(alias)))
    }

    /// Why a member was picked or passed over.
    pub(super) fn reason(&self, of: &InspectedPool, member: &InspectedMember) -> String {
        match member.decision {
            Decision::Picked(pick) => {
                let halved = || {
                    format!(
                        "its {} is down, and no member has all of its families",
                        self.other_family()
                    )
                };
                let words = std::iter::once(self.pick_phrase(of, member, pick))
                    .chain(self.modifier_phrases(of, member));
                words.chain(member.has_family_down.then(halved)).collect::<Vec<_>>().join("; ")
            }
            Decision::Skipped(pass @ SkipReason::Behind(_)) => self.skip_phrase(of, member, pass),
            Decision::Skipped(pass) => {
                let away = member
                    .distance_km
                    .map(|(km, _)| format!(" ({})", kilometres(km)))
                    .unwrap_or_default();
                self.skip_phrase(of, member, pass) + &away
            }
        }
    }

    fn other_family(&self) -> &'static str {
        family_word(self.family.other())
    }

    fn pick_phrase(
        &self,
        of: &InspectedPool,
        member: &InspectedMember,
        pick: PickReason,
    ) -> String {
        let pool = self.pool(of);
        let rank = match (&pool.policy, &member.matched_key, member.distance_km) {
            (Policy::Nearest { .. }, _, Some(distance)) => distance_words(distance),
            (Policy::Nearest { .. }, ..) if pick != PickReason::Remainder => {
                return self.phrase_without_distance(pick).to_owned();
            }
            (_, Some(offer), _) => key_words(offer),
            _ => String::new(),
        };
        let is_nearest = matches!(pool.policy, Policy::Nearest { .. });
        let is_geo = matches!(pool.policy, Policy::Geo { .. });
        match pick {
            PickReason::Weight if pool.members.len() == 1 => "the only member".to_owned(),
            PickReason::Weight if picked(of).count() == 1 => match of.search_stage {
                FallbackStage::Normal => "the only usable member".to_owned(),
                _ => "the only member left".to_owned(),
            },
            PickReason::Weight => {
                let weight =
                    |member: &InspectedMember| u32::from(pool.members[member.position].weight);
                self.weight(of, member, picked(of).map(weight).sum())
            }
            PickReason::AllUsable => "every usable member answers".to_owned(),
            PickReason::LastResort => "standby, and nothing else is usable".to_owned(),
            PickReason::Holder => self.holder(of),
            PickReason::Trickle => self.trickle(of),
            PickReason::Remainder if rank.is_empty() => self.rest(of, member),
            PickReason::Remainder => format!("{}: {rank}", self.rest(of, member)),
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

    /// Of a `nearest` pool that has no distance to go by.
    fn phrase_without_distance(&self, pick: PickReason) -> &'static str {
        match pick {
            PickReason::LastResort => "standby, and nothing else is usable",
            PickReason::NextInOrder => "next in order: no distance is known",
            PickReason::FirstUsable => "first usable in order: no distance is known",
            _ => "first in order: no distance is known",
        }
    }

    fn skip_phrase(
        &self,
        of: &InspectedPool,
        member: &InspectedMember,
        pass: SkipReason,
    ) -> String {
        let (pool, configured) = (self.pool(of), &self.pool(of).members[member.position]);
        match (pass, &member.content) {
            (SkipReason::Down, InspectedNode::Endpoint(_)) => "down since its last probes".to_owned(),
            (SkipReason::Down, InspectedNode::Pool(_)) => "down".to_owned(),
            (SkipReason::ForcedDown, _) => "forced down by the operator".to_owned(),
            (SkipReason::Draining | SkipReason::Disabled, InspectedNode::Endpoint(endpoint)) => match endpoint.state_of {
                Some(datacenter) => self.datacenter_state(datacenter),
                None => endpoint.state.word().to_owned(),
            },
            (SkipReason::Draining, _) => ServingState::Draining.word().to_owned(),
            (SkipReason::Disabled, _) => ServingState::Disabled.word().to_owned(),
            (SkipReason::NoAddress, _) => format!("no {} address", family_word(self.family)),
            (SkipReason::Unresolved, _) => "its alias is not resolved".to_owned(),
            (SkipReason::Unusable, InspectedNode::Pool(inner)) => self.unusable(inner),
            (SkipReason::Unusable, InspectedNode::Endpoint(_)) => "not usable".to_owned(),
            (SkipReason::BelowMinUp, InspectedNode::Pool(inner)) => {
                format!("below its min-up of {}", min_up_words(self.pool(inner).min_up))
            }
            (SkipReason::BelowMinUp, _) | (SkipReason::PoolBelowMinUp, _) => "its pool is below its min-up".to_owned(),
            (SkipReason::Standby, _) if configured.weight == 0 => "weight 0: only when nothing else is usable".to_owned(),
            (SkipReason::Standby, _) => "standby: only when nothing else is usable".to_owned(),
            (SkipReason::Pending, _) => {
                "never judged: stands behind members known to be healthy until its first health check".to_owned()
            }
            (SkipReason::OtherFamilyDown, _) => {
                format!("its {} is down, and the pool keeps families together", self.other_family())
            }
            (SkipReason::AwaitingFailback(holder), _) => self.waiting(of, holder),
            (SkipReason::GivesClientsAway, _) => self.yielding(of, member),
            (SkipReason::NoRule, _) => "no rule offers it to this client".to_owned(),
            (SkipReason::Behind(first), _) => match (&pool.policy, member.distance_km) {
                (Policy::Nearest { .. }, Some(distance)) => format!("farther: {}", distance_words(distance)),
                _ => self.behind(of, member, first),
            },
        }
    }

    fn behind(&self, of: &InspectedPool, member: &InspectedMember, first: usize) -> String {
        let before = of.members.iter().find(|other| other.position == first);
        let name = self.member_name(&self.pool(of).members[first]);
        match (before.and_then(|before| before.matched_key.as_ref()), &member.matched_key) {
            (Some(of_first), Some(own)) if of_first != own => {
                format!("behind {name}: {} before {}", key_words(of_first), key_words(own))
            }
            _ => format!("behind {name} in order"),
        }
    }

    /// Why a whole pool comes to nothing: what its endpoints have in common, or how many have what.
    fn unusable(&self, pool: &InspectedPool) -> String {
        let mut causes: Vec<(String, usize)> = Vec::new();
        self.count_causes(pool, &mut causes);
        match &causes[..] {
            [] => "nothing in it for this client".to_owned(),
            [(cause, _)] => cause.clone(),
            several => {
                let words: Vec<String> =
                    several.iter().map(|(cause, count)| format!("{count} {cause}")).collect();
                format!("nothing usable: {}", words.join(", "))
            }
        }
    }

    fn count_causes(&self, pool: &InspectedPool, causes: &mut Vec<(String, usize)>) {
        for member in &pool.members {
            match (&member.content, member.decision) {
                (InspectedNode::Pool(inner), Decision::Skipped(SkipReason::Unusable)) => {
                    self.count_causes(inner, causes)
                }
                (_, Decision::Skipped(pass)) => {
                    let cause = self.skip_phrase(pool, member, pass);
                    match causes.iter_mut().find(|(known, _)| *known == cause) {
                        Some((_, count)) => *count += 1,
                        None => causes.push((cause, 1)),
                    }
                }
                (_, Decision::Picked(_)) => {}
            }
        }
    }

    /// `fra is draining: kernel upgrade, until 2026-12-01T06:00:00Z`.
    fn datacenter_state(&self, id: DatacenterId) -> String {
        let datacenter = &self.topology.datacenters[id.index()];
        let state =
            self.conditions.datacenters.get(id.index()).copied().unwrap_or(datacenter.state);
        let mut words = format!("{} is {}", datacenter.name, state.word());
        if let Some(reason) = &datacenter.reason {
            words += &format!(": {reason}");
        }
        if let Some(until) = datacenter.until.and_then(format_timestamp) {
            words += &format!(", until {until}");
        }
        words
    }
}

pub(super) fn picked(pool: &InspectedPool) -> impl Iterator<Item = &InspectedMember> {
    pool.members.iter().filter(|member| matches!(member.decision, Decision::Picked(_)))
}

/// Seconds since 1970 as RFC 3339.
pub(super) fn format_timestamp(secs: i64) -> Option<String> {
    jiff::Timestamp::from_second(secs).ok().map(|at| at.to_string())
}

/// `5,432 km`, and what the bias makes of it.
fn distance_words((km, biased): (f64, f64)) -> String {
    if (km - biased).abs() < 0.5 {
        kilometres(km)
    } else {
        format!("{}, biased to {}", kilometres(km), kilometres(biased))
    }
}

/// `5,432 km`.
fn kilometres(km: f64) -> String {
    format!("{} km", thousands(km.round() as u64))
}

/// `country DE`, `default`.
pub(super) fn key_words(offer: &MatchedKey) -> String {
    match offer {
        MatchedKey::Subnet(prefix) => format!("subnet {prefix}"),
        MatchedKey::Asn(asn) => format!("AS{asn}"),
        MatchedKey::Subdivision(code) => format!("subdivision {code}"),
        MatchedKey::Country(code) => format!("country {code}"),
        MatchedKey::Continent(code) => format!("continent {code}"),
        MatchedKey::Default => "default".to_owned(),
    }
}

/// `IPv4`, `IPv6`.
pub(super) fn family_word(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

/// The word in the zone file.
pub(super) fn spread_word(spread: Spread) -> &'static str {
    match spread {
        Spread::Query => "query",
        Spread::Client => "client",
        Spread::Turn => "turn",
    }
}

/// As in the zone file.
pub(super) fn min_up_words(min_up: MinUp) -> String {
    match min_up {
        MinUp::Members(count) => count.to_string(),
        MinUp::Share(share) => format!("{}%", (share * 1000.0).round() / 10.0),
    }
}
