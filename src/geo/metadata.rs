//! Keys of a MaxMind DB file's metadata that the format makes optional and `maxminddb` demands:
//! `description` and `languages`. A file without them gets them, empty, in memory.

use maxminddb::Reader;

/// What stands in front of the metadata, which is the last part of a file.
const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";
/// The control octet of a map; the five lower bits are the number of its entries.
const MAP_CONTROL: u8 = 0xe0;
/// With so many entries their number is not in the control octet alone.
const EXTENDED_SIZE: u8 = 29;
/// Each optional key with the octets of an empty entry: a string, and an empty map or array.
const OPTIONAL_KEYS: [(&str, &[u8]); 2] =
    [("description", b"\x4bdescription\xe0"), ("languages", b"\x49languages\x00\x04")];

/// The octets of a file with the optional keys that its metadata lacks.
pub(super) fn with_optional_keys(mut bytes: Vec<u8>) -> Vec<u8> {
    for (key, entry) in OPTIONAL_KEYS {
        let is_missing = Reader::from_source(&bytes[..])
            .is_err_and(|error| error.to_string().contains(&format!("missing field `{key}`")));
        if is_missing {
            insert_entry(&mut bytes, entry);
        }
    }
    bytes
}

/// Puts an entry in front of the others.
fn insert_entry(bytes: &mut Vec<u8>, entry: &[u8]) {
    let Some(marker) = bytes.windows(MARKER.len()).rposition(|window| window == MARKER) else {
        return;
    };
    let at = marker + MARKER.len();
    if let Some(control) = bytes.get_mut(at)
        && *control >= MAP_CONTROL
        && *control & !MAP_CONTROL < EXTENDED_SIZE - 1
    {
        *control += 1;
        bytes.splice(at + 1..at + 1, entry.iter().copied());
    }
}
