//! Geography that pools need and no loaded database has. Such a pool treats all clients alike, and
//! no other report would show that.

use std::sync::Arc;

use crate::{
    geo::Coverage,
    listing,
    steer::{GeoRule, Policy, Pool, Topology},
};

/// The maximum number of pools that a warning names.
const MAX_NAMED_POOLS: usize = 5;

/// A fact about clients that pools can need from a database.
struct GeographyNeed {
    /// The feature of the pool that needs the fact: `policy nearest`, `rules by asn`.
    feature: &'static str,
    /// The facts that no database has, in words.
    missing_facts: &'static str,
    /// The consequence for clients.
    consequence: &'static str,
    /// The kind of database that has the fact.
    remedy: &'static str,
    is_met: fn(&Coverage) -> bool,
    applies_to: fn(&Pool) -> bool,
}

const NEEDS: [GeographyNeed; 5] = [
    GeographyNeed {
        feature: "policy nearest",
        missing_facts: "coordinates or countries",
        consequence: "every client gets the members in the order written",
        remedy: "a City or Country database",
        is_met: |coverage| coverage.has_coordinates,
        applies_to: |pool| matches!(pool.policy, Policy::Nearest { .. }),
    },
    GeographyNeed {
        feature: "rules by asn",
        missing_facts: "autonomous systems",
        consequence: "these rules match no client",
        remedy: "an ASN database",
        is_met: |coverage| coverage.has_asns,
        applies_to: |pool| has_rule(pool, |rule| !rule.asns.is_empty()),
    },
    GeographyNeed {
        feature: "rules by subdivision",
        missing_facts: "subdivisions of countries",
        consequence: "these rules match no client",
        remedy: "a City database with ISO 3166-2 codes",
        is_met: |coverage| coverage.has_subdivisions,
        applies_to: |pool| has_rule(pool, |rule| !rule.subdivisions.is_empty()),
    },
    GeographyNeed {
        feature: "rules by country",
        missing_facts: "countries",
        consequence: "these rules match no client",
        remedy: "a Country or City database",
        is_met: |coverage| coverage.has_countries,
        applies_to: |pool| has_rule(pool, |rule| !rule.countries.is_empty()),
    },
    GeographyNeed {
        feature: "rules by continent",
        missing_facts: "continents or countries",
        consequence: "these rules match no client",
        remedy: "a Country or City database",
        is_met: |coverage| coverage.has_continents,
        applies_to: |pool| has_rule(pool, |rule| !rule.continents.is_empty()),
    },
];

fn has_rule(pool: &Pool, is_wanted: fn(&GeoRule) -> bool) -> bool {
    matches!(&pool.policy, Policy::Geo { rules, .. } if rules.iter().any(is_wanted))
}

/// A warning for each kind of geography that pools need and the databases lack, with the pools by
/// name.
pub(super) fn unmet_need_warnings(topology: &Topology, coverage: &Coverage) -> Vec<String> {
    let unmet = NEEDS.iter().filter(|need| !(need.is_met)(coverage));
    unmet.filter_map(|need| warning(need, topology, coverage)).collect()
}

/// Whether the pools of two topologies need the same geographic data; after most edits they do.
/// Pools that both topologies share are equal and are not compared.
pub(super) fn has_equal_needs(a: &Topology, b: &Topology) -> bool {
    let has_same_need = |(a, b): (&Arc<Pool>, &Arc<Pool>)| {
        Arc::ptr_eq(a, b) || a.name == b.name && a.policy == b.policy
    };
    a.pools.len() == b.pools.len() && a.pools.iter().zip(&b.pools).all(has_same_need)
}

