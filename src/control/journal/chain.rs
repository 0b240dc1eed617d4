//! The chain: each line of the journal has the hash of the line before, so that a line that was
//! changed or removed is noticed.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The SHA-256 of a line, without its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct LineHash([u8; 32]);

impl LineHash {
    pub(super) fn of(line: &[u8]) -> Self {
        Self(Sha256::digest(line).into())
    }
}

impl Serialize for LineHash {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&HEXLOWER.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for LineHash {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        let octets =
            HEXLOWER.decode(text.as_bytes()).ok().and_then(|octets| octets.try_into().ok());
        octets.map(Self).ok_or_else(|| serde::de::Error::custom("no SHA-256 in hexadecimal"))
    }
}
