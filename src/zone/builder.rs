//! Builds a zone from records in any order. Each record is checked when it is added; the zone as a
//! whole is checked at the end.
//!
//! In nearly every file, the records of one owner follow each other. So a node is stored as soon as
//! the next owner begins, and building takes little more memory than the zone. A node whose owner
//! returns is reopened: its RRsets are kept outside of the arena for a while, so that a file that
//! is not in order of owners, such as one with all A records before all AAAA records, takes no more
//! memory.

use hashbrown::{HashMap, HashTable};

use super::{
    content::{NO_NODE, StoredNode, Zone, is_wildcard},
    draft::{DraftNode, RrsetConflict},
    error::{RecordError, ZoneError},
    hash::{LOAD_SEED, hash_by},
    index::NameIndex,
    occluders::set_occluders,
    rdata,
    record::Record,
    rrset,
};
use crate::dns::{LookupName, Name, Rtype};

/// The number of small reopened nodes that are collected before they are stored again. If more
/// large nodes than this are open, as many small nodes as large ones are collected.
const MAX_REOPENED_NODES: usize = 4096;
/// The maximum size of a small node, in octets of RRsets. A small node may be copied for each of
/// its records.
const SMALL_NODE_OCTETS: usize = 512;
/// While records are added, the arena is compacted once more octets than this, and more than an
/// eighth of it, are unused.
const MAX_UNUSED_OCTETS: usize = 1 << 20;

/// Collects the records of a zone.
#[derive(Debug, Clone)]
pub struct ZoneBuilder {
    apex: Name,
    client_subnet: bool,
    whoami: u32,
    /// Each name followed by its RRsets, as the zone stores them.
    arena: Vec<u8>,
    nodes: Vec<StoredNode>,
    /// Node numbers by the name's hash under the seed of loads: a client that measures reply times
    /// may learn the seed of queries.
    index: HashTable<u32>,
    /// The node whose records are being added, and its number.
    open_node: (u32, DraftNode),
    /// Nodes whose owners returned; their RRsets are no longer in the arena.
    reopened: HashMap<u32, DraftNode>,
    /// The number of reopened nodes at which the small ones are stored again.
    max_reopened: usize,
    /// Octets of the arena that no longer belong to a node.
    unused_octets: usize,
    /// The rdata of the record that is being added, as it will be stored.
    rdata_buffer: Vec<u8>,
}

impl ZoneBuilder {
    /// An empty zone with nothing but its apex.
    pub fn new(apex: Name) -> Self {
        let mut builder = Self {
            apex: apex.clone(),
            client_subnet: true,
            whoami: NO_NODE,
            arena: Vec::new(),
            nodes: Vec::new(),
            index: HashTable::new(),
            open_node: (0, DraftNode::default()),
            reopened: HashMap::new(),
            max_reopened: MAX_REOPENED_NODES,
            unused_octets: 0,
            rdata_buffer: Vec::new(),
        };
        builder.insert_node(apex.as_wire(), apex.label_count());
        builder
    }

    /// Sets whether the zone's services use EDNS Client Subnet; by default they do.
    pub fn client_subnet(&mut self, is_used: bool) {
        self.client_subnet = is_used;
    }

    /// Sets the name whose TXT record shows a client how the server sees it. The name is in the
    /// zone and has no records.
    pub fn whoami(&mut self, name: &Name) {
        self.whoami = match self.known_node(name.as_wire()) {
            Some(node) => node,
            None => {
                self.open_new(name);
                self.open_node.0
            }
        };
    }

