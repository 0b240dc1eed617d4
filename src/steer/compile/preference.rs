//! Preferences: what of a client's location can change a service's answer, and what a location
//! makes of it.
//!
//! A service's preferences are those of every `rank_by_distance` and `geo` pool in its tree.
//! Services with equal preferences share one survey of the world. Ranks are over members, not over
//! health: a verdict never makes a survey anew.

use ipnet::IpNet;

use crate::{
    geo::{Coordinates, Location},
    steer::model::{Fraction, GeoRule, Member, MemberKind, Policy, PoolId, Tie, Topology},
};

/// What of a client's location can change an answer. By pool, in the order in which the tree is
/// walked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(in crate::steer) struct Preferences(Vec<Preference>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Preference {
    /// Distances to the members; and how much farther the second nearest is, where the nearest may
    /// give clients away.
    Nearest { members: Vec<MemberLocation>, tie: TieKey, yields: bool },
    /// The keys of the rules.
    Geo { rules: Vec<RuleKeys> },
}

/// Where a member is: its datacenters' coordinates, and its bias.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct MemberLocation {
    points: Vec<Coordinates>,
    bias: i8,
}

/// A tie by its bits, so that it can be part of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum TieKey {
    None,
    Share(u64),
    Kilometres(u64),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::steer) struct RuleKeys {
    subnets: Vec<IpNet>,
    asns: Vec<u32>,
    subdivisions: Vec<Box<str>>,
    countries: Vec<Box<str>>,
    continents: Vec<Box<str>>,
}

/// What one location makes of one pool.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::steer) enum Ranking {
    /// Of a `rank_by_distance` pool.
    Nearest {
        /// All members, nearest first.
        order: Box<[u16]>,
        /// For each rank: how many of the next ranks tie with it. Empty where the pool has no tie.
        tied: Box<[u16]>,
        /// How much distance a client loses who goes to the second member instead of the first, in
        /// classes of [`loss_class`]. `None` where that is not known, or where no member gives
        /// clients away.
        loss: Option<u16>,
    },
    /// Of a `geo` pool: the rules that match, most specific first.
    Geo(Box<[u16]>),
}

/// Where an area stands among all areas that have the same nearest member, in order of the distance
/// that their clients would lose by going to the second: as shares of those areas' addresses, from
/// 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::steer) struct LossRange {
    pub from: f64,
    pub to: f64,
}

impl LossRange {
    /// What the area keeps where the member keeps `keep` of all its clients.
    pub(in crate::steer) fn kept_fraction(self, keep: Fraction) -> Fraction {
        let given = 1.0 - keep.share();
        match (given <= self.from, given >= self.to) {
            (true, _) => Fraction::FULL,
            (_, true) => Fraction::ZERO,
            _ => Fraction::from_share((self.to - given) / (self.to - self.from)),
        }
    }
}

/// What one location makes of every pool of the preferences.
pub(in crate::steer) type Rankings = Box<[Ranking]>;

impl Preferences {
    /// The preferences of a tree (or of several, a service's pool and its `on-all-down` pool), and
    /// which pool each is of.
    pub(in crate::steer) fn of(topology: &Topology, roots: &[PoolId]) -> (Self, Vec<PoolId>) {
        let is_geographic = |id: &PoolId| {
            let policy = &topology.pools[id.index()].policy;
            matches!(policy, Policy::Nearest { .. } | Policy::Geo { .. })
        };
        let mut pools = topology.pools_below(roots.iter().copied());
        pools.retain(is_geographic);
        let preference = |id: &PoolId| Preference::of(topology, *id);
        (Self(pools.iter().filter_map(preference).collect()), pools)
    }

