//! Lines out of octets that come in pieces.

use super::Fault;

/// The longest line, in octets. All that is held of a page that is read line by line.
pub(super) const LONGEST: usize = 64 << 10;

/// Puts lines together.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The start of a line whose end has not come.
    pending: Vec<u8>,
}

impl Lines {
    /// Takes the next octets and gives out each line that they complete, without its end (LF or
    /// CRLF).
    ///
    /// # Errors
    /// A line is too long, or what `each` says.
    pub(super) fn feed(
        &mut self,
        octets: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut pieces = octets.split(|&octet| octet == b'\n');
        let last = pieces.next_back().unwrap_or_default();
        for piece in pieces {
            if self.pending.is_empty() {
                bounded(piece.len())?;
                each(without_return(piece))?;
                continue;
            }
            self.hold(piece)?;
            let line = std::mem::take(&mut self.pending);
            each(without_return(&line))?;
        }
        self.hold(last)
    }

    /// Whether everything fed so far was whole lines.
    pub(super) fn is_at_line_start(&self) -> bool {
        self.pending.is_empty()
    }

    /// The start of a line whose end has not come.
    pub(super) fn pending(&self) -> &[u8] {
        &self.pending
    }

    /// Gives out the last line where it has no end.
    ///
    /// # Errors
    /// What `each` says.
    pub(super) fn finish(
        &mut self,
        mut each: impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        match std::mem::take(&mut self.pending) {
            line if line.is_empty() => Ok(()),
            line => each(without_return(&line)),
        }
    }

    fn hold(&mut self, piece: &[u8]) -> Result<(), Fault> {
        bounded(self.pending.len() + piece.len())?;
        self.pending.extend_from_slice(piece);
        Ok(())
    }
}

fn bounded(octets: usize) -> Result<(), Fault> {
    if octets > LONGEST { Err(Fault::LongLine) } else { Ok(()) }
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(pieces: &[&str]) -> Vec<String> {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        let mut keep = |line: &[u8]| {
            found.push(String::from_utf8(line.to_vec()).unwrap());
            Ok(())
        };
        for piece in pieces {
            lines.feed(piece.as_bytes(), &mut keep).unwrap();
        }
        lines.finish(&mut keep).unwrap();
        found
    }

    #[test]
    fn lines_are_the_same_however_they_arrive() {
        let text = "one\r\n\ntwo three\nfour";
        let whole = lines_of(&[text]);
        assert_eq!(whole, ["one", "", "two three", "four"]);
        for cut in 0..text.len() {
            let (a, b) = text.split_at(cut);
            assert_eq!(lines_of(&[a, b]), whole, "cut at {cut}");
        }
        let octets: Vec<_> = (0..text.len()).map(|at| &text[at..=at]).collect();
        assert_eq!(lines_of(&octets), whole);
    }

    #[test]
    fn a_line_without_end_is_held_up_to_the_bound() {
        let mut lines = Lines::default();
        let piece = vec![b'x'; 1000];
        let fed = (0..).find(|_| lines.feed(&piece, |_| Ok(())).is_err()).unwrap();
        assert_eq!(fed, LONGEST / 1000);
        let long = vec![b'x'; LONGEST + 1];
        assert_eq!(
            Lines::default().feed(&[&long[..], b"\n"].concat(), |_| Ok(())),
            Err(Fault::LongLine)
        );
    }
}
