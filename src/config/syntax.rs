//! Reports syntax errors of TOML files: one for each mistake, with what to write instead.
//!
//! The parser continues after a mistake, and most of what it then finds follows from the first: a
//! list that is not closed swallows every table after it. So a file with errors is parsed again
//! section by section, from one header to the next, and only the first error of each line is
//! reported.

use std::ops::Range;

use toml::de::DeTable;

use super::{
    limits::MAX_PARSE_OCTETS,
    place::{FileId, SourcePlace},
    problems::Problems,
    quoted::Quoted,
    reader::SAMPLE_TIMESTAMP,
};

/// The maximum number of syntax errors that are reported for one file.
const MAX_REPORTED: usize = 20;
/// The kinds of tables in headers, of the zones directory's files and of `portolan.toml`.
const HEADER_KINDS: [&str; 9] =
    ["datacenter", "zone", "delegate", "monitor", "load", "pool", "service", "server", "geoip"];
pub(super) const CONFLICT_MESSAGE: &str = "the file has the markers of a merge conflict";
const CONFLICT_HELP: &str = "keep the lines of one version, and remove the lines that start with <<<<<<<, ======= and >>>>>>>";
const INVALID_TOML_HELP: &str = "the file is not valid TOML; see https://toml.io";

/// The quotes that word processors write.
const TYPOGRAPHIC: [char; 5] = ['\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}'];

/// A syntax error as the operator sees it.
struct SyntaxError {
    span: Range<usize>,
    message: String,
    help: String,
}

/// The text of a file; that it is not UTF-8 is reported.
pub(super) fn utf8<'t>(file: FileId, octets: &'t [u8], problems: &mut Problems) -> Option<&'t str> {
    match std::str::from_utf8(octets) {
        Ok(text) => Some(text),
        Err(error) => {
            let start = error.valid_up_to();
            problems
                .error(SourcePlace::new(file, start..start + 1), "the file is not valid UTF-8")
                .help("save the file in UTF-8; the mark shows the first invalid octet");
            problems.mute(file);
            None
        }
    }
}

/// Reports the errors that the parser found in a file, and mutes further problems of the file.
pub(super) fn report(
    file: FileId,
    errors: &[toml::de::Error],
    text: &str,
    problems: &mut Problems,
) {
    let Some(first) = errors.first() else { return };
    if let Some(span) = conflict_marker(text) {
        problems.error(SourcePlace::new(file, span), CONFLICT_MESSAGE).help(CONFLICT_HELP);
        return problems.mute(file);
    }
    let section_errors =
        sections(text).into_iter().flat_map(|range| errors_of_section(text, range));
    let mut mistakes: Vec<SyntaxError> = section_errors.take(MAX_REPORTED).collect();
    let duplicates =
        errors.iter().filter(|error| error.message() == "duplicate key").take(MAX_REPORTED);
    mistakes.extend(duplicates.filter_map(|error| duplicate_header(text, &error.span()?)));
    if mistakes.is_empty() {
        mistakes.push(explain_error(text, span_of(first, text), first.message()));
    }
    mistakes.sort_by_key(|mistake| mistake.span.start);
    for SyntaxError { span, message, help } in mistakes.into_iter().take(MAX_REPORTED) {
        problems.error(SourcePlace::new(file, span), message).help(help);
    }
    problems.mute(file);
}

