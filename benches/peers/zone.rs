//! The data that every server serves: one steered zone and one large zone. The configuration of
//! each server is written from it.

use std::{
    fmt::Write,
    net::{Ipv4Addr, Ipv6Addr},
};

/// The steered zone, which also has a few hundred plain names.
pub(crate) const STEERED: &str = "example.test";
/// The zone of 100,000 plain names.
pub(crate) const LARGE: &str = "many.test";
/// The name that is answered by the client's continent.
pub(crate) const GEO: &str = "geo.example.test";
/// The name of the weighted service.
pub(crate) const WEIGHTED: &str = "weighted.example.test";

/// The TTL of plain records, in seconds.
pub(crate) const TTL: u32 = 300;
/// The TTL of answers that depend on the client, in seconds.
pub(crate) const STEERED_TTL: u32 = 30;
/// The rdata of both SOA records. The last number is the TTL of negative answers.
pub(crate) const SOA: &str = "ns1.example.test. hostmaster.example.test. 1 7200 3600 1209600 60";
/// The name server of both zones.
pub(crate) const NAMESERVER: &str = "ns1.example.test";
pub(crate) const NAMESERVER_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);

const HOSTS: u32 = 500;
const MANY_HOSTS: u32 = 100_000;

/// A datacenter of the steered zone.
pub(crate) struct Datacenter {
    pub(crate) name: &'static str,
    pub(crate) ipv4: Ipv4Addr,
    pub(crate) ipv6: Ipv6Addr,
    /// The continents of its clients, as the database codes them.
    pub(crate) continents: &'static [&'static str],
}

/// The datacenters. The first also gets clients without a location and those of Antarctica.
pub(crate) const DATACENTERS: [Datacenter; 5] = [
    datacenter(1, "iad", &["NA"]),
    datacenter(2, "fra", &["EU", "AF"]),
    datacenter(3, "gru", &["SA"]),
    datacenter(4, "sin", &["AS"]),
    datacenter(5, "syd", &["OC"]),
];

const fn datacenter(
    number: u8,
    name: &'static str,
    continents: &'static [&'static str],
) -> Datacenter {
    let ipv6 = Ipv6Addr::new(0x2001, 0xdb8, number as u16, 0, 0, 0, 0, 1);
    Datacenter { name, ipv4: Ipv4Addr::new(198, 51, 100, number), ipv6, continents }
}

/// The members of [`WEIGHTED`].
pub(crate) const MEMBERS: [(Ipv4Addr, u32); 2] =
    [(Ipv4Addr::new(203, 0, 113, 1), 3), (Ipv4Addr::new(203, 0, 113, 2), 1)];

/// A plain name with its addresses.
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) ipv4: Ipv4Addr,
    pub(crate) ipv6: Ipv6Addr,
}

/// The plain names of a zone.
pub(crate) fn hosts(zone: &'static str) -> impl Iterator<Item = Host> {
    let count = if zone == LARGE { MANY_HOSTS } else { HOSTS };
    (0..count).map(move |index| Host {
        name: format!("host-{index}.{zone}"),
        ipv4: Ipv4Addr::from(0x0a00_0000 + index),
        ipv6: Ipv6Addr::from((0x2001_0db8_0000_ffff << 64) + u128::from(index)),
    })
}

/// The plain records of a zone as a master file.
pub(crate) fn master_file(zone: &'static str) -> String {
    let mut text = format!("$TTL {TTL}\n{zone}. SOA {SOA}\n{zone}. NS {NAMESERVER}.\n");
    if zone == STEERED {
        let _ = writeln!(text, "{NAMESERVER}. A {NAMESERVER_ADDRESS}");
    }
    for Host { name, ipv4, ipv6 } in hosts(zone) {
        let _ = writeln!(text, "{name}. A {ipv4}\n{name}. AAAA {ipv6}");
    }
    text
}
