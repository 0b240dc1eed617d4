//! Random static zones that reach every branch of the lookup, and the queries for them.
//!
//! Labels come from a small alphabet, so that names collide, nest, have empty non-terminals between
//! them, and are below wildcards, cuts and DNAMEs. The zones contain nothing that Knot or NSD
//! refuse to load (a CNAME beside other data, records below a DNAME).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use fastrand::Rng;

/// Labels of owners. With so few, a name below an owner often exists, and often does not.
const LABELS: [&str; 5] = ["a", "b", "c", "d", "*"];

/// A zone: its apex, its master file and the records by owner (relative to the root, lower case).
pub(crate) struct Zone {
    pub(crate) apex: String,
    pub(crate) text: String,
    owners: BTreeSet<String>,
}

/// A query that is sent to all servers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Question {
    pub(crate) name: String,
    pub(crate) rtype: u16,
}

/// The queried types: those in the zones, one that no zone has, and those with special rules.
pub(crate) const TYPES: [(u16, &str); 11] = [
    (1, "A"),
    (2, "NS"),
    (5, "CNAME"),
    (6, "SOA"),
    (15, "MX"),
    (16, "TXT"),
    (28, "AAAA"),
    (33, "SRV"),
    (39, "DNAME"),
    (43, "DS"),
    (65280, "TYPE65280"),
];

/// Generates the zones `z0.test`, `z1.test` and so on. Every third has a child zone below one of
/// its cuts.
pub(crate) fn generate(rng: &mut Rng, count: usize) -> Vec<Zone> {
    let mut zones = Vec::new();
    for number in 0..count {
        let apex = format!("z{number}.test");
        let mut draft = ZoneDraft::new(&apex);
        draft.fill(rng);
        if number % 3 == 1 {
            draft.add_dname(
                &format!("short.{apex}"),
                &format!("a-target-that-is-longer-than-its-owner.{apex}."),
            );
        }
        if number % 3 == 0 {
            let child = format!("child.{apex}");
            draft.add(&child, "NS", &format!("ns.{child}."));
            draft.add(&format!("ns.{child}"), "A", "192.0.2.53");
            if rng.bool() {
                draft.add(&child, "DS", DS);
            }
            let mut below = ZoneDraft::new(&child);
            below.fill(rng);
            zones.push(below.finish());
        }
        zones.push(draft.finish());
    }
    zones
}

const DS: &str = "12345 13 2 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A zone that is being generated: the records of each owner, by type.
struct ZoneDraft {
    apex: String,
    records: BTreeMap<String, BTreeMap<&'static str, BTreeSet<String>>>,
}

impl ZoneDraft {
    fn new(apex: &str) -> Self {
        let mut draft = Self { apex: apex.to_owned(), records: BTreeMap::new() };
        draft.add(apex, "SOA", "ns Host.Master 2024010101 3600 600 86400 120");
        draft.add(apex, "NS", "ns");
        draft.add(apex, "NS", "ns.elsewhere.example.");
        draft.add(&format!("ns.{apex}"), "A", "192.0.2.1");
        draft
    }

    fn add(&mut self, owner: &str, rtype: &'static str, rdata: &str) {
        self.records
            .entry(owner.to_owned())
            .or_default()
            .entry(rtype)
            .or_default()
            .insert(rdata.to_owned());
    }

    /// Adds random records where they are valid.
    fn fill(&mut self, rng: &mut Rng) {
        for _ in 0..rng.usize(10..40) {
            let owner = self.random_name(rng);
            let target = self.random_target(rng);
            let octet = rng.u8(..);
            match rng.u8(0..23) {
                22 => (0..octet)
                    .for_each(|host| self.add_beside(&owner, "A", &format!("198.51.100.{host}"))),
                0..6 => self.add_beside(&owner, "A", &format!("192.0.2.{octet}")),
                6..8 => self.add_beside(&owner, "AAAA", &format!("2001:db8::{octet:x}")),
                8..10 => self.add_beside(&owner, "TXT", &format!("\"text {octet}\"")),
                10..12 => self.add_beside(&owner, "MX", &format!("{octet} {target}")),
                12 => self.add_beside(&owner, "SRV", &format!("1 2 {octet} {target}")),
                13..17 => self.add_alone(&owner, "CNAME", &target),
                17..19 => self.add_dname(&owner, &target),
                _ => self.add_cut(rng, &owner, &target),
            }
        }
    }

    /// The apex or a name of up to four labels below it.
    fn random_name(&self, rng: &mut Rng) -> String {
        let mut name = self.apex.clone();
        for _ in 0..rng.usize(0..5) {
            name = format!("{}.{name}", LABELS[rng.usize(0..LABELS.len())]);
        }
        name
    }

