//! Reads the rdata fields with a form of their own: mnemonics, times, type bit maps, address
//! prefixes, gateways, host identities. The `skip_*` functions check the same fields in wire form
//! and remove them from the front of `rest`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};

use super::{
    encoding::{append_decoded, decode_remaining},
    field_reader::FieldReader,
    problem::Problem,
    wire::{take_counted, take_name, take_octets},
};
use crate::dns::Rtype;

/// IANA's DNS Security Algorithm Numbers that have a mnemonic.
pub(super) const DNSSEC_ALGORITHMS: &[(&str, u16)] = &[
    ("DELETE", 0),
    ("RSAMD5", 1),
    ("DH", 2),
    ("DSA", 3),
    ("RSASHA1", 5),
    ("DSA-NSEC3-SHA1", 6),
    ("RSASHA1-NSEC3-SHA1", 7),
    ("RSASHA256", 8),
    ("RSASHA512", 10),
    ("ECC-GOST", 12),
    ("ECDSAP256SHA256", 13),
    ("ECDSAP384SHA384", 14),
    ("ED25519", 15),
    ("ED448", 16),
    ("INDIRECT", 252),
    ("PRIVATEDNS", 253),
    ("PRIVATEOID", 254),
];

/// The certificate types of RFC 4398 section 2.1.
pub(super) const CERTIFICATE_TYPES: &[(&str, u16)] = &[
    ("PKIX", 1),
    ("SPKI", 2),
    ("PGP", 3),
    ("IPKIX", 4),
    ("ISPKI", 5),
    ("IPGP", 6),
    ("ACPKIX", 7),
    ("IACPKIX", 8),
    ("URI", 253),
    ("OID", 254),
];

/// Reads a number of at most `max`, or one of the mnemonics.
pub(super) fn read_code(
    what: &str,
    mnemonics: &[(&str, u16)],
    max: u32,
    fields: &mut FieldReader<'_, '_>,
) -> Result<u16, Problem> {
    let mut ahead = *fields;
    let word = ahead.word(what)?;
    if let Some(&(_, number)) = mnemonics.iter().find(|(known, _)| known.eq_ignore_ascii_case(word))
    {
        *fields = ahead;
        return Ok(number);
    }
    Ok(fields.number(what, max)? as u16)
}

/// Reads a record type.
pub(super) fn read_rtype(what: &str, fields: &mut FieldReader<'_, '_>) -> Result<Rtype, Problem> {
    let word = fields.word(what)?;
    word.parse().map_err(|error| fields.problem(format!("the {what} {word:?} is {error}")))
}

/// Reads `YYYYMMDDHHmmSS` in UTC, or seconds since 1970 (RFC 4034 section 3.2), modulo 2^32.
pub(super) fn read_timestamp(what: &str, fields: &mut FieldReader<'_, '_>) -> Result<u32, Problem> {
    let mut ahead = *fields;
    let word = ahead.word(what)?;
    if word.len() != 14 || !word.bytes().all(|byte| byte.is_ascii_digit()) {
        return fields.number(what, u32::MAX);
    }
    *fields = ahead;
    let number = |from: usize, to: usize| {
        word.as_bytes()[from..to].iter().fold(0, |n, b| n * 10 + u64::from(b - b'0'))
    };
    let (year, month, day) = (number(0, 4), number(4, 6), number(6, 8));
    let (hour, minute, second) = (number(8, 10), number(10, 12), number(12, 14));
    let fits = year >= 1970
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60;
    if !fits || second > 60 {
        return Err(
            fields.problem(format!("the {what} {word} is not a date and time (YYYYMMDDHHmmSS)"))
        );
    }
    Ok((((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) as u32)
}

/// The days since 1970-01-01 in the Gregorian calendar, calculated in years that begin in March, so
/// that the leap day is the last day of a year.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468
}

/// Reads a CAA property tag: 1 to 255 letters and digits (RFC 8659 section 4.1).
pub(super) fn read_tag(
    what: &str,
    fields: &mut FieldReader<'_, '_>,
    out: &mut Vec<u8>,
) -> Result<(), Problem> {
    let word = fields.word(what)?;
    if !(1..=255).contains(&word.len()) || !word.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(
            fields.problem(format!("the {what} {word:?} is not made of letters and digits"))
        );
    }
    out.push(word.len() as u8);
    out.extend_from_slice(word.as_bytes());
    Ok(())
}

