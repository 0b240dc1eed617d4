//! From records, in any order, to a zone. Each record is checked as it comes; what concerns the whole is checked at the end.

use hashbrown::HashTable;

use super::{
    content::{NONE, StoredNode, Zone},
    error::{RecordError, ZoneError},
    hash::hash,
    rdata,
    record::Record,
    rrset::{self, HEADER_OCTETS, MAX_OCTETS},
};
use crate::dns::{LookupName, Name, Rtype};

/// Collects the records of a zone. Lists are threaded through flat vectors, so that a million records are a few allocations.
#[derive(Debug)]
pub struct ZoneBuilder {
    apex: Name,
    client_subnet: bool,
    bytes: Vec<u8>,
    nodes: Vec<DraftNode>,
    rrsets: Vec<DraftRrset>,
    records: Vec<DraftRecord>,
    index: HashTable<u32>,
}

#[derive(Debug)]
struct DraftNode {
    name_at: u32,
    name_octets: u8,
    labels: u8,
    first_rrset: u32,
}

#[derive(Debug)]
struct DraftRrset {
    rtype: Rtype,
    ttl_secs: u32,
    octets: u32,
    count: u16,
    is_full: bool,
    first_record: u32,
    last_record: u32,
    next: u32,
}

#[derive(Debug)]
struct DraftRecord {
    rdata_at: u32,
    rdata_octets: u16,
    next: u32,
}

impl ZoneBuilder {
    /// An empty zone with nothing but its apex.
    pub fn new(apex: Name) -> Self {
        let mut builder = Self {
            apex: apex.clone(),
            client_subnet: true,
            bytes: Vec::new(),
            nodes: Vec::new(),
            rrsets: Vec::new(),
            records: Vec::new(),
            index: HashTable::new(),
        };
        builder.insert_node(apex.as_wire(), apex.label_count());
        builder
    }

    /// Whether the zone's services look at EDNS Client Subnet; they do unless told otherwise.
    pub fn client_subnet(&mut self, is_used: bool) {
        self.client_subnet = is_used;
    }

    /// Takes a record. One that is there already is taken silently; of different TTLs in one RRset the lowest counts (RFC 2181 section 5.2).
    ///
    /// # Errors
    /// [`RecordError`] says why the record cannot be there; the zone is as it was.
    pub fn add(&mut self, record: Record) -> Result<(), RecordError> {
        self.check_alone(&record)?;
        let node = self.find_node(record.owner.as_wire());
        if let Some(node) = node {
            self.check_beside(node, &record)?;
        }
        if self.bytes.len() + record.rdata.len() + 128 * Name::MAX_OCTETS > NONE as usize
            || self.records.len() >= NONE as usize
        {
            return Err(RecordError::LargeZone);
        }
        let node = node.unwrap_or_else(|| self.insert_with_ancestors(&record.owner));
        let rrset = self.rrset_of(node, record.rtype).unwrap_or_else(|| self.insert_rrset(node, &record));
        self.append(rrset, &record)
    }

    /// Checks what needs no other record.
    fn check_alone(&self, record: &Record) -> Result<(), RecordError> {
        let Record { owner, rtype, rdata, .. } = record;
        if !owner.is_at_or_below(&self.apex) {
            return Err(RecordError::OutOfZone { owner: owner.clone(), apex: self.apex.clone() });
        }
        if matches!(rtype.0, 0 | 41 | 128..=255) {
            return Err(RecordError::NoData { rtype: *rtype });
        }
        if *rtype == Rtype::SOA && *owner != self.apex {
            return Err(RecordError::SoaBelowApex { owner: owner.clone() });
        }
        if !rdata::is_well_formed(*rtype, rdata) {
            return Err(RecordError::BadRdata { owner: owner.clone(), rtype: *rtype });
        }
        Ok(())
    }

    /// Checks a record against the others of its owner.
    fn check_beside(&self, node: u32, record: &Record) -> Result<(), RecordError> {
        let Record { owner, rtype, rdata, .. } = record;
        for rrset in self.rrsets_of(node) {
            let other = self.rrsets[rrset as usize].rtype;
            if other == *rtype {
                let is_single = matches!(*rtype, Rtype::CNAME | Rtype::DNAME | Rtype::SOA);
                if is_single && !self.has_record(rrset, rdata) {
                    return Err(RecordError::Second { owner: owner.clone(), rtype: *rtype });
                }
            } else if *rtype == Rtype::CNAME && !may_be_beside_cname(other) {
                return Err(RecordError::CnameAndOther { owner: owner.clone(), other });
            } else if other == Rtype::CNAME && !may_be_beside_cname(*rtype) {
                return Err(RecordError::CnameAndOther { owner: owner.clone(), other: *rtype });
            }
        }
        Ok(())
    }