    /// Mostly a name in the zone, else a name in another zone or outside of all zones.
    fn random_target(&self, rng: &mut Rng) -> String {
        match rng.u8(0..20) {
            0 => "outside.example.".to_owned(),
            1 => "WWW.Outside.example.".to_owned(),
            2 => "a.z0.test.".to_owned(),
            3 => "b.child.z0.test.".to_owned(),
            _ => format!("{}.", self.random_name(rng)),
        }
    }

    fn has(&self, owner: &str, rtype: &str) -> bool {
        self.records.get(owner).is_some_and(|types| types.contains_key(rtype))
    }

    fn is_below_dname(&self, owner: &str) -> bool {
        self.records
            .iter()
            .any(|(name, types)| types.contains_key("DNAME") && is_below(owner, name))
    }

    /// Adds a record unless the owner has a CNAME.
    fn add_beside(&mut self, owner: &str, rtype: &'static str, rdata: &str) {
        if !self.has(owner, "CNAME") && !self.is_below_dname(owner) {
            self.add(owner, rtype, rdata);
        }
    }

    fn add_alone(&mut self, owner: &str, rtype: &'static str, target: &str) {
        if !self.records.contains_key(owner) && !self.is_below_dname(owner) {
            self.add(owner, rtype, target);
        }
    }

    /// Adds a DNAME, except at a cut, a wildcard or a CNAME, or above other names.
    fn add_dname(&mut self, owner: &str, target: &str) {
        let is_free = !["CNAME", "DNAME"].iter().any(|rtype| self.has(owner, rtype))
            && !self.is_below_dname(owner);
        let is_cut = *owner != self.apex && self.has(owner, "NS");
        let has_children = self.records.keys().any(|name| is_below(name, owner));
        if is_free && !is_cut && !has_children && !owner.contains('*') {
            self.add(owner, "DNAME", target);
        }
    }

    /// Adds a delegation with glue below the cut, a sibling's glue or none; often with a DS.
    fn add_cut(&mut self, rng: &mut Rng, owner: &str, sibling: &str) {
        let is_free = !["CNAME", "DNAME"].iter().any(|rtype| self.has(owner, rtype))
            && !self.is_below_dname(owner);
        if !is_free || *owner == self.apex || owner.starts_with('*') {
            return;
        }
        let server = match rng.u8(0..4) {
            0 => "ns.elsewhere.example.".to_owned(),
            1 => sibling.to_owned(),
            2 => format!("{owner}."),
            _ => format!("ns.{owner}."),
        };
        self.add(owner, "NS", &server);
        let host = server.trim_end_matches('.').to_owned();
        if is_below(&host, owner) || host == owner {
            self.add_beside(&host, "A", "192.0.2.2");
            if rng.bool() {
                self.add_beside(&host, "AAAA", "2001:db8::2");
            }
        }
        if rng.bool() {
            self.add(owner, "DS", DS);
        }
    }

    fn finish(self) -> Zone {
        let mut text = "$TTL 300\n".to_owned();
        for (owner, types) in &self.records {
            for (index, (rtype, rdatas)) in types.iter().enumerate() {
                for rdata in rdatas {
                    // Each RRset has one TTL; TTLs differ within a zone.
                    let ttl = 100 + (owner.len() + index) % 3 * 50;
                    let _infallible = writeln!(text, "{owner}. {ttl} IN {rtype} {rdata}");
                }
            }
        }
        // The relative names in SOA and NS records need the origin.
        let text = format!("$ORIGIN {}.\n{text}", self.apex);
        Zone { apex: self.apex, text, owners: self.records.into_keys().collect() }
    }
}

fn is_below(name: &str, ancestor: &str) -> bool {
    name.strip_suffix(ancestor).is_some_and(|front| front.ends_with('.'))
}

/// Queries of each type for every owner, every name between it and the apex, and names beside and
/// below them.
pub(crate) fn questions(rng: &mut Rng, zone: &Zone) -> Vec<Question> {
    let mut names = BTreeSet::from([format!("outside-of-{}", zone.apex)]);
    for owner in &zone.owners {
        let mut name = owner.as_str();
        while name.len() >= zone.apex.len() {
            names.insert(name.to_owned());
            names.insert(format!("{}.{name}", LABELS[rng.usize(0..LABELS.len())]));
            names.insert(format!("nowhere.{name}"));
            name = name.split_once('.').map_or("", |(_, parent)| parent);
        }
        names.insert(format!("x.y.{owner}"));
    }
    // With these labels a DNAME may produce a name that is too long (YXDOMAIN).
    let long = ["l".repeat(63), "l".repeat(63), "l".repeat(63), "l".repeat(35)].join(".");
    names.extend(
        zone.owners.iter().map(|owner| format!("{long}.{owner}")).filter(|name| name.len() < 254),
    );
    names
        .into_iter()
        .flat_map(|name| TYPES.map(|(rtype, _)| Question { name: name.clone(), rtype }))
        .collect()
}