/// Reads an NSEC3 salt and appends it after its length; `-` is the empty salt.
pub(super) fn read_salt(
    what: &str,
    fields: &mut FieldReader<'_, '_>,
    out: &mut Vec<u8>,
) -> Result<(), Problem> {
    let word = fields.word(what)?;
    let length_at = out.len();
    out.push(0);
    if word != "-" {
        append_decoded(&HEXLOWER_PERMISSIVE, word.as_bytes(), out)
            .map_err(|error| fields.problem(format!("the {what} is not hexadecimal: {error}")))?;
    }
    out[length_at] = u8::try_from(out.len() - length_at - 1)
        .map_err(|_| fields.problem(format!("the {what} is longer than 255 octets")))?;
    Ok(())
}

/// Reads all remaining types into a bit map (RFC 4034 section 4.1.2).
pub(super) fn read_types(
    what: &str,
    fields: &mut FieldReader<'_, '_>,
    out: &mut Vec<u8>,
) -> Result<(), Problem> {
    let mut types = Vec::new();
    while fields.peek().is_some() {
        types.push(read_rtype(what, fields)?.0);
    }
    types.sort_unstable();
    for window in types.chunk_by(|a, b| a >> 8 == b >> 8) {
        let mut bits = [0_u8; 32];
        for &number in window {
            bits[usize::from(number as u8 / 8)] |= 0x80 >> (number % 8);
        }
        let length = bits.iter().rposition(|&octet| octet != 0).map_or(0, |last| last + 1);
        out.extend([(window[0] >> 8) as u8, length as u8]);
        out.extend_from_slice(&bits[..length]);
    }
    Ok(())
}

/// Checks a type bit map: windows in rising order, of 1 to 32 octets each.
pub(super) fn skip_types<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut last = None;
    while !rest.is_empty() {
        let window = take_octets(rest, 1)?[0];
        let bits = take_counted(rest)?;
        if last.is_some_and(|last| window <= last) || !(1..=32).contains(&bits.len()) {
            return None;
        }
        last = Some(window);
    }
    Some(&[])
}

/// Reads `GROUPS` groups of `DIGITS` hexadecimal digits.
pub(super) fn read_groups<const GROUPS: usize, const DIGITS: usize>(
    what: &str,
    separator: char,
    fields: &mut FieldReader<'_, '_>,
    out: &mut Vec<u8>,
) -> Result<(), Problem> {
    let word = fields.word(what)?;
    let mut count = 0;
    for group in word.split(separator) {
        count += 1;
        if group.len() != DIGITS
            || append_decoded(&HEXLOWER_PERMISSIVE, group.as_bytes(), out).is_err()
        {
            count = usize::MAX;
            break;
        }
    }
    if count == GROUPS {
        return Ok(());
    }
    Err(fields.problem(format!(
        "the {what} {word:?} is not {GROUPS} groups of {DIGITS} hexadecimal digits with {separator:?} between"
    )))
}

/// Reads `0x` and hexadecimal digits, which dots may separate (RFC 1706 section 7).
pub(super) fn read_nsap(
    what: &str,
    fields: &mut FieldReader<'_, '_>,
    out: &mut Vec<u8>,
) -> Result<(), Problem> {
    let word = fields.word(what)?;
    let digits = word
        .strip_prefix("0x")
        .or_else(|| word.strip_prefix("0X"))
        .unwrap_or_default()
        .replace('.', "");
    if digits.is_empty() || append_decoded(&HEXLOWER_PERMISSIVE, digits.as_bytes(), out).is_err() {
        return Err(fields.problem(format!("the {what} {word:?} is not 0x and hexadecimal digits")));
    }
    Ok(())
}

/// Reads address prefixes, `!1:192.0.2.0/24` (RFC 3123 section 5).
pub(super) fn read_prefixes(
    what: &str,
    fields: &mut FieldReader<'_, '_>,
    out: &mut Vec<u8>,
) -> Result<(), Problem> {
    while fields.peek().is_some() {
        let word = fields.word(what)?;
        append_prefix(word, out).ok_or_else(|| {
            fields
                .problem(format!("{word:?} is not an {what}"))
                .with_help("write the family, the address and the length: 1:192.0.2.0/24, with \"!\" in front to exclude it")
        })?;
    }
    Ok(())
}

fn append_prefix(word: &str, out: &mut Vec<u8>) -> Option<()> {
    let (negation, item) = word.strip_prefix('!').map_or((0, word), |item| (0x80, item));
    let (family, prefix) = item.split_once(':')?;
    let (address, length) = prefix.split_once('/')?;
    let (octets, family, max) = match (family, address.parse().ok()?) {
        ("1", IpAddr::V4(address)) => (address.octets().to_vec(), 1_u16, 32),
        ("2", IpAddr::V6(address)) => (address.octets().to_vec(), 2, 128),
        _ => return None,
    };
    let length = length.parse::<u8>().ok().filter(|&length| length <= max)?;
    let used = octets.iter().rposition(|&octet| octet != 0).map_or(0, |last| last + 1);
    out.extend(family.to_be_bytes());
    out.extend([length, negation | used as u8]);
    out.extend_from_slice(&octets[..used]);
    Some(())
}

