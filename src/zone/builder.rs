//! From records, in any order, to a zone. Each record is checked as it comes; what concerns the
//! whole is checked at the end.
//!
//! The records of one owner stand together in nearly every file, so that a node is laid out for
//! good as soon as the next owner comes: building takes little more memory than the zone. Owners
//! that come again are kept apart for a while, so that a file that is not in order of owners, such
//! as one with all A records before all AAAA records, takes no more.

use hashbrown::{HashMap, HashTable};

use super::{
    content::{NO_NODE, StoredNode, Zone, is_wildcard},
    draft::{DraftNode, RrsetConflict},
    error::{RecordError, ZoneError},
    hash::{LOAD_SEED, hash_by, hash_name},
    index::NameIndex,
    rdata,
    record::Record,
    rrset,
};
use crate::dns::{LookupName, Name, Rtype};

/// So many owners that come again are kept apart, beside large ones, before the small ones are laid
/// out; where more are large, as many small ones as large ones.
const MAX_REOPENED_NODES: usize = 4096;
/// Octets of RRsets up to which a node is small: it may be copied for each of its records.
const SMALL_NODE_OCTETS: usize = 512;
/// While records come, the arena is compacted once more octets than this, and more than an eighth
/// of it, belong to no node.
const MAX_UNUSED_OCTETS: usize = 1 << 20;

/// Collects the records of a zone.
#[derive(Debug, Clone)]
pub struct ZoneBuilder {
    apex: Name,
    client_subnet: bool,
    whoami: u32,
    /// Names and, after each, its RRsets, as the zone will have them.
    arena: Vec<u8>,
    nodes: Vec<StoredNode>,
    /// By the hash for loads: the seed of queries may be known to a client that measures reply
    /// times.
    index: HashTable<u32>,
    /// The node whose records are coming at present.
    open_node: (u32, DraftNode),
    /// Nodes that came again: their RRsets are no longer in the arena.
    reopened: HashMap<u32, DraftNode>,
    /// How many nodes `reopened` has when the small ones of them are laid out.
    max_reopened: usize,
    /// Octets of the arena that belong to no node any more.
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

    /// Whether the zone's services look at EDNS Client Subnet; they do unless told otherwise.
    pub fn client_subnet(&mut self, is_used: bool) {
        self.client_subnet = is_used;
    }

    /// Makes a name of the zone, which has no records, the one whose TXT record tells a client how
    /// it is seen.
    pub fn whoami(&mut self, name: &Name) {
        self.whoami = match self.known_node(name.as_wire()) {
            Some(node) => node,
            None => {
                self.open_new(name);
                self.open_node.0
            }
        };
    }

    /// Takes a record. One that is there already is taken silently; of different TTLs in one RRset
    /// the lowest counts (RFC 2181 section 5.2).
    ///
    /// # Errors
    /// [`RecordError`] says why the record cannot be there; the zone is as it was.
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

    /// Checks what needs no other record.
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

    /// The name the zone starts at.
    pub fn apex(&self) -> &Name {
        &self.apex
    }

    /// Whether a name has records.
    pub fn has_records(&self, name: &Name) -> bool {
        self.find_node(name.as_wire()).is_some_and(|node| self.types_of(node).next().is_some())
    }

