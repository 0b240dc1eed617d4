//! Stored RRsets: the octets of a message section. To answer with one, its octets are copied and
//! its pointers filled in.
//!
//! A stored RRset is type, count and length (two octets each) and then its records: owner as a
//! pointer to the question name, type, class, TTL, rdata length, rdata. A compressible name in the
//! zone ends in a pointer, which a reply sets to the offset of the apex in the message.

use super::rdata::{additional_name_offset, compressible, labels_length};
use crate::dns::{BufferFull, LookupName, ReplyWriter, Rtype};

/// The offsets in a message of the name that is answered and of its zone's apex, in octets from the
/// start of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameOffsets {
    /// The offset of the owner name.
    pub owner: u16,
    /// The offset of the apex.
    pub apex: u16,
}

/// An RRset in stored form.
#[derive(Debug, Clone, Copy)]
pub struct StoredRrset<'z> {
    /// The type of the records.
    pub rtype: Rtype,
    /// The number of records.
    pub count: u16,
    records: &'z [u8],
}

/// A record of a stored RRset.
#[derive(Debug, Clone, Copy)]
pub struct StoredRecord<'z> {
    /// The offset of the record from the start of the RRset's first record, in octets.
    pub offset: usize,
    /// The rdata as stored: compressible names in the zone lack the apex.
    stored: &'z [u8],
    rtype: Rtype,
}

pub(super) const HEADER_OCTETS: usize = 6;
/// Octets of a record before its rdata: owner (a pointer), type, class, TTL, rdata length.
pub const RECORD_FIXED_OCTETS: usize = 12;

/// The owner pointer of a stored record. It points to the question name, so that records of the
/// question name need no change.
const QUESTION_POINTER: u16 = 0xc00c;

/// Appends one record in stored form; `rdata` appends its rdata.
pub(super) fn store_record(
    out: &mut Vec<u8>,
    rtype: Rtype,
    ttl_secs: u32,
    rdata: impl FnOnce(&mut Vec<u8>),
) {
    out.extend_from_slice(&QUESTION_POINTER.to_be_bytes());
    out.extend_from_slice(&rtype.0.to_be_bytes());
    out.extend_from_slice(&[0, 1]);
    out.extend_from_slice(&ttl_secs.to_be_bytes());
    let start = out.len() + 2;
    out.extend_from_slice(&[0, 0]);
    rdata(out);
    let length = (out.len() - start) as u16;
    out[start - 2..start].copy_from_slice(&length.to_be_bytes());
}

/// Sets the TTL of all records, in seconds.
pub(super) fn set_ttl(mut records: &mut [u8], ttl_secs: u32) {
    while let Some((fixed, rest)) = records.split_first_chunk_mut::<RECORD_FIXED_OCTETS>() {
        fixed[6..10].copy_from_slice(&ttl_secs.to_be_bytes());
        let length = usize::from(u16::from_be_bytes([fixed[10], fixed[11]]));
        records = rest.get_mut(length..).unwrap_or_default();
    }
}

/// Reads a sequence of stored RRsets.
pub(super) fn stored_rrsets(mut rest: &[u8]) -> impl Iterator<Item = StoredRrset<'_>> {
    std::iter::from_fn(move || {
        let (rrset, tail) = StoredRrset::split_first(rest)?;
        rest = tail;
        Some(rrset)
    })
}

/// Reads a sequence of stored records of one type.
pub(super) fn stored_records(all: &[u8], rtype: Rtype) -> impl Iterator<Item = StoredRecord<'_>> {
    let mut offset = 0;
    std::iter::from_fn(move || {
        let (fixed, rest) = all.get(offset..)?.split_first_chunk::<RECORD_FIXED_OCTETS>()?;
        let length = usize::from(u16::from_be_bytes([fixed[10], fixed[11]]));
        let record = StoredRecord { offset, stored: rest.get(..length)?, rtype };
        offset += RECORD_FIXED_OCTETS + length;
        Some(record)
    })
}

impl<'z> StoredRrset<'z> {
    /// The RRset at the front of `stored`, and what follows it.
    pub(super) fn split_first(stored: &'z [u8]) -> Option<(Self, &'z [u8])> {
        let (header, rest) = stored.split_first_chunk::<HEADER_OCTETS>()?;
        let word = |offset: usize| u16::from_be_bytes([header[offset], header[offset + 1]]);
        let (records, rest) = rest.split_at_checked(usize::from(word(4)))?;
        Some((Self { rtype: Rtype(word(0)), count: word(2), records }, rest))
    }

