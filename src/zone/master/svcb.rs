//! Reads the service parameters of SVCB and HTTPS: `alpn=h2,h3 port=8443` (RFC 9460 section 2.1 and
//! appendix A).
//!
//! Keys may be written in any order and are stored in rising order. A key given twice, a
//! `mandatory` that names an absent key, and a `no-default-alpn` without `alpn` are errors, since
//! clients ignore such records as a whole.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use data_encoding::BASE64;

use super::{
    encoding::append_decoded,
    field_reader::{FieldReader, unescape},
    lexer::TokenKind,
    problem::Problem,
    wire::take_octets,
};

/// The named keys (IANA, Service Parameter Keys).
const KEYS: &[(&str, u16)] = &[
    ("mandatory", MANDATORY),
    ("alpn", ALPN),
    ("no-default-alpn", NO_DEFAULT_ALPN),
    ("port", PORT),
    ("ipv4hint", IPV4HINT),
    ("ech", ECH),
    ("ipv6hint", IPV6HINT),
    ("dohpath", DOHPATH),
    ("ohttp", OHTTP),
    ("tls-supported-groups", TLS_SUPPORTED_GROUPS),
];
const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;
const PORT: u16 = 3;
const IPV4HINT: u16 = 4;
const ECH: u16 = 5;
const IPV6HINT: u16 = 6;
const DOHPATH: u16 = 7;
const OHTTP: u16 = 8;
const TLS_SUPPORTED_GROUPS: u16 = 9;
/// Reserved as "Invalid key".
const INVALID_KEY: u16 = 65535;

/// Reads all remaining fields as parameters.
pub(super) fn read_parameters(
    fields: &mut FieldReader<'_, '_>,
    out: &mut Vec<u8>,
) -> Result<(), Problem> {
    let mut parameters = BTreeMap::new();
    while fields.peek().is_some() {
        let (key, value) = read_parameter(fields)?;
        if parameters.insert(key, value).is_some() {
            return Err(fields.problem("this parameter is given twice"));
        }
    }
    if let Some(mandatory) = parameters.get(&MANDATORY) {
        let absent = keys_in(mandatory).find(|key| !parameters.contains_key(key));
        if let Some(key) = absent {
            return Err(fields.problem(format!("{} is mandatory, but is not given", key_word(key))));
        }
    }
    if parameters.contains_key(&NO_DEFAULT_ALPN) && !parameters.contains_key(&ALPN) {
        return Err(fields.problem("no-default-alpn leaves no protocol, since alpn is not given"));
    }
    for (key, value) in parameters {
        out.extend(key.to_be_bytes());
        out.extend((value.len() as u16).to_be_bytes());
        out.extend(value);
    }
    Ok(())
}

/// Reads `key`, `key=value` or `key="value"`.
fn read_parameter(fields: &mut FieldReader<'_, '_>) -> Result<(u16, Vec<u8>), Problem> {
    let token = fields.token("parameter")?;
    if token.kind == TokenKind::Quoted {
        return Err(fields
            .problem("a parameter starts with its key, not with a quote")
            .with_help("write alpn=\"h2,h3\""));
    }
    let equals = token.text.iter().position(|&byte| byte == b'=').unwrap_or(token.text.len());
    let (word, value) = token.text.split_at(equals);
    let word = String::from_utf8_lossy(word);
    let key = key_number(&word).ok_or_else(|| {
        fields
            .problem(format!("{word:?} is not a parameter key"))
            .with_help("the named keys are mandatory, alpn, no-default-alpn, port, ipv4hint, ech, ipv6hint, dohpath, ohttp and tls-supported-groups; write any other as \"key\" and its number: key667")
    })?;
    let value = value.strip_prefix(b"=").unwrap_or(value);
    let value = match token.kind {
        TokenKind::Pair => value
            .strip_prefix(b"\"")
            .and_then(|value| value.strip_suffix(b"\""))
            .ok_or_else(|| {
                fields
                    .problem("a quote in a parameter goes around its whole value")
                    .with_help("write alpn=\"h2,h3\"")
            })?,
        _ => value,
    };
    let value = unescape(value).ok_or_else(|| fields.bad_escape("value"))?;
    let wire = wire_value(key, &value)
        .filter(|wire| wire.len() <= 65535)
        .ok_or_else(|| fields.problem(format!("{word} {}", expectation(key))))?;
    Ok((key, wire))
}

fn key_number(word: &str) -> Option<u16> {
    if let Some(&(_, number)) = KEYS.iter().find(|(known, _)| *known == word) {
        return Some(number);
    }
    let digits = word.strip_prefix("key")?;
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit())
        && (digits == "0" || !digits.starts_with('0'));
    digits.parse().ok().filter(|&number| plain && number != INVALID_KEY)
}

fn key_word(key: u16) -> String {
    KEYS.iter()
        .find(|(_, number)| *number == key)
        .map_or_else(|| format!("key{key}"), |(word, _)| (*word).to_owned())
}

