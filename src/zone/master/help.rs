//! Help for frequent mistakes: comments of other languages, a blank before the owner, merge
//! conflicts, misspelt types, host names in place of addresses.

use std::net::{Ipv4Addr, SocketAddr};

use super::{
    field_reader::period_secs,
    lexer::{EntryStart, FieldToken, TokenKind},
    problem::Problem,
};
use crate::dns::Rtype;

/// The types in frequent use: candidates for what a misspelt type was meant to be.
const COMMON_TYPES: [&str; 18] = [
    "A", "AAAA", "CAA", "CNAME", "DNAME", "DS", "HTTPS", "MX", "NAPTR", "NS", "PTR", "SOA", "SPF",
    "SRV", "SSHFP", "SVCB", "TLSA", "TXT",
];

/// Whether an entry starts with a merge conflict marker.
pub(super) fn is_merge_conflict(first: &FieldToken<'_>) -> bool {
    first.kind == TokenKind::Word && matches!(first.text, b"<<<<<<<" | b">>>>>>>")
}

/// The error for a merge conflict marker.
pub(super) fn merge_conflict(first: &FieldToken<'_>) -> Problem {
    Problem::new(first.span, "the marks of a merge conflict stand here").with_help(
        "keep what is to hold of the two versions, and remove the lines that start with <<<<<<<, ======= and >>>>>>>",
    )
}

/// Adds the help that the whole entry suggests, if any, to an error in one of its fields.
pub(super) fn with_entry_help(
    problem: Problem,
    start: EntryStart,
    tokens: &[FieldToken<'_>],
) -> Problem {
    if problem.excess.is_some() {
        return problem;
    }
    let is_comment = |token: &FieldToken<'_>| {
        token.kind == TokenKind::Word
            && (token.text.starts_with(b"#") || token.text.starts_with(b"//"))
    };
    if tokens.iter().any(is_comment) {
        return problem.with_help(
            "a comment starts with \";\" in a master file: write it in place of # or //",
        );
    }
    if let (EntryStart::InheritsOwner, [first, second, ..]) = (start, tokens)
        && !is_before_data(first)
        && is_before_data(second)
    {
        return problem.with_help(
            "remove the blank at the start of the line: a line that starts with a blank has the owner of the record before it",
        );
    }
    problem
}

/// Whether a field can be between the owner and the data: a TTL, a class or a type.
fn is_before_data(token: &FieldToken<'_>) -> bool {
    let Ok(word) = std::str::from_utf8(token.text) else { return false };
    word.eq_ignore_ascii_case("IN")
        || word.parse::<Rtype>().is_ok()
        || period_secs(token.text).is_some()
}

/// The frequent type that a misspelt one was probably meant to be.
pub(super) fn nearest_type(word: &str) -> Option<&'static str> {
    let word = word.to_ascii_uppercase();
    COMMON_TYPES
        .into_iter()
        .find(|known| known.len() > 1 && is_near(word.as_bytes(), known.as_bytes()))
}

/// Whether two words differ in one letter, or in the order of their letters.
fn is_near(word: &[u8], known: &[u8]) -> bool {
    let sorted = |word: &[u8]| {
        let mut letters = word.to_vec();
        letters.sort_unstable();
        letters
    };
    let without_one = |long: &[u8], short: &[u8]| {
        (0..long.len()).any(|index| [&long[..index], &long[index + 1..]].concat() == short)
    };
    match word.len() as isize - known.len() as isize {
        0 => {
            sorted(word) == sorted(known)
                || word.iter().zip(known).filter(|(a, b)| a != b).count() == 1
        }
        1 => without_one(word, known),
        -1 => without_one(known, word),
        _ => false,
    }
}

/// Help for a word that is not an address.
pub(super) fn address_help(word: &str) -> Option<String> {
    if let Ok(address) = word.parse::<SocketAddr>() {
        return Some(format!("remove the port: {}", address.ip()));
    }
    if let Some((address, _)) = word.split_once('/') {
        return Some(format!("remove the prefix length: {address}"));
    }
    let numbers: Vec<u32> = word.split('.').filter_map(|part| part.parse().ok()).collect();
    if let [a, b, c, d] = numbers[..]
        && word.split('.').count() == 4
    {
        let octets = [a, b, c, d].map(u8::try_from);
        return Some(match octets {
            [Ok(a), Ok(b), Ok(c), Ok(d)] => {
                format!("write it without leading zeros: {}", Ipv4Addr::new(a, b, c, d))
            }
            _ => "an IPv4 address is four numbers from 0 to 255".to_owned(),
        });
    }
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if word.contains(|c: char| c.is_ascii_alphabetic()) && word.chars().all(is_host) {
        let dot = if word.contains('.') && !word.ends_with('.') { "." } else { "" };
        return Some(format!("a host name goes into a CNAME record: CNAME {word}{dot}"));
    }
    None
}