    fn append(&mut self, at: u32, record: &Record) -> Result<(), RecordError> {
        let too_large = RecordError::LargeRrset { owner: record.owner.clone(), rtype: record.rtype };
        // Once full it is never searched again, or a file of a million records in one RRset would take forever to refuse.
        if self.rrsets[at as usize].is_full {
            return Err(too_large);
        }
        let is_known = self.has_record(at, &record.rdata);
        let rrset = &mut self.rrsets[at as usize];
        rrset.ttl_secs = rrset.ttl_secs.min(record.ttl_secs);
        if is_known {
            return Ok(());
        }
        let octets = rrset.octets as usize + 12 + record.rdata.len();
        if octets > MAX_OCTETS {
            rrset.is_full = true;
            return Err(too_large);
        }
        let number = self.records.len() as u32;
        let last = std::mem::replace(&mut rrset.last_record, number);
        rrset.octets = octets as u32;
        rrset.count += 1;
        if last == NONE {
            rrset.first_record = number;
        } else {
            self.records[last as usize].next = number;
        }
        let rdata_at = self.bytes.len() as u32;
        self.bytes.extend_from_slice(&record.rdata);
        self.records.push(DraftRecord { rdata_at, rdata_octets: record.rdata.len() as u16, next: NONE });
        Ok(())
    }

