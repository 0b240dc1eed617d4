//! Preferences: the properties of a client's location that can change a service's answer, and how a
//! location ranks the members of its pools.
//!
//! A service's preferences are those of every `nearest` and `geo` pool in its tree. Services with
//! equal preferences share one survey of the address space. A ranking has all members, healthy or
//! not, so that a change of health never needs a new survey.

use ipnet::IpNet;

use crate::{
    geo::{Coordinates, Location},
    steer::model::{Fraction, GeoRule, Member, MemberKind, Policy, PoolId, Tie, Topology},
};

/// The properties of a client's location that can change an answer: one preference for each
/// geographic pool, in the order in which the tree is traversed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(in crate::steer) struct Preferences(Vec<Preference>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Preference {
    /// The distances to the members. `may_yield`: some member may have to give clients away
    /// although it is usable, so the distance that its clients lose matters, too.
    Nearest { members: Vec<MemberLocation>, tie: TieKey, may_yield: bool },
    /// The keys of the pool's rules.
    Geo { rules: Vec<RuleKeys> },
}

/// The coordinates of a member's datacenters, and its bias.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct MemberLocation {
    points: Vec<Coordinates>,
    bias: i8,
}

/// A tie with its number as bits, so that it can be part of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum TieKey {
    None,
    Share(u64),
    Kilometres(u64),
}

/// The keys of a `geo` rule, without its members.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::steer) struct RuleKeys {
    subnets: Vec<IpNet>,
    asns: Vec<u32>,
    subdivisions: Vec<Box<str>>,
    countries: Vec<Box<str>>,
    continents: Vec<Box<str>>,
}

/// How one location ranks the members or rules of one pool.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::steer) enum Ranking {
    /// The ranking of a `nearest` pool, by distance.
    Nearest {
        /// All members, the nearest first.
        order: Box<[u16]>,
        /// For each rank: the number of the next ranks that tie with it. Empty if the pool has no
        /// tie.
        tied: Box<[u16]>,
        /// The distance that a client loses by going to the second member instead of the first, as
        /// a class of [`loss_class`]. `None` if it is not known, or if no member may give clients
        /// away.
        loss: Option<u16>,
    },
    /// The rules of a `geo` pool that match, the most specific first.
    Geo(Box<[u16]>),
}

/// The range of an area among all areas with the same nearest member, ordered by the distance that
/// their clients would lose by going to the second nearest: as shares of these areas' addresses,
/// from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::steer) struct LossRange {
    pub from: f64,
    pub to: f64,
}

impl LossRange {
    /// The fraction of the area's clients that stay with the nearest member if that keeps `keep` of
    /// all its clients.
    pub(in crate::steer) fn kept_fraction(self, keep: Fraction) -> Fraction {
        let leaving = 1.0 - keep.share();
        match (leaving <= self.from, leaving >= self.to) {
            (true, _) => Fraction::FULL,
            (_, true) => Fraction::ZERO,
            _ => Fraction::from_share((self.to - leaving) / (self.to - self.from)),
        }
    }
}

/// How one location ranks the members of every pool of the preferences.
pub(in crate::steer) type Rankings = Box<[Ranking]>;

impl Preferences {
    /// The preferences of the trees below `roots` (a service's pool and its `on-all-down` pool),
    /// and the pool that each belongs to.
    pub(in crate::steer) fn of(topology: &Topology, roots: &[PoolId]) -> (Self, Vec<PoolId>) {
        let is_geographic = |id: &PoolId| topology.pools[id.index()].policy.is_geographic();
        let mut pools = topology.pools_below(roots.iter().copied());
        pools.retain(is_geographic);
        let preference = |id: &PoolId| Preference::of(topology, *id);
        (Self(pools.iter().filter_map(preference).collect()), pools)
    }

    /// Whether the answer does not depend on the client's location.
    pub(in crate::steer) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether some nearest member may have to give clients away although it is usable.
    pub(in crate::steer) fn may_give_clients_away(&self) -> bool {
        self.0
            .iter()
            .any(|preference| matches!(preference, Preference::Nearest { may_yield: true, .. }))
    }

