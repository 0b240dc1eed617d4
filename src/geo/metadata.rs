//! Optional keys of the metadata of a MaxMind DB file. The format makes `description` and
//! `languages` optional, but `maxminddb` requires them, so a file without them gets empty ones in
//! memory.

use maxminddb::Reader;

/// The octets that precede the metadata, which is the last part of a file.
const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";
/// The control octet of a map. Its lower five bits are the number of entries.
const MAP_CONTROL: u8 = 0xe0;
/// From this number on, more octets follow the control octet.
const EXTENDED_SIZE: u8 = 29;
/// Each optional key, and the octets of its entry: the key as a string, and an empty map or array.
const OPTIONAL_KEYS: [(&str, &[u8]); 2] =
    [("description", b"\x4bdescription\xe0"), ("languages", b"\x49languages\x00\x04")];

/// The octets of a file, with the optional keys that its metadata lacks added.
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

/// Inserts an entry before all others of the metadata.
fn insert_entry(bytes: &mut Vec<u8>, entry: &[u8]) {
    let Some(marker) = bytes.windows(MARKER.len()).rposition(|window| window == MARKER) else {
        return;
    };
    let map = marker + MARKER.len();
    if let Some(control) = bytes.get_mut(map)
        && *control >= MAP_CONTROL
        && *control & !MAP_CONTROL < EXTENDED_SIZE - 1
    {
        *control += 1;
        bytes.splice(map + 1..map + 1, entry.iter().copied());
    }
}
