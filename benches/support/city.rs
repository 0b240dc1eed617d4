//! The city database of 4.1 million networks, and configurations that are written for a benchmark.

use std::{fs, path::PathBuf, sync::Arc};

use portolan::{
    config::{Config, SourceOptions, Sources},
    geo::{Database, Databases},
};

/// The database, from the directory that `PORTOLAN_SHARED` names; `None`, with a message, without
/// it.
pub(crate) fn databases() -> Option<Databases> {
    let shared = std::env::var_os("PORTOLAN_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let Ok(octets) = fs::read(shared.join("geoip/bench-city.mmdb")) else {
        println!("skipped: PORTOLAN_SHARED names no directory with geoip/bench-city.mmdb");
        return None;
    };
    let database = Database::open("bench-city", octets).expect("a sound database");
    Some(Databases::new(vec![Arc::new(database)]))
}

/// The configuration of one file of tables.
pub(crate) fn load(tables: String) -> Config {
    let directory = tempfile::tempdir().expect("a temporary directory");
    fs::write(directory.path().join("x.toml"), tables).expect("a file");
    let locations =
        SourceOptions { zones: Some(directory.path().to_owned()), ..SourceOptions::default() };
    match Config::load(&Sources::read(&locations)) {
        Ok((config, _)) => config,
        Err(errors) => panic!("{errors}"),
    }
}
