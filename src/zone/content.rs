//! A zone's nodes and records in compact form: names and stored RRsets in one arena, nodes of 16
//! octets, and a hash table of node numbers.

use super::{
    hash::hash_name,
    index::NameIndex,
    rrset::{self, StoredRrset},
};
use crate::dns::{LookupName, Name, Rtype};

/// The static records of one zone. Immutable; a reload shares the zones that did not change.
#[derive(Debug)]
pub struct Zone {
    /// The name of the zone.
    pub apex: Name,
    /// Whether the zone's services use EDNS Client Subnet; if not, the option is neither read nor
    /// echoed.
    pub client_subnet: bool,
    /// The TTL of negative answers, in seconds: the lesser of the SOA record's TTL and its MINIMUM
    /// (RFC 2308 section 5).
    pub(super) negative_ttl_secs: u32,
    pub(super) apex_labels: usize,
    pub(super) arena: Box<[u8]>,
    pub(super) nodes: Box<[StoredNode]>,
    pub(super) index: NameIndex,
    /// Bit n is set if a node's name has n labels; a lookup tries no other number of labels.
    pub(super) label_counts: u128,
    /// Whether any name is a wildcard.
    pub(super) has_wildcards: bool,
    /// The node whose TXT record shows a client how the server sees it. It has no static records.
    /// `NO_NODE` if the zone has no such name.
    pub(super) whoami: u32,
}

/// A node as stored, in 16 octets.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoredNode {
    pub(super) name_offset: u32,
    /// The node where the authoritative data ends: the topmost cut at or above this node, or the
    /// DNAME above it. `NO_NODE` if the node is authoritative.
    pub(super) occluder: u32,
    pub(super) rrsets_octets: u32,
    pub(super) name_octets: u8,
    pub(super) labels: u8,
    pub(super) is_cut: bool,
    pub(super) has_dname: bool,
}

impl StoredNode {
    /// The name in wire form and lower case.
    pub(super) fn name<'a>(&self, arena: &'a [u8]) -> &'a [u8] {
        let start = self.name_offset as usize;
        &arena[start..start + usize::from(self.name_octets)]
    }

    /// The stored RRsets of the node, in the arena.
    pub(super) fn rrsets<'a>(&self, arena: &'a [u8]) -> &'a [u8] {
        let start = self.name_offset as usize + usize::from(self.name_octets);
        &arena[start..start + self.rrsets_octets as usize]
    }
}

/// Marks the absence of a node where a node number is stored.
pub(super) const NO_NODE: u32 = u32::MAX;

/// A node of a zone: an existing name, with records or as an empty non-terminal.
#[derive(Debug, Clone, Copy)]
pub struct Node<'z> {
    pub(super) zone: &'z Zone,
    pub(super) number: u32,
}