    /// The prefixes that rules name, each once.
    pub(in crate::steer) fn named_prefixes(&self) -> Vec<IpNet> {
        let mut named: Vec<IpNet> =
            self.rules().flat_map(|rule| rule.subnets.iter().copied()).collect();
        named.sort_unstable();
        named.dedup();
        named
    }

    fn rules(&self) -> impl Iterator<Item = &RuleKeys> {
        self.0.iter().flat_map(|preference| match preference {
            Preference::Geo { rules } => rules.as_slice(),
            Preference::Nearest { .. } => &[],
        })
    }

    /// How a location ranks the members of every pool. `prefixes` are the named prefixes that
    /// contain it, the longest first.
    pub(in crate::steer) fn rankings(&self, location: &Location, prefixes: &[IpNet]) -> Rankings {
        self.0.iter().map(|preference| preference.ranking(location, prefixes)).collect()
    }
}

impl Preference {
    fn of(topology: &Topology, id: PoolId) -> Option<Self> {
        let pool = &topology.pools[id.index()];
        match &pool.policy {
            Policy::Nearest { tie } => Some(Self::Nearest {
                members: pool
                    .members
                    .iter()
                    .map(|member| MemberLocation {
                        points: member_coordinates(topology, member),
                        bias: member.bias,
                    })
                    .collect(),
                may_yield: pool
                    .members
                    .iter()
                    .any(|member| may_give_clients_away(topology, member)),
                tie: match tie {
                    None => TieKey::None,
                    Some(Tie::Share(share)) => TieKey::Share(share.to_bits()),
                    Some(Tie::Kilometres(km)) => TieKey::Kilometres(km.to_bits()),
                },
            }),
            Policy::Geo { rules, .. } => {
                Some(Self::Geo { rules: rules.iter().map(RuleKeys::of).collect() })
            }
            Policy::Weighted | Policy::Failover | Policy::All | Policy::Load(_) => None,
        }
    }

    fn ranking(&self, location: &Location, prefixes: &[IpNet]) -> Ranking {
        match self {
            Self::Nearest { members, tie, may_yield } => {
                rank_by_distance(members, *tie, *may_yield, location.coordinates)
            }
            Self::Geo { rules } => {
                let specificity = |(index, rule): (usize, &RuleKeys)| {
                    Some((rule.specificity(location, prefixes)?, index as u16))
                };
                let mut matching: Vec<(Specificity, u16)> =
                    rules.iter().enumerate().filter_map(specificity).collect();
                matching.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
                Ranking::Geo(matching.into_iter().map(|(_, rule)| rule).collect())
            }
        }
    }
}

/// How specific the key is by which a rule matches; the greatest is the most specific.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::steer) enum Specificity {
    Continent,
    Country,
    /// The number of the client's subdivisions that contain the one which the rule names.
    Subdivision(u8),
    Asn,
    Subnet(u8),
}

impl RuleKeys {
    pub(in crate::steer) fn of(rule: &GeoRule) -> Self {
        Self {
            subnets: rule.subnets.clone(),
            asns: rule.asns.clone(),
            subdivisions: rule.subdivisions.clone(),
            countries: rule.countries.clone(),
            continents: rule.continents.clone(),
        }
    }

    /// The specificity of the most specific key that matches; `None` if none does. `prefixes` are
    /// the named prefixes that contain the client, the longest first.
    pub(in crate::steer) fn specificity(
        &self,
        location: &Location,
        prefixes: &[IpNet],
    ) -> Option<Specificity> {
        let contains = |codes: &[Box<str>], code: &Option<Box<str>>| {
            code.as_ref().is_some_and(|code| codes.contains(code))
        };
        if let Some(prefix) = prefixes.iter().find(|prefix| self.subnets.contains(prefix)) {
            Some(Specificity::Subnet(prefix.prefix_len()))
        } else if location.asn.is_some_and(|asn| self.asns.contains(&asn)) {
            Some(Specificity::Asn)
        } else if let Some(index) =
            location.subdivisions.iter().position(|code| self.subdivisions.contains(code))
        {
            Some(Specificity::Subdivision((location.subdivisions.len() - 1 - index).min(255) as u8))
        } else if contains(&self.countries, &location.country) {
            Some(Specificity::Country)
        } else if contains(&self.continents, &location.continent) {
            Some(Specificity::Continent)
        } else {
            None
        }
    }
}

