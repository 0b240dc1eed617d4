//! Compiles and checks the rules of `geo` pools. The most specific rule wins, whatever the order,
//! so two rules that are equally specific for a client must not both match it.

use hashbrown::HashMap;

use crate::{
    config::{
        place::{Placed, SourcePlace},
        problems::Problems,
        spec::RuleSpec,
    },
    steer::GeoRule,
};

/// A rule as a domain value. `members` are positions in the pool's members.
pub(super) fn rule(spec: &RuleSpec, members: Vec<u32>) -> GeoRule {
    let codes = |list: &[Placed<Box<str>>]| list.iter().map(|code| code.value.clone()).collect();
    GeoRule {
        subnets: spec.subnets.iter().map(|net| net.value).collect(),
        asns: spec.asns.iter().map(|asn| asn.value).collect(),
        subdivisions: codes(&spec.subdivisions),
        countries: codes(&spec.countries),
        continents: codes(&spec.continents),
        members,
        strict: spec.strict.is_some(),
    }
}

/// Reports prefixes, numbers and codes that two rules have, or one rule twice.
pub(super) fn check_rules(rules: &[RuleSpec], problems: &mut Problems) {
    let mut claimed: HashMap<String, SourcePlace> = HashMap::new();
    let mut claim = |what: &str, value: String, place: SourcePlace| {
        let key = format!("{what} {value}");
        if let Some(&first) = claimed.get(&key) {
            problems
                .error(place, format!("{key} is in two rules"))
                .also(first, "the first one")
                .help("leave it in one of them; among rules the most specific one wins, whatever their order");
        } else {
            claimed.insert(key, place);
        }
    };
    for rule in rules {
        for net in &rule.subnets {
            claim("the prefix", net.value.to_string(), net.place);
        }
        for asn in &rule.asns {
            claim("the autonomous system", asn.value.to_string(), asn.place);
        }
        for (what, codes) in [
            ("the subdivision", &rule.subdivisions),
            ("the country", &rule.countries),
            ("the continent", &rule.continents),
        ] {
            for code in codes {
                claim(what, code.value.to_string(), code.place);
            }
        }
    }
}
