//! The clients of requirements as areas: one division of the grid tells all sets of clients apart,
//! and its overlap with a survey gives the areas of the survey that a set is in.

use std::{
    collections::{BTreeSet, HashMap},
    rc::Rc,
    sync::Arc,
};

use ipnet::IpNet;

use super::model::ClientSet;
use crate::{
    geo::{AreaOverlap, Division, Grid},
    steer::{
        compile::{RuleKeys, Survey},
        model::GeoRule,
    },
};

/// Sets of clients, as areas of a grid.
pub(super) struct ClientDivision {
    grid: Arc<Grid>,
    division: Division,
    /// By area of the division: the sets that it is in, as bits.
    members: Vec<Box<[u64]>>,
    /// The codes that some network has in the databases.
    known: DatabaseKeys,
    /// The overlaps with each survey, by the survey's address; 0 where there is none.
    overlaps: HashMap<usize, Rc<Vec<AreaOverlap>>>,
    /// The networks in each survey, by the survey's address and the set.
    networks: HashMap<(usize, usize), Rc<[Option<IpNet>]>>,
}

/// The countries, continents, subdivisions and autonomous systems of the databases.
#[derive(Default)]
struct DatabaseKeys {
    texts: BTreeSet<Box<str>>,
    asns: BTreeSet<u32>,
}

/// The prefixes that sets of clients name, each once.
pub(super) fn named_prefixes<'s>(sets: impl IntoIterator<Item = &'s ClientSet>) -> Vec<IpNet> {
    let subnets = sets.into_iter().filter_map(|set| match set {
        ClientSet::All => None,
        ClientSet::Matching(rule) => Some(&rule.subnets),
    });
    let mut named: Vec<IpNet> = subnets.flatten().copied().collect();
    named.sort_unstable();
    named.dedup();
    named
}

impl ClientDivision {
    /// Divides the grid, which was made with the prefixes of these sets.
    pub(super) fn new(grid: &Arc<Grid>, sets: &[&ClientSet]) -> Self {
        let named = named_prefixes(sets.iter().copied());
        let keys: Vec<Option<RuleKeys>> = sets
            .iter()
            .map(|set| match set {
                ClientSet::All => None,
                ClientSet::Matching(rule) => Some(RuleKeys::of(rule)),
            })
            .collect();
        let mut known = DatabaseKeys::default();
        let (division, members) = grid.divide(&named, |location, positions| {
            let prefixes: Vec<IpNet> =
                positions.iter().map(|&position| named[position as usize]).collect();
            let codes = [&location.country, &location.continent].into_iter().flatten();
            known.texts.extend(codes.chain(&location.subdivisions).cloned());
            known.asns.extend(location.asn);
            let mut members = vec![0_u64; keys.len().div_ceil(64)];
            for (set, keys) in keys.iter().enumerate() {
                let is_member = keys
                    .as_ref()
                    .is_none_or(|keys| keys.specificity(location, &prefixes).is_some());
                members[set / 64] |= u64::from(is_member) << (set % 64);
            }
            members.into_boxed_slice()
        });
        Self {
            grid: Arc::clone(grid),
            division,
            members,
            known,
            overlaps: HashMap::new(),
            networks: HashMap::new(),
        }
    }

    /// The keys of a rule that match no network of the databases, in words.
    pub(super) fn unmatched_keys(&self, rule: &GeoRule) -> Vec<String> {
        let codes = [
            ("country", &rule.countries),
            ("continent", &rule.continents),
            ("subdivision", &rule.subdivisions),
        ];
        let unknown = |(kind, codes): (&'static str, &Vec<Box<str>>)| {
            let codes = codes.iter().filter(|code| !self.known.texts.contains(*code));
            codes.map(|code| format!("{kind} {code}")).collect::<Vec<_>>()
        };
        let mut unmatched: Vec<String> = codes.into_iter().flat_map(unknown).collect();
        let asns = rule.asns.iter().filter(|asn| !self.known.asns.contains(asn));
        unmatched.extend(asns.map(|asn| format!("AS{asn}")));
        unmatched
    }

    /// By area of a survey: the first network in it whose clients are in a set; `None` where there
    /// is none. Without a survey, there is one area.
    pub(super) fn networks(&mut self, survey: Option<&Survey>, set: usize) -> Rc<[Option<IpNet>]> {
        let key = (address(survey), set);
        if let Some(known) = self.networks.get(&key) {
            return Rc::clone(known);
        }
        let areas = survey.map_or(1, |survey| survey.rankings.len());
        let mut networks = vec![None; areas];
        for overlap in self.overlaps(survey).iter() {
            let area = if survey.is_some() { overlap.second as usize } else { 0 };
            let members = &self.members[overlap.first as usize];
            if networks[area].is_none() && members[set / 64] >> (set % 64) & 1 == 1 {
                networks[area] = Some(overlap.network);
            }
        }
        Rc::clone(self.networks.entry(key).or_insert(networks.into()))
    }

    fn overlaps(&mut self, survey: Option<&Survey>) -> Rc<Vec<AreaOverlap>> {
        let key = address(survey);
        let (grid, division) = (&self.grid, &self.division);
        let overlaps = self.overlaps.entry(key).or_insert_with(|| {
            Rc::new(grid.overlaps(division, survey.map_or(division, Survey::division)))
        });
        Rc::clone(overlaps)
    }
}

/// A number that is different for each survey; 0 for none. The plans keep their surveys alive.
fn address(survey: Option<&Survey>) -> usize {
    survey.map_or(0, |survey| std::ptr::from_ref(survey).addr())
}
