//! A node while records are added to it: its RRsets, nearly in the form in which they will be
//! stored.

use super::{
    limits::{MAX_RRSET_OCTETS, MAX_TYPES_PER_OWNER},
    rdata,
    rrset::{self, HEADER_OCTETS},
};
use crate::dns::{Name, Rtype};

/// The maximum number of emptied RRsets kept for reuse.
const MAX_SPARE_RRSETS: usize = 8;

/// The RRsets of one owner, the oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct DraftNode {
    rrsets: Vec<DraftRrset>,
    /// Emptied RRsets, reused so that their memory is not allocated again.
    spare: Vec<DraftRrset>,
}

#[derive(Debug, Clone)]
struct DraftRrset {
    rtype: Rtype,
    ttl_secs: u32,
    count: u16,
    is_full: bool,
    /// The size of the records without compression, in octets; a message may have to hold them that
    /// way.
    octets: usize,
    /// The records as stored, one after the other.
    records: Vec<u8>,
}

/// Why a record cannot be added to the others of its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RrsetConflict {
    /// The owner has a record of the type, of which it may have only one.
    SecondOfSingleton,
    /// A CNAME and a record of this type.
    CnameAndOther(Rtype),
    /// The RRset would not fit into a message.
    RrsetTooLarge,
    /// The owner would have more than [`MAX_TYPES_PER_OWNER`] types.
    TooManyTypes,
}

impl DraftNode {
    /// The draft of a node that has been stored.
    pub(super) fn from_stored(apex: &Name, stored: &[u8]) -> Self {
        let mut rrsets: Vec<DraftRrset> = rrset::stored_rrsets(stored)
            .map(|stored| {
                let mut rrset = DraftRrset::new(stored.rtype, stored.ttl_secs());
                for record in stored.records() {
                    let octets =
                        rdata::uncompressed_length(apex, stored.rtype, record.stored_rdata());
                    rrset.push(record.stored_rdata(), octets);
                }
                rrset
            })
            .collect();
        rrsets.reverse();
        Self { rrsets, spare: Vec::new() }
    }

    /// Adds a record: its rdata as stored, and the length of its rdata without compression, in
    /// octets.
    pub(super) fn add(
        &mut self,
        rtype: Rtype,
        ttl_secs: u32,
        stored: &[u8],
        octets: usize,
    ) -> Result<(), RrsetConflict> {
        self.check(rtype, stored)?;
        let rrset = match self.rrsets.iter().position(|rrset| rrset.rtype == rtype) {
            Some(index) => &mut self.rrsets[index],
            None => {
                let mut new = self.spare.pop().unwrap_or_else(|| DraftRrset::new(rtype, ttl_secs));
                (new.rtype, new.ttl_secs) = (rtype, ttl_secs);
                self.rrsets.push(new);
                let last = self.rrsets.len() - 1;
                &mut self.rrsets[last]
            }
        };
        rrset.add(ttl_secs, stored, octets)
    }

    /// Checks a record against the others, the newest first.
    fn check(&self, rtype: Rtype, stored: &[u8]) -> Result<(), RrsetConflict> {
        if self.rrsets.len() >= MAX_TYPES_PER_OWNER && self.types().all(|other| other != rtype) {
            return Err(RrsetConflict::TooManyTypes);
        }
        for rrset in self.rrsets.iter().rev() {
            let other = rrset.rtype;
            if other == rtype {
                let is_single = matches!(rtype, Rtype::CNAME | Rtype::DNAME | Rtype::SOA);
                if is_single && !rrset.contains(stored) {
                    return Err(RrsetConflict::SecondOfSingleton);
                }
            } else if rtype == Rtype::CNAME && !may_be_beside_cname(other) {
                return Err(RrsetConflict::CnameAndOther(other));
            } else if other == Rtype::CNAME && !may_be_beside_cname(rtype) {
                return Err(RrsetConflict::CnameAndOther(rtype));
            }
        }
        Ok(())
    }

    pub(super) fn types(&self) -> impl Iterator<Item = Rtype> {
        self.rrsets.iter().map(|rrset| rrset.rtype)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rrsets.is_empty()
    }

    /// Removes all records, and keeps some of the RRsets for reuse.
    pub(super) fn clear(&mut self) {
        self.spare.append(&mut self.rrsets);
        self.spare.truncate(MAX_SPARE_RRSETS);
        for rrset in &mut self.spare {
            (rrset.count, rrset.is_full, rrset.octets) = (0, false, 0);
            rrset.records.clear();
        }
    }

    /// Appends the RRsets as they are stored, the newest first.
    pub(super) fn store(&self, arena: &mut Vec<u8>) {
        for rrset in self.rrsets.iter().rev() {
            arena.extend_from_slice(&rrset.rtype.0.to_be_bytes());
            arena.extend_from_slice(&rrset.count.to_be_bytes());
            arena.extend_from_slice(&(rrset.records.len() as u16).to_be_bytes());
            let start = arena.len();
            arena.extend_from_slice(&rrset.records);
            rrset::set_ttl(&mut arena[start..], rrset.ttl_secs);
        }
    }

    /// The number of octets that [`store`](Self::store) appends.
    pub(super) fn stored_octets(&self) -> usize {
        self.rrsets.iter().map(|rrset| HEADER_OCTETS + rrset.records.len()).sum()
    }
}

impl DraftRrset {
    fn new(rtype: Rtype, ttl_secs: u32) -> Self {
        Self { rtype, ttl_secs, count: 0, is_full: false, octets: 0, records: Vec::new() }
    }

    fn add(&mut self, ttl_secs: u32, stored: &[u8], octets: usize) -> Result<(), RrsetConflict> {
        // A full RRset is never searched again: otherwise refusing a million records of one RRset
        // would take a search for each.
        if self.is_full {
            return Err(RrsetConflict::RrsetTooLarge);
        }
        let is_known = self.contains(stored);
        self.ttl_secs = self.ttl_secs.min(ttl_secs);
        if is_known {
            return Ok(());
        }
        if self.octets + rrset::RECORD_FIXED_OCTETS + octets > MAX_RRSET_OCTETS {
            self.is_full = true;
            return Err(RrsetConflict::RrsetTooLarge);
        }
        self.push(stored, octets);
        Ok(())
    }

    fn push(&mut self, stored: &[u8], octets: usize) {
        self.octets += rrset::RECORD_FIXED_OCTETS + octets;
        self.count += 1;
        rrset::store_record(&mut self.records, self.rtype, self.ttl_secs, |out| {
            out.extend_from_slice(stored)
        });
    }

    fn contains(&self, stored: &[u8]) -> bool {
        rrset::stored_records(&self.records, self.rtype)
            .any(|known| rdata::is_same_rdata(self.rtype, known.stored_rdata(), stored))
    }
}

/// Whether the owner of a CNAME may have this type: DNSSEC adds RRSIG and NSEC (RFC 4034 sections 3
/// and 4).
fn may_be_beside_cname(rtype: Rtype) -> bool {
    matches!(rtype, Rtype::RRSIG | Rtype::NSEC)
}