/// The form that a key's value must have, for messages.
fn expectation(key: u16) -> &'static str {
    match key {
        MANDATORY => "lists other keys, each once, with commas between: mandatory=alpn,port",
        ALPN => "lists protocols of 1 to 255 octets, with commas between: alpn=h2,h3",
        NO_DEFAULT_ALPN | OHTTP => "has no value",
        PORT => "is a number up to 65535",
        IPV4HINT => "lists IPv4 addresses, with commas between",
        IPV6HINT => "lists IPv6 addresses, with commas between",
        ECH => "is base64",
        TLS_SUPPORTED_GROUPS => "lists numbers up to 65535, each once, with commas between",
        _ => "is longer than 65535 octets, or not UTF-8 where that is asked for",
    }
}

/// The wire form of a value whose escapes have been resolved once; lists may still contain `\,` and
/// `\\` (RFC 9460 appendix A.1). `None` where the value is malformed.
fn wire_value(key: u16, value: &[u8]) -> Option<Vec<u8>> {
    let mut wire = Vec::new();
    match key {
        MANDATORY => {
            let mut keys = text_items(value)?.map(key_number).collect::<Option<Vec<_>>>()?;
            let count = keys.len();
            keys.sort_unstable();
            keys.dedup();
            if keys.len() != count || keys.contains(&MANDATORY) {
                return None;
            }
            wire.extend(keys.into_iter().flat_map(u16::to_be_bytes));
        }
        ALPN => {
            for item in split_list(value)? {
                wire.push(u8::try_from(item.len()).ok().filter(|&length| length > 0)?);
                wire.extend(item);
            }
        }
        NO_DEFAULT_ALPN | OHTTP => return value.is_empty().then_some(wire),
        PORT => wire.extend(parse_number(std::str::from_utf8(value).ok()?)?.to_be_bytes()),
        IPV4HINT => wire.extend(
            parse_items::<Ipv4Addr>(value)?.into_iter().flat_map(|address| address.octets()),
        ),
        IPV6HINT => wire.extend(
            parse_items::<Ipv6Addr>(value)?.into_iter().flat_map(|address| address.octets()),
        ),
        ECH => append_decoded(&BASE64, value, &mut wire).ok().filter(|()| !value.is_empty())?,
        TLS_SUPPORTED_GROUPS => {
            let groups = text_items(value)?.map(parse_number).collect::<Option<Vec<_>>>()?;
            if groups.iter().enumerate().any(|(index, group)| groups[..index].contains(group)) {
                return None;
            }
            wire.extend(groups.into_iter().flat_map(u16::to_be_bytes));
        }
        DOHPATH => {
            std::str::from_utf8(value).ok()?;
            wire.extend_from_slice(value);
        }
        _ => wire.extend_from_slice(value),
    }
    Some(wire)
}

fn parse_number(word: &str) -> Option<u16> {
    word.parse().ok().filter(|_| word.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The items of a list that cannot contain escapes.
fn text_items(value: &[u8]) -> Option<std::str::Split<'_, char>> {
    Some(std::str::from_utf8(value).ok().filter(|value| value.len() <= 65535)?.split(','))
}

fn parse_items<T: FromStr>(value: &[u8]) -> Option<Vec<T>> {
    text_items(value)?.map(|item| item.parse().ok()).collect()
}

/// The items of a list. A backslash makes the comma or backslash after it part of an item.
fn split_list(value: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut items = vec![Vec::new()];
    let mut bytes = value.iter();
    while let Some(&byte) = bytes.next() {
        let byte = match byte {
            b',' => {
                items.push(Vec::new());
                continue;
            }
            b'\\' => *bytes.next().filter(|&&byte| matches!(byte, b',' | b'\\'))?,
            _ => byte,
        };
        items.last_mut()?.push(byte);
    }
    Some(items)
}

fn keys_in(mandatory: &[u8]) -> impl Iterator<Item = u16> {
    mandatory.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
}

/// Checks parameters up to the end of the rdata: keys in rising order, each with a valid value.
pub(super) fn skip_parameters<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut last = None;
    while !rest.is_empty() {
        let head = take_octets(rest, 4)?;
        let key = u16::from_be_bytes([head[0], head[1]]);
        let value = take_octets(rest, usize::from(u16::from_be_bytes([head[2], head[3]])))?;
        if last.is_some_and(|last| key <= last) || !is_wire_value(key, value) {
            return None;
        }
        last = Some(key);
    }
    Some(&[])
}

/// Whether a value in wire form has the form of its key.
fn is_wire_value(key: u16, value: &[u8]) -> bool {
    match key {
        MANDATORY | TLS_SUPPORTED_GROUPS => !value.is_empty() && value.len().is_multiple_of(2),
        ALPN => {
            let mut rest = value;
            while let Some((&length, tail)) = rest.split_first() {
                match tail.split_at_checked(usize::from(length)) {
                    Some((_, tail)) if length > 0 => rest = tail,
                    _ => return false,
                }
            }
            !value.is_empty()
        }
        NO_DEFAULT_ALPN | OHTTP => value.is_empty(),
        PORT => value.len() == 2,
        IPV4HINT => !value.is_empty() && value.len().is_multiple_of(4),
        IPV6HINT => !value.is_empty() && value.len().is_multiple_of(16),
        _ => key != INVALID_KEY,
    }
}
