//! The name being looked up: on the stack, lower-cased, with the offset of each label, so that
//! every suffix is a slice.

use super::name::{Name, NameError};

/// A name in lower-cased uncompressed wire form, with the offsets of its labels. It is reused along
/// a chain of aliases and never allocates.
#[derive(Clone)]
pub struct LookupName {
    octets: [u8; Name::MAX_OCTETS],
    /// The offset of each label's length octet, leftmost first; the root's follows the last.
    label_starts: [u8; 128],
    length: u8,
    label_count: u8,
}

impl LookupName {
    /// The root, a name of one octet.
    pub fn root() -> Self {
        Self { octets: [0; Name::MAX_OCTETS], label_starts: [0; 128], length: 1, label_count: 0 }
    }

    /// Replaces this name by the uncompressed name at `offset` of `message`, and returns the offset
    /// after it. A question has no compressed name.
    ///
    /// # Errors
    /// [`NameError::BadWire`], if the message ends early or the name has a pointer;
    /// [`NameError::LongName`] over 255 octets. This name is meaningless then.
    pub fn read(&mut self, message: &[u8], offset: usize) -> Result<usize, NameError> {
        let end = self.replace_with(message.get(offset..).ok_or(NameError::BadWire)?)?;
        Ok(offset + end)
    }

    /// Replaces this name by `labels` (complete labels without the root), followed by `suffix` (an
    /// uncompressed name).
    ///
    /// # Errors
    /// The errors of [`LookupName::read`]; this name is the root then.
    pub fn assemble(&mut self, labels: &[u8], suffix: &[u8]) -> Result<(), NameError> {
        let mut octets = [0; Name::MAX_OCTETS];
        let length = labels.len() + suffix.len();
        let target = octets.get_mut(..length).ok_or(NameError::LongName);
        let result = target.and_then(|target| {
            let (front, back) = target.split_at_mut(labels.len());
            front.copy_from_slice(labels);
            back.copy_from_slice(suffix);
            self.replace_with(target)
        });
        if result.is_err() {
            *self = Self::root();
        }
        result.map(|_| ())
    }

    /// Replaces this name by the name at the start of `wire`, and returns its length.
    fn replace_with(&mut self, wire: &[u8]) -> Result<usize, NameError> {
        let (mut offset, mut labels) = (0_usize, 0_usize);
        loop {
            let length = usize::from(*wire.get(offset).ok_or(NameError::BadWire)?);
            // 127 labels of one octet fill a name, so a 128th is the root or one too many.
            *self.label_starts.get_mut(labels).ok_or(NameError::LongName)? = offset as u8;
            if length == 0 {
                break;
            }
            if length > 63 {
                return Err(NameError::BadWire);
            }
            offset += 1 + length;
            labels += 1;
            if offset >= Name::MAX_OCTETS {
                return Err(NameError::LongName);
            }
        }
        let end = offset + 1;
        let (target, wire) =
            self.octets.get_mut(..end).zip(wire.get(..end)).ok_or(NameError::LongName)?;
        copy_lowercase(target, wire);
        self.length = end as u8;
        self.label_count = labels as u8;
        Ok(end)
    }

    /// The octets of the name, including the zero of the root.
    pub fn as_wire(&self) -> &[u8] {
        self.octets.get(..usize::from(self.length)).unwrap_or(&[0])
    }

    /// The number of labels without the root.
    pub fn label_count(&self) -> usize {
        usize::from(self.label_count)
    }

    /// The offset in the name at which its last `labels` labels start; 0 if it has no more labels
    /// than that.
    pub fn suffix_start(&self, labels: usize) -> usize {
        let skipped = self.label_count().saturating_sub(labels);
        self.label_starts.get(skipped).map_or(0, |&start| usize::from(start))
    }

    /// The octets of the last `labels` labels and the root.
    pub fn suffix(&self, labels: usize) -> &[u8] {
        self.as_wire().get(self.suffix_start(labels)..).unwrap_or(&[0])
    }

    /// The octets of the labels before the last `labels` ones, without a root.
    pub fn prefix(&self, labels: usize) -> &[u8] {
        self.as_wire().get(..self.suffix_start(labels)).unwrap_or(&[])
    }
}

