//! Areas as text: which clients are in an area of a service's survey.

use crate::{
    listing,
    steer::{
        compile::{Compiler, Ranking},
        model::{GeoRule, Policy, PoolId, ServiceId, Topology},
    },
};

/// The maximum number of values of each key of a rule that are named.
const MAX_RULE_KEYS: usize = 4;

impl Compiler {
    /// Describes the clients of areas of a service's survey, such as [`Chart::unusable_areas`]: by
    /// the rule of a `geo` pool that matches them, or by the member nearest to them. Each text
    /// occurs once. The list is empty if the answers do not depend on the client's location, or if
    /// `areas` names every area.
    ///
    /// [`Chart::unusable_areas`]: crate::steer::Chart::unusable_areas
    pub fn describe_areas(&self, service: ServiceId, areas: &[u32]) -> Vec<String> {
        let Some((survey, geographic)) = self.survey(service) else { return Vec::new() };
        if areas.len() == survey.rankings.len() {
            return Vec::new();
        }
        let mut texts = Vec::new();
        for rankings in areas.iter().filter_map(|&area| survey.rankings.get(area as usize)) {
            let Some((&pool, ranking)) = geographic.iter().zip(rankings).next() else { continue };
            let text = describe_area(self.topology(), pool, ranking);
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        texts
    }
}

fn describe_area(topology: &Topology, id: PoolId, ranking: &Ranking) -> String {
    let pool = &topology.pools[id.index()];
    match (ranking, &pool.policy) {
        (Ranking::Geo(matching), Policy::Geo { rules, .. }) => match matching.first() {
            Some(&rule) => describe_rule(&rules[usize::from(rule)]),
            None => "clients that no rule matches".to_owned(),
        },
        (Ranking::Nearest { order, .. }, _) => {
            match order.first().and_then(|&member| pool.members.get(usize::from(member))) {
                Some(member) => format!("clients nearest to {}", topology.member_name(member.kind)),
                None => "all clients".to_owned(),
            }
        }
        (Ranking::Geo(_), _) => "all clients".to_owned(),
    }
}

/// Describes the keys of a rule, such as `country DE, AT`.
fn describe_rule(rule: &GeoRule) -> String {
    let texts = |codes: &[Box<str>]| codes.iter().map(ToString::to_string).collect::<Vec<_>>();
    let keys = [
        ("subnet", rule.subnets.iter().map(ToString::to_string).collect()),
        ("AS", rule.asns.iter().map(ToString::to_string).collect()),
        ("subdivision", texts(&rule.subdivisions)),
        ("country", texts(&rule.countries)),
        ("continent", texts(&rule.continents)),
    ];
    let text = |(key, codes): &(&str, Vec<String>)| {
        format!("{key} {}", listing::join_first(codes, MAX_RULE_KEYS, codes.len()))
    };
    keys.iter().filter(|(_, codes)| !codes.is_empty()).map(text).collect::<Vec<_>>().join("; ")
}