    /// Adds a record. A duplicate of a record changes nothing but the TTL: of different TTLs in one
    /// RRset, the lowest applies to all records (RFC 2181 section 5.2).
    ///
    /// # Errors
    /// Why the record cannot be in the zone, which is then unchanged.
    pub fn add(&mut self, record: Record) -> Result<(), RecordError> {
        self.check_record(&record)?;
        let known = self.known_node(record.owner.as_wire());
        if self.arena.len() + record.rdata.len() + 128 * Name::MAX_OCTETS > NO_NODE as usize {
            return Err(RecordError::ZoneTooLarge);
        }
        let Record { owner, rtype, ttl_secs, rdata } = record;
        let mut stored = std::mem::take(&mut self.rdata_buffer);
        stored.clear();
        rdata::store_rdata(&self.apex, rtype, &rdata, &mut stored);
        let node = match known {
            Some(node) => self.draft_of(node),
            None => self.open_new(&owner),
        };
        let added = node.add(rtype, ttl_secs, &stored, rdata.len());
        self.rdata_buffer = stored;
        added.map_err(|refusal| match refusal {
            RrsetConflict::SecondOfSingleton => RecordError::SecondOfSingleton { owner, rtype },
            RrsetConflict::CnameAndOther(other) => RecordError::CnameAndOther { owner, other },
            RrsetConflict::RrsetTooLarge => RecordError::RrsetTooLarge { owner, rtype },
            RrsetConflict::TooManyTypes => RecordError::TooManyTypes { owner },
        })
    }

    /// Checks a record without regard to others.
    fn check_record(&self, record: &Record) -> Result<(), RecordError> {
        let Record { owner, rtype, rdata, .. } = record;
        if !owner.is_at_or_below(&self.apex) {
            return Err(RecordError::OutOfZone { owner: owner.clone(), apex: self.apex.clone() });
        }
        if matches!(rtype.0, 0 | 41 | 128..=255) {
            return Err(RecordError::MetaType { rtype: *rtype });
        }
        if *rtype == Rtype::SOA && *owner != self.apex {
            return Err(RecordError::SoaBelowApex { owner: owner.clone() });
        }
        if !rdata::is_well_formed(*rtype, rdata) {
            return Err(RecordError::BadRdata { owner: owner.clone(), rtype: *rtype });
        }
        Ok(())
    }

    /// The name of the zone.
    pub fn apex(&self) -> &Name {
        &self.apex
    }

    /// Whether a name has records.
    pub fn has_records(&self, name: &Name) -> bool {
        self.find_node(name.as_wire()).is_some_and(|node| self.types_of(node).next().is_some())
    }

    /// The number of names below the apex that have NS records.
    pub fn delegation_count(&self) -> usize {
        (1..self.nodes.len() as u32)
            .filter(|&node| self.types_of(node).any(|rtype| rtype == Rtype::NS))
            .count()
    }

    fn types_of(&self, node: u32) -> impl Iterator<Item = Rtype> {
        let draft = if self.open_node.0 == node {
            Some(&self.open_node.1)
        } else {
            self.reopened.get(&node)
        };
        let stored = match draft {
            Some(_) => &[],
            None => self.nodes[node as usize].rrsets(&self.arena),
        };
        draft
            .into_iter()
            .flat_map(DraftNode::types)
            .chain(rrset::stored_rrsets(stored).map(|rrset| rrset.rtype))
    }

    /// Stores every record added so far, so that [`nodes`](Self::nodes) shows it. More may be added
    /// afterwards.
    pub fn flush(&mut self) {
        const UNUSED_DIVISOR: usize = 16;
        let reopened = std::mem::take(&mut self.reopened);
        self.store_reopened(reopened);
        if self.unused_octets > self.arena.len() / UNUSED_DIVISOR {
            self.compact();
        }
    }

