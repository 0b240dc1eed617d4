//! A zone's content, as compact as it is fast: names and ready RRsets in one arena, nodes of 16
//! octets, a hash table of numbers.

use super::{hash::hash_name, index::NameIndex, rrset::StoredRrset};
use crate::dns::{LookupName, Name, Rtype};

/// The static records of one zone. Never changes; a reload shares the zones that stayed the same.
#[derive(Debug)]
pub struct Zone {
    /// The name the zone starts at.
    pub apex: Name,
    /// Whether the zone's services look at EDNS Client Subnet; where not, the option is neither
    /// read nor echoed.
    pub client_subnet: bool,
    /// Seconds that a negative answer lives: the lesser of the SOA record's TTL and its MINIMUM
    /// (RFC 2308 section 5).
    pub(super) negative_ttl_secs: u32,
    pub(super) apex_labels: usize,
    pub(super) arena: Box<[u8]>,
    pub(super) nodes: Box<[StoredNode]>,
    pub(super) index: NameIndex,
    /// Bit n: a node has n labels. A lookup looks for no other.
    pub(super) label_counts: u128,
    /// Whether any name is a wildcard.
    pub(super) has_wildcards: bool,
    /// The node whose TXT record tells a client how it is seen: without records of its own.
    /// `NO_NODE` where there is none.
    pub(super) whoami: u32,
}

/// A node as stored: 16 octets.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoredNode {
    pub(super) name_offset: u32,
    /// The node, this one or above, where the zone's own data ends: the topmost cut at or above
    /// this node, or DNAME above it.
    pub(super) occluder: u32,
    pub(super) rrsets_octets: u32,
    pub(super) name_octets: u8,
    pub(super) labels: u8,
    pub(super) is_cut: bool,
    pub(super) has_dname: bool,
}

/// No barrier.
pub(super) const NO_NODE: u32 = u32::MAX;

/// A node of a zone: a name that exists, with records or for the sake of names below it.
#[derive(Debug, Clone, Copy)]
pub struct Node<'z> {
    pub(super) zone: &'z Zone,
    pub(super) number: u32,
}

/// How a name stands in a zone, whether it exists or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameAuthority {
    /// The zone's own.
    Authoritative,
    /// At or below a delegation.
    Delegated,
    /// Below a DNAME.
    Redirected,
}

impl Zone {
    /// The node of a name, occluded or not.
    pub fn node(&self, name: &LookupName) -> Option<Node<'_>> {
        self.node_of_wire(name.as_wire(), hash_name(name.as_wire()))
    }

    pub(super) fn node_of_wire(&self, wire: &[u8], hash: u64) -> Option<Node<'_>> {
        let number = self.index.find(wire, hash, |number| self.name_of(number))?;
        Some(Node { zone: self, number })
    }

    /// The node that most likely has this name; `None` where no node has it.
    pub(super) fn probable_node(&self, wire: &[u8], hash: u64) -> Option<Node<'_>> {
        let number = self.index.find_probable(wire, hash, |number| self.name_of(number))?;
        Some(Node { zone: self, number })
    }

    /// As [`Zone::node`], for the wire form of a name with so many labels.
    pub(super) fn wire_node(&self, wire: &[u8], labels: usize) -> Option<Node<'_>> {
        (self.label_counts >> labels & 1 == 1)
            .then(|| self.node_of_wire(wire, hash_name(wire)))
            .flatten()
    }

    pub(super) fn name_of(&self, number: u32) -> &[u8] {
        let node = &self.nodes[number as usize];
        let at = node.name_offset as usize;
        &self.arena[at..at + usize::from(node.name_octets)]
    }

    /// The apex. Every zone has one.
    pub fn apex_node(&self) -> Node<'_> {
        Node { zone: self, number: 0 }
    }

    /// The closest node at or above `name`, which is in the zone.
    pub(super) fn closest_node(&self, name: &LookupName) -> Node<'_> {
        self.closest_node_by_hash(name, hash_name(name.as_wire()))
    }

    /// As [`Zone::closest_node`], with the name's hash.
    pub(super) fn closest_node_by_hash(&self, name: &LookupName, hashed: u64) -> Node<'_> {
        if let Some(node) = self.node_of_wire(name.as_wire(), hashed) {
            return node;
        }
        // Every zone has its apex: no use looking for that.
        (self.apex_labels + 1..name.label_count())
            .rev()
            .filter(|&labels| self.label_counts >> labels & 1 == 1)
            .find_map(|labels| {
                let suffix = name.suffix(labels);
                self.node_of_wire(suffix, hash_name(suffix))
            })
            .unwrap_or(self.apex_node())
    }

    /// The node that has the addresses of a name: its own even where it is occluded by a cut
    /// (glue), or a wildcard's; `None` where the name is outside the zone or has none.
    pub fn address_node(&self, name: &LookupName) -> Option<Node<'_>> {
        if name.label_count() < self.apex_labels
            || name.suffix(self.apex_labels) != self.apex.as_wire()
        {
            return None;
        }
        let closest = self.closest_node(name);
        let is_exact = closest.label_count() == name.label_count();
        match closest.occluder_for(is_exact) {
            Some(barrier) => (is_exact && barrier.is_cut()).then_some(closest),
            None if is_exact => Some(closest),
            None => self.wildcard_below(closest.name(), closest.label_count()),
        }
    }

    /// The wildcard right below a name.
    pub(super) fn wildcard_below(&self, wire: &[u8], labels: usize) -> Option<Node<'_>> {
        let mut buffer = [0; Name::MAX_OCTETS + 2];
        self.wire_node(wildcard_of(wire, &mut buffer), labels + 1)
    }

    /// How a name, which is in the zone, stands in it.
    pub fn authority_of(&self, name: &Name) -> NameAuthority {
        let lookup = LookupName::from(name);
        let closest = self.closest_node(&lookup);
        let is_exact = closest.label_count() == lookup.label_count();
        match closest.occluder_for(is_exact) {
            Some(barrier) if barrier.is_cut() => NameAuthority::Delegated,
            Some(_) => NameAuthority::Redirected,
            None => NameAuthority::Authoritative,
        }
    }

    /// Whether a name has records of a type. Wildcards are not expanded.
    pub fn has_rrset(&self, name: &Name, rtype: Rtype) -> bool {
        self.node(&LookupName::from(name)).is_some_and(|node| node.rrset(rtype).is_some())
    }

    /// The types a name has records of, in no order; empty also where it does not exist.
    pub fn types_of(&self, name: &Name) -> Vec<Rtype> {
        self.node(&LookupName::from(name))
            .map(|node| node.rrsets().map(|rrset| rrset.rtype).collect())
            .unwrap_or_default()
    }

    /// How many names it has, those without records included.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// The serial number of its SOA (RFC 1982).
    pub fn serial(&self) -> u32 {
        let soa = self.soa().and_then(|soa| soa.records().next());
        soa.and_then(|record| record.stored_rdata().last_chunk::<20>()).map_or(0, |numbers| {
            let [a, b, c, d, ..] = *numbers;
            u32::from_be_bytes([a, b, c, d])
        })
    }

    /// The same zone with another serial in its SOA.
    pub fn with_serial(&self, serial: u32) -> Self {
        const NUMBERS: usize = 20;
        let soa =
            self.soa().and_then(|soa| soa.records().next()).map(|record| record.stored_rdata());
        // Rdata ends in five numbers, of which the serial is the first (RFC 1035 section 3.3.13).
        let at =
            soa.map(|rdata| rdata.as_ptr_range().end.addr() - self.arena.as_ptr().addr() - NUMBERS);
        let mut arena = self.arena.clone();
        if let Some(stored) = at.and_then(|at| arena.get_mut(at..at + 4)) {
            stored.copy_from_slice(&serial.to_be_bytes());
        }
        Self {
            apex: self.apex.clone(),
            arena,
            nodes: self.nodes.clone(),
            index: self.index.clone(),
            ..*self
        }
    }

    /// The SOA. Every zone has one.
    pub fn soa(&self) -> Option<StoredRrset<'_>> {
        self.apex_node().rrset(Rtype::SOA)
    }

    /// Seconds that a negative answer lives (RFC 2308 section 5).
    pub fn negative_ttl_secs(&self) -> u32 {
        self.negative_ttl_secs
    }

    /// How many labels the apex has, the root not counted.
    pub fn apex_labels(&self) -> usize {
        self.apex_labels
    }

    /// Octets of memory it uses, about.
    pub fn memory_octets(&self) -> usize {
        self.arena.len() + size_of_val(&*self.nodes) + self.index.memory_octets()
    }
}

