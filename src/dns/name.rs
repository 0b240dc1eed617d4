//! Domain names in wire format (RFC 1035 section 3.1), as owners and keys: lower-cased,
//! uncompressed.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A domain name, absolute, in lower-cased uncompressed wire form (RFC 4034 section 6.2): length
/// octets and labels, and the root's zero at the end; 1 to 255 octets. Order is by wire bytes and
/// has no DNS meaning.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Box<[u8]>);

/// The reason why a text or octets are not a domain name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// The text is empty; the root is written `.`.
    Empty,
    /// The text has two dots in a row or starts with a dot.
    EmptyLabel,
    /// A label is longer than 63 octets.
    LongLabel,
    /// The name is longer than 255 octets.
    LongName,
    /// A backslash neither escapes a character nor starts three digits up to 255.
    BadEscape,
    /// The octets end early, have a pointer, or continue after the root.
    BadWire,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the name is empty (the root is written \".\")",
            Self::EmptyLabel => "the name has an empty label (two dots in a row, or a dot in front)",
            Self::LongLabel => "a label of the name is longer than 63 octets",
            Self::LongName => "the name is longer than 255 octets",
            Self::BadEscape => {
                "the name has a backslash that neither escapes a character nor starts three digits up to 255"
            }
            Self::BadWire => "the octets are not an uncompressed domain name",
        })
    }
}

impl std::error::Error for NameError {}

impl Name {
    /// The longest name, in octets (RFC 1035 section 2.3.4).
    pub const MAX_OCTETS: usize = 255;

    /// The root, a name of one octet.
    pub fn root() -> Self {
        Self(Box::new([0]))
    }

    /// Reads an uncompressed name in wire format, which must be all of `wire`, and lower-cases it.
    ///
    /// # Errors
    /// [`NameError::BadWire`], unless the octets are exactly one uncompressed name;
    /// [`NameError::LongName`] over 255 octets.
    pub fn from_wire(wire: &[u8]) -> Result<Self, NameError> {
        let mut offset = 0;
        loop {
            let length = usize::from(*wire.get(offset).ok_or(NameError::BadWire)?);
            if length == 0 {
                break;
            }
            if length > 63 {
                return Err(NameError::BadWire);
            }
            offset += 1 + length;
        }
        if offset + 1 != wire.len() {
            return Err(NameError::BadWire);
        }
        if wire.len() > Self::MAX_OCTETS {
            return Err(NameError::LongName);
        }
        Ok(Self(wire.to_ascii_lowercase().into_boxed_slice()))
    }

    /// The octets of the name, lower-cased, including the zero of the root.
    pub fn as_wire(&self) -> &[u8] {
        &self.0
    }

    /// The number of labels without the root.
    pub fn label_count(&self) -> usize {
        self.labels().count()
    }

    /// The labels from the left, without length octets and without the root.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let (&length, tail) = rest.split_first()?;
            if length == 0 {
                return None;
            }
            let (label, tail) = tail.split_at(usize::from(length));
            rest = tail;
            Some(label)
        })
    }

    /// The name without its leftmost label; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        let (&length, rest) = self.0.split_first().filter(|(length, _)| **length != 0)?;
        Some(Self(rest.get(usize::from(length)..)?.into()))
    }

    /// The name of `label` directly below this name.
    ///
    /// # Errors
    /// [`NameError::LongLabel`] or [`NameError::LongName`]; [`NameError::EmptyLabel`] for an empty
    /// label.
    pub fn child(&self, label: &[u8]) -> Result<Self, NameError> {
        let length = match label.len() {
            0 => return Err(NameError::EmptyLabel),
            1..=63 => label.len() as u8,
            _ => return Err(NameError::LongLabel),
        };
        let wire = [&[length], label, &self.0].concat();
        if wire.len() > Self::MAX_OCTETS {
            return Err(NameError::LongName);
        }
        Ok(Self(wire.to_ascii_lowercase().into_boxed_slice()))
    }

    /// Whether this name is `ancestor` or below it.
    pub fn is_at_or_below(&self, ancestor: &Self) -> bool {
        let mut rest = &self.0[..];
        while rest.len() > ancestor.0.len() {
            let Some((&length, tail)) = rest.split_first() else { return false };
            rest = tail.get(usize::from(length)..).unwrap_or_default();
        }
        *rest == *ancestor.0
    }

    /// Whether the name is the root.
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// Whether the leftmost label is `*` (RFC 4592 section 2.1.1).
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with(b"\x01*")
    }
}

