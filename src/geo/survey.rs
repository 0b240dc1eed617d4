//! The survey: one sweep over the networks of all databases and the overlay, side by side, that makes the runs of an atlas.

use std::hash::Hash;

use hashbrown::{HashMap, hash_map::Entry};
use ipnet::IpNet;

use super::{
    Atlas, Databases, Location, Progress,
    address::Address,
    atlas::{self, CARRIED},
    database::UNKNOWN,
    databases::merged,
    leaves::{Cursor, Leaves},
    overlay::{Class, Classes, Overlay},
    runs::{RunsBuilder, Sorted},
};

type Seeded = foldhash::fast::RandomState;

/// A run's value that has not been asked for; no run has it.
const UNASKED: u32 = u32::MAX - 1;

impl Atlas {
    /// Joins all networks for which `classify` says the same into areas, numbered in order of first appearance (IPv4
    /// first), and returns what it said of each.
    ///
    /// `classify` gets the location and the positions in `named` of all prefixes that contain the network, longest first;
    /// it is called once for each distinct pair. Special-purpose addresses that no named prefix contains are areas of
    /// their own, whatever it says. A named prefix inside a block of IPv6 that carries IPv4 names the IPv4 prefix.
    /// About 10 ns a network.
    pub fn survey<S: Eq + Hash + Clone>(
        databases: &Databases,
        named: &[IpNet],
        classify: impl FnMut(&Location, &[u32]) -> S,
    ) -> (Self, Vec<S>) {
        Self::survey_watched(databases, named, classify, &mut |_| {})
    }

    /// As [`survey`](Self::survey), telling `watch` every quarter of a million networks how far it is.
    pub fn survey_watched<S: Eq + Hash + Clone>(
        databases: &Databases,
        named: &[IpNet],
        classify: impl FnMut(&Location, &[u32]) -> S,
        watch: &mut dyn FnMut(Progress),
    ) -> (Self, Vec<S>) {
        let mut classes = Classes::new();
        let (v4, v6) = (Overlay::<u32>::new(named, &mut classes), Overlay::<u128>::new(named, &mut classes));
        let mut survey = Survey {
            joint: Joint::new(databases),
            classes: classes.list(),
            common: Vec::new(),
            rare: HashMap::default(),
            areas: Vec::new(),
            known: HashMap::default(),
            classify,
            networks: 0,
            watch,
        };
        let v4 = survey.sweep(&v4, databases.list().iter().map(|database| database.v4()).collect());
        let v6 = survey.sweep(&v6, databases.list().iter().map(|database| database.v6()).collect());
        (Self::of_runs(v4, v6, survey.areas.len()), survey.areas)
    }
}

struct Survey<'a, S, F> {
    joint: Joint<'a>,
    classes: &'a [Class],
    /// Values by joint record, of the first class: nearly all networks are in it.
    common: Vec<u32>,
    /// Values by class and joint record, of the others.
    rare: HashMap<(u32, u32), u32, Seeded>,
    areas: Vec<S>,
    known: HashMap<(S, bool), u32, Seeded>,
    classify: F,
    networks: u64,
    watch: &'a mut dyn FnMut(Progress),
}

impl<S: Eq + Hash + Clone, F: FnMut(&Location, &[u32]) -> S> Survey<'_, S, F> {
    fn sweep<K: Address>(&mut self, overlay: &Overlay<K>, leaves: Vec<&Leaves<K>>) -> Sorted<K> {
        let mut cursors: Vec<Cursor<'_, K>> = leaves.iter().map(|leaves| leaves.cursor()).collect();
        let mut runs = RunsBuilder::new();
        let mut start = K::MIN;
        for &(stretch_end, class) in &overlay.stretches {
            loop {
                let end = cursors.iter().fold(stretch_end, |end, cursor| end.min(cursor.last));
                let joint = self.joint.of(&cursors);
                runs.push(start, self.value(class, joint));
                cursors.iter_mut().filter(|cursor| cursor.last == end).for_each(|cursor| {
                    cursor.advance();
                });
                self.count();
                let Some(next) = end.following() else { break };
                start = next;
                if end == stretch_end {
                    break;
                }
            }
        }
        runs.finish()
    }

    fn count(&mut self) {
        self.networks += 1;
        if self.networks.is_multiple_of(1 << 18) {
            (self.watch)(Progress { networks: self.networks, records: self.common.len() as u32 });
        }
    }

    #[inline]
    fn value(&mut self, class: u32, joint: u32) -> u32 {
        if class == 0 {
            let known = self.common.get(joint as usize).copied().unwrap_or(UNASKED);
            if known != UNASKED {
                return known;
            }
        } else if let Some(&value) = self.rare.get(&(class, joint)) {
            return value;
        }
        self.ask(class, joint)
    }

    #[cold]
    fn ask(&mut self, class: u32, joint: u32) -> u32 {
        let value = match &self.classes[class as usize] {
            Class { is_carried: true, .. } => CARRIED,
            Class { named, is_special, .. } => {
                let said = (self.classify)(&self.joint.location(joint), named);
                self.area(said, *is_special)
            }
        };
        if class == 0 {
            let needed = joint as usize + 1;
            self.common.resize(self.common.len().max(needed), UNASKED);
            self.common[joint as usize] = value;
        } else {
            self.rare.insert((class, joint), value);
        }
        value
    }

    fn area(&mut self, said: S, is_special: bool) -> u32 {
        let next = self.areas.len() as u32;
        let area = match self.known.entry((said, is_special)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                self.areas.push(new.key().0.clone());
                *new.insert(next)
            }
        };
        atlas::packed(area, is_special)
    }
}

/// The databases' records joined: a number for each combination that occurs.
struct Joint<'a> {
    databases: &'a Databases,
    /// For each database but the first: (combination of those before, its record) to combination.
    pairs: Vec<HashMap<(u32, u32), u32, Seeded>>,
    /// For each database but the first: the pair of each combination, to go back by.
    origins: Vec<Vec<(u32, u32)>>,
}

impl<'a> Joint<'a> {
    fn new(databases: &'a Databases) -> Self {
        let further = databases.list().len().saturating_sub(1);
        Self { databases, pairs: vec![HashMap::default(); further], origins: vec![Vec::new(); further] }
    }

    /// Of the records that the cursors are at.
    #[inline]
    fn of<K>(&mut self, cursors: &[Cursor<'_, K>]) -> u32 {
        let Some((first, further)) = cursors.split_first() else { return UNKNOWN };
        let levels = self.pairs.iter_mut().zip(&mut self.origins);
        further.iter().zip(levels).fold(first.record, |joint, (cursor, (pairs, origins))| {
            let pair = (joint, cursor.record);
            *pairs.entry(pair).or_insert_with(|| {
                origins.push(pair);
                origins.len() as u32 - 1
            })
        })
    }

    fn location(&self, joint: u32) -> Location {
        let list = self.databases.list();
        let mut records = Vec::with_capacity(list.len());
        let mut joint = joint;
        for origins in self.origins.iter().rev() {
            let (before, record) = origins[joint as usize];
            records.push(record);
            joint = before;
        }
        records.push(joint);
        let said = list.iter().zip(records.iter().rev()).map(|(database, &record)| database.location(record));
        let mut location = said.fold(Location::default(), |all, next| merged(&all, next));
        self.databases.complete(&mut location);
        location
    }
}
