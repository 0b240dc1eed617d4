//! Tests of geography as a whole, over the sample databases where they are present and over ones written here.

mod broken;

use std::path::PathBuf;

use super::Database;

/// The bytes of a sample database, or `None` and a message where the samples are not there.
fn sample(name: &str) -> Option<Vec<u8>> {
    let path = samples()?.join(name);
    Some(std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// The directory of sample databases.
fn samples() -> Option<PathBuf> {
    let shared = std::env::var_os("PORTOLAN_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let geoip = shared.join("geoip");
    if geoip.is_dir() {
        return Some(geoip);
    }
    println!("skipped: no sample databases; PORTOLAN_SHARED may name the directory that has them");
    None
}