/// Whether a name is a wildcard (RFC 4592 section 2.1.1).
pub(super) fn is_wildcard(wire: &[u8]) -> bool {
    wire.starts_with(b"\x01*")
}

/// The wire form of the wildcard right below a name.
pub(super) fn wildcard_of<'b>(wire: &[u8], buffer: &'b mut [u8; Name::MAX_OCTETS + 2]) -> &'b [u8] {
    let wildcard = &mut buffer[..wire.len() + 2];
    wildcard[..2].copy_from_slice(b"\x01*");
    wildcard[2..].copy_from_slice(wire);
    wildcard
}

impl<'z> Node<'z> {
    fn stored(self) -> &'z StoredNode {
        &self.zone.nodes[self.number as usize]
    }

    /// Its RRsets.
    pub fn rrsets(self) -> impl Iterator<Item = StoredRrset<'z>> {
        let node = self.stored();
        let at = node.name_offset as usize + usize::from(node.name_octets);
        let mut rest = &self.zone.arena[at..at + node.rrsets_octets as usize];
        std::iter::from_fn(move || {
            let (rrset, tail) = StoredRrset::split_first(rest)?;
            rest = tail;
            Some(rrset)
        })
    }

    /// Its name and its RRsets, as they are stored.
    pub(super) fn stored_octets(self) -> &'z [u8] {
        let node = self.stored();
        let at = node.name_offset as usize;
        &self.zone.arena[at..at + usize::from(node.name_octets) + node.rrsets_octets as usize]
    }

    /// Its records of one type.
    pub fn rrset(self, rtype: Rtype) -> Option<StoredRrset<'z>> {
        self.rrsets().find(|rrset| rrset.rtype == rtype)
    }

    /// Its name, as wire bytes.
    pub fn name(self) -> &'z [u8] {
        self.zone.name_of(self.number)
    }

    /// How many labels its name has.
    pub fn label_count(self) -> usize {
        usize::from(self.stored().labels)
    }

    /// Whether it is a delegation: NS records below the apex.
    pub fn is_cut(self) -> bool {
        self.stored().is_cut
    }

    /// Whether its TXT record tells a client how it is seen.
    pub fn is_whoami(self) -> bool {
        self.zone.whoami == self.number
    }

    /// What stands between the zone's own data and a name whose closest node this is: a cut, or a
    /// DNAME above the name.
    pub(super) fn occluder_for(self, is_exact: bool) -> Option<Self> {
        let node = self.stored();
        if node.occluder != NO_NODE {
            return Some(Self { number: node.occluder, ..self });
        }
        (node.has_dname && !is_exact).then_some(self)
    }

    /// A number of its own in its zone.
    pub fn number(self) -> u32 {
        self.number
    }
}
