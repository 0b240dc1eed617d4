//! What an inspection found, in an operator's words.

use crate::{
    dns::Name,
    steer::{
        Conditions, Content, DatacenterId, Family, Fate, InspectedEndpoint, InspectedMember,
        InspectedPool, Member, MemberKind, MinUp, Offer, Pass, Pick, Plight, Policy, Pool,
        Resolved, Spread, State, Topology,
    },
};

/// Names what an inspection holds by position.
#[derive(Clone, Copy)]
pub(super) struct Words<'a> {
    pub(super) topology: &'a Topology,
    pub(super) conditions: &'a Conditions,
    pub(super) family: Family,
}

impl<'a> Words<'a> {
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
    pub(super) fn alias(&self, endpoint: &InspectedEndpoint) -> Option<(&'a Name, &'a Resolved)> {
        let alias = self.topology.alias_of[endpoint.id.index()]?;
        Some((&self.topology.aliases[alias.index()], self.conditions.resolved(alias)))
    }

    /// Why a member was picked or passed over.
    pub(super) fn reason(&self, of: &InspectedPool, member: &InspectedMember) -> String {
        match member.fate {
            Fate::Picked(pick) => {
                let halved = || {
                    format!(
                        "its {} is down, and no member has all of its families",
                        self.other_family()
                    )
                };
                let words =
                    std::iter::once(self.pick(of, member, pick)).chain(self.terms(of, member));
                words.chain(member.is_halved.then(halved)).collect::<Vec<_>>().join("; ")
            }
            Fate::PassedOver(pass @ Pass::Behind(_)) => self.pass(of, member, pass),
            Fate::PassedOver(pass) => {
                let away = member
                    .distance_km
                    .map(|(km, _)| format!(" ({})", kilometres(km)))
                    .unwrap_or_default();
                self.pass(of, member, pass) + &away
            }
        }
    }

