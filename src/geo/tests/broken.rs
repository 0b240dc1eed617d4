//! Broken files are refused, quickly and each with its reason on one line; sound ones are taken.

use std::time::{Duration, Instant};

use super::*;

/// The reason for a refusal, or how many networks the file has.
fn verdict(name: &str) -> Option<String> {
    let bytes = sample(name)?;
    let started = Instant::now();
    let verdict = match Database::open("db", bytes) {
        Ok(database) => format!("{} networks", database.network_count()),
        Err(error) => error.to_string(),
    };
    assert!(started.elapsed() < Duration::from_secs(1), "{name} took {:?}", started.elapsed());
    Some(verdict)
}

#[test]
fn every_sample_file_is_refused_with_its_reason_or_taken() {
    for line in GOLDEN.trim().lines() {
        let (name, expected) = line.split_once(": ").unwrap();
        if let Some(verdict) = verdict(name) {
            assert_eq!(verdict, expected, "{name}");
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
    let mut bytes = bytes("Country", &[("192.0.2.0/24", country("DE"))]);
    let entries: [&[u8]; 2] = [b"\x4bdescription\xe1\x42en\x51written by a test", b"\x49languages\x00\x04"];
    for entry in entries {
        let at = bytes.windows(entry.len()).position(|window| window == entry).expect("the writer's form");
        bytes.drain(at..at + entry.len());
        let marker = b"\xab\xcd\xefMaxMind.com";
        let map = bytes.windows(marker.len()).rposition(|window| window == marker).unwrap() + marker.len();
        bytes[map] -= 1;
        let database = Database::open("db", bytes.clone()).unwrap();
        let (location, _) = database.lookup("192.0.2.1".parse().unwrap());
        assert_eq!(location.country.as_deref(), Some("DE"));
    }
}
