//! Areas in words: which clients one area of a service's survey is about, for people who must
//! decide by it.

use crate::{
    listing,
    steer::{
        compile::{Compiler, Ranking},
        model::{GeoRule, Policy, PoolId, ServiceId, Topology},
    },
};

/// As many keys of a rule are named.
const MAX_RULE_KEYS: usize = 4;

impl Compiler {
    /// Whose clients these areas of a service's survey ([`Chart::unusable_areas`](crate::steer::Chart::unusable_areas)) are, each once:
    /// by the rule of a `geo` pool that matches them, or by the member that is nearest to them.
    /// Nothing where the service tells no places apart, or where the areas are all that there are.
    pub fn describe_areas(&self, service: ServiceId, areas: &[u32]) -> Vec<String> {
        let Some((survey, geographic)) = self.survey(service) else { return Vec::new() };
        if areas.len() == survey.rankings.len() {
            return Vec::new();
        }
        let mut words = Vec::new();
        for sights in areas.iter().filter_map(|&area| survey.rankings.get(area as usize)) {
            let Some(word) = geographic
                .iter()
                .zip(sights)
                .next()
                .map(|(&pool, sight)| describe_area(self.topology(), pool, sight))
            else {
                continue;
            };
            if !words.contains(&word) {
                words.push(word);
            }
        }
        words
    }
}

fn describe_area(topology: &Topology, id: PoolId, sight: &Ranking) -> String {
    let pool = &topology.pools[id.index()];
    match (sight, &pool.policy) {
        (Ranking::Geo(matching), Policy::Geo { rules, .. }) => match matching.first() {
            Some(&rule) => describe_rule(&rules[usize::from(rule)]),
            None => "clients that no rule matches".to_owned(),
        },
        (Ranking::Nearest { order, .. }, _) => {
            match order.first().and_then(|&at| pool.members.get(usize::from(at))) {
                Some(member) => format!("clients nearest to {}", topology.member_name(member.kind)),
                None => "all clients".to_owned(),
            }
        }
        (Ranking::Geo(_), _) => "all clients".to_owned(),
    }
}

/// `country DE, AT`.
fn describe_rule(rule: &GeoRule) -> String {
    let texts = |codes: &[Box<str>]| codes.iter().map(ToString::to_string).collect::<Vec<_>>();
    let keys = [
        ("subnet", rule.subnets.iter().map(ToString::to_string).collect()),
        ("AS", rule.asns.iter().map(ToString::to_string).collect()),
        ("subdivision", texts(&rule.subdivisions)),
        ("country", texts(&rule.countries)),
        ("continent", texts(&rule.continents)),
    ];
    let words = |(key, codes): &(&str, Vec<String>)| {
        format!("{key} {}", listing::join_first(codes, MAX_RULE_KEYS, codes.len()))
    };
    keys.iter().filter(|(_, codes)| !codes.is_empty()).map(words).collect::<Vec<_>>().join("; ")
}
