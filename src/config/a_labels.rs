//! Names with letters outside of ASCII, as the A-labels that resolvers ask for (RFC 5890, UTS 46).

use std::borrow::Cow;

use crate::dns::Name;

/// A name with its letters outside of ASCII as A-labels; `None` where these do not exist.
pub(super) fn to_a_labels(text: &str) -> Option<Cow<'_, str>> {
    if text.is_ascii() {
        return Some(text.into());
    }
    idna::domain_to_ascii(text).ok().map(Into::into)
}

/// The A-labels of a name whose octets are UTF-8 text outside of ASCII.
pub(super) fn a_labels_of_wire(wire: &[u8]) -> Option<String> {
    if wire.is_ascii() {
        return None;
    }
    let name = Name::from_wire(wire).ok()?;
    let labels: Option<Vec<&str>> =
        name.labels().map(|label| std::str::from_utf8(label).ok()).collect();
    idna::domain_to_ascii(&labels?.join(".")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_outside_of_ascii_have_a_labels_if_they_are_text() {
        assert_eq!(
            a_labels_of_wire("\u{7}b\u{fc}cher\u{1}x\u{0}".as_bytes()).as_deref(),
            Some("xn--bcher-kva.x")
        );
        assert_eq!(a_labels_of_wire(b"\x02\xff\xfe\x01x\0"), None);
        assert_eq!(a_labels_of_wire(b"\x03www\x01x\0"), None);
    }
}
