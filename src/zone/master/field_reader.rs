//! Reads the fields of one entry, one after another: words, numbers, periods, names, strings.
//!
//! Every error names the field that was expected and points at the one that was found. Names are
//! completed with the origin and keep the case they were written in (RFC 4343 section 4.1).

use std::{borrow::Cow, str};

use super::{
    lexer::{FieldToken, TokenKind},
    problem::Problem,
    span::TextSpan,
};
use crate::dns::NameError;

/// The greatest TTL, in seconds (RFC 2181 section 8).
pub(super) const MAX_TTL_SECS: u32 = (1 << 31) - 1;

/// The fields of an entry that have not been read yet.
#[derive(Clone, Copy)]
pub(super) struct FieldReader<'t, 'a> {
    tokens: &'t [FieldToken<'a>],
    /// The wire form of the origin, in the case it was written in.
    origin: &'t [u8],
    /// The field read last: an error about a missing field points at it.
    last_span: TextSpan,
}

impl<'t, 'a> FieldReader<'t, 'a> {
    /// A reader of all fields of an entry, which has at least one.
    pub(super) fn new(tokens: &'t [FieldToken<'a>], origin: &'t [u8]) -> Self {
        let last_span =
            tokens.first().map_or(TextSpan { start: 0, length: 0, line: 1 }, |token| token.span);
        Self { tokens, origin, last_span }
    }

    /// The span of the field read last.
    pub(super) fn last_span(&self) -> TextSpan {
        self.last_span
    }

    /// The next field, without reading it.
    pub(super) fn peek(&self) -> Option<FieldToken<'a>> {
        self.tokens.first().copied()
    }

    /// The number of fields that have not been read yet.
    pub(super) fn count(&self) -> usize {
        self.tokens.len()
    }

    /// The wire form of the origin, as it was written.
    pub(super) fn origin(&self) -> &'t [u8] {
        self.origin
    }

    /// Reads the next field, with or without quotes. `what` names the expected field in messages.
    pub(super) fn token(&mut self, what: &str) -> Result<FieldToken<'a>, Problem> {
        let Some((&token, rest)) = self.tokens.split_first() else {
            return Err(Problem::new(self.last_span, format!("the {what} is missing after this")));
        };
        self.tokens = rest;
        self.last_span = token.span;
        Ok(token)
    }

    /// Reads the next field, which must have no quotes.
    pub(super) fn word(&mut self, what: &str) -> Result<&'a str, Problem> {
        let token = self.token(what)?;
        match (token.kind, str::from_utf8(token.text)) {
            (TokenKind::Word, Ok(word)) => Ok(word),
            (TokenKind::Word, Err(_)) => Err(self.problem(format!("the {what} is not text"))),
            _ => Err(self
                .problem(format!("the {what} is in quotes"))
                .with_help("write it without them")),
        }
    }

    /// Reads the next field as a decimal number up to `max`.
    pub(super) fn number(&mut self, what: &str, max: u32) -> Result<u32, Problem> {
        let word = self.word(what)?;
        if word.is_empty() || !word.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(self.problem(format!("the {what} {word:?} is not a number")));
        }
        word.parse().ok().filter(|&number| number <= max).ok_or_else(|| {
            self.problem(format!("the {what} {word} is above its maximum, {max}"))
                .with_help(format!("write a number from 0 to {max}"))
        })
    }

    /// Reads the next field as seconds up to `max`, written as a number or with units (`1h30m`).
    pub(super) fn period(&mut self, what: &str, max: u32) -> Result<u32, Problem> {
        let word = self.word(what)?;
        let secs = period_secs(word.as_bytes()).ok_or_else(|| {
            self.problem(format!("the {what} {word:?} is not a period")).with_help(
                "write seconds, or numbers with the units s, m, h, d and w: 3600 or 1h30m",
            )
        })?;
        if secs > u64::from(max) {
            return Err(
                self.problem(format!("the {what} {word} is above its maximum, {max} seconds"))
            );
        }
        Ok(secs as u32)
    }

    /// Reads the next field as a domain name and appends it to `out` in wire form.
    pub(super) fn name(&mut self, what: &str, out: &mut Vec<u8>) -> Result<(), Problem> {
        let token = self.token(what)?;
        if token.kind != TokenKind::Word {
            return Err(self
                .problem(format!("the {what} is in quotes"))
                .with_help("names are written without them"));
        }
        let start = out.len();
        self.append_name(what, token, out)?;
        self.check_letters(what, token, &out[start..])
    }

    /// Refuses letters outside of ASCII: resolvers query A-labels (RFC 5890). Names of services may
    /// contain such letters (RFC 6763 section 4.1), and any octet may be written as a backslash and
    /// three digits.
    fn check_letters(&self, what: &str, token: FieldToken<'_>, wire: &[u8]) -> Result<(), Problem> {
        if token.text.is_ascii() || has_service_label(wire) {
            return Ok(());
        }
        let text = str::from_utf8(token.text).ok().filter(|text| !text.contains('\\'));
        let labels = text.and_then(|text| idna::domain_to_ascii(text).ok());
        let shown = String::from_utf8_lossy(token.text);
        Err(self
            .problem(format!(
                "the {what} {shown:?} has letters outside of ASCII, which no resolver asks for"
            ))
            .with_help(labels.map_or_else(
                || "write the A-labels of the internationalised name: xn--...".to_owned(),
                |labels| format!("write its A-labels: {labels}"),
            )))
    }

    fn append_name(
        &self,
        what: &str,
        token: FieldToken<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Problem> {
        append_name(token.text, self.origin, out).map_err(|error| {
            let problem = self.problem(format!("the {what} is not a domain name: {error}"));
            match error {
                NameError::BadEscape => problem.with_help("write a backslash itself as \\\\"),
                NameError::LongName if !token.text.ends_with(b".") => problem
                    .with_help("a name without a dot at its end is completed with the origin"),
                _ => problem,
            }
        })
    }

    /// Reads the next field as octets, with its escapes resolved.
    pub(super) fn octets(&mut self, what: &str) -> Result<Cow<'a, [u8]>, Problem> {
        let token = self.token(what)?;
        if token.kind == TokenKind::Pair {
            return Err(self
                .problem(format!("there is a quote in the middle of the {what}"))
                .with_help("put the whole string in quotes: \"key=value\""));
        }
        unescape(token.text).ok_or_else(|| self.bad_escape(what))
    }

    /// The error that a backslash escapes nothing.
    pub(super) fn bad_escape(&self, what: &str) -> Problem {
        self.problem(format!(
            "the {what} has a backslash that neither escapes a character nor starts three digits up to 255"
        ))
        .with_help("write a backslash itself as \\\\")
    }

    /// Reads the next field as a character string (RFC 1035 section 3.3) and appends it to `out`
    /// after its length.
    pub(super) fn string(&mut self, what: &str, out: &mut Vec<u8>) -> Result<(), Problem> {
        let octets = self.octets(what)?;
        let length = u8::try_from(octets.len()).map_err(|_| {
            self.problem(format!("the {what} is {} octets long; the maximum is 255", octets.len()))
                .with_help("split it into several strings: \"first part\" \"second part\"")
        })?;
        out.push(length);
        out.extend_from_slice(&octets);
        Ok(())
    }

    /// Reads all remaining fields and joins them without blanks; none may have quotes.
    pub(super) fn remaining_joined(&mut self, what: &str) -> Result<Cow<'a, [u8]>, Problem> {
        let first = self.word(what)?;
        let mut all = Cow::Borrowed(first.as_bytes());
        while !self.tokens.is_empty() {
            all.to_mut().extend_from_slice(self.word(what)?.as_bytes());
        }
        Ok(all)
    }

    /// An error in the field read last.
    pub(super) fn problem(&self, message: impl Into<Cow<'static, str>>) -> Problem {
        Problem::new(self.last_span, message)
    }

    /// Checks that no field remains. `what` names the record or directive in messages.
    pub(super) fn finish(&self, what: &str) -> Result<(), Problem> {
        match self.tokens.first() {
            None => Ok(()),
            Some(token) => Err(Problem::new(token.span, format!("{what} ends before this field"))
                .with_help("a string with blanks needs quotes, and a comment starts with \";\"")),
        }
    }
}