    /// Whether every client is alike.
    pub(in crate::steer) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether some nearest member may have to give clients away although it is usable.
    pub(in crate::steer) fn may_give_clients_away(&self) -> bool {
        self.0
            .iter()
            .any(|preference| matches!(preference, Preference::Nearest { yields: true, .. }))
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

    /// What a location makes of every pool. `within` are the named prefixes that hold it, longest
    /// first.
    pub(in crate::steer) fn rankings(&self, location: &Location, within: &[IpNet]) -> Rankings {
        self.0.iter().map(|preference| preference.ranking(location, within)).collect()
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
                yields: pool.members.iter().any(|member| may_give_clients_away(topology, member)),
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

    fn ranking(&self, location: &Location, within: &[IpNet]) -> Ranking {
        match self {
            Self::Nearest { members, tie, yields } => {
                rank_by_distance(members, *tie, *yields, location.coordinates)
            }
            Self::Geo { rules } => {
                let specific = |(at, rule): (usize, &RuleKeys)| {
                    Some((rule.specificity(location, within)?, at as u16))
                };
                let mut matching: Vec<(Specificity, u16)> =
                    rules.iter().enumerate().filter_map(specific).collect();
                matching.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
                Ranking::Geo(matching.into_iter().map(|(_, at)| at).collect())
            }
        }
    }
}

/// How closely a rule fits, the closest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::steer) enum Specificity {
    Continent,
    Country,
    /// How many of the client's subdivisions lie around the one that the rule names.
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

    /// By the most specific of the rule's keys that fits; `None` where none does.
    pub(in crate::steer) fn specificity(
        &self,
        location: &Location,
        within: &[IpNet],
    ) -> Option<Specificity> {
        let holds = |codes: &[Box<str>], code: &Option<Box<str>>| {
            code.as_ref().is_some_and(|code| codes.contains(code))
        };
        if let Some(prefix) = within.iter().find(|prefix| self.subnets.contains(prefix)) {
            Some(Specificity::Subnet(prefix.prefix_len()))
        } else if location.asn.is_some_and(|asn| self.asns.contains(&asn)) {
            Some(Specificity::Asn)
        } else if let Some(at) =
            location.subdivisions.iter().position(|code| self.subdivisions.contains(code))
        {
            Some(Specificity::Subdivision((location.subdivisions.len() - 1 - at).min(255) as u8))
        } else if holds(&self.countries, &location.country) {
            Some(Specificity::Country)
        } else if holds(&self.continents, &location.continent) {
            Some(Specificity::Continent)
        } else {
            None
        }
    }
}

/// Members by biased distance, those of equal distance (or of none) in the order written.
fn rank_by_distance(
    members: &[MemberLocation],
    tie: TieKey,
    yields: bool,
    client: Option<Coordinates>,
) -> Ranking {
    let distance = |site: &MemberLocation| {
        client.map_or(f64::INFINITY, |client| biased_km(&site.points, site.bias, client))
    };
    let mut ranked: Vec<(f64, u16)> = members.iter().map(distance).zip(0..).collect();
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
        [(nearest, _), (second, _), ..] if yields && second.is_finite() => Some(second - nearest),
        _ => None,
    };
    Ranking::Nearest {
        order: ranked.iter().map(|(_, at)| *at).collect(),
        tied,
        loss: lost_km.map(loss_class),
    }
}

/// The class of a lost distance. The first class is 125 m wide and each next one 0.5 % wider: some
/// 1,350 classes up to the longest distance on Earth. Classes with few clients are joined with
/// their neighbours ([`super::survey`]).
fn loss_class(km: f64) -> u16 {
    const FIRST_KM: f64 = 25.0;
    const RATIO: f64 = 1.005;
    ((1.0 + km / FIRST_KM).ln() / RATIO.ln()) as u16
}

/// Whether a member of a `rank_by_distance` pool may have to give clients away although it is
/// usable.
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

/// The distance to the nearest of `member_coordinates` as `rank_by_distance` sees it: with Route
/// 53's bias. Infinite where there is no point.
pub(in crate::steer) fn biased_km(points: &[Coordinates], bias: i8, client: Coordinates) -> f64 {
    let km = points.iter().map(|point| point.distance_km(client)).fold(f64::INFINITY, f64::min);
    let bias = f64::from(bias) / 100.0;
    if bias >= 0.0 { km * (1.0 - bias) } else { km / (1.0 + bias) }
}

/// Where a member is: the coordinates of its datacenters, of all its endpoints' where it is a pool.
/// Each point once.
pub(in crate::steer) fn member_coordinates(
    topology: &Topology,
    member: &Member,
) -> Vec<Coordinates> {
    let mut points = Vec::new();
    for id in topology.endpoints_of([member.kind]) {
        for datacenter in &topology.endpoints[id.index()].datacenters {
            let place = topology.datacenters[datacenter.index()].location;
            points.extend(place.filter(|place| !points.contains(place)));
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(latitude: f64, longitude: f64, bias: i8) -> MemberLocation {
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
            Ranking::Geo(_) => unreachable!("nearest makes no geo sight"),
        }
    }

    #[test]
    fn the_great_circle_decides_where_plain_degrees_would_not() {
        let (frankfurt, helsinki) = (site(50.11, 8.68, 0), site(60.17, 24.94, 0));
        assert_eq!(order(&[frankfurt, helsinki], TieKey::None, Some((59.91, 10.75))).0, [1, 0]);
    }

    #[test]
    fn bias_draws_clients_near_or_pushes_them_off() {
        let client = Some((0.0, 0.0));
        assert_eq!(
            order(&[site(0.0, 10.0, 0), site(0.0, 12.0, 25)], TieKey::None, client).0,
            [1, 0]
        );
        assert_eq!(
            order(&[site(0.0, 10.0, -25), site(0.0, 12.0, 0)], TieKey::None, client).0,
            [1, 0]
        );
        assert_eq!(
            order(&[site(0.0, 10.0, 0), site(0.0, -10.0, 0)], TieKey::None, client).0,
            [0, 1]
        );
    }

    #[test]
    fn a_client_without_coordinates_gets_the_order_written_and_no_ties() {
        let members = [site(10.0, 10.0, 0), site(0.0, 0.0, 0)];
        assert_eq!(
            order(&members, TieKey::Share(0.5_f64.to_bits()), None),
            (vec![0, 1], vec![0, 0])
        );
    }

    #[test]
    fn a_tie_counts_from_whoever_is_nearest_among_the_usable() {
        let members = [site(0.0, 10.0, 0), site(0.0, 10.4, 0), site(0.0, 10.8, 0)];
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
        let within = ["203.0.113.128/25".parse().unwrap(), "203.0.113.0/24".parse().unwrap()];
        assert_eq!(
            Preference::Geo { rules }.ranking(&location, &within),
            Ranking::Geo([3, 2, 4, 1, 0].into())
        );
    }
}