/// Ranks members by biased distance; members of equal or unknown distance stay in the order
/// written.
fn rank_by_distance(
    members: &[MemberLocation],
    tie: TieKey,
    may_yield: bool,
    client: Option<Coordinates>,
) -> Ranking {
    let distance_km = |member: &MemberLocation| {
        client.map_or(f64::INFINITY, |client| biased_km(&member.points, member.bias, client))
    };
    let mut ranked: Vec<(f64, u16)> = members.iter().map(distance_km).zip(0..).collect();
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let limit = |nearest_km: f64| match tie {
        TieKey::None => None,
        TieKey::Share(share) => Some(nearest_km * (1.0 + f64::from_bits(share))),
        TieKey::Kilometres(km) => Some(nearest_km + f64::from_bits(km)),
    };
    let tied_at = |rank: usize| {
        let nearest_km = ranked[rank].0;
        let limit = limit(nearest_km).filter(|limit| limit.is_finite());
        limit.map_or(0, |limit| {
            ranked[rank + 1..].iter().take_while(|(km, _)| *km <= limit).count() as u16
        })
    };
    let tied =
        if tie == TieKey::None { Box::default() } else { (0..ranked.len()).map(tied_at).collect() };
    let lost_km = match ranked[..] {
        [(nearest, _), (second, _), ..] if may_yield && second.is_finite() => {
            Some(second - nearest)
        }
        _ => None,
    };
    Ranking::Nearest {
        order: ranked.iter().map(|(_, member)| *member).collect(),
        tied,
        loss: lost_km.map(loss_class),
    }
}

/// The class of a lost distance. The first class is 125 m wide and each next one 0.5 % wider, which
/// makes some 1,350 classes up to the longest distance on Earth. Classes with few clients are
/// merged with their neighbours ([`super::survey`]).
fn loss_class(km: f64) -> u16 {
    const FIRST_KM: f64 = 25.0;
    const RATIO: f64 = 1.005;
    ((1.0 + km / FIRST_KM).ln() / RATIO.ln()) as u16
}

/// Whether a member of a `nearest` pool may have to give clients away although it is usable.
fn may_give_clients_away(topology: &Topology, member: &Member) -> bool {
    topology.members_below([member.kind]).any(|member| match member {
        MemberKind::Pool(id) => {
            let regulation = &topology.pools[id.index()].regulation;
            regulation.capacity.is_some() || !regulation.keep.is_full()
        }
        MemberKind::Endpoint(id) => {
            let datacenters = &topology.endpoints[id.index()].datacenters;
            datacenters.iter().any(|id| !topology.datacenters[id.index()].keep.is_full())
        }
    })
}

/// The distance in km from the client to the nearest of `points`, changed by the bias as Route 53
/// does. Infinite if there is no point.
pub(in crate::steer) fn biased_km(points: &[Coordinates], bias: i8, client: Coordinates) -> f64 {
    let km = points.iter().map(|point| point.distance_km(client)).fold(f64::INFINITY, f64::min);
    let bias = f64::from(bias) / 100.0;
    if bias >= 0.0 { km * (1.0 - bias) } else { km / (1.0 + bias) }
}