/// Whether a name in wire form is at or below the name of a service: one of its labels starts with
/// an underscore (RFC 8552).
fn has_service_label(wire: &[u8]) -> bool {
    let mut rest = wire;
    while let Some((&length, tail)) = rest.split_first() {
        let Some((label, next)) = tail.split_at_checked(usize::from(length)) else { return false };
        if label.starts_with(b"_") {
            return true;
        }
        rest = next;
    }
    false
}

/// Reads a period in seconds: a number, or numbers with units. `None` where the text is neither; a
/// period above 64 bits saturates.
pub(super) fn period_secs(text: &[u8]) -> Option<u64> {
    let mut total = 0_u64;
    let mut number = None;
    for &byte in text {
        let unit = match byte.to_ascii_lowercase() {
            digit @ b'0'..=b'9' => {
                number = Some(
                    number
                        .unwrap_or(0_u64)
                        .saturating_mul(10)
                        .saturating_add(u64::from(digit - b'0')),
                );
                continue;
            }
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86400,
            b'w' => 604_800,
            _ => return None,
        };
        total = total.saturating_add(number.take()?.saturating_mul(unit));
    }
    match number {
        Some(rest) => Some(total.saturating_add(rest)),
        None if text.is_empty() => None,
        None => Some(total),
    }
}