/// Copies a name, lower-cased; both slices have the same length. Length octets stay as they are,
/// because they are below 64 and letters are not.
#[inline]
fn copy_lowercase(target: &mut [u8], wire: &[u8]) {
    if !copy_in_chunks::<16>(target, wire) && !copy_in_chunks::<8>(target, wire) {
        target.iter_mut().zip(wire).for_each(|(to, from)| *to = from.to_ascii_lowercase());
    }
}

/// Copies in chunks of `N` octets: all complete chunks, then the last `N` octets, which may overlap
/// the last chunk. `false` if there are fewer than `N`.
#[inline]
fn copy_in_chunks<const N: usize>(target: &mut [u8], wire: &[u8]) -> bool {
    let (targets, _) = target.as_chunks_mut::<N>();
    let (chunks, _) = wire.as_chunks();
    for (to, from) in targets.iter_mut().zip(chunks) {
        *to = from.map(|octet| octet.to_ascii_lowercase());
    }
    let ends = target.last_chunk_mut::<N>().zip(wire.last_chunk());
    ends.map(|(to, from)| *to = from.map(|octet| octet.to_ascii_lowercase())).is_some()
}

impl Default for LookupName {
    fn default() -> Self {
        Self::root()
    }
}

impl std::fmt::Debug for LookupName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match Name::from_wire(self.as_wire()) {
            Ok(name) => write!(f, "LookupName({name})"),
            Err(_) => f.write_str("LookupName(?)"),
        }
    }
}

impl From<&Name> for LookupName {
    fn from(name: &Name) -> Self {
        let mut lookup = Self::root();
        // A `Name` is one well-formed name of at most 255 octets, so this cannot fail.
        let _ = lookup.replace_with(name.as_wire());
        lookup
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suffix_of_a_name_is_a_slice_of_it() {
        let mut name = LookupName::root();
        let end = name.read(b"..\x03WwW\x07eXample\x03com\0rest", 2).unwrap();
        assert_eq!(end, 2 + 17);
        assert_eq!(name.as_wire(), b"\x03www\x07example\x03com\0");
        assert_eq!(name.label_count(), 3);
        assert_eq!(name.suffix(2), b"\x07example\x03com\0");
        assert_eq!(name.suffix(0), b"\0");
        assert_eq!(name.prefix(1), b"\x03www\x07example");
        assert_eq!(name.suffix(9), name.as_wire());
    }

    #[test]
    fn a_name_in_a_question_is_complete_and_uncompressed() {
        for (bytes, error) in [
            (&b"\x03ww"[..], NameError::BadWire),
            (b"\x01a", NameError::BadWire),
            (b"", NameError::BadWire),
            (b"\xc0\x0c", NameError::BadWire),
            (b"\x01a\xc0\x0c", NameError::BadWire),
            (b"\x40aaaa", NameError::BadWire),
        ] {
            assert_eq!(LookupName::root().read(bytes, 0), Err(error), "{bytes:?}");
        }
        let longest = [&b"\x01a".repeat(127)[..], b"\0"].concat();
        assert_eq!(longest.len(), 255);
        let mut name = LookupName::root();
        assert_eq!(name.read(&longest, 0), Ok(255));
        assert_eq!(
            (name.label_count(), name.suffix(127).len(), name.suffix(1)),
            (127, 255, &b"\x01a\0"[..])
        );
        let too_long = [&b"\x01a".repeat(126)[..], b"\x02aa\0"].concat();
        assert_eq!(name.read(&too_long, 0), Err(NameError::LongName));
    }

    #[test]
    fn every_octet_is_lower_cased_as_ascii_at_every_position() {
        for length in 1..=33 {
            for octet in 0..=u8::MAX {
                for position in 0..length {
                    let mut wire = vec![b'Q'; length];
                    wire[position] = octet;
                    let mut target = vec![0; length];
                    copy_lowercase(&mut target, &wire);
                    assert_eq!(target, wire.to_ascii_lowercase());
                }
            }
        }
    }

    #[test]
    fn a_name_is_assembled_of_labels_and_a_suffix() {
        let mut name = LookupName::root();
        name.assemble(b"\x01A", b"\x02bc\0").unwrap();
        assert_eq!(name.as_wire(), b"\x01a\x02bc\0");
        assert_eq!(name.assemble(&b"\x01a".repeat(127), b"\x01a\0"), Err(NameError::LongName));
        assert_eq!(name.as_wire(), b"\0");
    }
}