/// Reports the mistakes of a file that is too large to be parsed as a whole and cannot be read
/// table by table, and mutes further problems of the file.
pub(super) fn report_large(file: FileId, text: &str, problems: &mut Problems) {
    if let Some(span) = conflict_marker(text) {
        problems.error(SourcePlace::new(file, span), CONFLICT_MESSAGE).help(CONFLICT_HELP);
        return problems.mute(file);
    }
    let sections = sections(text);
    let is_small = |range: &&Range<usize>| range.len() <= MAX_PARSE_OCTETS;
    let mistakes: Vec<SyntaxError> = sections
        .iter()
        .filter(is_small)
        .flat_map(|range| errors_of_section(text, range.clone()))
        .take(MAX_REPORTED)
        .collect();
    for SyntaxError { span, message, help } in &mistakes {
        problems.error(SourcePlace::new(file, span.clone()), message).help(help);
    }
    let (max_mib, large) =
        (MAX_PARSE_OCTETS >> 20, sections.iter().find(|range| range.len() > MAX_PARSE_OCTETS));
    if let Some(range) = large {
        let message = format!(
            "more than {max_mib} MiB follow until the next table; one table may have {max_mib} MiB"
        );
        problems
            .error(SourcePlace::new(file, range.start..range.start + 1), message)
            .help("split the table, or close the string or array that is still open before the next table");
    } else if mistakes.is_empty() {
        let message =
            format!("the file has more than {max_mib} MiB and cannot be read table by table");
        problems.error(SourcePlace::whole_file(file), message).help(
            "give each table one header, with all its keys below it; the kinds are [datacenter.NAME], [delegate.NAME], \
             [load.NAME], [monitor.NAME], [pool.NAME], [service.NAME] and [zone.NAME]; or split the file",
        );
    }
    problems.mute(file);
}

/// The first marker of a merge conflict that git left in a file.
fn conflict_marker(text: &str) -> Option<Range<usize>> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if ["<<<<<<< ", ">>>>>>> "].iter().any(|mark| line.starts_with(mark)) {
            return Some(start..start + 7);
        }
        start += line.len();
    }
    None
}

fn span_of(error: &toml::de::Error, text: &str) -> Range<usize> {
    error.span().unwrap_or(text.len()..text.len())
}

/// The ranges from each header to the next. The text before the first header is a section, too.
fn sections(text: &str) -> Vec<Range<usize>> {
    let mut starts = vec![0];
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if start > 0 && is_header(line) {
            starts.push(start);
        }
        start += line.len();
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
}

/// Whether a line looks like the header of a known kind of table, closed or not.
fn is_header(line: &str) -> bool {
    let Some(rest) = line.trim_start().strip_prefix('[') else { return false };
    let rest = rest.trim_start_matches(['[', ' ', '\t', '"', '\'']);
    HEADER_KINDS.iter().any(|head| {
        rest.strip_prefix(head)
            .is_some_and(|tail| tail.trim_start_matches(['"', '\'', ' ']).starts_with(['.', ']']))
    })
}

/// The mistakes of one section that is parsed by itself.
fn errors_of_section(text: &str, range: Range<usize>) -> Vec<SyntaxError> {
    let section = &text[range.clone()];
    let (_, mut errors) = DeTable::parse_recoverable(section);
    // The parser lists errors of values after the errors of lines.
    errors.sort_by_key(|error| span_of(error, section).start);
    let mut mistakes: Vec<SyntaxError> = Vec::new();
    let is_left_open = errors.iter().any(|error| is_unclosed_value(error.message()));
    let unclosed = if is_left_open { first_unclosed(section) } else { None };
    let (mut seen_to, mut is_new_line) = (range.start, true);
    for error in &errors {
        let span = span_of(error, section);
        // Everything after a list or table that is not closed was read as a part of it.
        if unclosed.is_some_and(|start| span.start > start)
            && !error.message().starts_with("invalid basic string")
        {
            continue;
        }
        let span = range.start + span.start..range.start + span.end;
        if span.start > seen_to {
            is_new_line |= text.get(seen_to..span.start).is_some_and(|text| text.contains('\n'));
            seen_to = span.start;
        }
        if !is_new_line {
            // A string that is not closed includes the end of its header.
            if !error.message().starts_with("invalid basic string") {
                continue;
            }
            mistakes.pop();
        }
        mistakes.push(explain_error(text, span, error.message()));
        is_new_line = false;
        if mistakes.len() >= MAX_REPORTED {
            break;
        }
    }
    if let Some(start) = unclosed
        && mistakes.iter().all(|mistake| mistake.span.start < range.start + start)
    {
        let start = range.start + start;
        let (what, end) =
            if text[start..].starts_with('[') { ("list", "]") } else { ("table", "}") };
        mistakes.push(SyntaxError {
            span: start..start + 1,
            message: format!("this {what} is not closed"),
            help: format!("write {end} after its last element"),
        });
    }
    mistakes
}