/// Resolves the escapes of a field; `None` where a backslash escapes nothing.
pub(super) fn unescape(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !text.contains(&b'\\') {
        return Some(Cow::Borrowed(text));
    }
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        octets.push(if byte == b'\\' { read_escape(&mut rest)? } else { byte });
    }
    Some(Cow::Owned(octets))
}

/// Reads what follows a backslash: three digits, or any other character.
fn read_escape(rest: &mut &[u8]) -> Option<u8> {
    let (&first, tail) = rest.split_first()?;
    if !first.is_ascii_digit() {
        *rest = tail;
        return Some(first);
    }
    let (digits, tail) = rest.split_at_checked(3)?;
    *rest = tail;
    let mut number = 0_u16;
    for &digit in digits {
        number = number * 10 + u16::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    u8::try_from(number).ok()
}

/// Appends the wire form of a name in presentation format; one without a final dot is completed
/// with `origin`.
pub(super) fn append_name(text: &[u8], origin: &[u8], out: &mut Vec<u8>) -> Result<(), NameError> {
    let start = out.len();
    match text {
        b"" => return Err(NameError::Empty),
        b"@" => {
            out.extend_from_slice(origin);
            return Ok(());
        }
        b"." => {
            out.push(0);
            return Ok(());
        }
        _ => {}
    }
    let mut length_at = start;
    out.push(0);
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'.' => {
                close_label(length_at, out)?;
                length_at = out.len();
                out.push(0);
            }
            b'\\' => out.push(read_escape(&mut rest).ok_or(NameError::BadEscape)?),
            _ => out.push(byte),
        }
    }
    // After a final dot, the length octet pushed for the next label is that of the root.
    if out.len() > length_at + 1 {
        close_label(length_at, out)?;
        out.extend_from_slice(origin);
    }
    if out.len() - start > 255 {
        return Err(NameError::LongName);
    }
    Ok(())
}

/// Writes the length of the last label in `out`, whose length octet is at `length_at`.
fn close_label(length_at: usize, out: &mut [u8]) -> Result<(), NameError> {
    match out.len() - length_at - 1 {
        0 => Err(NameError::EmptyLabel),
        length @ 1..=63 => {
            out[length_at] = length as u8;
            Ok(())
        }
        _ => Err(NameError::LongLabel),
    }
}
