//! Any octets as a master file: no panic, every reported place inside the text, and the octets of
//! each record decode to the same record.

#![no_main]

use std::{fmt::Write, sync::Arc};

use libfuzzer_sys::fuzz_target;
use portolan::{
    dns::Name,
    zone::master::{self, IncludedFile, MasterFile},
};

fn read(text: &[u8]) -> MasterFile {
    let origin = Name::root().child(b"example").expect("a short label");
    // An included file includes itself, or the same content under further names.
    let bytes = Arc::new(text.to_vec());
    master::parse(text, &origin, Some(300), &mut |path| {
        Ok(IncludedFile { path: path.to_owned(), bytes: Arc::clone(&bytes) })
    })
}

fuzz_target!(|text: &[u8]| {
    let file = read(text);
    assert!(file.errors.iter().all(|error| error.span.end <= text.len()));
    for entry in file.entries.iter().take(10) {
        let record = &entry.record;
        let dot = if record.owner.is_root() { "" } else { "." };
        let mut line = format!(
            "{}{dot} {} {} \\# {} ",
            record.owner,
            record.ttl_secs,
            record.rtype,
            record.rdata.len()
        );
        for octet in &record.rdata {
            write!(line, "{octet:02x}").expect("a string takes everything");
        }
        let again = read(line.as_bytes());
        assert!(again.errors.is_empty(), "{line}: {:?}", again.errors);
        assert_eq!(again.entries[0].record, *record);
    }
});
