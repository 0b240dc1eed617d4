//! Reads rdata from text, field by field as `layout` lists them, and checks rdata in wire form.
//!
//! Text is in presentation format or is `\# length hex`. The octets of the latter must be valid
//! rdata if the type is known (RFC 3597 section 5).

use std::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::{BASE32HEX_NOPAD, BASE64, HEXLOWER_PERMISSIVE};

use super::{
    encoding::decode_remaining,
    field_reader::FieldReader,
    help,
    layout::{RdataField, RdataLayout, rdata_layout},
    loc,
    problem::Problem,
    rdata_fields::{self, CERTIFICATE_TYPES, DNSSEC_ALGORITHMS},
    svcb,
    wire::{take_counted, take_name, take_octets},
};
use crate::dns::Rtype;

use RdataField::{
    Algorithm, Base64, CertificateKind, Eui48, Eui64, Gateway, Hash, Hex, HostIdentity, Ipv4, Ipv6,
    Location, Locator, Name, Names, Nsap, Octets, OptionalText, Parameters, Period, Prefixes,
    Relay, Salt, Tag, Text, Texts, Timestamp, Type, Types, U8, U16, U32,
};

/// Reads the rdata of a record of type `rtype`, in presentation format or as `\#` octets, into
/// `out`.
pub(super) fn read_rdata(
    rtype: Rtype,
    fields: &mut FieldReader<'_, '_>,
    out: &mut Vec<u8>,
) -> Result<(), Problem> {
    if fields.peek().is_some_and(|token| token.text == b"\\#") {
        return read_octets(rtype, fields, out);
    }
    let Some(layout) = rdata_layout(rtype) else {
        return Err(fields
            .problem(format!("the rdata of type {rtype} has no text form here"))
            .with_help("write \\#, its length and its octets in hexadecimal (RFC 3597)"));
    };
    let all_fields = *fields;
    for &(form, what) in layout {
        read_field(form, what, fields, out)
            .map_err(|problem| help_with_fields(problem, rtype, layout, all_fields))?;
    }
    fields
        .finish(&format!("the {rtype} record"))
        .map_err(|problem| help_with_fields(problem, rtype, layout, all_fields))?;
    check_digest(rtype, out).map_err(|message| fields.problem(message))
}

/// Adds the list of the type's fields to a problem if the record has another number of them: a
/// missing or extra field shifts every field after it.
fn help_with_fields(
    problem: Problem,
    rtype: Rtype,
    layout: RdataLayout,
    written: FieldReader<'_, '_>,
) -> Problem {
    let has_any_number = |form: &RdataField| {
        !matches!(
            form,
            U8 | U16
                | U32
                | Period
                | Timestamp
                | Ipv4
                | Ipv6
                | Name
                | Text
                | Octets
                | Tag
                | Type
                | Algorithm
        )
    };
    let count = written.count();
    if let Some(help) = help_for_swapped_fields(layout, written) {
        return problem.with_help(help);
    }
    if count == layout.len() || layout.iter().any(|(form, _)| has_any_number(form)) {
        return problem;
    }
    let names: Vec<&str> = layout.iter().map(|(_, what)| *what).collect();
    let fields = if names.len() == 1 { "one field" } else { "these fields" };
    let comment = if count > names.len() { "; a comment starts with \";\"" } else { "" };
    problem.with_help(format!(
        "the data of {rtype} is {fields}: {}; this record has {count}{comment}",
        names.join(", ")
    ))
}

/// Help for a record whose number and name are in the wrong order.
fn help_for_swapped_fields(
    layout: RdataLayout,
    mut written: FieldReader<'_, '_>,
) -> Option<String> {
    let ([(U16, what), (Name, _)], 2) = (layout, written.count()) else { return None };
    let (first, second) = (written.word(what).ok()?, written.word(what).ok()?);
    let is_swapped = first.parse::<u16>().is_err() && second.parse::<u16>().is_ok();
    is_swapped.then(|| format!("the {what} comes first: {second} {first}"))
}

