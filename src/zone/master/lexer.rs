//! Cuts the text of a master file into entries: the fields of one record or directive, however many
//! lines parentheses stretch it over (RFC 1035 section 5.1).
//!
//! The lexer knows lines, quotes, parentheses, comments and backslashes, and nothing of what fields
//! mean. After an error it stands at the next entry that can be told apart, so that one run finds
//! every error. Its work is linear in the text but for parentheses that are never closed; the
//! parser's limit on errors bounds those.

use super::problem::{Problem, Spot};

/// How long a line may be, in octets.
pub(super) const MAX_LINE: usize = 1 << 20;
/// How many fields an entry may have: two more than a hexadecimal digit a field fills the largest
/// rdata with.
const MAX_FIELDS: usize = 2 * 65535 + 16;

/// How a field was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bare characters.
    Word,
    /// Between quotes.
    Quoted,
    /// `key="value"`, as SVCB parameters are written (RFC 9460 section 2.1).
    Pair,
}

/// One field, as it was written: escapes are still in it, the quotes around a quoted field are not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'a> {
    pub(super) text: &'a [u8],
    pub(super) kind: Kind,
    pub(super) spot: Spot,
}

/// What an entry starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// The first field stands at the line's start.
    Flush,
    /// A blank does, so the owner is that of the record before.
    Blank,
}

/// A cursor over one file.
pub(super) struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    line: u32,
    line_start: usize,
    depth: u32,
    /// The outermost parenthesis that is open.
    opened: Spot,
}

impl<'a> Lexer<'a> {
    /// A cursor at the start of `text`, whose first line is `line`.
    pub(super) fn new(text: &'a [u8], line: u32) -> Self {
        Self {
            text,
            at: 0,
            line,
            line_start: 0,
            depth: 0,
            opened: Spot { start: 0, length: 0, line },
        }
    }

    /// Reads the fields of the next entry into `tokens`; `None` at the end of the text. Empty lines
    /// are no entries.
    pub(super) fn entry(&mut self, tokens: &mut Vec<Token<'a>>) -> Result<Option<Start>, Problem> {
        while self.at < self.text.len() {
            let start = if matches!(self.text[self.at], b' ' | b'\t') {
                Start::Blank
            } else {
                Start::Flush
            };
            tokens.clear();
            self.depth = 0;
            if let Err(problem) = self.fill(tokens) {
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
    fn fill(&mut self, tokens: &mut Vec<Token<'a>>) -> Result<(), Problem> {
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b' ' | b'\t' => self.at += 1,
                b'\n' => {
                    self.newline()?;
                    if self.depth == 0 {
                        return Ok(());
                    }
                }
                b'\r' if self.text.get(self.at + 1) == Some(&b'\n') => self.at += 1,
                b';' => self.skip_line(),
                b'(' => self.open(),
                b')' => self.close()?,
                b'"' => tokens.push(self.quoted()?),
                0..=31 | 127 => return Err(self.control_character(byte)),
                _ => tokens.push(self.word()?),
            }
            if tokens.len() > MAX_FIELDS {
                return Err(Problem::new(
                    self.spot(self.at, 0),
                    "the entry has more fields than any record can hold",
                ));
            }
        }
        if self.depth > 0 {
            return Err(Problem::new(self.opened, "this parenthesis is never closed")
                .help("a record that spans lines ends with \")\""));
        }
        self.check_line_length()
    }

    /// Passes a line feed.
    fn newline(&mut self) -> Result<(), Problem> {
        let checked = self.check_line_length();
        self.at += 1;
        self.line += 1;
        self.line_start = self.at;
        checked
    }

    fn check_line_length(&self) -> Result<(), Problem> {
        if self.at - self.line_start > MAX_LINE {
            return Err(Problem::new(
                self.spot(self.line_start, 1),
                "the line is longer than 1 MiB",
            ));
        }
        Ok(())
    }

    /// Goes to the line feed that ends this line, or to the end of the text.
    fn skip_line(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
    }

    fn open(&mut self) {
        if self.depth == 0 {
            self.opened = self.spot(self.at, 1);
        }
        self.depth += 1;
        self.at += 1;
    }

    fn close(&mut self) -> Result<(), Problem> {
        self.at += 1;
        if self.depth == 0 {
            return Err(Problem::new(self.spot(self.at - 1, 1), "no parenthesis is open here"));
        }
        self.depth -= 1;
        Ok(())
    }

    /// Reads bare characters up to a blank, a comment, a parenthesis or a quote that opens the next
    /// field.
    fn word(&mut self) -> Result<Token<'a>, Problem> {
        let start = self.at;
        let mut kind = Kind::Word;
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b'"' if self.text[start..self.at].ends_with(b"=") => {
                    kind = Kind::Pair;
                    self.quote_body()?;
                }
                b'\\' => self.escape(),
                0..=b' ' | 127 | b'"' | b';' | b'(' | b')' => break,
                _ => self.at += 1,
            }
        }
        let spot = self.spot(start, self.at - start);
        Ok(Token { text: &self.text[start..self.at], kind, spot })
    }

    fn quoted(&mut self) -> Result<Token<'a>, Problem> {
        let start = self.at;
        self.quote_body()?;
        let spot = self.spot(start, self.at - start);
        Ok(Token { text: &self.text[start + 1..self.at - 1], kind: Kind::Quoted, spot })
    }

    /// Passes a quote, what follows it, and the quote that ends it.
    fn quote_body(&mut self) -> Result<(), Problem> {
        let start = self.at;
        self.at += 1;
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => self.escape(),
                b'\n' => break,
                _ => self.at += 1,
            }
        }
        Err(Problem::new(self.spot(start, 1), "this quote is not closed on its line")
            .help("close it with \"; a quote inside a string is written \\\""))
    }

    /// Passes a backslash and the character it escapes; a line feed is never escaped.
    fn escape(&mut self) {
        self.at += 1;
        if self.text.get(self.at).is_some_and(|&byte| byte != b'\n') {
            self.at += 1;
        }
    }

    fn control_character(&mut self, byte: u8) -> Problem {
        self.at += 1;
        Problem::new(
            self.spot(self.at - 1, 1),
            format!("a control character (\\{byte:03}) stands here"),
        )
        .help("write it as a backslash and three decimal digits, inside a string")
    }

    /// Goes to the entry after the one that could not be read.
    fn recover(&mut self, tokens: &mut Vec<Token<'a>>) {
        if self.depth == 0 {
            if self.at > self.line_start {
                self.skip_line();
                // A long line was the error already told, if this one is.
                let _told = if self.at < self.text.len() { self.newline() } else { Ok(()) };
            }
            return;
        }
        while self.depth > 0 && self.at < self.text.len() {
            tokens.clear();
            if self.fill(tokens).is_ok() {
                return;
            }
        }
        if self.depth > 0 {
            self.leave_unclosed();
        }
    }

    /// Goes back to behind an open parenthesis that nothing closes: to the next line that looks
    /// like an entry's first.
    fn leave_unclosed(&mut self) {
        self.at = self.opened.start;
        self.line = self.opened.line;
        loop {
            self.skip_line();
            let Some(&next) = self.text.get(self.at + 1) else {
                self.at = self.text.len();
                return;
            };
            self.at += 1;
            self.line += 1;
            self.line_start = self.at;
            if !matches!(next, b' ' | b'\t' | b')' | b';' | b'\r' | b'\n') {
                return;
            }
        }
    }

    fn spot(&self, start: usize, length: usize) -> Spot {
        Spot { start, length, line: self.line }
    }
}
