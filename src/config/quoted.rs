//! Text of files as messages and terminals show it: escaped, cut, in quotes.

use std::fmt;

use crate::printable;

/// The text on one line, without control sequences and passwords of URLs. A very long text is cut.
pub(super) fn escaped(text: &str) -> String {
    const MAX_OCTETS: usize = 600;
    let redacted = printable::redacted(text);
    let clean = printable::escaped(&redacted);
    match clean.char_indices().find(|(index, _)| *index >= MAX_OCTETS) {
        Some((end, _)) => format!("{}…", &clean[..end]),
        None => clean.into_owned(),
    }
}

/// A word of a file in quotes, cut if it is too long to be read.
pub(super) struct Quoted<'t>(pub(super) &'t str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MAX_CHARACTERS: usize = 80;
        // Passwords are removed before the text is cut: half of a URL does not show which part is
        // secret.
        let text = printable::redacted(self.0);
        match text.char_indices().nth(MAX_CHARACTERS) {
            None => write!(f, "\"{text}\""),
            Some((end, _)) => write!(f, "\"{}…\"", &text[..end]),
        }
    }
}