/// The coordinates of a member: those of the datacenters of the endpoint, or of all endpoints below
/// the pool. Each point once.
pub(in crate::steer) fn member_coordinates(
    topology: &Topology,
    member: &Member,
) -> Vec<Coordinates> {
    let mut points = Vec::new();
    for id in topology.endpoints_of([member.kind]) {
        for datacenter in &topology.endpoints[id.index()].datacenters {
            let location = topology.datacenters[datacenter.index()].location;
            points.extend(location.filter(|location| !points.contains(location)));
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member_at(latitude: f64, longitude: f64, bias: i8) -> MemberLocation {
        MemberLocation { points: vec![Coordinates::new(latitude, longitude).unwrap()], bias }
    }

    fn order(
        members: &[MemberLocation],
        tie: TieKey,
        client: Option<(f64, f64)>,
    ) -> (Vec<u16>, Vec<u16>) {
        let client =
            client.map(|(latitude, longitude)| Coordinates::new(latitude, longitude).unwrap());
        match rank_by_distance(members, tie, false, client) {
            Ranking::Nearest { order, tied, .. } => (order.into_vec(), tied.into_vec()),
            Ranking::Geo(_) => unreachable!("distances make no ranking of rules"),
        }
    }

    #[test]
    fn the_nearest_member_is_found_by_the_great_circle_and_not_by_degrees() {
        let (frankfurt, helsinki) = (member_at(50.11, 8.68, 0), member_at(60.17, 24.94, 0));
        assert_eq!(order(&[frankfurt, helsinki], TieKey::None, Some((59.91, 10.75))).0, [1, 0]);
    }

    #[test]
    fn a_positive_bias_attracts_clients_and_a_negative_one_repels_them() {
        let client = Some((0.0, 0.0));
        assert_eq!(
            order(&[member_at(0.0, 10.0, 0), member_at(0.0, 12.0, 25)], TieKey::None, client).0,
            [1, 0]
        );
        assert_eq!(
            order(&[member_at(0.0, 10.0, -25), member_at(0.0, 12.0, 0)], TieKey::None, client).0,
            [1, 0]
        );
        assert_eq!(
            order(&[member_at(0.0, 10.0, 0), member_at(0.0, -10.0, 0)], TieKey::None, client).0,
            [0, 1]
        );
    }

    #[test]
    fn a_client_without_coordinates_gets_the_order_written_and_no_ties() {
        let members = [member_at(10.0, 10.0, 0), member_at(0.0, 0.0, 0)];
        assert_eq!(
            order(&members, TieKey::Share(0.5_f64.to_bits()), None),
            (vec![0, 1], vec![0, 0])
        );
    }

    #[test]
    fn a_tie_is_measured_from_each_rank_since_the_members_before_it_may_be_unusable() {
        let members = [member_at(0.0, 10.0, 0), member_at(0.0, 10.4, 0), member_at(0.0, 10.8, 0)];
        assert_eq!(
            order(&members, TieKey::Share(0.05_f64.to_bits()), Some((0.0, 0.0))).1,
            [1, 1, 0]
        );
        assert_eq!(
            order(&members, TieKey::Kilometres(100.0_f64.to_bits()), Some((0.0, 0.0))).1,
            [2, 1, 0]
        );
    }

    #[test]
    fn the_narrowest_subdivision_of_a_record_comes_before_the_wider_ones() {
        let subdivision = |code: &str| {
            RuleKeys::of(&GeoRule { subdivisions: vec![code.into()], ..GeoRule::default() })
        };
        let rules = vec![subdivision("GB-ENG"), subdivision("GB-WBK"), subdivision("GB-SCT")];
        let location = Location {
            subdivisions: ["GB-WBK".into(), "GB-ENG".into()].into(),
            ..Location::default()
        };
        assert_eq!(Preference::Geo { rules }.ranking(&location, &[]), Ranking::Geo([1, 0].into()));
    }

    #[test]
    fn the_most_specific_rule_comes_first_whatever_the_order_written() {
        let keys = |rule: GeoRule| RuleKeys::of(&rule);
        let rules = vec![
            keys(GeoRule { continents: vec!["EU".into()], ..GeoRule::default() }),
            keys(GeoRule { countries: vec!["DE".into()], ..GeoRule::default() }),
            keys(GeoRule {
                subnets: vec!["203.0.113.0/24".parse().unwrap()],
                ..GeoRule::default()
            }),
            keys(GeoRule {
                subnets: vec!["203.0.113.128/25".parse().unwrap()],
                ..GeoRule::default()
            }),
            keys(GeoRule { asns: vec![64500], ..GeoRule::default() }),
            keys(GeoRule { countries: vec!["FR".into()], ..GeoRule::default() }),
        ];
        let location = Location {
            continent: Some("EU".into()),
            country: Some("DE".into()),
            asn: Some(64500),
            ..Location::default()
        };
        let prefixes = ["203.0.113.128/25".parse().unwrap(), "203.0.113.0/24".parse().unwrap()];
        assert_eq!(
            Preference::Geo { rules }.ranking(&location, &prefixes),
            Ranking::Geo([3, 2, 4, 1, 0].into())
        );
    }
}
