//! The workloads and their queries, octet for octet. Every server gets the same queries in the same
//! order.

use std::{
    fmt, fs, io,
    net::{IpAddr, Ipv4Addr},
    path::Path,
};

use clap::ValueEnum;
use maxminddb::{PathElement, Reader};
use serde::{Serialize, Serializer};

use crate::{
    BenchResult, wire,
    zone::{self, GEO, LARGE, STEERED, WEIGHTED},
};

/// The number of queries in one workload; they are repeated.
const QUESTIONS: usize = 100_000;
const CLIENTS: usize = 20_000;
/// The random seed: any number, as long as every run has the same.
const SEED: u64 = 7871;

/// A kind of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// A of 500 plain names.
    Static,
    /// A of a name that is answered by the client's continent; each query bears a client subnet
    /// (/24).
    Geo,
    /// Two in ten plain A, four geographic A and two AAAA with client subnets, two NXDOMAIN.
    Mixed,
    /// A of 100,000 plain names, in no order.
    Many,
    /// A of a name with two members, three to one.
    Weighted,
}

impl Workload {
    pub(crate) const ALL: [Self; 5] =
        [Self::Static, Self::Geo, Self::Mixed, Self::Many, Self::Weighted];

    /// The name in options.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Geo => "geo",
            Self::Mixed => "mixed",
            Self::Many => "many",
            Self::Weighted => "weighted",
        }
    }

    /// The heading of the workload in reports.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Static => "Static: A of 500 plain names",
            Self::Geo => "Geo + ECS: A by the continent of the query's client subnet",
            Self::Mixed => {
                "Mixed: 40 % geo A, 20 % geo AAAA (with ECS), 20 % static A, 20 % NXDOMAIN"
            }
            Self::Many => "100,000 names: A of plain names in no order",
            Self::Weighted => "Weighted: A of a name with two members, 3 to 1",
        }
    }

    /// The queries in their order.
    pub(crate) fn questions(self, clients: &[Ipv4Addr]) -> Vec<Question> {
        let mut random = fastrand::Rng::with_seed(SEED);
        let zone = if self == Self::Many { LARGE } else { STEERED };
        let hosts: Vec<String> = zone::hosts(zone).map(|host| host.name).collect();
        let host = |random: &mut fastrand::Rng| {
            Question::new(&hosts[random.usize(..hosts.len())], Kind::A)
        };
        let geo = |random: &mut fastrand::Rng, kind| Question {
            subnet: Some(clients[random.usize(..clients.len())]),
            ..Question::new(GEO, kind)
        };
        let missing = |random: &mut fastrand::Rng| {
            Question::new(&format!("missing-{}.{STEERED}", random.u32(..1_000_000)), Kind::A)
        };
        (0..QUESTIONS)
            .map(|_| match self {
                Self::Static | Self::Many => host(&mut random),
                Self::Geo => geo(&mut random, Kind::A),
                Self::Weighted => Question::new(WEIGHTED, Kind::A),
                Self::Mixed => match random.u8(..10) {
                    0..4 => geo(&mut random, Kind::A),
                    4..6 => geo(&mut random, Kind::Aaaa),
                    6..8 => host(&mut random),
                    _ => missing(&mut random),
                },
            })
            .collect()
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Serialize for Workload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A queried record type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    A = 1,
    Aaaa = 28,
}

/// One query. It always has an OPT record, as queries of resolvers do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// The first address of the client's /24.
    pub(crate) subnet: Option<Ipv4Addr>,
}

impl Question {
    pub(crate) fn new(name: &str, kind: Kind) -> Self {
        Self { name: name.to_owned(), kind, subnet: None }
    }

    /// The message: ID zero, no flags, a payload size of 1,232 octets.
    pub(crate) fn message(&self) -> Vec<u8> {
        let mut opt = vec![0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0];
        match self.subnet {
            None => opt.extend([0, 0]),
            // RFC 7871 section 6: option 8 of 7 octets, family 1, source 24, scope 0.
            Some(subnet) => {
                opt.extend([0, 11, 0, 8, 0, 7, 0, 1, 24, 0]);
                opt.extend(&subnet.octets()[..3]);
            }
        }
        wire::query_with_opt(0, &self.name, self.kind as u16, &opt)
    }
}

impl fmt::Display for Question {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {:?}", self.name, self.kind)?;
        self.subnet.map_or(Ok(()), |subnet| write!(formatter, " for {subnet}/24"))
    }
}

/// Random clients: addresses drawn evenly from all that the database locates, cut to /24.
///
/// # Errors
/// The database cannot be read.
pub(crate) fn clients(database: &Path) -> BenchResult<Vec<Ipv4Addr>> {
    let reader = Reader::open_readfile(database)?;
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut clients = Vec::with_capacity(CLIENTS);
    while clients.len() < CLIENTS {
        let address = Ipv4Addr::from(random.u32(..) & 0xffff_ff00);
        let place = reader.lookup(IpAddr::V4(address))?;
        let continent: Option<&str> =
            place.decode_path(&[PathElement::Key("continent"), PathElement::Key("code")])?;
        if continent.is_some() {
            clients.push(address);
        }
    }
    Ok(clients)
}

/// Writes messages, each after its length, as dnsperf reads them with `-B`.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn write(path: &Path, messages: &[Vec<u8>]) -> io::Result<()> {
    let mut octets = Vec::new();
    for message in messages {
        octets.extend((message.len() as u16).to_be_bytes());
        octets.extend(message);
    }
    fs::write(path, octets)
}
