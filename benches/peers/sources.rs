//! Source addresses that stand for clients, for a server that decides by the source address alone.
//!
//! All traffic here is from loopback, which no database locates. Such a server gets a copy of the
//! database with each client's record under an address of 127.1.0.0/16 as well, and is queried from
//! there.

use std::{
    collections::HashMap,
    fs,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
};

use ipnet::IpNet;
use maxminddb::{Reader, WithinOptions};
use mmdb_writer::{IpVersion, Ipv4Aliasing, Value, Writer};

use crate::BenchResult;

/// The first of 65,536 addresses that stand for clients.
const FIRST: u32 = 0x7f01_0000;

/// The source address for each client.
pub(crate) struct Sources {
    /// All networks of the original database, and those of the sources.
    pub(crate) database: PathBuf,
    by_client: HashMap<Ipv4Addr, Ipv4Addr>,
}

impl Sources {
    /// Writes the copy of the database into `site`.
    ///
    /// # Errors
    /// The original cannot be read, or the copy cannot be written.
    pub(crate) fn new(database: &Path, clients: &[Ipv4Addr], site: &Path) -> BenchResult<Self> {
        let sources = (FIRST..).map(Ipv4Addr::from);
        let by_client: HashMap<Ipv4Addr, Ipv4Addr> = clients.iter().copied().zip(sources).collect();
        let reader = Reader::open_readfile(database)?;
        let version = if reader.metadata().ip_version == 4 { IpVersion::V4 } else { IpVersion::V6 };
        // The original may contain other networks in the IPv6 ranges that repeat IPv4.
        let kind = reader.metadata().database_type.clone();
        let mut writer =
            Writer::builder(kind).ip_version(version).ipv4_aliasing(Ipv4Aliasing::Disabled).build();
        for network in reader.networks(WithinOptions::default())? {
            let network = network?;
            if let Some(record) = network.decode::<Value>()? {
                let prefix = network.network()?;
                writer.insert_value(IpNet::new(prefix.ip(), prefix.prefix())?, record)?;
            }
        }
        for (&client, &source) in &by_client {
            if let Some(record) = reader.lookup(IpAddr::V4(client))?.decode::<Value>()? {
                writer.insert_value(IpNet::new(IpAddr::V4(source), 32)?, record)?;
            }
        }
        let copy = site.join("sources.mmdb");
        fs::write(&copy, writer.to_bytes()?)?;
        Ok(Self { database: copy, by_client })
    }

    /// The source address for a client. For a client without a location it is an address without
    /// one.
    pub(crate) fn of(&self, client: Ipv4Addr) -> Ipv4Addr {
        self.by_client.get(&client).copied().unwrap_or(Ipv4Addr::LOCALHOST)
    }
}
