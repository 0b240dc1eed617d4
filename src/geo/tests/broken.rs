//! Damaged files are refused within a second, each with a reason on one line; valid files are read.

use std::time::{Duration, Instant};

use super::*;

/// The reason for a refusal, or the number of networks in the file.
fn outcome(name: &str) -> Option<String> {
    let bytes = sample(name)?;
    let started = Instant::now();
    let outcome = match Database::open("db", bytes) {
        Ok(database) => format!("{} networks", database.network_count()),
        Err(error) => error.to_string(),
    };
    assert!(started.elapsed() < Duration::from_secs(1), "{name} took {:?}", started.elapsed());
    Some(outcome)
}

#[test]
fn every_sample_file_is_refused_with_its_reason_or_read() {
    for line in GOLDEN.trim().lines() {
        let (name, expected) = line.split_once(": ").unwrap();
        if let Some(outcome) = outcome(name) {
            assert_eq!(outcome, expected, "{name}");
        }
    }
}

#[test]
fn no_sample_file_is_left_out() {
    let Some(directory) = samples() else { return };
    for folder in ["bad", "maxmind-test"] {
        for entry in std::fs::read_dir(directory.join(folder)).unwrap() {
            let name = format!("{folder}/{}", entry.unwrap().file_name().to_str().unwrap());
            assert!(!name.ends_with(".mmdb") || GOLDEN.contains(&format!("\n{name}: ")), "{name}");
        }
    }
}

const GOLDEN: &str = include_str!("broken.txt");

/// The format makes `description` and `languages` optional.
#[test]
fn metadata_without_optional_keys_is_accepted() {
    const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";
    // The first five of the seven entries of a map. The last two are copied from the writer.
    const ENTRIES: &[u8] =
        b"\xe7\x5bbinary_format_major_version\xa1\x02\x5bbinary_format_minor_version\xa0\
        \x4bbuild_epoch\x04\x02\x6b\x0c\xb7\x94\x4ddatabase_type\x47Country\x4aip_version\xa1\x06";
    let file = bytes("Country", &[("192.0.2.0/24", country("DE"))]);
    let find =
        |octets: &[u8]| file.windows(octets.len()).rposition(|window| window == octets).unwrap();
    let counts = &file[find(b"\x4anode_count")..];
    assert!(
        counts.windows(11).any(|window| window == b"record_size"),
        "the last two entries: {}",
        counts.escape_ascii()
    );
    let database =
        Database::open("db", [&file[..find(MARKER)], MARKER, ENTRIES, counts].concat()).unwrap();
    let (location, _) = database.lookup("192.0.2.1".parse().unwrap());
    assert_eq!(location.country.as_deref(), Some("DE"));
}