fn warning(need: &GeographyNeed, topology: &Topology, coverage: &Coverage) -> Option<String> {
    let names: Vec<&str> = topology
        .pools
        .iter()
        .filter(|pool| (need.applies_to)(pool))
        .map(|pool| &*pool.name)
        .collect();
    if names.is_empty() {
        return None;
    }
    let shown = listing::join_first(
        names.iter().map(|name| format!("{name:?}")),
        MAX_NAMED_POOLS,
        names.len(),
    );
    let GeographyNeed { feature, missing_facts, consequence, remedy, .. } = need;
    let reason = match coverage.databases {
        0 => "no GeoIP database is loaded".to_owned(),
        _ => format!("no loaded GeoIP database has {missing_facts}"),
    };
    Some(format!(
        "pool {shown}: {feature}, and {reason}: {consequence} (help: name {remedy} in `databases` of [geoip])"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steer::{AnswerCount, MinUp, Regulation, Spread};

    const NOTHING: Coverage = Coverage {
        databases: 0,
        has_countries: false,
        has_continents: false,
        has_coordinates: false,
        has_subdivisions: false,
        has_asns: false,
    };

    fn topology(policies: Vec<Policy>) -> Topology {
        let one_member = std::num::NonZeroU32::MIN;
        let pool = |(index, policy): (usize, Policy)| Pool {
            name: format!("p{index}").into(),
            policy,
            spread: Spread::Query,
            answers: AnswerCount::Count(one_member),
            min_up: MinUp::Members(one_member),
            families: Default::default(),
            members: Vec::new(),
            regulation: Regulation::default(),
        };
        let pools = policies.into_iter().enumerate().map(pool).collect();
        Topology::new(Vec::new(), Vec::new(), Vec::new(), pools, Vec::new())
    }

    fn geo(rule: GeoRule) -> Policy {
        Policy::Geo { rules: vec![rule], default: Vec::new() }
    }

    #[test]
    fn each_kind_of_geography_that_no_database_has_is_named_with_the_pools_that_need_it() {
        let nearest = || Policy::Nearest { tie: None };
        let asn = || geo(GeoRule { asns: vec![64500], ..GeoRule::default() });
        let subdivision =
            || geo(GeoRule { subdivisions: vec!["US-CA".into()], ..GeoRule::default() });
        let country = || geo(GeoRule { countries: vec!["DE".into()], ..GeoRule::default() });
        let continent = || geo(GeoRule { continents: vec!["EU".into()], ..GeoRule::default() });
        let subnet =
            geo(GeoRule { subnets: vec!["10.0.0.0/8".parse().unwrap()], ..GeoRule::default() });
        let country_only = Coverage {
            databases: 1,
            has_countries: true,
            has_continents: true,
            has_coordinates: true,
            ..NOTHING
        };
        let asn_only = Coverage { databases: 1, has_asns: true, ..NOTHING };
        for (policies, coverage, wanted, why) in [
            (
                vec![nearest(), asn()],
                NOTHING,
                &["policy nearest", "rules by asn"][..],
                "nothing is loaded",
            ),
            (
                vec![nearest(), country(), continent()],
                country_only,
                &[],
                "countries have built-in coordinates",
            ),
            (
                vec![subdivision(), asn()],
                country_only,
                &["rules by asn", "rules by subdivision"],
                "not in there",
            ),
            (
                vec![nearest(), asn()],
                asn_only,
                &["policy nearest"],
                "an ASN database knows no places",
            ),
            (
                vec![country(), continent()],
                asn_only,
                &["rules by country", "rules by continent"],
                "nor these",
            ),
            (vec![subnet, Policy::Failover], NOTHING, &[], "prefixes need no database"),
        ] {
            let found = unmet_need_warnings(&topology(policies), &coverage);
            assert_eq!(found.len(), wanted.len(), "{why}: {found:?}");
            assert!(
                found.iter().zip(wanted).all(|(line, want)| line.contains(want)),
                "{why}: {found:?}"
            );
        }
    }

    #[test]
    fn a_warning_names_pools_consequence_and_remedy() {
        let lines =
            unmet_need_warnings(&topology(vec![Policy::Nearest { tie: None }; 7]), &NOTHING);
        assert_eq!(
            lines,
            [
                "pool \"p0\", \"p1\", \"p2\", \"p3\", \"p4\" and 2 more: policy nearest, and no GeoIP database is loaded: every \
              client gets the members in the order written (help: name a City or Country database in `databases` of [geoip])"
            ]
        );
    }
}
