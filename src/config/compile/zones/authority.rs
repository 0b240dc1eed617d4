//! The apex's SOA and NS records: made from a table, or the master file's own; never both.

use super::{Master, ZoneSpec};
use crate::{
    config::{place::Place, problems::Problems, sources::Sources},
    dns::{Name, Rtype},
    zone::Record,
};

/// SOA timers that only secondaries read, in seconds: after RIPE-203, with a week less of expiry.
const REFRESH_SECS: u32 = 3600;
const RETRY_SECS: u32 = 900;
const EXPIRE_SECS: u32 = 1_209_600;

/// What a table adds to a zone's records.
pub(super) struct Made {
    /// With serial 0.
    pub(super) soa: Option<Record>,
    pub(super) ns: Vec<Record>,
}

/// The SOA and NS records that a table makes; `None` where the master file has its own SOA.
pub(super) fn of_table(sources: &Sources, spec: &ZoneSpec, master: &Master, problems: &mut Problems) -> Option<Made> {
    let apex = &spec.apex.value;
    let own_soa = master.at_apex(sources, Rtype::SOA);
    let own_ns = master.at_apex(sources, Rtype::NS);
    if let (Some((_, soa)), Some(written)) = (own_soa, spec.written_nameservers.or(spec.written_hostmaster)) {
        problems
            .error(written, format!("zone \"{apex}\" has its authority written twice"))
            .also(soa, "the master file's own SOA")
            .help("leave `nameservers` and `hostmaster` away, or take SOA and NS out of the master file");
        return None;
    }
    if own_soa.is_some() {
        check_plain(sources, apex, spec.apex.place, master, problems);
        return None;
    }
    if let (Some((_, ns)), Some(nameservers)) = (own_ns, &spec.nameservers) {
        problems
            .error(nameservers.place, format!("zone \"{apex}\" has its nameservers written twice"))
            .also(ns, "the master file's own NS")
            .help("leave `nameservers` away, or take the NS records out of the master file");
    }
    let first_ns = spec.nameservers.as_ref().and_then(|names| names.value.first().map(|at| at.value.clone()));
    let mname = first_ns.or_else(|| own_ns.and_then(|(record, _)| Name::from_wire(&record.rdata).ok()));
    report_missing(spec, mname.is_some(), master, problems);
    let (mname, rname) = (mname?, &spec.hostmaster.as_ref()?.value);
    let ns = spec.nameservers.iter().flat_map(|names| &names.value).map(|name| Record {
        owner: apex.clone(),
        rtype: Rtype::NS,
        ttl_secs: spec.ttl_secs,
        rdata: name.value.as_wire().into(),
    });
    Some(Made { soa: Some(soa(spec, &mname, rname)), ns: ns.collect() })
}

/// Reports the keys that a table lacks. A key with a wrong value has been reported as such, and what a master file with errors lacks
/// is unknown.
fn report_missing(spec: &ZoneSpec, has_nameserver: bool, master: &Master, problems: &mut Problems) {
    if master.has_errors {
        return;
    }
    let lacks_nameservers = !has_nameserver && spec.written_nameservers.is_none();
    let lacks_hostmaster = spec.written_hostmaster.is_none();
    let missing = match (lacks_nameservers, lacks_hostmaster) {
        (false, false) => return,
        (false, true) => "`hostmaster`",
        (true, false) => "`nameservers`",
        (true, true) => "`nameservers` and `hostmaster`",
    };
    problems
        .error(spec.apex.place, format!("zone \"{}\" has no {missing}", spec.apex.value))
        .help("write nameservers = [\"ns1.example.com\"] and hostmaster = \"hostmaster@example.com\", or `records` with a master file that has SOA and NS");
}

/// That a zone which makes its own authority has all of it.
pub(super) fn check_plain(sources: &Sources, apex: &Name, place: Place, master: &Master, problems: &mut Problems) {
    if master.has_errors {
        return;
    }
    for rtype in [Rtype::SOA, Rtype::NS] {
        if master.at_apex(sources, rtype).is_none() {
            problems
                .error(place, format!("zone \"{apex}\" has no {rtype} record at its apex"))
                .help("a master file that is a zone by itself has SOA and NS; for one that is not, add a [zone] table with `nameservers` and `hostmaster`");
        }
    }
}

fn soa(spec: &ZoneSpec, mname: &Name, rname: &Name) -> Record {
    let mut rdata = [mname.as_wire(), rname.as_wire()].concat();
    for number in [0, REFRESH_SECS, RETRY_SECS, EXPIRE_SECS, spec.negative_ttl_secs] {
        rdata.extend(number.to_be_bytes());
    }
    Record { owner: spec.apex.value.clone(), rtype: Rtype::SOA, ttl_secs: spec.ttl_secs, rdata: rdata.into() }
}

/// The serial of an SOA record (RFC 1035 section 3.3.13): the first of five numbers at the end.
pub(super) fn serial_of(soa: &Record) -> Option<u32> {
    let at = soa.rdata.len().checked_sub(20)?;
    Some(u32::from_be_bytes(soa.rdata.get(at..at + 4)?.try_into().ok()?))
}

/// The same SOA with another serial.
pub(super) fn with_serial(soa: &Record, serial: u32) -> Record {
    let mut record = soa.clone();
    if let Some(at) = record.rdata.len().checked_sub(20) {
        record.rdata[at..at + 4].copy_from_slice(&serial.to_be_bytes());
    }
    record
}