impl FromStr for Name {
    type Err = NameError;

    /// Reads presentation format, with escapes (RFC 1035 section 5.1). Every name is absolute, with
    /// or without the final dot.
    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text == "." {
            return Ok(Self::root());
        }
        let mut wire = Vec::with_capacity(text.len() + 2);
        let mut label = Vec::new();
        let mut bytes = text.bytes();
        let end_label = |wire: &mut Vec<u8>, label: &mut Vec<u8>| {
            match label.len() {
                0 => return Err(NameError::EmptyLabel),
                1..=63 => wire.push(label.len() as u8),
                _ => return Err(NameError::LongLabel),
            }
            wire.append(label);
            Ok(())
        };
        while let Some(byte) = bytes.next() {
            match byte {
                b'.' => end_label(&mut wire, &mut label)?,
                b'\\' => label.push(unescape(&mut bytes)?),
                _ => label.push(byte),
            }
        }
        if !label.is_empty() {
            end_label(&mut wire, &mut label)?;
        }
        wire.push(0);
        if wire.len() > Self::MAX_OCTETS {
            return Err(NameError::LongName);
        }
        wire.make_ascii_lowercase();
        Ok(Self(wire.into_boxed_slice()))
    }
}

/// Reads the rest of an escape after its backslash: `DDD` or any other character.
fn unescape(bytes: &mut std::str::Bytes<'_>) -> Result<u8, NameError> {
    let first = bytes.next().ok_or(NameError::BadEscape)?;
    if !first.is_ascii_digit() {
        return Ok(first);
    }
    let mut number = u16::from(first - b'0');
    for _ in 0..2 {
        let digit = bytes.next().filter(u8::is_ascii_digit).ok_or(NameError::BadEscape)?;
        number = number * 10 + u16::from(digit - b'0');
    }
    u8::try_from(number).map_err(|_| NameError::BadEscape)
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.to_string()
    }
}

impl fmt::Display for Name {
    /// Presentation format without the final dot; the root is `.`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str(".");
        }
        for (index, label) in self.labels().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            for &byte in label {
                match byte {
                    b'.' | b'\\' | b'"' | b'(' | b')' | b';' | b'@' | b'$' => {
                        write!(f, "\\{}", char::from(byte))?
                    }
                    b'!'..=b'~' => write!(f, "{}", char::from(byte))?,
                    _ => write!(f, "\\{byte:03}")?,
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presentation_format_and_wire_format_are_the_same_name() {
        for (text, wire, shown) in [
            (".", &b"\0"[..], "."),
            ("Example.COM.", b"\x07example\x03com\0", "example.com"),
            ("a\\.b.c", b"\x03a.b\x01c\0", "a\\.b.c"),
            ("\\000\\255.x", b"\x02\x00\xff\x01x\0", "\\000\\255.x"),
            ("*.x", b"\x01*\x01x\0", "*.x"),
        ] {
            let name: Name = text.parse().unwrap();
            assert_eq!(name.as_wire(), wire, "{text}");
            assert_eq!(name.to_string(), shown);
            assert_eq!(Name::from_wire(wire).unwrap(), name);
            assert_eq!(shown.parse::<Name>().unwrap(), name);
        }
    }

    #[test]
    fn a_text_that_is_not_a_name_is_refused_with_its_reason() {
        let long_label = "x".repeat(64);
        let long_name = "abcdefg.".repeat(32);
        for (text, error) in [
            ("", NameError::Empty),
            ("..", NameError::EmptyLabel),
            (".a", NameError::EmptyLabel),
            ("a..b", NameError::EmptyLabel),
            ("a\\", NameError::BadEscape),
            ("a\\25", NameError::BadEscape),
            ("a\\256", NameError::BadEscape),
            (&long_label, NameError::LongLabel),
            (&long_name, NameError::LongName),
        ] {
            assert_eq!(text.parse::<Name>(), Err(error), "{text}");
        }
    }

    #[test]
    fn a_name_is_below_its_ancestors_only() {
        let below =
            |a: &str, b: &str| a.parse::<Name>().unwrap().is_at_or_below(&b.parse().unwrap());
        assert!(below("www.example.com", "example.com"));
        assert!(below("example.com", "example.com"));
        assert!(below("example.com", "."));
        assert!(!below("example.com", "www.example.com"));
        assert!(!below("badexample.com", "example.com"));
    }
}
