//! Any octets as master files that include each other: no panic, no copy of a file, every reported
//! place inside the file that it names, and never more memory than the budget.
//!
//! Octets of 0xff separate the files. The first is the zone's own file; the others are `f1`, `f2`
//! and so on.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use portolan::{
    dns::Name,
    zone::master::{self, Budget, IncludedFile},
};

/// A small budget, so that an input with many inclusions is read quickly.
const TEXT: u64 = 1 << 16;
const GENERATED: u64 = 1 << 10;
const RECORDS: u64 = 1 << 18;

fuzz_target!(|input: &[u8]| {
    let files: Vec<Arc<Vec<u8>>> =
        input.split(|&octet| octet == 0xff).map(|text| Arc::new(text.to_vec())).collect();
    let of_name =
        |path: &str| path.strip_prefix('f').and_then(|at| files.get(at.parse::<usize>().ok()?));
    let origin = Name::root().child(b"example").expect("a short label");
    let mut budget = Budget::new(TEXT, GENERATED, RECORDS);
    let mut taken = 0;
    let mut include = |path: &str| {
        let bytes = of_name(path).ok_or_else(|| format!("there is no file {path}"))?;
        Ok(IncludedFile { path: path.to_owned(), bytes: Arc::clone(bytes) })
    };
    let read = master::parse_each(
        &files[0],
        &origin,
        Some(300),
        &mut include,
        &mut budget,
        &mut |entry| {
            taken += (entry.record.owner.as_wire().len() + entry.record.rdata.len() + 64) as u64;
        },
    );
    assert!(taken <= RECORDS);
    assert_eq!(read.is_truncated, budget.is_exceeded());
    let texts: u64 = read.included.iter().map(|file| file.bytes.len() as u64).sum();
    assert!(texts <= TEXT);
    for file in &read.included {
        assert!(of_name(&file.path).is_some_and(|bytes| Arc::ptr_eq(bytes, &file.bytes)));
    }
    assert!(read.errors.len() <= 101);
    for error in &read.errors {
        let text = match (error.position.file as usize).checked_sub(1) {
            Some(at) => &read.included[at].bytes,
            None => &files[0],
        };
        assert!(error.span.end <= text.len() && error.message.len() <= 1003);
    }
});
