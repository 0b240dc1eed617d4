//! The apex's SOA and NS records: either made from a table or those of the master file, never both.

use super::master::MasterRecords;
use crate::{
    config::{place::SourcePlace, problems::Problems, sources::Sources, spec::ZoneSpec},
    dns::{Name, Rtype},
    zone::Record,
};

/// SOA timers, which only secondaries use, in seconds: after RIPE-203, with an expiry that is a
/// week shorter.
const REFRESH_SECS: u32 = 3600;
const RETRY_SECS: u32 = 900;
const EXPIRE_SECS: u32 = 1_209_600;

/// The records that a table adds to a zone.
pub(super) struct ApexRecords {
    /// The SOA, with serial 0.
    pub(super) soa: Option<Record>,
    pub(super) ns: Vec<Record>,
}

/// The SOA and NS records that a table makes. `None` where the master file has its own SOA, or
/// after an error.
pub(super) fn apex_records(
    sources: &Sources,
    spec: &ZoneSpec,
    master: &mut MasterRecords,
    problems: &mut Problems,
) -> Option<ApexRecords> {
    let apex = &spec.apex.value;
    let is_complete = spec.written_nameservers.is_some() && spec.written_hostmaster.is_some();
    if let (false, Some(mismatch)) = (master.has_errors, origin_mismatch(sources, apex, master)) {
        let is_other_zone = matches!(mismatch, OriginMismatch::OtherZone { .. });
        // A table with its own authority may use the records of any file.
        if !(is_complete && is_other_zone) {
            report_origin_mismatch(sources, apex, mismatch, Some(spec), problems);
            master.is_misplaced = true;
            return None;
        }
    }
    let master = &*master;
    let own_soa = master.apex_record(sources, Rtype::SOA);
    let own_ns = master.apex_record(sources, Rtype::NS);
    if let (Some((_, soa)), Some(written)) =
        (own_soa, spec.written_nameservers.or(spec.written_hostmaster))
    {
        problems
            .error(written, format!("zone \"{apex}\" has its authority written twice"))
            .also(soa, "the master file's own SOA")
            .help("omit `nameservers` and `hostmaster`, or take SOA and NS out of the master file");
        return None;
    }
    if own_soa.is_some() {
        report_incomplete(sources, apex, spec.apex.place, master, problems);
        return None;
    }
    if let (Some((_, ns)), Some(nameservers)) = (own_ns, &spec.nameservers) {
        problems
            .error(nameservers.place, format!("zone \"{apex}\" has its nameservers written twice"))
            .also(ns, "the master file's own NS")
            .help("omit `nameservers`, or take the NS records out of the master file");
    }
    let first_ns = spec
        .nameservers
        .as_ref()
        .and_then(|names| names.value.first().map(|name| name.value.clone()));
    let mname =
        first_ns.or_else(|| own_ns.and_then(|(record, _)| Name::from_wire(&record.rdata).ok()));
    report_missing(spec, mname.is_some(), master, problems);
    let (mname, rname) = (mname?, &spec.hostmaster.as_ref()?.value);
    let ns = spec.nameservers.iter().flat_map(|names| &names.value).map(|name| Record {
        owner: apex.clone(),
        rtype: Rtype::NS,
        ttl_secs: spec.ttl_secs,
        rdata: name.value.as_wire().into(),
    });
    Some(ApexRecords { soa: Some(soa(spec, &mname, rname)), ns: ns.collect() })
}

