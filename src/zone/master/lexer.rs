//! Splits the text of a master file into entries. An entry is the fields of one record or
//! directive, on one line or, within parentheses, on several (RFC 1035 section 5.1).
//!
//! The lexer recognises lines, quotes, parentheses, comments and backslashes, and does not
//! interpret fields. After an error it continues at the next entry that it can recognise, so that
//! one run finds every error. Its work is linear in the text, except for parentheses that are never
//! closed; the reader's limit on errors bounds those.

use super::{problem::Problem, span::TextSpan};

/// The maximum length of a line, in octets.
pub(super) const MAX_LINE_OCTETS: usize = 1 << 20;
/// The maximum number of fields of an entry. The largest rdata, written with one hexadecimal digit
/// in each field, needs 2 * 65,535; the rest is for the fields before it.
const MAX_FIELDS: usize = 2 * 65535 + 16;

/// How a field was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A word without quotes around it.
    Word,
    /// A character-string between quotes.
    Quoted,
    /// `key="value"`, as SVCB parameters are written (RFC 9460 section 2.1).
    Pair,
}

/// One field as it was written: with its escapes, without the quotes around it.
#[derive(Debug, Clone, Copy)]
pub(super) struct FieldToken<'a> {
    pub(super) text: &'a [u8],
    pub(super) kind: TokenKind,
    pub(super) span: TextSpan,
}

/// What an entry starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryStart {
    /// An owner: the first field is at the start of the line.
    HasOwner,
    /// A blank: the owner is that of the record before.
    InheritsOwner,
}

/// A cursor over the text of one file.
pub(super) struct Lexer<'a> {
    text: &'a [u8],
    position: usize,
    line: u32,
    line_start: usize,
    open_parentheses: u32,
    /// The outermost open parenthesis.
    opened_at: TextSpan,
}

impl<'a> Lexer<'a> {
    /// A cursor at the start of `text`, whose first line is `line`.
    pub(super) fn new(text: &'a [u8], line: u32) -> Self {
        Self {
            text,
            position: 0,
            line,
            line_start: 0,
            open_parentheses: 0,
            opened_at: TextSpan { start: 0, length: 0, line },
        }
    }

    /// Reads the fields of the next entry into `tokens`; `None` at the end of the text. Empty lines
    /// are skipped.
    pub(super) fn next_entry(
        &mut self,
        tokens: &mut Vec<FieldToken<'a>>,
    ) -> Result<Option<EntryStart>, Problem> {
        while self.position < self.text.len() {
            let start = if matches!(self.text[self.position], b' ' | b'\t') {
                EntryStart::InheritsOwner
            } else {
                EntryStart::HasOwner
            };
            tokens.clear();
            self.open_parentheses = 0;
            if let Err(problem) = self.read_fields(tokens) {
                self.recover(tokens);
                return Err(problem);
            }
            if !tokens.is_empty() {
                return Ok(Some(start));
            }
        }
        Ok(None)
    }

    /// Reads up to the end of the line, or of the line that closes the last parenthesis.
    fn read_fields(&mut self, tokens: &mut Vec<FieldToken<'a>>) -> Result<(), Problem> {
        while let Some(&byte) = self.text.get(self.position) {
            match byte {
                b' ' | b'\t' => self.position += 1,
                b'\n' => {
                    self.newline()?;
                    if self.open_parentheses == 0 {
                        return Ok(());
                    }
                }
                b'\r' if self.text.get(self.position + 1) == Some(&b'\n') => self.position += 1,
                b';' => self.skip_line(),
                b'(' => self.open(),
                b')' => self.close()?,
                b'"' => tokens.push(self.quoted()?),
                0..=31 | 127 => return Err(self.control_character(byte)),
                _ => tokens.push(self.word()?),
            }
            if tokens.len() > MAX_FIELDS {
                return Err(Problem::new(
                    self.span(self.position, 0),
                    "the entry has more fields than any record can hold",
                ));
            }
        }
        if self.open_parentheses > 0 {
            return Err(Problem::new(self.opened_at, "this parenthesis is never closed")
                .with_help("a record that spans lines ends with \")\""));
        }
        self.check_line_length()
    }

    /// Moves past a line feed.
    fn newline(&mut self) -> Result<(), Problem> {
        let checked = self.check_line_length();
        self.position += 1;
        self.line += 1;
        self.line_start = self.position;
        checked
    }

