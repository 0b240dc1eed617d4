//! Escapes the characters that a terminal interprets, in text and in JSON.

use std::{borrow::Cow, fmt::Write as _};

/// Whether a terminal interprets the character, or shows the text after it differently: control
/// characters (C0, DEL and C1), line and paragraph separators, bidirectional controls, and
/// characters without width.
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{fff9}'..='\u{fffb}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        )
}

/// The text on one line, with each unprintable character escaped as `\n`, `\t`, `\r` or `\u{1b}`.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unprintable) {
        return Cow::Borrowed(text);
    }
    let escape = |mut clean: String, c: char| {
        if is_unprintable(c) {
            clean.extend(c.escape_default())
        } else {
            clean.push(c)
        }
        clean
    };
    Cow::Owned(text.chars().fold(String::with_capacity(text.len() + 16), escape))
}

/// A text of several lines for a terminal. Line ends stay, and with `is_coloured` so do sequences
/// that set colours, which the program itself wrote. Every other unprintable character is escaped.
pub fn escaped_lines(text: &str, is_coloured: bool) -> Cow<'_, str> {
    let is_interpreted = |c: char| c != '\n' && is_unprintable(c);
    if !text.contains(is_interpreted) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(start) = rest.find(is_interpreted) {
        let (before, from) = rest.split_at(start);
        clean.push_str(before);
        let colour = if is_coloured { colour_octets(from) } else { 0 };
        let length =
            if colour > 0 { colour } else { from.chars().next().map_or(0, char::len_utf8) };
        let (taken, tail) = from.split_at(length);
        if colour > 0 {
            clean.push_str(taken);
        } else {
            clean.extend(taken.chars().flat_map(char::escape_default));
        }
        rest = tail;
    }
    clean.push_str(rest);
    Cow::Owned(clean)
}

/// The length in octets of the sequence at the start of `text` that sets colour or weight (ECMA-48
/// SGR: `ESC [ digits ; ... m`); 0 if there is none.
fn colour_octets(text: &str) -> usize {
    let Some(parameters) = text.strip_prefix("\u{1b}[") else { return 0 };
    let end =
        parameters.find(|c: char| !c.is_ascii_digit() && c != ';').unwrap_or(parameters.len());
    if parameters[end..].starts_with('m') { "\u{1b}[".len() + end + 1 } else { 0 }
}

/// JSON text with the same meaning, in which unprintable characters in strings are escaped, such as
/// `\u009b`.
pub fn escaped_json(json: &str) -> Cow<'_, str> {
    // JSON has escaped control characters below U+0020 already; a line end can only be between
    // values.
    let is_interpreted = |c: char| c != '\n' && is_unprintable(c);
    if !json.contains(is_interpreted) {
        return Cow::Borrowed(json);
    }
    let mut clean = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_interpreted(c) {
            // All unprintable characters have at most four hexadecimal digits. Writing to a string
            // cannot fail.
            let _ = write!(clean, "\\u{:04x}", u32::from(c));
        } else {
            clean.push(c);
        }
    }
    Cow::Owned(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_sequence_is_left_in_a_line() {
        for (text, expected, why) in [
            ("kernel upgrade, Köln", "kernel upgrade, Köln", "plain text"),
            ("a\u{1b}[2J\u{7}b", "a\\u{1b}[2J\\u{7}b", "C0 controls"),
            ("one\ntwo\r\t", "one\\ntwo\\r\\t", "line ends and tabs"),
            ("a\u{7f}\u{9b}31m", "a\\u{7f}\\u{9b}31m", "DEL and C1: CSI in one character"),
            ("a\u{202e}b\u{2066}c", "a\\u{202e}b\\u{2066}c", "direction of writing"),
            ("a\u{200b}\u{feff}b", "a\\u{200b}\\u{feff}b", "no width"),
        ] {
            assert_eq!(escaped(text), expected, "{why}");
        }
    }

    #[test]
    fn only_colours_and_line_ends_stay_unescaped_in_rendered_text() {
        let text = "\u{1b}[1;31mdown\u{1b}[0m\n\u{1b}]0;title\u{7}\u{1b}[2J\u{1b}[\u{9b}";
        let escapes = "\n\\u{1b}]0;title\\u{7}\\u{1b}[2J\\u{1b}[\\u{9b}";
        assert_eq!(escaped_lines(text, true), format!("\u{1b}[1;31mdown\u{1b}[0m{escapes}"));
        assert_eq!(escaped_lines(text, false), format!("\\u{{1b}}[1;31mdown\\u{{1b}}[0m{escapes}"));
    }

    #[test]
    fn json_keeps_its_meaning() {
        let text = "a\u{7f}\u{9b}\u{202e}\u{1b}\n";
        let json = serde_json::to_string_pretty(&[text]).unwrap();
        let shown = escaped_json(&json);
        assert!(shown.chars().all(|c| c == '\n' || !is_unprintable(c)), "{shown:?}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&shown).unwrap(), [text]);
    }
}