    /// Writes the records with their own TTL.
    ///
    /// # Errors
    /// [`BufferFull`] if they do not all fit; nothing is written then.
    pub fn write(
        &self,
        writer: &mut ReplyWriter<'_>,
        offsets: NameOffsets,
    ) -> Result<(), BufferFull> {
        self.write_patched(writer, offsets, None)
    }

    /// Writes the records with another TTL, in seconds.
    ///
    /// # Errors
    /// The errors of [`StoredRrset::write`].
    pub fn write_with_ttl(
        &self,
        writer: &mut ReplyWriter<'_>,
        offsets: NameOffsets,
        ttl_secs: u32,
    ) -> Result<(), BufferFull> {
        self.write_patched(writer, offsets, Some(ttl_secs))
    }

    fn write_patched(
        &self,
        writer: &mut ReplyWriter<'_>,
        offsets: NameOffsets,
        ttl_secs: Option<u32>,
    ) -> Result<(), BufferFull> {
        let records = writer.push_for_patching(self.records)?;
        let names = compressible(self.rtype);
        let owner = 0xc000 | offsets.owner;
        if owner == QUESTION_POINTER && names.is_none() && ttl_secs.is_none() {
            return Ok(());
        }
        let mut rest = records;
        while let Some((fixed, tail)) = rest.split_first_chunk_mut::<RECORD_FIXED_OCTETS>() {
            fixed[..2].copy_from_slice(&owner.to_be_bytes());
            if let Some(ttl_secs) = ttl_secs {
                fixed[6..10].copy_from_slice(&ttl_secs.to_be_bytes());
            }
            let length = usize::from(u16::from_be_bytes([fixed[10], fixed[11]]));
            let (rdata, tail) = tail.split_at_mut(length);
            if let Some((skip, count)) = names {
                patch_apex_pointers(&mut rdata[skip..], count, offsets.apex);
            }
            rest = tail;
        }
        Ok(())
    }

    /// The records in stored order.
    pub fn records(&self) -> impl Iterator<Item = StoredRecord<'z>> + use<'z> {
        stored_records(self.records, self.rtype)
    }

    /// The TTL of the records in seconds; all records of an RRset have the same TTL.
    pub fn ttl_secs(&self) -> u32 {
        self.records
            .get(6..10)
            .and_then(|ttl| ttl.first_chunk())
            .map_or(0, |ttl| u32::from_be_bytes(*ttl))
    }

    /// The size of the records in stored form, in octets: at most their size without compression.
    pub fn octets(&self) -> usize {
        self.records.len()
    }
}

/// Sets the pointers at the ends of the names at the front of `rdata` to the offset of the apex.
fn patch_apex_pointers(mut rdata: &mut [u8], names: usize, apex: u16) {
    for _ in 0..names {
        let offset = labels_length(rdata);
        let octets = match rdata.get_mut(offset..offset + 2) {
            Some(pointer) if pointer[0] & 0xc0 == 0xc0 => {
                pointer.copy_from_slice(&(0xc000 | apex).to_be_bytes());
                2
            }
            _ => 1,
        };
        rdata = rdata.get_mut(offset + octets..).unwrap_or_default();
    }
}

impl<'z> StoredRecord<'z> {
    /// The offset of the name that [`StoredRecord::read_target`] reads, in octets from the start of
    /// the RRset's first record.
    pub fn target_offset(&self) -> usize {
        self.offset + RECORD_FIXED_OCTETS + self.target_at()
    }

    fn target_at(&self) -> usize {
        additional_name_offset(self.rtype).unwrap_or(0)
    }

    /// Reads the target of a CNAME, DNAME, NS, PTR, MX or SRV record into `name`, in lower case.
    /// `apex` is that of the zone, in wire form.
    pub fn read_target(&self, apex: &[u8], name: &mut LookupName) {
        let stored = self.stored.get(self.target_at()..).unwrap_or(&[0]);
        let (labels, end) = stored.split_at(labels_length(stored));
        // The name was complete and had at most 255 octets when it was stored.
        let _ = name.assemble(labels, if end.first() == Some(&0) { &[0] } else { apex });
    }

    /// Whether the target is stored as its labels in the zone and a pointer to the apex.
    pub fn is_compressed(&self) -> bool {
        let stored = self.stored.get(self.target_at()..).unwrap_or(&[]);
        compressible(self.rtype).is_some()
            && stored.get(labels_length(stored)).is_some_and(|&octet| octet != 0)
    }

    /// The rdata in stored form: compressible names in the zone lack the apex.
    pub fn stored_rdata(&self) -> &'z [u8] {
        self.stored
    }
}
