//! Writing a reply: octets into a given buffer, up to a given limit, with the counts of the header
//! kept.

use super::header::Header;

/// No room for what was to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferFull;

/// A section of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// The answer.
    Answer,
    /// Who is responsible: SOA of a negative answer, NS of a referral.
    Authority,
    /// Addresses that will be asked for next, and OPT.
    Additional,
}

/// A reply in the making. Writes past the limit fail and leave nothing half written but what the
/// caller rewinds.
#[derive(Debug)]
pub struct ReplyWriter<'o> {
    out: &'o mut [u8],
    position: usize,
    limit: usize,
    counts: [u16; 3],
}

/// A point to go back to.
#[derive(Debug, Clone, Copy)]
pub struct ReplyCheckpoint {
    position: usize,
    counts: [u16; 3],
}

impl<'o> ReplyWriter<'o> {
    /// Starts after the header, which [`ReplyWriter::finish`] writes. No more than `limit` octets
    /// will be written.
    pub fn new(out: &'o mut [u8], limit: usize) -> Self {
        let limit = limit.min(out.len());
        Self { out, position: Header::OCTETS, limit, counts: [0; 3] }
    }

    /// Keeps `octets` at the end free for what comes last.
    pub fn reserve(&mut self, octets: usize) {
        self.limit = self.limit.saturating_sub(octets);
    }

    /// Gives reserved octets free again.
    pub fn release(&mut self, octets: usize) {
        self.limit = (self.limit + octets).min(self.out.len());
    }

    /// Lets the message have so many octets at most, not counting what is reserved.
    pub fn lower_limit(&mut self, octets: usize) {
        self.limit = self.limit.min(octets);
    }

    /// Where the next octet goes, from the message's start.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Appends octets.
    ///
    /// # Errors
    /// [`BufferFull`] where they do not fit; nothing is written then.
    #[inline]
    pub fn push(&mut self, octets: &[u8]) -> Result<(), BufferFull> {
        self.push_for_patching(octets).map(|_| ())
    }

    /// Appends octets and hands them out for patching.
    ///
    /// # Errors
    /// As [`ReplyWriter::push`].
    #[inline]
    pub fn push_for_patching(&mut self, octets: &[u8]) -> Result<&mut [u8], BufferFull> {
        let target = self.claim(octets.len())?;
        target.copy_from_slice(octets);
        Ok(target)
    }

    /// Appends so many octets, known at compile time: without a call to copy them.
    ///
    /// # Errors
    /// As [`ReplyWriter::push`].
    #[inline]
    pub fn push_array<const N: usize>(&mut self, octets: [u8; N]) -> Result<(), BufferFull> {
        *self.claim(N)?.first_chunk_mut().ok_or(BufferFull)? = octets;
        Ok(())
    }

    /// Appends so many octets, whatever they were, for the caller to fill in.
    ///
    /// # Errors
    /// As [`ReplyWriter::push`].
    #[inline]
    pub fn claim(&mut self, octets: usize) -> Result<&mut [u8], BufferFull> {
        let end = self.position + octets;
        if end > self.limit {
            return Err(BufferFull);
        }
        let target = self.out.get_mut(self.position..end).ok_or(BufferFull)?;
        self.position = end;
        Ok(target)
    }

    /// Appends 16 bits.
    ///
    /// # Errors
    /// As [`ReplyWriter::push`].
    pub fn push_u16(&mut self, value: u16) -> Result<(), BufferFull> {
        self.push_array(value.to_be_bytes())
    }

    /// Overwrites an octet that was written; one that was not stays.
    pub fn set_octet(&mut self, at: usize, value: u8) {
        if at < self.position
            && let Some(octet) = self.out.get_mut(at)
        {
            *octet = value;
        }
    }

    /// What was written from `position` on.
    pub fn written_from(&self, at: usize) -> &[u8] {
        self.out.get(at..self.position).unwrap_or(&[])
    }

    /// Counts records as part of a section.
    pub fn count(&mut self, section: Section, records: u16) {
        let [answer, authority, additional] = &mut self.counts;
        let count = match section {
            Section::Answer => answer,
            Section::Authority => authority,
            Section::Additional => additional,
        };
        *count = count.saturating_add(records);
    }

    /// How many records the answer section has so far.
    pub fn answer_count(&self) -> u16 {
        let [answer, ..] = self.counts;
        answer
    }

    /// This point, to [`ReplyWriter::rewind`] to.
    pub fn checkpoint(&self) -> ReplyCheckpoint {
        ReplyCheckpoint { position: self.position, counts: self.counts }
    }

    /// Forgets what was written since.
    pub fn rewind(&mut self, mark: ReplyCheckpoint) {
        self.position = mark.position;
        self.counts = mark.counts;
    }

    /// Writes the header and says how many octets the message has; 0 where the buffer has no room
    /// for a header.
    pub fn finish(&mut self, id: u16, flags: u16, questions: u16) -> usize {
        let [answer, authority, additional] = self.counts;
        let Some(header) = self.out.first_chunk_mut::<{ Header::OCTETS }>() else { return 0 };
        let [[a, b], [c, d], [e, f], [g, h], [i, j], [k, l]] =
            [id, flags, questions, answer, authority, additional].map(u16::to_be_bytes);
        *header = [a, b, c, d, e, f, g, h, i, j, k, l];
        self.position
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_not_written() {
        let mut out = [0xee; 20];
        let mut writer = ReplyWriter::new(&mut out, 16);
        writer.reserve(2);
        assert_eq!(writer.push(b"abc"), Err(BufferFull));
        assert_eq!(writer.push(b"ab"), Ok(()));
        let mark = writer.checkpoint();
        assert_eq!(writer.push(b"c"), Err(BufferFull));
        writer.release(2);
        writer.push(b"cd").unwrap();
        writer.count(Section::Answer, 1);
        writer.rewind(mark);
        writer.count(Section::Additional, 3);
        assert_eq!(writer.finish(7, 0x8000, 1), 14);
        assert_eq!(&out[..14], b"\0\x07\x80\0\0\x01\0\0\0\0\0\x03ab");
    }
}