    fn other_family(&self) -> &'static str {
        family_word(self.family.other())
    }

    fn pick(&self, of: &InspectedPool, member: &InspectedMember, pick: Pick) -> String {
        let pool = self.pool(of);
        let rank = match (&pool.policy, &member.offer, member.distance_km) {
            (Policy::Nearest { .. }, _, Some(distance)) => distance_words(distance),
            (Policy::Nearest { .. }, ..) if pick != Pick::Rest => {
                return self.unplaced(pick).to_owned();
            }
            (_, Some(offer), _) => offer_words(offer),
            _ => String::new(),
        };
        let is_nearest = matches!(pool.policy, Policy::Nearest { .. });
        let is_geo = matches!(pool.policy, Policy::Geo { .. });
        match pick {
            Pick::Weight if pool.members.len() == 1 => "the only member".to_owned(),
            Pick::Weight if picked(of).count() == 1 => match of.within {
                Plight::None => "the only usable member".to_owned(),
                _ => "the only member left".to_owned(),
            },
            Pick::Weight => {
                let weight = |member: &InspectedMember| u32::from(pool.members[member.at].weight);
                self.weight(of, member, picked(of).map(weight).sum())
            }
            Pick::Every => "every usable member answers".to_owned(),
            Pick::LastResort => "standby, and nothing else is usable".to_owned(),
            Pick::Holder => self.holder(of),
            Pick::Trickle => self.trickle(of),
            Pick::Rest if rank.is_empty() => self.rest(of, member),
            Pick::Rest => format!("{}: {rank}", self.rest(of, member)),
            Pick::First if is_nearest => format!("nearest: {rank}"),
            Pick::FirstUsable if is_nearest => format!("nearest usable: {rank}"),
            Pick::Tied => format!("ties with the nearest: {rank}"),
            Pick::Next if is_nearest => format!("next nearest: {rank}"),
            Pick::First if is_geo => format!("first for {rank}"),
            Pick::FirstUsable if is_geo => format!("first usable for {rank}"),
            Pick::First => "first in order".to_owned(),
            Pick::FirstUsable => "first usable in order".to_owned(),
            Pick::Next => "next in order".to_owned(),
        }
    }

    /// Of a `nearest` pool that has no distance to go by.
    fn unplaced(&self, pick: Pick) -> &'static str {
        match pick {
            Pick::LastResort => "standby, and nothing else is usable",
            Pick::Next => "next in order: no distance is known",
            Pick::FirstUsable => "first usable in order: no distance is known",
            _ => "first in order: no distance is known",
        }
    }

    fn pass(&self, of: &InspectedPool, member: &InspectedMember, pass: Pass) -> String {
        let (pool, configured) = (self.pool(of), &self.pool(of).members[member.at]);
        match (pass, &member.content) {
            (Pass::Down, Content::Endpoint(_)) => "down since its last probes".to_owned(),
            (Pass::Down, Content::Pool(_)) => "down".to_owned(),
            (Pass::ForcedDown, _) => "forced down by the operator".to_owned(),
            (Pass::Draining | Pass::Disabled, Content::Endpoint(endpoint)) => match endpoint.state_of {
                Some(datacenter) => self.datacenter_state(datacenter),
                None => endpoint.state.word().to_owned(),
            },
            (Pass::Draining, _) => State::Draining.word().to_owned(),
            (Pass::Disabled, _) => State::Disabled.word().to_owned(),
            (Pass::NoAddress, _) => format!("no {} address", family_word(self.family)),
            (Pass::Unresolved, _) => "its alias is not resolved".to_owned(),
            (Pass::Unusable, Content::Pool(inner)) => self.unusable(inner),
            (Pass::Unusable, Content::Endpoint(_)) => "not usable".to_owned(),
            (Pass::BelowMinUp, Content::Pool(inner)) => {
                format!("below its min-up of {}", min_up_words(self.pool(inner).min_up))
            }
            (Pass::BelowMinUp, _) | (Pass::PoolBelowMinUp, _) => "its pool is below its min-up".to_owned(),
            (Pass::Standby, _) if configured.weight == 0 => "weight 0: only when nothing else is usable".to_owned(),
            (Pass::Standby, _) => "standby: only when nothing else is usable".to_owned(),
            (Pass::Pending, _) => {
                "never judged: stands behind members known to be healthy until its first health check".to_owned()
            }
            (Pass::OtherFamilyDown, _) => {
                format!("its {} is down, and the pool keeps families together", self.other_family())
            }
            (Pass::Waiting(holder), _) => self.waiting(of, holder),
            (Pass::Yielding, _) => self.yielding(of, member),
            (Pass::NoRule, _) => "no rule offers it to this client".to_owned(),
            (Pass::Behind(first), _) => match (&pool.policy, member.distance_km) {
                (Policy::Nearest { .. }, Some(distance)) => format!("farther: {}", distance_words(distance)),
                _ => self.behind(of, member, first),
            },
        }
    }

    fn behind(&self, of: &InspectedPool, member: &InspectedMember, first: usize) -> String {
        let before = of.members.iter().find(|other| other.at == first);
        let name = self.member_name(&self.pool(of).members[first]);
        match (before.and_then(|before| before.offer.as_ref()), &member.offer) {
            (Some(of_first), Some(own)) if of_first != own => {
                format!("behind {name}: {} before {}", offer_words(of_first), offer_words(own))
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
            match (&member.content, member.fate) {
                (Content::Pool(inner), Fate::PassedOver(Pass::Unusable)) => {
                    self.count_causes(inner, causes)
                }
                (_, Fate::PassedOver(pass)) => {
                    let cause = self.pass(pool, member, pass);
                    match causes.iter_mut().find(|(known, _)| *known == cause) {
                        Some((_, count)) => *count += 1,
                        None => causes.push((cause, 1)),
                    }
                }
                (_, Fate::Picked(_)) => {}
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
        if let Some(until) = datacenter.until.and_then(instant) {
            words += &format!(", until {until}");
        }
        words
    }
}

pub(super) fn picked(pool: &InspectedPool) -> impl Iterator<Item = &InspectedMember> {
    pool.members.iter().filter(|member| matches!(member.fate, Fate::Picked(_)))
}

/// Seconds since 1970 as RFC 3339.
pub(super) fn instant(secs: i64) -> Option<String> {
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

/// `5,432`.
pub(in crate::engine) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut words = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            words.push(',');
        }
        words.push(digit);
    }
    words
}

/// `country DE`, `default`.
pub(super) fn offer_words(offer: &Offer) -> String {
    match offer {
        Offer::Subnet(prefix) => format!("subnet {prefix}"),
        Offer::Asn(asn) => format!("AS{asn}"),
        Offer::Subdivision(code) => format!("subdivision {code}"),
        Offer::Country(code) => format!("country {code}"),
        Offer::Continent(code) => format!("continent {code}"),
        Offer::Default => "default".to_owned(),
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