fn is_unclosed_value(message: &str) -> bool {
    message.starts_with("unclosed array,") || message.starts_with("unclosed inline table")
}

/// The start of the outermost list or inline table that is still open at the end of a section.
fn first_unclosed(section: &str) -> Option<usize> {
    let header = if is_header(section) { section.find('\n').unwrap_or(section.len()) } else { 0 };
    let mut open: Vec<usize> = Vec::new();
    let mut octets = section.bytes().enumerate().skip(header);
    while let Some((index, octet)) = octets.next() {
        match octet {
            b'[' | b'{' => open.push(index),
            b']' | b'}' => drop(open.pop()),
            b'#' => drop(octets.by_ref().find(|(_, octet)| *octet == b'\n')),
            // A string over several lines is read as several strings: they are rare, and only the
            // mark would be wrong.
            quote @ (b'"' | b'\'') => {
                let mut is_escaped = false;
                let is_end = |octet: u8| octet == quote || octet == b'\n';
                octets.by_ref().find(|(_, octet)| {
                    let ends = is_end(*octet) && !is_escaped;
                    is_escaped = quote == b'"' && *octet == b'\\' && !is_escaped;
                    ends
                });
            }
            _ => {}
        }
    }
    open.first().copied()
}

/// The mistake that a table's header is written twice in the file.
fn duplicate_header(text: &str, span: &Range<usize>) -> Option<SyntaxError> {
    let start = text.get(..span.start)?.rfind('\n').map_or(0, |line_feed| line_feed + 1);
    let line = text[start..].lines().next()?;
    if !is_header(line) {
        return None;
    }
    let header = line[..line.find(']').map_or(line.len(), |bracket| bracket + 1)].trim();
    let header_start = start + (line.len() - line.trim_start().len());
    let first = text
        .lines()
        .position(|other| other.trim_start().starts_with(header))
        .map_or(1, |index| index + 1);
    Some(SyntaxError {
        span: header_start..header_start + header.len(),
        message: format!("{header} is defined twice in this file"),
        help: format!(
            "the first is in line {first}: write all keys below one of the two headers, or rename one"
        ),
    })
}