/// Checks address prefixes up to the end of the rdata.
pub(super) fn skip_prefixes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    while !rest.is_empty() {
        let head = take_octets(rest, 4)?;
        take_octets(rest, usize::from(head[3] & 0x7f))?;
    }
    Some(&[])
}

/// Reads the gateway type, the algorithm, the gateway and the key (RFC 4025 section 3.1).
pub(super) fn read_gateway(
    fields: &mut FieldReader<'_, '_>,
    out: &mut Vec<u8>,
) -> Result<(), Problem> {
    let kind = fields.number("gateway type", 0xff)?;
    let algorithm = fields.number("algorithm", 0xff)?;
    out.extend([kind as u8, algorithm as u8]);
    read_host(kind, "gateway", fields, out)?;
    if algorithm == 0 && fields.peek().is_none() {
        return Ok(());
    }
    decode_remaining(&BASE64, "base64", "public key", fields, out)
}

pub(super) fn skip_gateway<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let head = take_octets(rest, 2)?;
    skip_host(head[0], rest)?;
    Some(std::mem::take(rest))
}

/// Reads the discovery bit, the relay type and the relay (RFC 8777 section 4.3).
pub(super) fn read_relay(
    fields: &mut FieldReader<'_, '_>,
    out: &mut Vec<u8>,
) -> Result<(), Problem> {
    let discovery = fields.number("discovery bit", 1)?;
    let kind = fields.number("relay type", 127)?;
    out.push((discovery << 7 | kind) as u8);
    read_host(kind, "relay", fields, out)
}

pub(super) fn skip_relay<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let head = take_octets(rest, 1)?;
    skip_host(head[0] & 0x7f, rest)
}

/// Reads a gateway or relay of this type: none (0, written `.`), an IPv4 address (1), an IPv6
/// address (2) or a name (3).
fn read_host(
    kind: u32,
    what: &str,
    fields: &mut FieldReader<'_, '_>,
    out: &mut Vec<u8>,
) -> Result<(), Problem> {
    if kind == 3 {
        return fields.name(what, out);
    }
    let word = fields.word(what)?;
    match (kind, word.parse::<IpAddr>()) {
        (0, _) if word == "." => {}
        (1, Ok(IpAddr::V4(address))) => out.extend(Ipv4Addr::octets(&address)),
        (2, Ok(IpAddr::V6(address))) => out.extend(Ipv6Addr::octets(&address)),
        (0..=2, _) => {
            return Err(fields.problem(format!("the {what} {word:?} is not of its type, {kind}")));
        }
        _ => {
            return Err(fields
                .problem(format!("a {what} of type {kind} has no text form (RFC 3597 \\# has)")));
        }
    }
    Ok(())
}

fn skip_host<'a>(kind: u8, rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    match kind {
        0 => Some(&[]),
        1 => take_octets(rest, 4),
        2 => take_octets(rest, 16),
        3 => take_name(rest),
        _ => Some(std::mem::take(rest)),
    }
}

/// Reads the algorithm, the host identity tag and the key; in wire form, both lengths come first
/// (RFC 8005 section 5).
pub(super) fn read_host_identity(
    fields: &mut FieldReader<'_, '_>,
    out: &mut Vec<u8>,
) -> Result<(), Problem> {
    let algorithm = fields.number("algorithm", 0xff)?;
    let (mut tag, mut key) = (Vec::new(), Vec::new());
    let word = fields.word("host identity tag")?;
    append_decoded(&HEXLOWER_PERMISSIVE, word.as_bytes(), &mut tag).map_err(|error| {
        fields.problem(format!("the host identity tag is not hexadecimal: {error}"))
    })?;
    let tag_length = u8::try_from(tag.len())
        .map_err(|_| fields.problem("the host identity tag is longer than 255 octets"))?;
    let word = fields.word("public key")?;
    append_decoded(&BASE64, word.as_bytes(), &mut key)
        .map_err(|error| fields.problem(format!("the public key is not base64: {error}")))?;
    let key_length = u16::try_from(key.len())
        .map_err(|_| fields.problem("the public key is longer than 65535 octets"))?;
    out.extend([tag_length, algorithm as u8]);
    out.extend(key_length.to_be_bytes());
    out.append(&mut tag);
    out.append(&mut key);
    Ok(())
}

pub(super) fn skip_host_identity<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let head = take_octets(rest, 4)?;
    take_octets(rest, usize::from(head[0]))?;
    take_octets(rest, usize::from(u16::from_be_bytes([head[2], head[3]])))
}