    /// Puts the zone together.
    ///
    /// # Errors
    /// All that is missing.
    pub fn finish(self) -> Result<Zone, Vec<ZoneError>> {
        let mut errors = Vec::new();
        if self.rrset_of(0, Rtype::SOA).is_none() {
            errors.push(ZoneError::NoSoa { apex: self.apex.clone() });
        }
        if self.rrset_of(0, Rtype::NS).is_none() {
            errors.push(ZoneError::NoNs { apex: self.apex.clone() });
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let (arena, mut nodes) = self.store();
        let label_counts = nodes.iter().fold(0, |counts, node| counts | 1_u128 << node.labels);
        self.set_barriers(&mut nodes, label_counts);
        let mut index = self.index;
        index.shrink_to_fit(|&number| {
            let node = &nodes[number as usize];
            hash(&arena[node.name_at as usize..][..usize::from(node.name_octets)])
        });
        let mut zone = Zone {
            apex_labels: self.apex.label_count(),
            apex: self.apex,
            client_subnet: self.client_subnet,
            negative_ttl_secs: 0,
            arena,
            nodes,
            index,
            label_counts,
        };
        zone.negative_ttl_secs = zone.soa().map_or(0, |soa| soa.ttl_secs().min(minimum(&soa)));
        Ok(zone)
    }

    /// Lays names and RRsets out: each node's name, and after it its RRsets.
    fn store(&self) -> (Box<[u8]>, Box<[StoredNode]>) {
        let octets = self.bytes.len() + self.records.len() * 12 + self.rrsets.len() * HEADER_OCTETS;
        let mut arena = Vec::with_capacity(octets);
        let nodes = (0..self.nodes.len() as u32).map(|number| {
            let draft = &self.nodes[number as usize];
            let name_at = arena.len();
            arena.extend_from_slice(self.name_of(number));
            let sets_at = arena.len();
            let (mut has_ns, mut has_dname) = (false, false);
            for rrset in self.rrsets_of(number) {
                let rrset = &self.rrsets[rrset as usize];
                has_ns |= rrset.rtype == Rtype::NS;
                has_dname |= rrset.rtype == Rtype::DNAME;
                self.store_rrset(rrset, &mut arena);
            }
            StoredNode {
                name_at: name_at as u32,
                barrier: NONE,
                sets_octets: (arena.len() - sets_at) as u32,
                name_octets: draft.name_octets,
                labels: draft.labels,
                is_cut: has_ns && number != 0,
                has_dname,
            }
        });
        let nodes = nodes.collect();
        (arena.into_boxed_slice(), nodes)
    }

    fn store_rrset(&self, rrset: &DraftRrset, arena: &mut Vec<u8>) {
        arena.extend_from_slice(&rrset.rtype.0.to_be_bytes());
        arena.extend_from_slice(&rrset.count.to_be_bytes());
        let start = arena.len() + 2;
        arena.extend_from_slice(&[0, 0]);
        let mut next = rrset.first_record;
        while let Some(record) = self.records.get(next as usize) {
            rrset::store_record(arena, rrset.rtype, rrset.ttl_secs, |out| {
                rdata::store(&self.apex, rrset.rtype, self.rdata_of(record), out);
            });
            next = record.next;
        }
        let octets = (arena.len() - start) as u16;
        arena[start - 2..start].copy_from_slice(&octets.to_be_bytes());
    }

    /// Tells each node where the zone's own data ends above it; parents before children.
    fn set_barriers(&self, nodes: &mut [StoredNode], label_counts: u128) {
        let apex_labels = self.apex.label_count();
        for labels in (apex_labels + 1..128).filter(|labels| label_counts >> labels & 1 == 1) {
            for number in 0..nodes.len() {
                if usize::from(nodes[number].labels) != labels {
                    continue;
                }
                let name = self.name_of(number as u32);
                let parent = self.find_node(&name[1 + usize::from(name[0])..]).unwrap_or(0);
                let above = &nodes[parent as usize];
                nodes[number].barrier = match above.barrier {
                    NONE if above.has_dname => parent,
                    NONE if nodes[number].is_cut => number as u32,
                    barrier => barrier,
                };
            }
        }
    }

    fn find_node(&self, wire: &[u8]) -> Option<u32> {
        self.index.find(hash(wire), |&number| self.name_of(number) == wire).copied()
    }

    /// Inserts a node and the empty ones that must be above it (RFC 4592 section 2.2.2).
    fn insert_with_ancestors(&mut self, owner: &Name) -> u32 {
        let name = LookupName::from(owner);
        let number = self.insert_node(name.as_wire(), name.label_count());
        for labels in (self.apex.label_count()..name.label_count()).rev() {
            let suffix = name.suffix(labels);
            if self.find_node(suffix).is_some() {
                break;
            }
            self.insert_node(suffix, labels);
        }
        number
    }

    fn insert_node(&mut self, wire: &[u8], labels: usize) -> u32 {
        let number = self.nodes.len() as u32;
        let name_at = self.bytes.len() as u32;
        self.bytes.extend_from_slice(wire);
        self.nodes.push(DraftNode { name_at, name_octets: wire.len() as u8, labels: labels as u8, first_rrset: NONE });
        let (nodes, bytes) = (&self.nodes, &self.bytes);
        self.index.insert_unique(hash(wire), number, |&number| hash(node_name(nodes, bytes, number)));
        number
    }

    fn insert_rrset(&mut self, node: u32, record: &Record) -> u32 {
        let number = self.rrsets.len() as u32;
        self.rrsets.push(DraftRrset {
            rtype: record.rtype,
            ttl_secs: record.ttl_secs,
            octets: 0,
            count: 0,
            is_full: false,
            first_record: NONE,
            last_record: NONE,
            next: self.nodes[node as usize].first_rrset,
        });
        self.nodes[node as usize].first_rrset = number;
        number
    }

    fn name_of(&self, number: u32) -> &[u8] {
        node_name(&self.nodes, &self.bytes, number)
    }

    fn rdata_of(&self, record: &DraftRecord) -> &[u8] {
        &self.bytes[record.rdata_at as usize..][..usize::from(record.rdata_octets)]
    }

    fn rrsets_of(&self, node: u32) -> impl Iterator<Item = u32> {
        let first = Some(self.nodes[node as usize].first_rrset).filter(|&rrset| rrset != NONE);
        std::iter::successors(first, |&rrset| Some(self.rrsets[rrset as usize].next).filter(|&next| next != NONE))
    }

    fn rrset_of(&self, node: u32, rtype: Rtype) -> Option<u32> {
        self.rrsets_of(node).find(|&rrset| self.rrsets[rrset as usize].rtype == rtype)
    }

    fn has_record(&self, rrset: u32, rdata: &[u8]) -> bool {
        let DraftRrset { rtype, first_record: mut next, .. } = self.rrsets[rrset as usize];
        while let Some(record) = self.records.get(next as usize) {
            if rdata::is_same(rtype, self.rdata_of(record), rdata) {
                return true;
            }
            next = record.next;
        }
        false
    }
}

fn node_name<'b>(nodes: &[DraftNode], bytes: &'b [u8], number: u32) -> &'b [u8] {
    let node = &nodes[number as usize];
    &bytes[node.name_at as usize..][..usize::from(node.name_octets)]
}

/// What DNSSEC puts beside a CNAME (RFC 4034 sections 3 and 4).
fn may_be_beside_cname(rtype: Rtype) -> bool {
    matches!(rtype, Rtype::RRSIG | Rtype::NSEC)
}

/// The last number of an SOA.
fn minimum(soa: &rrset::ReadyRrset<'_>) -> u32 {
    let record = soa.records().next();
    record.and_then(|record| record.stored().last_chunk::<4>()).map_or(0, |minimum| u32::from_be_bytes(*minimum))
}
