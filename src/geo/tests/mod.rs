//! Tests of the whole module, with the sample databases if they are present, and with databases
//! that the tests write.

mod broken;
mod merging;
mod scopes;

use std::{path::PathBuf, sync::Arc};

use ipnet::IpNet;
use mmdb_writer::{Value, Writer};

use super::{Database, Databases};

/// The octets of a sample database; `None`, with a message, if the samples are not present.
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

fn open(label: &str, bytes: Vec<u8>) -> Arc<Database> {
    Arc::new(Database::open(label, bytes).unwrap())
}

/// A database of these networks.
fn written(kind: &str, networks: &[(&str, Value)]) -> Arc<Database> {
    open(kind, bytes(kind, networks))
}

fn bytes(kind: &str, networks: &[(&str, Value)]) -> Vec<u8> {
    let mut writer = Writer::builder(kind).description(&[("en", "written by a test")]).build();
    for (network, value) in networks {
        writer.insert_value(network.parse::<IpNet>().unwrap(), value.clone()).unwrap();
    }
    writer.to_bytes().unwrap()
}

fn databases(list: &[Arc<Database>]) -> Databases {
    Databases::new(list.to_vec())
}

/// A record with a country alone: `{"country": {"iso_code": code}}`.
fn country(code: &str) -> Value {
    Value::map([("country", Value::map([("iso_code", Value::from(code))]))])
}