    /// All nodes, empty non-terminals included; the first is the apex.
    pub fn nodes(&self) -> impl Iterator<Item = BuilderNode<'_>> {
        (0..self.nodes.len() as u32).map(|number| BuilderNode { builder: self, number })
    }

    /// The node of a name in wire form; records added since the last [`flush`](Self::flush) may be
    /// missing from it.
    pub fn node(&self, wire: &[u8]) -> Option<BuilderNode<'_>> {
        self.find_node(wire).map(|number| BuilderNode { builder: self, number })
    }

    /// Completes the zone.
    ///
    /// # Errors
    /// Which of SOA and NS are missing at the apex.
    pub fn finish(mut self) -> Result<Zone, Vec<ZoneError>> {
        let has = |rtype| self.types_of(0).any(|other| other == rtype);
        let mut errors = Vec::new();
        if !has(Rtype::SOA) {
            errors.push(ZoneError::NoSoa { apex: self.apex.clone() });
        }
        if !has(Rtype::NS) {
            errors.push(ZoneError::NoNs { apex: self.apex.clone() });
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        self.flush();
        // Frees what only the builder needs before the zone's own index is built.
        (self.index, self.reopened) = (HashTable::new(), HashMap::new());
        let Self { apex, client_subnet, whoami, mut arena, mut nodes, .. } = self;
        arena.shrink_to_fit();
        nodes.shrink_to_fit();
        let index = NameIndex::new(nodes.iter().map(|node| node.name(&arena)));
        let has_wildcards = nodes.iter().any(|node| is_wildcard(node.name(&arena)));
        let label_counts = nodes.iter().fold(0, |counts, node| counts | 1_u128 << node.labels);
        let mut zone = Zone {
            apex_labels: apex.label_count(),
            apex,
            client_subnet,
            negative_ttl_secs: 0,
            arena: arena.into_boxed_slice(),
            nodes: nodes.into_boxed_slice(),
            index,
            label_counts,
            has_wildcards,
            whoami,
        };
        set_occluders(&mut zone);
        zone.negative_ttl_secs = zone.soa().map_or(0, |soa| soa.ttl_secs().min(minimum(&soa)));
        Ok(zone)
    }

    /// The draft of an existing node, which is reopened if it was stored.
    fn draft_of(&mut self, number: u32) -> &mut DraftNode {
        if self.open_node.0 == number {
            return &mut self.open_node.1;
        }
        if self.reopened.len() >= self.max_reopened && !self.reopened.contains_key(&number) {
            self.store_small_reopened();
        }
        let (node, arena, unused_octets) =
            (&mut self.nodes[number as usize], &self.arena, &mut self.unused_octets);
        let apex = &self.apex;
        self.reopened.entry(number).or_insert_with(|| {
            let draft = DraftNode::from_stored(apex, node.rrsets(arena));
            *unused_octets += node.rrsets_octets as usize;
            node.rrsets_octets = 0;
            draft
        })
    }

    /// Opens a new node, and inserts the empty non-terminals above it (RFC 4592 section 2.2.2).
    fn open_new(&mut self, owner: &Name) -> &mut DraftNode {
        self.close_node();
        let name = LookupName::from(owner);
        for labels in self.apex.label_count()..name.label_count() {
            let suffix = name.suffix(labels);
            if self.find_node(suffix).is_none() {
                self.insert_node(suffix, labels);
            }
        }
        // Inserted last, so that its RRsets can follow its name in the arena.
        self.open_node.0 = self.insert_node(name.as_wire(), name.label_count());
        &mut self.open_node.1
    }

    /// Stores the open node. It is stored only once unless its owner returns.
    fn close_node(&mut self) {
        let (number, draft) = &mut self.open_node;
        if draft.is_empty() {
            return;
        }
        // Its name is the last in the arena: no node was inserted after it.
        store(&mut self.nodes[*number as usize], draft, &mut self.arena);
        draft.clear();
        self.open_node.0 = NO_NODE;
    }

    /// Stores the small reopened nodes. Large ones stay open, since they would be copied again and
    /// again.
    fn store_small_reopened(&mut self) {
        let is_small = |_: &u32, draft: &mut DraftNode| draft.stored_octets() <= SMALL_NODE_OCTETS;
        let small: Vec<_> = self.reopened.extract_if(is_small).collect();
        self.max_reopened = self.reopened.len() + self.reopened.len().max(MAX_REOPENED_NODES);
        self.store_reopened(small);
        if self.unused_octets > MAX_UNUSED_OCTETS.max(self.arena.len() / 8) {
            self.compact();
        }
    }

    /// Stores reopened nodes at the end of the arena.
    fn store_reopened(&mut self, drafts: impl IntoIterator<Item = (u32, DraftNode)>) {
        self.close_node();
        // The name of the open node is no longer the last in the arena.
        self.open_node.0 = NO_NODE;
        for (number, draft) in drafts {
            let node = &mut self.nodes[number as usize];
            let name_at = node.name_offset as usize;
            let name_octets = usize::from(node.name_octets);
            self.unused_octets += name_octets;
            node.name_offset = self.arena.len() as u32;
            self.arena.reserve(name_octets + draft.stored_octets());
            self.arena.extend_from_within(name_at..name_at + name_octets);
            store(node, &draft, &mut self.arena);
        }
    }

    /// Removes unused octets from the arena, in place: a second arena would double the memory of a
    /// load.
    fn compact(&mut self) {
        let mut order: Vec<u32> = (0..self.nodes.len() as u32).collect();
        order.sort_unstable_by_key(|&number| self.nodes[number as usize].name_offset);
        let mut end = 0;
        for number in order {
            let node = &mut self.nodes[number as usize];
            let start = node.name_offset as usize;
            let octets = usize::from(node.name_octets) + node.rrsets_octets as usize;
            self.arena.copy_within(start..start + octets, end);
            node.name_offset = end as u32;
            end += octets;
        }
        self.arena.truncate(end);
        self.unused_octets = 0;
    }

    fn find_node(&self, wire: &[u8]) -> Option<u32> {
        let has_name = |&number: &u32| self.nodes[number as usize].name(&self.arena) == wire;
        self.index.find(hash_by(LOAD_SEED, wire), has_name).copied()
    }

    /// Like [`find_node`](Self::find_node), but tries the open node first: most records have the
    /// owner of the record before.
    fn known_node(&self, wire: &[u8]) -> Option<u32> {
        let open =
            self.nodes.get(self.open_node.0 as usize).filter(|node| node.name(&self.arena) == wire);
        if open.is_some() { Some(self.open_node.0) } else { self.find_node(wire) }
    }

    fn insert_node(&mut self, wire: &[u8], labels: usize) -> u32 {
        let number = self.nodes.len() as u32;
        self.nodes.push(StoredNode {
            name_offset: self.arena.len() as u32,
            occluder: NO_NODE,
            rrsets_octets: 0,
            name_octets: wire.len() as u8,
            labels: labels as u8,
            is_cut: false,
            has_dname: false,
        });
        self.arena.extend_from_slice(wire);
        let (nodes, arena) = (&self.nodes, &self.arena);
        let hash_of = |&number: &u32| hash_by(LOAD_SEED, nodes[number as usize].name(arena));
        self.index.insert_unique(hash_by(LOAD_SEED, wire), number, hash_of);
        number
    }
}

