//! The starts of the lines of a file, found by counting line feeds from the nearest mark. There is
//! a mark for each 4 KiB: a start for each line of 64 MiB of empty lines would take 256 MiB.

/// The number of octets between two marks.
const BLOCK: usize = 4096;

/// Marks for the lines of one text. Every call is given the same text.
#[derive(Debug, Clone)]
pub(in crate::config) struct LineIndex {
    /// For each block: the number of line feeds before it.
    line_feeds_before: Box<[u32]>,
}

impl LineIndex {
    pub(super) fn new(text: &[u8]) -> Self {
        let mut count = 0;
        let marks = text.chunks(BLOCK).map(|block| {
            let before = count;
            count += line_feeds(block) as u32;
            before
        });
        Self { line_feeds_before: marks.collect() }
    }

    /// The line, from 1, of the octet at `offset`, and the octet at which the line starts.
    pub(super) fn line_at(&self, text: &[u8], offset: usize) -> (usize, usize) {
        let offset = offset.min(text.len());
        let block = (offset / BLOCK).min(self.line_feeds_before.len().saturating_sub(1));
        let Some(&before) = self.line_feeds_before.get(block) else { return (1, 0) };
        let here = &text[block * BLOCK..offset];
        let line = 1 + before as usize + line_feeds(here);
        let start = match last_line_feed(here) {
            Some(last) => block * BLOCK + last + 1,
            // The line starts in the last block before this one that has a line feed.
            None => {
                match self.line_feeds_before.partition_point(|&mark| mark < before).checked_sub(1) {
                    Some(block) => {
                        block * BLOCK
                            + last_line_feed(self.block(text, block)).map_or(0, |last| last + 1)
                    }
                    None => 0,
                }
            }
        };
        (line, start)
    }

    /// The octet at which a line starts; lines count from 1. `None` where there is no such line.
    pub(super) fn line_start(&self, text: &[u8], line: usize) -> Option<usize> {
        let Some(feeds) = line.checked_sub(2) else { return (line == 1).then_some(0) };
        let block = self
            .line_feeds_before
            .partition_point(|&mark| mark as usize <= feeds)
            .checked_sub(1)?;
        let mut line_feeds =
            (0..).zip(self.block(text, block)).filter(|(_, octet)| **octet == b'\n');
        let (last, _) = line_feeds.nth(feeds - self.line_feeds_before[block] as usize)?;
        Some(block * BLOCK + last + 1)
    }

    fn block<'t>(&self, text: &'t [u8], block: usize) -> &'t [u8] {
        let rest = text.get(block * BLOCK..).unwrap_or_default();
        &rest[..rest.len().min(BLOCK)]
    }
}

fn line_feeds(text: &[u8]) -> usize {
    text.iter().filter(|&&octet| octet == b'\n').count()
}

fn last_line_feed(text: &[u8]) -> Option<usize> {
    text.iter().rposition(|&octet| octet == b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_as_by_counting_from_the_start() {
        let long = [&b"a\nb\n"[..], &[b'x'; 3 * BLOCK], b"\n\nlast"].concat();
        let filled = [&[b'y'; BLOCK - 1][..], b"\n", &[b'z'; BLOCK], b"\n"].concat();
        for text in
            [&b""[..], b"\n", b"one", b"one\ntwo\n", &[b'\n'; 3 * BLOCK + 1], &long, &filled]
        {
            let lines = LineIndex::new(text);
            let mut starts = vec![0];
            starts.extend(
                (1..).zip(text).filter(|(_, octet)| **octet == b'\n').map(|(after, _)| after),
            );
            for at in 0..=text.len() + 1 {
                let line = starts.partition_point(|&start| start <= at.min(text.len()));
                assert_eq!(
                    lines.line_at(text, at),
                    (line, starts[line - 1]),
                    "{at} of {}",
                    text.len()
                );
            }
            for (line, &start) in (1..).zip(&starts) {
                assert_eq!(
                    lines.line_start(text, line),
                    Some(start),
                    "line {line} of {}",
                    text.len()
                );
            }
            assert_eq!(lines.line_start(text, starts.len() + 1), None);
            assert_eq!(lines.line_start(text, 0), None);
        }
    }
}
