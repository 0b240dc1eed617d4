//! The serial of an SOA record (RFC 1035 section 3.3.13): the first of the five numbers that end
//! its rdata, each of 4 octets.

use crate::zone::Record;

/// The serial of an SOA record; `None` where its rdata is too short.
pub(super) fn serial_of(soa: &Record) -> Option<u32> {
    let start = soa.rdata.len().checked_sub(20)?;
    Some(u32::from_be_bytes(soa.rdata.get(start..start + 4)?.try_into().ok()?))
}

/// The same SOA with another serial.
pub(super) fn with_serial(soa: &Record, serial: u32) -> Record {
    let mut record = soa.clone();
    if let Some(start) = record.rdata.len().checked_sub(20) {
        record.rdata[start..start + 4].copy_from_slice(&serial.to_be_bytes());
    }
    record
}