/// A name of a zone that is being built, with its RRsets.
#[derive(Clone, Copy)]
pub struct BuilderNode<'b> {
    builder: &'b ZoneBuilder,
    number: u32,
}

impl<'b> BuilderNode<'b> {
    /// The number of the node in the zone; the apex has number 0.
    pub fn number(self) -> u32 {
        self.number
    }

    /// The name in wire form, in lower case.
    pub fn wire(self) -> &'b [u8] {
        self.builder.nodes[self.number as usize].name(&self.builder.arena)
    }

    /// The types of the node's RRsets.
    pub fn types(self) -> impl Iterator<Item = Rtype> {
        self.rrsets().map(|rrset| rrset.rtype)
    }

    /// Whether the node has records of a type.
    pub fn has(self, rtype: Rtype) -> bool {
        self.types().any(|other| other == rtype)
    }

    /// The RRsets of the node.
    pub fn rrsets(self) -> impl Iterator<Item = rrset::StoredRrset<'b>> {
        let node = &self.builder.nodes[self.number as usize];
        rrset::stored_rrsets(node.rrsets(&self.builder.arena))
    }

    /// The target names in the RRset of a type (NS, CNAME, DNAME, PTR, MX, SRV), in wire form and
    /// lower case; empty for other types.
    pub fn targets(self, rtype: Rtype) -> impl Iterator<Item = Vec<u8>> {
        let rrset = self.rrsets().find(|rrset| rrset.rtype == rtype);
        let apex = &self.builder.apex;
        rrset.into_iter().flat_map(move |rrset| {
            let targets: Vec<_> = rrset
                .records()
                .filter_map(|record| rdata::target_name(apex, rtype, record.stored_rdata()))
                .collect();
            targets
        })
    }
}

/// Appends a node's RRsets after its name, which is the last in the arena.
fn store(node: &mut StoredNode, draft: &DraftNode, arena: &mut Vec<u8>) {
    let start = arena.len();
    draft.store(arena);
    node.rrsets_octets = (arena.len() - start) as u32;
}

/// The MINIMUM of an SOA, in seconds.
fn minimum(soa: &rrset::StoredRrset<'_>) -> u32 {
    let record = soa.records().next();
    record
        .and_then(|record| record.stored_rdata().last_chunk::<4>())
        .map_or(0, |minimum| u32::from_be_bytes(*minimum))
}