/// Reads `\# length hex` (RFC 3597 section 5).
fn read_octets(
    rtype: Rtype,
    fields: &mut FieldReader<'_, '_>,
    out: &mut Vec<u8>,
) -> Result<(), Problem> {
    fields.token("\\#")?;
    let length = fields.number("length of the rdata", 65535)? as usize;
    let length_span = fields.last_span();
    if length > 0 || fields.peek().is_some() {
        decode_remaining(&HEXLOWER_PERMISSIVE, "hexadecimal", "rdata", fields, out)?;
    }
    if out.len() != length {
        return Err(Problem::new(
            length_span,
            format!("the length says {length} octets, but {} are written", out.len()),
        ));
    }
    if is_wire_form(rtype, out) {
        return check_digest(rtype, out).map_err(|message| Problem::new(length_span, message));
    }
    Err(Problem::new(length_span, format!("these octets are not the rdata of type {rtype}")))
}

/// Whether `wire` is valid rdata of type `rtype`. Any octets are, for a type without a layout.
fn is_wire_form(rtype: Rtype, wire: &[u8]) -> bool {
    let Some(layout) = rdata_layout(rtype) else { return true };
    let mut rest = wire;
    layout.iter().all(|&(form, _)| skip_field(form, &mut rest).is_some()) && rest.is_empty()
}

/// Reads one field from text.
fn read_field(
    form: RdataField,
    what: &str,
    fields: &mut FieldReader<'_, '_>,
    out: &mut Vec<u8>,
) -> Result<(), Problem> {
    match form {
        U8 => out.push(fields.number(what, 0xff)? as u8),
        U16 => out.extend((fields.number(what, 0xffff)? as u16).to_be_bytes()),
        U32 if what == "serial" => out.extend(read_serial(what, fields)?.to_be_bytes()),
        U32 => out.extend(fields.number(what, u32::MAX)?.to_be_bytes()),
        Period => out.extend(fields.period(what, u32::MAX)?.to_be_bytes()),
        Timestamp => out.extend(rdata_fields::read_timestamp(what, fields)?.to_be_bytes()),
        Ipv4 => out.extend(read_address::<Ipv4Addr>(what, fields)?.octets()),
        Ipv6 => out.extend(read_address::<Ipv6Addr>(what, fields)?.octets()),
        Name => fields.name(what, out)?,
        Names => {
            while fields.peek().is_some() {
                fields.name(what, out)?;
            }
        }
        Text => fields.string(what, out)?,
        Texts => {
            fields.string(what, out)?;
            while fields.peek().is_some() {
                fields.string(what, out)?;
            }
        }
        OptionalText if fields.peek().is_none() => {}
        OptionalText => fields.string(what, out)?,
        Octets => out.extend_from_slice(&fields.octets(what)?),
        Tag => rdata_fields::read_tag(what, fields, out)?,
        Hex => decode_remaining(&HEXLOWER_PERMISSIVE, "hexadecimal", what, fields, out)?,
        Base64 => decode_remaining(&BASE64, "base64", what, fields, out)?,
        Salt => rdata_fields::read_salt(what, fields, out)?,
        Hash => read_hash(what, fields, out)?,
        Type => out.extend(rdata_fields::read_rtype(what, fields)?.0.to_be_bytes()),
        Types => rdata_fields::read_types(what, fields, out)?,
        Algorithm => {
            out.push(rdata_fields::read_code(what, DNSSEC_ALGORITHMS, 0xff, fields)? as u8)
        }
        CertificateKind => out.extend(
            rdata_fields::read_code(what, CERTIFICATE_TYPES, 0xffff, fields)?.to_be_bytes(),
        ),
        Locator => rdata_fields::read_groups::<4, 4>(what, ':', fields, out)?,
        Eui48 => rdata_fields::read_groups::<6, 2>(what, '-', fields, out)?,
        Eui64 => rdata_fields::read_groups::<8, 2>(what, '-', fields, out)?,
        Location => loc::read_loc(fields, out)?,
        Parameters => svcb::read_parameters(fields, out)?,
        Prefixes => rdata_fields::read_prefixes(what, fields, out)?,
        Gateway => rdata_fields::read_gateway(fields, out)?,
        Relay => rdata_fields::read_relay(fields, out)?,
        HostIdentity => rdata_fields::read_host_identity(fields, out)?,
        Nsap => rdata_fields::read_nsap(what, fields, out)?,
    }
    Ok(())
}

/// Reads the serial of a zone, with help for dates with too many digits.
fn read_serial(what: &str, fields: &mut FieldReader<'_, '_>) -> Result<u32, Problem> {
    const HELP: &str =
        "a serial is a number up to 4294967295: the day and two digits, 2026013101, have ten";
    fields.number(what, u32::MAX).map_err(|problem| problem.with_help(HELP))
}

