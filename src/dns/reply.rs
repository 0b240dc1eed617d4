//! Writing a reply into a given buffer, up to a given length, and counting the records of each
//! section for the header.

use super::header::Header;

/// The octets to be written exceed the limit of the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferFull;

/// A section of records in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// The answer section (RFC 1035 section 4.1).
    Answer,
    /// The authority section: the SOA of a negative answer or the NS of a referral.
    Authority,
    /// The additional section: addresses that the resolver is likely to need next, and OPT.
    Additional,
}

/// Writes a reply. A write beyond the limit fails and writes nothing. A record takes several
/// writes, so a caller rewinds a record that failed in the middle.
#[derive(Debug)]
pub struct ReplyWriter<'o> {
    out: &'o mut [u8],
    position: usize,
    limit: usize,
    counts: [u16; 3],
}

/// A point that a reply can be rewound to.
#[derive(Debug, Clone, Copy)]
pub struct ReplyCheckpoint {
    position: usize,
    counts: [u16; 3],
}

impl<'o> ReplyWriter<'o> {
    /// Starts after the header, which [`ReplyWriter::finish`] writes. The reply will have at most
    /// `limit` octets.
    pub fn new(out: &'o mut [u8], limit: usize) -> Self {
        let limit = limit.min(out.len());
        Self { out, position: Header::OCTETS, limit, counts: [0; 3] }
    }

    /// Reserves `octets` at the end for later records.
    pub fn reserve(&mut self, octets: usize) {
        self.limit = self.limit.saturating_sub(octets);
    }

    /// Releases octets that were reserved.
    pub fn release(&mut self, octets: usize) {
        self.limit = (self.limit + octets).min(self.out.len());
    }

    /// Lowers the limit to `octets`, not counting reserved octets.
    pub fn lower_limit(&mut self, octets: usize) {
        self.limit = self.limit.min(octets);
    }

    /// The offset of the next octet in the message.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Appends octets.
    ///
    /// # Errors
    /// [`BufferFull`], if they do not fit; nothing is written then.
    #[inline]
    pub fn push(&mut self, octets: &[u8]) -> Result<(), BufferFull> {
        self.push_for_patching(octets).map(|_| ())
    }

    /// Appends octets and returns them, so that the caller can overwrite some.
    ///
    /// # Errors
    /// The errors of [`ReplyWriter::push`].
    #[inline]
    pub fn push_for_patching(&mut self, octets: &[u8]) -> Result<&mut [u8], BufferFull> {
        let target = self.claim(octets.len())?;
        target.copy_from_slice(octets);
        Ok(target)
    }

    /// Appends an array. Its length is known at compile time, so the copy needs no call.
    ///
    /// # Errors
    /// The errors of [`ReplyWriter::push`].
    #[inline]
    pub fn push_array<const N: usize>(&mut self, octets: [u8; N]) -> Result<(), BufferFull> {
        *self.claim(N)?.first_chunk_mut().ok_or(BufferFull)? = octets;
        Ok(())
    }

    /// Appends `octets` octets of unspecified content, which the caller fills in.
    ///
    /// # Errors
    /// The errors of [`ReplyWriter::push`].
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

    /// Appends a 16-bit number in network order.
    ///
    /// # Errors
    /// The errors of [`ReplyWriter::push`].
    pub fn push_u16(&mut self, value: u16) -> Result<(), BufferFull> {
        self.push_array(value.to_be_bytes())
    }

    /// Overwrites the octet at an offset; does nothing if it was not written yet.
    pub fn set_octet(&mut self, offset: usize, value: u8) {
        if offset < self.position
            && let Some(octet) = self.out.get_mut(offset)
        {
            *octet = value;
        }
    }

    /// The octets written from `start` on.
    pub fn written_from(&self, start: usize) -> &[u8] {
        self.out.get(start..self.position).unwrap_or(&[])
    }

    /// Adds `records` to the count of a section.
    pub fn count(&mut self, section: Section, records: u16) {
        let [answer, authority, additional] = &mut self.counts;
        let count = match section {
            Section::Answer => answer,
            Section::Authority => authority,
            Section::Additional => additional,
        };
        *count = count.saturating_add(records);
    }

    /// The number of records in the answer section so far.
    pub fn answer_count(&self) -> u16 {
        let [answer, ..] = self.counts;
        answer
    }

    /// The present point, for [`ReplyWriter::rewind`].
    pub fn checkpoint(&self) -> ReplyCheckpoint {
        ReplyCheckpoint { position: self.position, counts: self.counts }
    }

    /// Discards everything written since the checkpoint.
    pub fn rewind(&mut self, checkpoint: ReplyCheckpoint) {
        self.position = checkpoint.position;
        self.counts = checkpoint.counts;
    }

    /// Writes the header and returns the length of the message in octets; 0 if the buffer is
    /// shorter than a header.
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
    fn octets_that_do_not_fit_are_not_written() {
        let mut out = [0xee; 20];
        let mut writer = ReplyWriter::new(&mut out, 16);
        writer.reserve(2);
        assert_eq!(writer.push(b"abc"), Err(BufferFull));
        assert_eq!(writer.push(b"ab"), Ok(()));
        let checkpoint = writer.checkpoint();
        assert_eq!(writer.push(b"c"), Err(BufferFull));
        writer.release(2);
        writer.push(b"cd").unwrap();
        writer.count(Section::Answer, 1);
        writer.rewind(checkpoint);
        writer.count(Section::Additional, 3);
        assert_eq!(writer.finish(7, 0x8000, 1), 14);
        assert_eq!(&out[..14], b"\0\x07\x80\0\0\x01\0\0\0\0\0\x03ab");
    }
}