/// Reports the keys that a table lacks. A key with a wrong value has been reported already, and
/// what a master file with errors lacks is not known.
fn report_missing(
    spec: &ZoneSpec,
    has_nameserver: bool,
    master: &MasterRecords,
    problems: &mut Problems,
) {
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

/// Checks that a master file that is a zone by itself has SOA and NS records.
pub(super) fn check_standalone(
    sources: &Sources,
    apex: &Name,
    place: SourcePlace,
    master: &mut MasterRecords,
    problems: &mut Problems,
) {
    if master.has_errors {
        return;
    }
    match origin_mismatch(sources, apex, master) {
        Some(mismatch) => {
            report_origin_mismatch(sources, apex, mismatch, None, problems);
            master.is_misplaced = true;
        }
        None => report_incomplete(sources, apex, place, master, problems),
    }
}

/// Reports that the apex lacks SOA or NS records: one error, because they are written together.
fn report_incomplete(
    sources: &Sources,
    apex: &Name,
    place: SourcePlace,
    master: &MasterRecords,
    problems: &mut Problems,
) {
    if master.has_errors {
        return;
    }
    const SOA: &str = "@ 3600 SOA ns1.example.com. hostmaster.example.com. 1 3600 900 1209600 60";
    const NS: &str = "@ 3600 NS ns1.example.com.";
    let lacks = |rtype| master.apex_record(sources, rtype).is_none();
    let (missing, help) = match (lacks(Rtype::SOA), lacks(Rtype::NS)) {
        (false, false) => return,
        (true, false) => ("no SOA record", format!("add one, with your own names: {SOA}")),
        (false, true) => ("no NS record", format!("add one for each name server: {NS}")),
        (true, true) => (
            "no SOA and no NS record",
            format!(
                "add both, with your own names: {SOA} and on a line of its own {NS}; or name the file by `records` in a [zone] table that has `nameservers` and `hostmaster`"
            ),
        ),
    };
    problems.error(place, format!("zone \"{apex}\" has {missing} at its apex")).help(help);
}

/// The reason why the records of a master file are not those of the zone for which it is read.
enum OriginMismatch {
    /// The apex is written without its final dot, in an `$ORIGIN` or as the owner of the SOA.
    MissingFinalDot { origin: Option<SourcePlace>, soa: Option<SourcePlace> },
    /// The SOA is that of another zone.
    OtherZone { name: Name, soa: SourcePlace },
}

fn origin_mismatch(
    sources: &Sources,
    apex: &Name,
    master: &MasterRecords,
) -> Option<OriginMismatch> {
    let is_bare = master.apex_soa().is_none() && master.apex_record(sources, Rtype::NS).is_none();
    let origin = master.repeated_origin().filter(|_| is_bare);
    let foreign_soa = master.foreign_soa(sources);
    let repeated: Option<Name> = format!("{apex}.{apex}").parse().ok();
    match foreign_soa {
        Some((name, soa)) if Some(name) == repeated.as_ref() => {
            Some(OriginMismatch::MissingFinalDot { origin, soa: Some(soa) })
        }
        _ if origin.is_some() => Some(OriginMismatch::MissingFinalDot { origin, soa: None }),
        Some((name, soa)) => Some(OriginMismatch::OtherZone { name: name.clone(), soa }),
        None => None,
    }
}

/// Reports the one mistake that moves all records of a file to other names.
fn report_origin_mismatch(
    sources: &Sources,
    apex: &Name,
    mismatch: OriginMismatch,
    table: Option<&ZoneSpec>,
    problems: &mut Problems,
) {
    match mismatch {
        OriginMismatch::MissingFinalDot { origin: Some(origin), .. } => {
            problems
                .error(
                    origin,
                    format!("the final dot is missing: this $ORIGIN is {apex}.{apex}, not {apex}"),
                )
                .help(format!("write $ORIGIN {apex}."));
        }
        OriginMismatch::MissingFinalDot { origin: None, soa } => {
            let Some(soa) = soa else { return };
            problems
                .error(soa, format!("the final dot is missing: the owner of this SOA is {apex}.{apex}, not {apex}"))
                .help(format!("write @ or \"{apex}.\" with the dot, and all other names that end in {apex} likewise"));
        }
        OriginMismatch::OtherZone { name, soa } => match table {
            Some(spec) => {
                problems
                    .error(soa, format!("the master file of zone \"{apex}\" has the SOA of {name}"))
                    .also(spec.apex.place, "the table that names the file")
                    .help(format!(
                        "name the file in [zone.\"{name}\"], or write $ORIGIN {apex}. and the SOA at that name"
                    ));
            }
            None => {
                let path = &sources.file(soa.file()).path;
                let file = path.file_name().unwrap_or_default().to_string_lossy();
                problems
                    .error(soa, format!("the file's name says zone \"{apex}\", and its SOA is that of {name}"))
                    .help(format!(
                        "rename the file to {name}.zone, or name it in a *.toml file: [zone.\"{name}\"] with records = \"{file}\"; for zone \"{apex}\" write $ORIGIN {apex}."
                    ));
            }
        },
    }
}

fn soa(spec: &ZoneSpec, mname: &Name, rname: &Name) -> Record {
    let mut rdata = [mname.as_wire(), rname.as_wire()].concat();
    for number in [0, REFRESH_SECS, RETRY_SECS, EXPIRE_SECS, spec.negative_ttl_secs] {
        rdata.extend(number.to_be_bytes());
    }
    Record {
        owner: spec.apex.value.clone(),
        rtype: Rtype::SOA,
        ttl_secs: spec.ttl_secs,
        rdata: rdata.into(),
    }
}
