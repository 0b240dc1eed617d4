//! Lines, from octets that arrive in pieces.

use super::{ReportError, limits::MAX_LINE_OCTETS};

/// Assembles lines from pieces.
#[derive(Debug, Default)]
pub(super) struct LineSplitter {
    /// The start of a line whose end has not arrived.
    pending: Vec<u8>,
}

impl LineSplitter {
    /// Reads the next octets and passes each line that they complete to `each`, without its end (LF
    /// or CRLF).
    ///
    /// # Errors
    /// A line is too long, or `each` failed.
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
                each(without_carriage_return(piece))?;
                continue;
            }
            self.append_pending(piece)?;
            let line = std::mem::take(&mut self.pending);
            each(without_carriage_return(&line))?;
        }
        self.append_pending(last)
    }

    /// Whether the octets read so far are complete lines.
    pub(super) fn is_at_line_start(&self) -> bool {
        self.pending.is_empty()
    }

    /// The start of a line whose end has not arrived.
    pub(super) fn pending(&self) -> &[u8] {
        &self.pending
    }

    /// Passes the last line to `each` if the text does not end with a line end.
    ///
    /// # Errors
    /// The error of `each`.
    pub(super) fn finish(
        &mut self,
        mut each: impl FnMut(&[u8]) -> Result<(), ReportError>,
    ) -> Result<(), ReportError> {
        match std::mem::take(&mut self.pending) {
            line if line.is_empty() => Ok(()),
            line => each(without_carriage_return(&line)),
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

fn without_carriage_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(pieces: &[&str]) -> Vec<String> {
        let (mut lines, mut found) = (LineSplitter::default(), Vec::new());
        let mut collect = |line: &[u8]| {
            found.push(String::from_utf8(line.to_vec()).unwrap());
            Ok(())
        };
        for piece in pieces {
            lines.feed(piece.as_bytes(), &mut collect).unwrap();
        }
        lines.finish(&mut collect).unwrap();
        found
    }

    #[test]
    fn lines_are_the_same_in_any_pieces() {
        let text = "one\r\n\ntwo three\nfour";
        let expected = lines_of(&[text]);
        assert_eq!(expected, ["one", "", "two three", "four"]);
        for cut in 0..text.len() {
            let (a, b) = text.split_at(cut);
            assert_eq!(lines_of(&[a, b]), expected, "cut at {cut}");
        }
        let octets: Vec<_> = (0..text.len()).map(|position| &text[position..=position]).collect();
        assert_eq!(lines_of(&octets), expected);
    }

    #[test]
    fn a_line_without_an_end_is_kept_up_to_the_bound() {
        let mut lines = LineSplitter::default();
        let piece = vec![b'x'; 1000];
        let pieces = (0..).find(|_| lines.feed(&piece, |_| Ok(())).is_err()).unwrap();
        assert_eq!(pieces, MAX_LINE_OCTETS / 1000);
        let long = vec![b'x'; MAX_LINE_OCTETS + 1];
        assert_eq!(
            LineSplitter::default().feed(&[&long[..], b"\n"].concat(), |_| Ok(())),
            Err(ReportError::LineTooLong)
        );
    }
}