/// Reads a hash in base32 and appends it after its length (RFC 5155 section 3.3).
fn read_hash(
    what: &str,
    fields: &mut FieldReader<'_, '_>,
    out: &mut Vec<u8>,
) -> Result<(), Problem> {
    let word = fields.word(what)?.to_ascii_uppercase();
    let hash =
        BASE32HEX_NOPAD.decode(word.as_bytes()).ok().filter(|hash| (1..=255).contains(&hash.len()));
    let hash = hash
        .ok_or_else(|| fields.problem(format!("the {what} {word:?} is not base32 (0-9, A-V)")))?;
    out.push(hash.len() as u8);
    out.extend(hash);
    Ok(())
}

/// Reads an address of one family; an address of the other one gets help of its own.
fn read_address<A: std::str::FromStr>(
    what: &str,
    fields: &mut FieldReader<'_, '_>,
) -> Result<A, Problem> {
    let word = fields.word(what)?;
    word.parse().map_err(|_| {
        let problem = fields.problem(format!("{word:?} is not an {what}"));
        if word.contains(':') && word.parse::<Ipv6Addr>().is_ok() {
            return problem.with_help("an IPv6 address goes into an AAAA record");
        }
        if word.parse::<Ipv4Addr>().is_ok() {
            return problem.with_help("an IPv4 address goes into an A record");
        }
        match help::address_help(word) {
            Some(help) => problem.with_help(help),
            None => problem.with_help(
                "write an address: 192.0.2.1 in an A record, 2001:db8::1 in an AAAA record",
            ),
        }
    })
}

/// Checks one field in wire form and removes it from `rest`; `None` where the octets are not a
/// valid field.
fn skip_field(form: RdataField, rest: &mut &[u8]) -> Option<()> {
    match form {
        U8 | Algorithm => take_octets(rest, 1)?,
        U16 | Type | CertificateKind => take_octets(rest, 2)?,
        U32 | Period | Timestamp | Ipv4 => take_octets(rest, 4)?,
        Ipv6 => take_octets(rest, 16)?,
        Locator | Eui64 => take_octets(rest, 8)?,
        Eui48 => take_octets(rest, 6)?,
        Location => take_octets(rest, 16).filter(|octets| octets[0] == 0)?,
        Name => take_name(rest)?,
        Names => {
            while !rest.is_empty() {
                take_name(rest)?;
            }
            &[]
        }
        OptionalText if rest.is_empty() => &[],
        Text | Salt | OptionalText => take_counted(rest)?,
        Hash | Tag => take_counted(rest).filter(|octets| !octets.is_empty())?,
        Texts => {
            take_counted(rest)?;
            while !rest.is_empty() {
                take_counted(rest)?;
            }
            &[]
        }
        Octets => std::mem::take(rest),
        Hex | Base64 | Nsap => Some(std::mem::take(rest)).filter(|octets| !octets.is_empty())?,
        Types => rdata_fields::skip_types(rest)?,
        Parameters => svcb::skip_parameters(rest)?,
        Prefixes => rdata_fields::skip_prefixes(rest)?,
        Gateway => rdata_fields::skip_gateway(rest)?,
        Relay => rdata_fields::skip_relay(rest)?,
        HostIdentity => rdata_fields::skip_host_identity(rest)?,
    };
    Some(())
}

/// Checks that a digest has the length of its algorithm, where that is known: a digest cut short
/// when it was pasted would make a zone bogus, and is easily overlooked. Digests of TLSA and SMIMEA
/// are not checked: NSD, Knot and BIND serve any, and one record that matches nothing is no reason
/// to refuse a zone.
fn check_digest(rtype: Rtype, rdata: &[u8]) -> Result<(), String> {
    let (digest_type, octets) = match (rtype, rdata) {
        (Rtype::DS | Rtype::CDS | Rtype::DLV, [_, _, _, kind, digest @ ..]) => {
            (*kind, Some(digest).zip([0, 20, 32, 32, 48].get(usize::from(*kind))))
        }
        (Rtype::SSHFP, [_, kind, digest @ ..]) => {
            (*kind, Some(digest).zip([0, 20, 32].get(usize::from(*kind))))
        }
        _ => return Ok(()),
    };
    match octets {
        Some((digest, &expected)) if expected != 0 && digest.len() != expected => Err(format!(
            "the digest has {} octets; one of type {digest_type} has {expected}",
            digest.len()
        )),
        _ => Ok(()),
    }
}