/// Whether a zone is authoritative for a name, which may exist or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameAuthority {
    /// The zone is authoritative for the name.
    Authoritative,
    /// The name is at or below a delegation.
    Delegated,
    /// The name is below a DNAME.
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

    /// The node that most likely has this name, found without reading names; `None` only if no node
    /// has it.
    pub(super) fn probable_node(&self, wire: &[u8], hash: u64) -> Option<Node<'_>> {
        let number = self.index.find_probable(wire, hash, |number| self.name_of(number))?;
        Some(Node { zone: self, number })
    }

    /// Like [`Zone::node`], for a name in wire form with this number of labels.
    pub(super) fn wire_node(&self, wire: &[u8], labels: usize) -> Option<Node<'_>> {
        (self.label_counts >> labels & 1 == 1)
            .then(|| self.node_of_wire(wire, hash_name(wire)))
            .flatten()
    }

    pub(super) fn name_of(&self, number: u32) -> &[u8] {
        self.nodes[number as usize].name(&self.arena)
    }

    /// The node of the apex, which every zone has.
    pub fn apex_node(&self) -> Node<'_> {
        Node { zone: self, number: 0 }
    }

    /// The closest node at or above `name`, which is in the zone.
    pub(super) fn closest_node(&self, name: &LookupName) -> Node<'_> {
        self.closest_node_by_hash(name, hash_name(name.as_wire()))
    }

    /// Like [`Zone::closest_node`], for a name with a known hash.
    pub(super) fn closest_node_by_hash(&self, name: &LookupName, hash: u64) -> Node<'_> {
        if let Some(node) = self.node_of_wire(name.as_wire(), hash) {
            return node;
        }
        // The apex always exists and needs no search.
        (self.apex_labels + 1..name.label_count())
            .rev()
            .filter(|&labels| self.label_counts >> labels & 1 == 1)
            .find_map(|labels| {
                let suffix = name.suffix(labels);
                self.node_of_wire(suffix, hash_name(suffix))
            })
            .unwrap_or(self.apex_node())
    }

    /// The node with the addresses of a name: the name's own node, also below a cut (glue), or that
    /// of a wildcard. `None` where the name is outside of the zone or has no such node.
    pub fn address_node(&self, name: &LookupName) -> Option<Node<'_>> {
        if name.label_count() < self.apex_labels
            || name.suffix(self.apex_labels) != self.apex.as_wire()
        {
            return None;
        }
        let closest = self.closest_node(name);
        let is_exact = closest.label_count() == name.label_count();
        match closest.occluder_for(is_exact) {
            Some(occluder) => (is_exact && occluder.is_cut()).then_some(closest),
            None if is_exact => Some(closest),
            None => self.wildcard_below(closest.name(), closest.label_count()),
        }
    }

    /// The node of the wildcard directly below a name.
    pub(super) fn wildcard_below(&self, wire: &[u8], labels: usize) -> Option<Node<'_>> {
        let mut buffer = [0; Name::MAX_OCTETS + 2];
        self.wire_node(wildcard_of(wire, &mut buffer), labels + 1)
    }

    /// Whether the zone is authoritative for a name, which is in the zone.
    pub fn authority_of(&self, name: &Name) -> NameAuthority {
        let lookup = LookupName::from(name);
        let closest = self.closest_node(&lookup);
        let is_exact = closest.label_count() == lookup.label_count();
        match closest.occluder_for(is_exact) {
            Some(occluder) if occluder.is_cut() => NameAuthority::Delegated,
            Some(_) => NameAuthority::Redirected,
            None => NameAuthority::Authoritative,
        }
    }

    /// Whether a name has records of a type. Wildcards are not expanded.
    pub fn has_rrset(&self, name: &Name, rtype: Rtype) -> bool {
        self.node(&LookupName::from(name)).is_some_and(|node| node.rrset(rtype).is_some())
    }

    /// The types of a name's records, in no order; empty also if the name does not exist.
    pub fn types_of(&self, name: &Name) -> Vec<Rtype> {
        self.node(&LookupName::from(name))
            .map(|node| node.rrsets().map(|rrset| rrset.rtype).collect())
            .unwrap_or_default()
    }

    /// The number of nodes, empty non-terminals included.
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
        const NUMBERS_OCTETS: usize = 20;
        let soa =
            self.soa().and_then(|soa| soa.records().next()).map(|record| record.stored_rdata());
        // The rdata of an SOA ends in five numbers, of which the serial is the first (RFC 1035
        // section 3.3.13).
        let serial_offset = soa.map(|rdata| {
            rdata.as_ptr_range().end.addr() - self.arena.as_ptr().addr() - NUMBERS_OCTETS
        });
        let mut arena = self.arena.clone();
        if let Some(stored) = serial_offset.and_then(|start| arena.get_mut(start..start + 4)) {
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

    /// The SOA RRset, which every zone has.
    pub fn soa(&self) -> Option<StoredRrset<'_>> {
        self.apex_node().rrset(Rtype::SOA)
    }

    /// The TTL of negative answers, in seconds (RFC 2308 section 5).
    pub fn negative_ttl_secs(&self) -> u32 {
        self.negative_ttl_secs
    }

    /// The number of labels of the apex, without the root.
    pub fn apex_labels(&self) -> usize {
        self.apex_labels
    }

    /// The approximate memory use, in octets.
    pub fn memory_octets(&self) -> usize {
        self.arena.len() + size_of_val(&*self.nodes) + self.index.memory_octets()
    }
}

/// Whether a name is a wildcard (RFC 4592 section 2.1.1).
pub(super) fn is_wildcard(wire: &[u8]) -> bool {
    wire.starts_with(b"\x01*")
}

/// The wire form of the wildcard directly below a name.
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

    /// The RRsets of the node.
    pub fn rrsets(self) -> impl Iterator<Item = StoredRrset<'z>> {
        rrset::stored_rrsets(self.stored().rrsets(&self.zone.arena))
    }

    /// The name and the RRsets, as stored.
    pub(super) fn stored_octets(self) -> &'z [u8] {
        let node = self.stored();
        let start = node.name_offset as usize;
        let length = usize::from(node.name_octets) + node.rrsets_octets as usize;
        &self.zone.arena[start..start + length]
    }

    /// The RRset of one type.
    pub fn rrset(self, rtype: Rtype) -> Option<StoredRrset<'z>> {
        self.rrsets().find(|rrset| rrset.rtype == rtype)
    }

    /// The name in wire form and lower case.
    pub fn name(self) -> &'z [u8] {
        self.zone.name_of(self.number)
    }

    /// The number of labels of the name, without the root.
    pub fn label_count(self) -> usize {
        usize::from(self.stored().labels)
    }

    /// Whether the node is a delegation: it is below the apex and has NS records.
    pub fn is_cut(self) -> bool {
        self.stored().is_cut
    }

    /// Whether the TXT record of the name shows a client how the server sees it.
    pub fn is_whoami(self) -> bool {
        self.zone.whoami == self.number
    }

    /// The cut or DNAME that occludes a name whose closest node is this one. `is_exact` says
    /// whether the node has the name itself: a DNAME does not occlude its own owner.
    pub(super) fn occluder_for(self, is_exact: bool) -> Option<Self> {
        let node = self.stored();
        if node.occluder != NO_NODE {
            return Some(Self { number: node.occluder, ..self });
        }
        (node.has_dname && !is_exact).then_some(self)
    }

    /// The number of the node in its zone; the apex has number 0.
    pub fn number(self) -> u32 {
        self.number
    }
}
