//! Lines out of octets that come in pieces.

use super::{ReportError, limits::MAX_LINE_OCTETS};

/// Puts lines together.
#[derive(Debug, Default)]
pub(super) struct LineSplitter {
    /// The start of a line whose end has not come.
    pending: Vec<u8>,
}

impl LineSplitter {
    /// Takes the next octets and gives out each line that they complete, without its end (LF or
    /// CRLF).
    ///
    /// # Errors
    /// A line is too long, or what `each` says.
    pub(super) fn feed(
        &mut self,
        octets: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), ReportError>,
    ) -> Result<(), ReportError> {
        let mut pieces = octets.split(|&octet| octet == b'\n');
        let last = pieces.next_back().unwrap_or_default();
        for piece in pieces {
            if self.pending.is_empty() {
                check_length(piece.len())?;
                each(without_return(piece))?;
                continue;
            }
            self.append_pending(piece)?;
            let line = std::mem::take(&mut self.pending);
            each(without_return(&line))?;
        }
        self.append_pending(last)
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
        mut each: impl FnMut(&[u8]) -> Result<(), ReportError>,
    ) -> Result<(), ReportError> {
        match std::mem::take(&mut self.pending) {
            line if line.is_empty() => Ok(()),
            line => each(without_return(&line)),
        }
    }

    fn append_pending(&mut self, piece: &[u8]) -> Result<(), ReportError> {
        check_length(self.pending.len() + piece.len())?;
        self.pending.extend_from_slice(piece);
        Ok(())
    }
}

fn check_length(octets: usize) -> Result<(), ReportError> {
    if octets > MAX_LINE_OCTETS { Err(ReportError::LineTooLong) } else { Ok(()) }
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(pieces: &[&str]) -> Vec<String> {
        let (mut lines, mut found) = (LineSplitter::default(), Vec::new());
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
        let mut lines = LineSplitter::default();
        let piece = vec![b'x'; 1000];
        let fed = (0..).find(|_| lines.feed(&piece, |_| Ok(())).is_err()).unwrap();
        assert_eq!(fed, MAX_LINE_OCTETS / 1000);
        let long = vec![b'x'; MAX_LINE_OCTETS + 1];
        assert_eq!(
            LineSplitter::default().feed(&[&long[..], b"\n"].concat(), |_| Ok(())),
            Err(ReportError::LineTooLong)
        );
    }
}
