//! A file of tables, cut into its tables, so that each is parsed by itself: the tree of a large
//! file takes thirty times its octets, and none of it is wanted once its table is read.
//!
//! Cutting does not check comments and blanks: the parser reads these too, each as part of the
//! table before it, or as the text before the first table ([`preamble`]).
//!
//! Cutting knows just enough TOML to find headers that are none of a string's or a list's, and
//! gives up on whatever it does not know, on what is wrong, and on tables that belong together:
//! those are for the parser to read, or to refuse, as a whole. It never gives up on tables with
//! plain names that are each in one place, as nearly all are.

use std::ops::Range;

use super::limits::MAX_PARSE_OCTETS;

/// One table of a file, with the tables inside of it.
#[derive(Debug, Clone)]
pub(super) struct TableSlice<'t> {
    /// What it is of: `pool`, `service`.
    pub(super) kind: &'t str,
    /// Its name, without quotes.
    pub(super) name: &'t str,
    /// Its octets in the file, from its header to the next table's.
    pub(super) range: Range<usize>,
    /// Where its last value ends: only blanks and comments follow, up to the end of `range`.
    pub(super) values_end: usize,
}

/// Where a table `[kind.name]` is in a text, with the tables inside of it; `None` where it is not
/// there, or has more octets than are parsed at once, or the text cannot be cut.
pub fn table_range(text: &str, kind: &str, name: &str) -> Option<Range<usize>> {
    let pieces = sort_unique(split_tables(text)?)?;
    let table = pieces.into_iter().find(|piece| piece.kind == kind && piece.name == name)?;
    (table.range.len() <= MAX_PARSE_OCTETS).then_some(table.range)
}

/// Cuts a text into tables `[kind.name]`, in the order of the text. `None` where it is to be read
/// as a whole.
pub(super) fn split_tables<'t>(text: &'t str) -> Option<Vec<TableSlice<'t>>> {
    let mut pieces: Vec<TableSlice<'t>> = Vec::new();
    // A byte-order mark is none of the first table's.
    let at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut scan = TomlScanner { text, octets: text.as_bytes(), position: at };
    while let Some(start) = scan.next_line() {
        if !scan.octets[start..].starts_with(b"[") {
            // A key before the first header is the file's own.
            let last = pieces.last_mut()?;
            scan.skip_values()?;
            last.values_end = scan.position;
            continue;
        }
        let (kind, name, is_inner) = scan.header()?;
        match pieces.last_mut() {
            Some(last) if is_inner => {
                (last.kind == kind && last.name == name).then_some(())?;
                last.values_end = scan.position;
            }
            None if is_inner => return None,
            last => {
                if let Some(last) = last {
                    last.range.end = start;
                }
                pieces.push(TableSlice {
                    kind,
                    name,
                    range: start..text.len(),
                    values_end: scan.position,
                });
            }
        }
    }
    Some(pieces)
}