/// Explains one error of the parser.
fn explain_error(text: &str, span: Range<usize>, message: &str) -> SyntaxError {
    let word = word_at(text, span.start);
    let (before, after) = text.split_at_checked(span.start).unwrap_or((text, ""));
    let first = after.chars().next().unwrap_or_default();
    let before = before[before.rfind('\n').map_or(0, |line_feed| line_feed + 1)..].trim_end();
    let plain = message.split(", expected").next().unwrap_or(message);
    let is_comment = |text: &str| text.starts_with(';') || text.starts_with("//");
    let (message, help) = match plain {
        _ if is_comment(before.trim_start()) || is_comment(after) && !before.ends_with('=') => (
            "a comment starts with # in TOML".to_owned(),
            "write # in front of the comment, in place of ; or //".to_owned(),
        ),
        _ if TYPOGRAPHIC.contains(&first) || word.starts_with(TYPOGRAPHIC) => (
            "this is a typographic quote".to_owned(),
            "write the plain quote \" before and after the text".to_owned(),
        ),
        "duplicate key" => {
            let key = text.get(span.clone()).unwrap_or_default().trim_matches(['"', '\'']);
            let message = format!("the key {} is defined twice in this table", Quoted(key));
            (message, "remove one of the two".to_owned())
        }
        _ if message.starts_with("cannot recurse") => (
            "lists and tables are nested more than 80 deep".to_owned(),
            INVALID_TOML_HELP.to_owned(),
        ),
        "missing comma between array elements" | "missing comma between key-value pairs" => (
            "a comma is missing in front of this".to_owned(),
            "write a comma between two elements".to_owned(),
        ),
        "invalid basic string" | "invalid literal string" => (
            "a text is not closed on this line".to_owned(),
            "write the closing quote after it".to_owned(),
        ),
        "string values must be quoted"
        | "invalid float"
        | "invalid integer"
        | "invalid value"
        | "invalid boolean"
            if !word.is_empty() =>
        {
            let message = format!("{} is neither a number nor a text in quotes", Quoted(word));
            (message, bare_word_help(key_of(before), word))
        }
        "unexpected leading zero" => {
            ("a number starts with a zero".to_owned(), leading_zero_help(word))
        }
        "unclosed table" | "unclosed array table" => (
            "the header of a table is not closed".to_owned(),
            "write ] at the end of the header".to_owned(),
        ),
        "invalid unquoted key" | "key with no value" if first == ':' || before.ends_with(':') => {
            ("a key is followed by a colon".to_owned(), "write = between key and value".to_owned())
        }
        "key with no value" => {
            ("a key has no value".to_owned(), "write the value after it: key = value".to_owned())
        }
        "invalid unquoted key" => (
            format!("\"{first}\" cannot be part of a name without quotes"),
            "put the whole name into quotes: [service.\"www.example.com\"]".to_owned(),
        ),
        "unexpected key or value" if word.starts_with(',') => (
            "there is a comma at the end of a line".to_owned(),
            "remove it: commas are written inside lists only".to_owned(),
        ),
        other => (other.to_owned(), INVALID_TOML_HELP.to_owned()),
    };
    SyntaxError { span, message, help }
}

/// How to write a number without its leading zeros.
fn leading_zero_help(number: &str) -> String {
    match number.trim_start_matches('0') {
        "" => "write it without that zero: 0".to_owned(),
        digits => format!("write it without that zero: {digits}"),
    }
}

/// The key of the value that starts after `before`.
fn key_of(before: &str) -> &str {
    let before = before.trim_end().trim_end_matches('=').trim_end();
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    &before[before.trim_end_matches(is_part).len()..]
}

/// The help for a value without quotes: what to write in its place.
fn bare_word_help(key: &str, word: &str) -> String {
    let is = |words: &[&str]| words.iter().any(|other| word.eq_ignore_ascii_case(other));
    let number = word.strip_suffix('%').filter(|number| number.parse::<u32>().is_ok());
    match number {
        _ if key == "state" => {
            "write one of \"active\", \"standby\", \"draining\", \"disabled\"".to_owned()
        }
        _ if key == "until" => format!("write a date and time without quotes: {SAMPLE_TIMESTAMP}"),
        Some(number) if key == "weight" => format!("write the number alone: {number}"),
        _ if is(&["true", "yes", "on"]) => "write true".to_owned(),
        _ if is(&["false", "no", "off"]) => "write false".to_owned(),
        _ => format!("write it in quotes: \"{word}\""),
    }
}

/// The text around a position that people would read as one value.
fn word_at(text: &str, offset: usize) -> &str {
    let is_end = |c: char| {
        c.is_whitespace() || matches!(c, ',' | '[' | ']' | '{' | '}' | '=' | '#' | '"' | '\'')
    };
    let Some((before, after)) = text.split_at_checked(offset) else { return "" };
    if after.starts_with([',', ':']) {
        return &after[..1];
    }
    let start = before
        .char_indices()
        .rev()
        .take_while(|(_, c)| !is_end(*c))
        .last()
        .map_or(offset, |(index, _)| index);
    let end = after.find(is_end).map_or(text.len(), |index| offset + index);
    &text[start..end]
}
