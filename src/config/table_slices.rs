//! Cuts a file of tables into its tables, so that each is parsed by itself: the tree of a large
//! file takes thirty times as much memory as its octets, and the tree of a table is not needed
//! after the table was read.
//!
//! Cutting does not check comments and blanks: the parser reads these, too, each as part of the
//! table before it, or as the text before the first table ([`preamble`]).
//!
//! The scanner reads only enough TOML to find headers outside of strings and lists. It gives up on
//! anything else, on errors, and on tables that belong together: the parser reads or refuses these
//! as a whole. It never gives up on tables with plain names that are each in one place, as nearly
//! all are. The lexer of `toml_parser` does not replace it: that lexer recovers from a string
//! without an end and does not report it, so that each string would have to be checked here all the
//! same.

use std::ops::Range;

use super::limits::MAX_PARSE_OCTETS;

/// One table of a file, including the tables inside it.
#[derive(Debug, Clone)]
pub(super) struct TableSlice<'t> {
    /// The kind of table: `pool`, `service`.
    pub(super) kind: &'t str,
    /// The name, without quotes.
    pub(super) name: &'t str,
    /// The octets of the table in the text, from its header to the next table's header.
    pub(super) range: Range<usize>,
    /// The end of its last value: only blanks and comments follow, up to the end of `range`.
    pub(super) values_end: usize,
}

/// The range of a table `[kind.name]` in a text, including the tables inside it. `None` where there
/// is no such table, where it has more octets than are parsed at once, or where the text cannot be
/// cut.
pub fn table_range(text: &str, kind: &str, name: &str) -> Option<Range<usize>> {
    let slices = sort_unique(split_tables(text)?)?;
    let table = slices.into_iter().find(|slice| slice.kind == kind && slice.name == name)?;
    (table.range.len() <= MAX_PARSE_OCTETS).then_some(table.range)
}

/// Cuts a text into tables `[kind.name]`, in the order of the text. `None` where it must be parsed
/// as a whole.
pub(super) fn split_tables<'t>(text: &'t str) -> Option<Vec<TableSlice<'t>>> {
    let mut slices: Vec<TableSlice<'t>> = Vec::new();
    // A byte-order mark is not part of the first table.
    let position = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut scan = TomlScanner { text, octets: text.as_bytes(), position };
    while let Some(start) = scan.next_line() {
        if !scan.octets[start..].starts_with(b"[") {
            // A key before the first header belongs to the file itself.
            let last = slices.last_mut()?;
            scan.skip_values()?;
            last.values_end = scan.position;
            continue;
        }
        let (kind, name, is_inner) = scan.header()?;
        match slices.last_mut() {
            Some(last) if is_inner => {
                (last.kind == kind && last.name == name).then_some(())?;
                last.values_end = scan.position;
            }
            None if is_inner => return None,
            last => {
                if let Some(last) = last {
                    last.range.end = start;
                }
                slices.push(TableSlice {
                    kind,
                    name,
                    range: start..text.len(),
                    values_end: scan.position,
                });
            }
        }
    }
    Some(slices)
}

/// The text before the first table, which holds only blanks and comments. `slices` are in the order
/// of the text.
pub(super) fn preamble<'t>(text: &'t str, slices: &[TableSlice<'_>]) -> &'t str {
    &text[..slices.first().map_or(text.len(), |first| first.range.start)]
}

/// Sorts tables by kind and name. `None` where two have the same kind and name.
pub(super) fn sort_unique(mut slices: Vec<TableSlice<'_>>) -> Option<Vec<TableSlice<'_>>> {
    fn key<'t>(slice: &TableSlice<'t>) -> (&'t str, &'t str) {
        (slice.kind, slice.name)
    }
    slices.sort_unstable_by_key(key);
    let is_twice = |pair: &[TableSlice<'_>]| key(&pair[0]) == key(&pair[1]);
    (!slices.windows(2).any(is_twice)).then_some(slices)
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

    /// The start of the next line that is neither blank nor a comment.
    fn next_line(&mut self) -> Option<usize> {
        loop {
            self.skip_while(|octet| matches!(octet, b' ' | b'\t' | b'\r' | b'\n'));
            match self.peek()? {
                b'#' => self.skip_while(|octet| octet != b'\n'),
                _ => return Some(self.position),
            }
        }
    }

    /// Reads a header: `[kind.name]`, or `[kind.name.more]` or `[[kind.name.more]]`, which is
    /// inside a table. Returns the kind, the name, and whether the header is inside a table.
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

    /// Reads one part of a header's key, and the blanks around it.
    fn key(&mut self) -> Option<&'t str> {
        self.skip_blanks();
        let key = match self.peek()? {
            quote @ (b'"' | b'\'') => {
                let start = self.position + 1;
                self.skip_string(quote)?;
                let key = self.text.get(start..self.position - 1)?;
                // With an escape, the same name can be written in several forms; three quotes start
                // no key.
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

    /// Skips a line, and the further lines of its strings and lists.
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

    /// Skips a string that starts here.
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
                    // Up to two more quotes belong to the string: it ends with the last three
                    // quotes.
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
        split_tables(text).and_then(sort_unique).map(|slices| {
            slices
                .iter()
                .map(|slice| {
                    format!("{}.{}: {}", slice.kind, slice.name, &text[slice.range.clone()])
                })
                .collect()
        })
    }

    #[test]
    fn a_file_is_cut_where_its_tables_start() {
        let text = "# zones\n[zone.x]\nttl = 1 # [pool.no]\n [ pool . \"b.c\" ] # b\nm = [\n[pool.no],\n]\n[pool.a]\n\
                    s = '''\n[pool.no]'''\n[pool.a.inner]\nt = \"\\\"\"\n[[pool.a.list]]\nu = \"\"\"\\\"\"\"\"\n";
        let slices = [
            "pool.a: [pool.a]\ns = '''\n[pool.no]'''\n[pool.a.inner]\nt = \"\\\"\"\n[[pool.a.list]]\nu = \"\"\"\\\"\"\"\"\n",
            "pool.b.c: [ pool . \"b.c\" ] # b\nm = [\n[pool.no],\n]\n",
            "zone.x: [zone.x]\nttl = 1 # [pool.no]\n ",
        ];
        assert_eq!(names(text).unwrap(), slices);
    }

    #[test]
    fn tables_that_belong_together_and_invalid_texts_are_not_cut() {
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