/// The text before the first of its tables: only blanks and comments. `table_slices` are in the
/// order of the text.
pub(super) fn preamble<'t>(text: &'t str, pieces: &[TableSlice<'_>]) -> &'t str {
    &text[..pieces.first().map_or(text.len(), |first| first.range.start)]
}

/// Tables in order of kind and name; `None` where two have the same.
pub(super) fn sort_unique(mut pieces: Vec<TableSlice<'_>>) -> Option<Vec<TableSlice<'_>>> {
    fn key<'t>(piece: &TableSlice<'t>) -> (&'t str, &'t str) {
        (piece.kind, piece.name)
    }
    pieces.sort_unstable_by_key(key);
    let is_twice = |pair: &[TableSlice<'_>]| key(&pair[0]) == key(&pair[1]);
    (!pieces.windows(2).any(is_twice)).then_some(pieces)
}

struct TomlScanner<'t> {
    text: &'t str,
    octets: &'t [u8],
    position: usize,
}

impl<'t> TomlScanner<'t> {
    fn peek(&self) -> Option<u8> {
        self.octets.get(self.position).copied()
    }

    fn skip_while(&mut self, is_passed: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&is_passed) {
            self.position += 1;
        }
    }

    fn skip_blanks(&mut self) {
        self.skip_while(|octet| matches!(octet, b' ' | b'\t'));
    }

    fn take(&mut self, octet: u8) -> Option<()> {
        (self.peek() == Some(octet)).then(|| self.position += 1)
    }

    /// Where the next line starts that has anything but a comment.
    fn next_line(&mut self) -> Option<usize> {
        loop {
            self.skip_while(|octet| matches!(octet, b' ' | b'\t' | b'\r' | b'\n'));
            match self.peek()? {
                b'#' => self.skip_while(|octet| octet != b'\n'),
                _ => return Some(self.position),
            }
        }
    }

    /// Reads `[kind.name]`, or `[kind.name.more]` and `[[kind.name.more]]`, which are inside of a
    /// table.
    fn header(&mut self) -> Option<(&'t str, &'t str, bool)> {
        self.take(b'[')?;
        let is_list = self.take(b'[').is_some();
        let kind = self.key()?;
        self.take(b'.')?;
        let name = self.key()?;
        let mut is_inner = false;
        while self.take(b'.').is_some() {
            self.key()?;
            is_inner = true;
        }
        self.take(b']')?;
        if is_list {
            self.take(b']')?;
        }
        self.skip_blanks();
        let is_over = matches!(self.peek(), None | Some(b'\n' | b'\r' | b'#'));
        (is_over && (is_inner || !is_list)).then_some((kind, name, is_inner))
    }

    /// Reads one part of a header's key, with the blanks around it.
    fn key(&mut self) -> Option<&'t str> {
        self.skip_blanks();
        let key = match self.peek()? {
            quote @ (b'"' | b'\'') => {
                let start = self.position + 1;
                self.skip_string(quote)?;
                let key = self.text.get(start..self.position - 1)?;
                // An escape may write the same name otherwise, and three quotes are no key.
                (!key.contains(['\\', '"', '\'', '\n'])).then_some(key)?
            }
            _ => {
                let start = self.position;
                self.skip_while(|octet| {
                    octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_')
                });
                self.text.get(start..self.position).filter(|key| !key.is_empty())?
            }
        };
        self.skip_blanks();
        Some(key)
    }

    /// Passes a line, and the lines that its strings and lists go on in.
    fn skip_values(&mut self) -> Option<()> {
        let mut open = 0_usize;
        while let Some(octet) = self.peek() {
            match octet {
                b'"' | b'\'' => {
                    self.skip_string(octet)?;
                    continue;
                }
                b'#' => {
                    self.skip_while(|octet| octet != b'\n');
                    continue;
                }
                b'[' | b'{' => open += 1,
                b']' | b'}' => open = open.checked_sub(1)?,
                b'\n' if open == 0 => return Some(()),
                _ => {}
            }
            self.position += 1;
        }
        (open == 0).then_some(())
    }

    /// Passes a string that starts here.
    fn skip_string(&mut self, quote: u8) -> Option<()> {
        let rest = &self.octets[self.position..];
        let is_long = rest.starts_with(&[quote; 3]);
        self.position += if is_long { 3 } else { 1 };
        loop {
            match self.peek()? {
                b'\\' if quote == b'"' => self.position += 2,
                b'\n' if !is_long => return None,
                octet if octet == quote && !is_long => {
                    self.position += 1;
                    return Some(());
                }
                octet
                    if octet == quote && self.octets[self.position..].starts_with(&[quote; 3]) =>
                {
                    // Up to two more belong to the string: it ends with the last three of them.
                    self.skip_while(|octet| octet == quote);
                    return Some(());
                }
                _ => self.position += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Option<Vec<String>> {
        split_tables(text).and_then(sort_unique).map(|pieces| {
            pieces
                .iter()
                .map(|piece| {
                    format!("{}.{}: {}", piece.kind, piece.name, &text[piece.range.clone()])
                })
                .collect()
        })
    }

    #[test]
    fn a_file_is_cut_where_its_tables_start() {
        let text = "# zones\n[zone.x]\nttl = 1 # [pool.no]\n [ pool . \"b.c\" ] # b\nm = [\n[pool.no],\n]\n[pool.a]\n\
                    s = '''\n[pool.no]'''\n[pool.a.inner]\nt = \"\\\"\"\n[[pool.a.list]]\nu = \"\"\"\\\"\"\"\"\n";
        let pieces = [
            "pool.a: [pool.a]\ns = '''\n[pool.no]'''\n[pool.a.inner]\nt = \"\\\"\"\n[[pool.a.list]]\nu = \"\"\"\\\"\"\"\"\n",
            "pool.b.c: [ pool . \"b.c\" ] # b\nm = [\n[pool.no],\n]\n",
            "zone.x: [zone.x]\nttl = 1 # [pool.no]\n ",
        ];
        assert_eq!(names(text).unwrap(), pieces);
    }

    #[test]
    fn what_belongs_together_or_is_wrong_is_not_cut() {
        for (text, why) in [
            ("pool.a = {}\n[pool.b]\n", "a key of the file itself"),
            ("[pool]\na = {}\n", "tables inside of one"),
            ("[[pool.a]]\n", "a list of tables"),
            ("[pool.a]\n[pool.b]\n[pool.a]\n", "a table twice"),
            ("[pool.a]\n[pool.b]\n[pool.a.inner]\n", "a table in two places"),
            ("[pool.a.inner]\n", "a table of which only a part is there"),
            ("[pool.\"\\u0061\"]\n", "a name with an escape"),
            ("[pool.\"\"\"a\"\"\"]\n", "three quotes around a name"),
            ("[pool.a]\nb = \"\n\"\n", "a string over two lines"),
            ("[pool.a]\nb = [\n", "a list without an end"),
            ("[pool.a]\nb = ]\n", "an end without a list"),
            ("[pool.a] b = 1\n", "a key behind a header"),
            ("[pool.a\n", "half a header"),
        ] {
            assert_eq!(names(text), None, "{why}");
        }
    }
}