    /// At how many names below the apex there are NS records.
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
            None => rrsets_of(&self.nodes[node as usize], &self.arena),
        };
        draft
            .into_iter()
            .flat_map(DraftNode::types)
            .chain(rrset::stored_rrsets(stored).map(|rrset| rrset.rtype))
    }

    /// Lays out every record that was added, so that [`nodes`](Self::nodes) sees it. More may be
    /// added afterwards.
    pub fn flush(&mut self) {
        const LITTLE: usize = 16;
        let again = std::mem::take(&mut self.reopened);
        self.store_reopened(again);
        if self.unused_octets > self.arena.len() / LITTLE {
            self.compact();
        }
    }

    /// The names of the zone, those that exist only for names below them included; the apex first.
    pub fn nodes(&self) -> impl Iterator<Item = BuilderNode<'_>> {
        (0..self.nodes.len() as u32).map(|number| BuilderNode { builder: self, number })
    }

    /// The node of a name in wire form; records added since the last [`flush`](Self::settle) may
    /// be missing from it.
    pub fn node(&self, wire: &[u8]) -> Option<BuilderNode<'_>> {
        self.find_node(wire).map(|number| BuilderNode { builder: self, number })
    }

    /// Puts the zone together.
    ///
    /// # Errors
    /// All that is missing.
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
        // What only the builder needs goes before the zone's own index comes.
        (self.index, self.reopened) = (HashTable::new(), HashMap::new());
        let Self { apex, client_subnet, whoami, mut arena, mut nodes, .. } = self;
        arena.shrink_to_fit();
        nodes.shrink_to_fit();
        let index = NameIndex::new(nodes.iter().map(|node| name_of(node, &arena)));
        let has_wildcards = nodes.iter().any(|node| is_wildcard(name_of(node, &arena)));
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

    /// The draft of a node that is there.
    fn draft_of(&mut self, number: u32) -> &mut DraftNode {
        if self.open_node.0 == number {
            return &mut self.open_node.1;
        }
        if self.reopened.len() >= self.max_reopened && !self.reopened.contains_key(&number) {
            self.store_small_reopened();
        }
        let (node, arena, left_behind) =
            (&mut self.nodes[number as usize], &self.arena, &mut self.unused_octets);
        let apex = &self.apex;
        self.reopened.entry(number).or_insert_with(|| {
            let draft = DraftNode::from_stored(apex, rrsets_of(node, arena));
            *left_behind += node.rrsets_octets as usize;
            node.rrsets_octets = 0;
            draft
        })
    }

    /// A new node, and the empty ones that must be above it (RFC 4592 section 2.2.2).
    fn open_new(&mut self, owner: &Name) -> &mut DraftNode {
        self.close_node();
        let name = LookupName::from(owner);
        for labels in self.apex.label_count()..name.label_count() {
            let suffix = name.suffix(labels);
            if self.find_node(suffix).is_none() {
                self.insert_node(suffix, labels);
            }
        }
        // Last, so that its RRsets can follow its name.
        self.open_node.0 = self.insert_node(name.as_wire(), name.label_count());
        &mut self.open_node.1
    }

    /// Lays the open node out, for good unless its owner comes again.
    fn close_node(&mut self) {
        let (number, draft) = &mut self.open_node;
        if draft.is_empty() {
            return;
        }
        // Nothing was inserted since its name was.
        store(&mut self.nodes[*number as usize], draft, &mut self.arena);
        draft.clear();
        self.open_node.0 = NO_NODE;
    }

    /// Lays out the small ones of the nodes that came again; large ones would be copied again and
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

    /// Lays out nodes that came again behind all others.
    fn store_reopened(&mut self, drafts: impl IntoIterator<Item = (u32, DraftNode)>) {
        self.close_node();
        // Its name will not be the last in the arena.
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

    /// Drops from the arena what belongs to no node, in place: a second arena would double the
    /// memory of a load.
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
        let is_it = |&number: &u32| name_of(&self.nodes[number as usize], &self.arena) == wire;
        self.index.find(hash_by(LOAD_SEED, wire), is_it).copied()
    }

    /// As [`find_node`](Self::find_node); most records have the owner of the one before.
    fn known_node(&self, wire: &[u8]) -> Option<u32> {
        let open = self
            .nodes
            .get(self.open_node.0 as usize)
            .filter(|node| name_of(node, &self.arena) == wire);
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
        let hash_of = |&number: &u32| hash_by(LOAD_SEED, name_of(&nodes[number as usize], arena));
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
    /// A number of its own in the zone, counted from 0, which is the apex.
    pub fn number(self) -> u32 {
        self.number
    }

    /// The name in wire form, in lower case.
    pub fn wire(self) -> &'b [u8] {
        name_of(&self.builder.nodes[self.number as usize], &self.builder.arena)
    }

    /// The types of its RRsets.
    pub fn types(self) -> impl Iterator<Item = Rtype> {
        self.rrsets().map(|rrset| rrset.rtype)
    }

    /// Whether it has records of a type.
    pub fn has(self, rtype: Rtype) -> bool {
        self.types().any(|other| other == rtype)
    }

    /// Its RRsets.
    pub fn rrsets(self) -> impl Iterator<Item = rrset::StoredRrset<'b>> {
        rrset::stored_rrsets(rrsets_of(
            &self.builder.nodes[self.number as usize],
            &self.builder.arena,
        ))
    }

    /// The names that the records of one of its RRsets lead to (NS, CNAME, DNAME, PTR, MX, SRV), in
    /// wire form and lower case.
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

/// Appends a node's RRsets behind its name, which is the last in the arena.
fn store(node: &mut StoredNode, draft: &DraftNode, arena: &mut Vec<u8>) {
    let start = arena.len();
    draft.store(arena);
    node.rrsets_octets = (arena.len() - start) as u32;
}

fn name_of<'a>(node: &StoredNode, arena: &'a [u8]) -> &'a [u8] {
    &arena[node.name_offset as usize..][..usize::from(node.name_octets)]
}

fn rrsets_of<'a>(node: &StoredNode, arena: &'a [u8]) -> &'a [u8] {
    &arena[node.name_offset as usize + usize::from(node.name_octets)..]
        [..node.rrsets_octets as usize]
}

/// Tells each node what it is, and where the zone's own data ends above it; parents before
/// children.
fn set_occluders(zone: &mut Zone) {
    for number in 0..zone.nodes.len() {
        let node = &zone.nodes[number];
        let (mut has_ns, mut has_dname) = (false, false);
        rrset::stored_rrsets(rrsets_of(node, &zone.arena)).for_each(|rrset| {
            has_ns |= rrset.rtype == Rtype::NS;
            has_dname |= rrset.rtype == Rtype::DNAME;
        });
        let node = &mut zone.nodes[number];
        (node.is_cut, node.has_dname) = (has_ns && number != 0, has_dname);
    }
    let ends_somewhere = zone.nodes.iter().any(|node| node.is_cut || node.has_dname);
    let deeper = if ends_somewhere { zone.apex_labels + 1..128 } else { 0..0 };
    for labels in deeper.filter(|labels| zone.label_counts >> labels & 1 == 1) {
        for number in 0..zone.nodes.len() {
            if usize::from(zone.nodes[number].labels) != labels {
                continue;
            }
            let name = zone.name_of(number as u32);
            let above = &name[1 + usize::from(name[0])..];
            let parent = zone.node_of_wire(above, hash_name(above)).map_or(0, |node| node.number);
            let above = &zone.nodes[parent as usize];
            let barrier = match above.occluder {
                NO_NODE if above.has_dname => parent,
                NO_NODE if zone.nodes[number].is_cut => number as u32,
                barrier => barrier,
            };
            zone.nodes[number].occluder = barrier;
        }
    }
}

/// The last number of an SOA.
fn minimum(soa: &rrset::StoredRrset<'_>) -> u32 {
    let record = soa.records().next();
    record
        .and_then(|record| record.stored_rdata().last_chunk::<4>())
        .map_or(0, |minimum| u32::from_be_bytes(*minimum))
}