    fn check_line_length(&self) -> Result<(), Problem> {
        if self.position - self.line_start > MAX_LINE_OCTETS {
            return Err(Problem::new(
                self.span(self.line_start, 1),
                "the line is longer than 1 MiB",
            ));
        }
        Ok(())
    }

    /// Moves to the line feed that ends this line, or to the end of the text.
    fn skip_line(&mut self) {
        let rest = &self.text[self.position..];
        self.position += rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
    }

    fn open(&mut self) {
        if self.open_parentheses == 0 {
            self.opened_at = self.span(self.position, 1);
        }
        self.open_parentheses += 1;
        self.position += 1;
    }

    fn close(&mut self) -> Result<(), Problem> {
        self.position += 1;
        if self.open_parentheses == 0 {
            return Err(Problem::new(
                self.span(self.position - 1, 1),
                "no parenthesis is open here",
            ));
        }
        self.open_parentheses -= 1;
        Ok(())
    }

    /// Reads a field without quotes, up to a blank, a comment, a parenthesis or a quote that opens
    /// the next field.
    fn word(&mut self) -> Result<FieldToken<'a>, Problem> {
        let start = self.position;
        let mut kind = TokenKind::Word;
        while let Some(&byte) = self.text.get(self.position) {
            match byte {
                b'"' if self.text[start..self.position].ends_with(b"=") => {
                    kind = TokenKind::Pair;
                    self.skip_quoted()?;
                }
                b'\\' => self.skip_escape(),
                0..=b' ' | 127 | b'"' | b';' | b'(' | b')' => break,
                _ => self.position += 1,
            }
        }
        let span = self.span(start, self.position - start);
        Ok(FieldToken { text: &self.text[start..self.position], kind, span })
    }

    fn quoted(&mut self) -> Result<FieldToken<'a>, Problem> {
        let start = self.position;
        self.skip_quoted()?;
        let span = self.span(start, self.position - start);
        let text = &self.text[start + 1..self.position - 1];
        Ok(FieldToken { text, kind: TokenKind::Quoted, span })
    }

    /// Moves past a quoted string, its two quotes included.
    fn skip_quoted(&mut self) -> Result<(), Problem> {
        let start = self.position;
        self.position += 1;
        while let Some(&byte) = self.text.get(self.position) {
            match byte {
                b'"' => {
                    self.position += 1;
                    return Ok(());
                }
                b'\\' => self.skip_escape(),
                b'\n' => break,
                _ => self.position += 1,
            }
        }
        Err(Problem::new(self.span(start, 1), "this quote is not closed on its line")
            .with_help("close it with \"; a quote inside a string is written \\\""))
    }

    /// Moves past a backslash and the character that it escapes; a line feed is never escaped.
    fn skip_escape(&mut self) {
        self.position += 1;
        if self.text.get(self.position).is_some_and(|&byte| byte != b'\n') {
            self.position += 1;
        }
    }

    fn control_character(&mut self, byte: u8) -> Problem {
        self.position += 1;
        Problem::new(
            self.span(self.position - 1, 1),
            format!("there is a control character (\\{byte:03}) here"),
        )
        .with_help("write it as a backslash and three decimal digits, inside a string")
    }

    /// Moves to the entry after the one that could not be read.
    fn recover(&mut self, tokens: &mut Vec<FieldToken<'a>>) {
        if self.open_parentheses == 0 {
            if self.position > self.line_start {
                self.skip_line();
                // If this line is too long, that is the error already reported.
                let _reported =
                    if self.position < self.text.len() { self.newline() } else { Ok(()) };
            }
            return;
        }
        while self.open_parentheses > 0 && self.position < self.text.len() {
            tokens.clear();
            if self.read_fields(tokens).is_ok() {
                return;
            }
        }
        if self.open_parentheses > 0 {
            self.leave_unclosed();
        }
    }

    /// Moves back to a parenthesis that is never closed, and from there to the next line that looks
    /// like the first of an entry.
    fn leave_unclosed(&mut self) {
        self.position = self.opened_at.start;
        self.line = self.opened_at.line;
        loop {
            self.skip_line();
            let Some(&next) = self.text.get(self.position + 1) else {
                self.position = self.text.len();
                return;
            };
            self.position += 1;
            self.line += 1;
            self.line_start = self.position;
            if !matches!(next, b' ' | b'\t' | b')' | b';' | b'\r' | b'\n') {
                return;
            }
        }
    }

    fn span(&self, start: usize, length: usize) -> TextSpan {
        TextSpan { start, length, line: self.line }
    }
}
