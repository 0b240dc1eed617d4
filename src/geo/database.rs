//! A GeoIP database: a MaxMind DB file that was checked completely, kept as the list of its
//! networks.
//!
//! `maxminddb` reads the metadata and the records, and [`tree`](super::tree) walks the search tree.
//! The octets of the file are not kept. The networks need less than half the memory, and serve
//! lookups and every later atlas, even if the file was removed or damaged in the meantime.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
};

use hashbrown::HashMap;
use ipnet::IpNet;
use maxminddb::{MaxMindDbError, Reader};

use super::{
    Location, TreeFault,
    address::{Address, Ipv4Embedding, embedded_ipv4},
    hash_state::FastHashState,
    metadata,
    network_list::{NetworkList, UNKNOWN},
    record::DecodedRecord,
    tree::SearchTree,
};

/// The number of networks between two reports of progress.
const PROGRESS_INTERVAL_NETWORKS: u64 = 1 << 18;

/// The limit on the cost of reading all records, for each octet of the file. Real City records
/// share names and cost up to 5. A malicious file with more shared values would keep its reader
/// busy for seconds.
const COST_PER_OCTET: u64 = 64;

/// The progress of a walk over a large database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatabaseProgress {
    /// The number of networks walked so far.
    pub networks: u64,
    /// The number of distinct records decoded so far.
    pub records: u32,
}

/// A database in memory. Immutable.
#[derive(Debug)]
pub struct Database {
    label: Box<str>,
    kind: Box<str>,
    build_epoch: u64,
    /// The location of each record; that of [`UNKNOWN`] is first.
    locations: Vec<Location>,
    v4: NetworkList<u32>,
    v6: NetworkList<u128>,
}

/// The reason why a file is not a usable database, as one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseError {
    label: Box<str>,
    fault: DatabaseErrorKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum DatabaseErrorKind {
    Metadata(Box<str>),
    Tree(TreeFault),
    Record(IpNet, Box<str>),
    TooCostly,
    NoLocations,
}

impl DatabaseError {
    /// The label that the caller gave the file.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The fault without the label, for messages that name the file already.
    pub fn fault(&self) -> impl fmt::Display {
        &self.fault
    }
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.label, self.fault)
    }
}

impl fmt::Display for DatabaseErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Metadata(reason) => write!(f, "not a MaxMind DB file, or cut short: {reason}"),
            Self::Tree(TreeFault::Pointer { value, nodes }) => {
                write!(
                    f,
                    "broken search tree: it points to {value}, which is neither one of its {nodes} nodes nor a record"
                )
            }
            Self::Tree(TreeFault::Depth) => {
                f.write_str("broken search tree: it continues below the last bit of an address")
            }
            Self::Tree(TreeFault::Cycle) => {
                f.write_str("broken search tree: it has a cycle, or reaches a branch twice")
            }
            Self::Tree(TreeFault::Separator) => {
                f.write_str("broken search tree: its end does not match the number of nodes")
            }
            Self::Record(network, reason) => write!(f, "broken record of {network}: {reason}"),
            Self::TooCostly => f.write_str("its records share so many values that reading them would take too long"),
            Self::NoLocations => f.write_str(
                "it has no description and no locations: damaged, or not about geography (countries, \
                 coordinates or autonomous systems)",
            ),
        }
    }
}

impl std::error::Error for DatabaseError {}

impl From<TreeFault> for DatabaseErrorKind {
    fn from(fault: TreeFault) -> Self {
        Self::Tree(fault)
    }
}

impl Database {
    /// Checks and reads a complete MaxMind DB file, with records as written by MaxMind, DB-IP or
    /// IPinfo. `label` names the file in messages. Takes about 30 ns for each network.
    ///
    /// # Errors
    /// [`DatabaseError`], if the tree, the metadata or a value of a record that is read is damaged.
    pub fn open(label: &str, bytes: Vec<u8>) -> Result<Self, DatabaseError> {
        Self::open_with_progress(label, bytes, &mut |_| {})
    }

    /// Does the same as [`open`](Self::open), and calls `on_progress` every 262,144 networks.
    ///
    /// # Errors
    /// The errors of [`open`](Self::open).
    pub fn open_with_progress(
        label: &str,
        bytes: Vec<u8>,
        on_progress: &mut dyn FnMut(DatabaseProgress),
    ) -> Result<Self, DatabaseError> {
        let bytes = metadata::with_optional_keys(bytes);
        read(label, &bytes, on_progress)
            .map_err(|fault| DatabaseError { label: label.into(), fault })
    }

    /// The label that the caller gave the file.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The database type of the metadata: `GeoLite2-City`, `DBIP-Country-Lite`, `ipinfo
    /// generic_lite.mmdb`, ...
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The build time, in seconds of Unix time.
    pub fn build_epoch(&self) -> u64 {
        self.build_epoch
    }

    /// The number of networks of both families, with or without a location. The IPv4 space of an
    /// IPv6 database is counted once, without its aliases in IPv6.
    pub fn network_count(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// The number of distinct locations; 0 for a database that is not about geography.
    pub fn location_count(&self) -> usize {
        self.locations.len() - 1
    }

    /// The location of an address, and the network that has it. For an IPv6 address that embeds an
    /// IPv4 address, it is the IPv4 network. Takes about 100 ns.
    pub fn lookup(&self, ip: IpAddr) -> (&Location, IpNet) {
        let ip = match ip {
            IpAddr::V6(v6) => {
                embedded_ipv4(u128::from(v6)).map_or(ip, |(v4, _)| IpAddr::V4(Ipv4Addr::from(v4)))
            }
            IpAddr::V4(_) => ip,
        };
        let (record, network) = match ip {
            IpAddr::V4(v4) => find_network(&self.v4, u32::from(v4)),
            IpAddr::V6(v6) => find_network(&self.v6, u128::from(v6)),
        };
        (self.location(record), network)
    }

    /// The location of a record of this database.
    pub(super) fn location(&self, record: u32) -> &Location {
        &self.locations[record as usize]
    }

    /// All locations of the database, without the unknown one.
    pub(super) fn locations(&self) -> &[Location] {
        &self.locations[1..]
    }

    pub(super) fn v4(&self) -> &NetworkList<u32> {
        &self.v4
    }

    pub(super) fn v6(&self) -> &NetworkList<u128> {
        &self.v6
    }

    /// The memory that the database holds, in octets, with an estimate of 16 for each name.
    pub fn memory_bytes(&self) -> usize {
        self.v4.memory_bytes()
            + self.v6.memory_bytes()
            + self.locations.capacity() * (size_of::<Location>() + 4 * 16)
    }
}

fn find_network<K: Address>(networks: &NetworkList<K>, address: K) -> (u32, IpNet) {
    let (record, length) = networks.find(address);
    (record, address.prefix(length))
}

fn read(
    label: &str,
    bytes: &[u8],
    on_progress: &mut dyn FnMut(DatabaseProgress),
) -> Result<Database, DatabaseErrorKind> {
    let reader = Reader::from_source(bytes)
        .map_err(|error| DatabaseErrorKind::Metadata(one_line_reason(&error)))?;
    let metadata = reader.metadata();
    let mut tree = SearchTree::new(bytes, metadata.node_count, metadata.record_size)?;
    let is_ipv6 = metadata.ip_version == 6;
    let ipv4_root = tree.ipv4_root(is_ipv6);
    let mut records = RecordDecoder::new(&reader, bytes.len() as u64 * COST_PER_OCTET, on_progress);

    // A tree with n nodes has n + 1 networks at most; nearly all are IPv4.
    let mut v4 = NetworkList::with_capacity(metadata.node_count as usize + 1);
    tree.walk(
        ipv4_root,
        |_, _, _| false,
        |start: u32, length, offset| {
            v4.push(start, length, records.record_number(start, length, offset)?);
            Ok::<(), DatabaseErrorKind>(())
        },
    )?;
    v4.finish();

    let mut v6 = NetworkList::with_capacity(0);
    if is_ipv6 {
        // Networks below a block that embeds IPv4 are never used: such addresses are looked up as
        // IPv4.
        let is_ipv4 = |start: u128, length: u8, node: u32| {
            length > 0 && node == ipv4_root
                || (start, length) == (0, 96)
                || Ipv4Embedding::ALL.iter().any(|embedding| embedding.block() == (start, length))
        };
        tree.walk(0, is_ipv4, |start: u128, length, offset| {
            v6.push(start, length, records.record_number(start, length, offset)?);
            Ok::<(), DatabaseErrorKind>(())
        })?;
        v6.finish();
    } else {
        v6 = NetworkList::single(UNKNOWN);
    }

    let locations = records.finish();
    // Some vendors leave the description empty. A file that has no locations either is probably
    // damaged.
    if metadata.description.is_empty() && locations.len() == 1 {
        return Err(DatabaseErrorKind::NoLocations);
    }
    let kind = metadata.database_type.as_str().into();
    Ok(Database { label: label.into(), kind, build_epoch: metadata.build_epoch, locations, v4, v6 })
}

/// Decodes each record when a network first refers to it. Records with equal locations get one
/// number.
struct RecordDecoder<'a> {
    reader: &'a Reader<&'a [u8]>,
    by_offset: HashMap<u32, u32, FastHashState>,
    by_location: HashMap<Location, u32, FastHashState>,
    last: (Option<u32>, u32),
    cost_left: u64,
    networks: u64,
    on_progress: &'a mut dyn FnMut(DatabaseProgress),
}

impl<'a> RecordDecoder<'a> {
    fn new(
        reader: &'a Reader<&'a [u8]>,
        cost_left: u64,
        on_progress: &'a mut dyn FnMut(DatabaseProgress),
    ) -> Self {
        let mut by_location = HashMap::default();
        by_location.insert(Location::default(), UNKNOWN);
        let last = (None, UNKNOWN);
        Self {
            reader,
            by_offset: HashMap::default(),
            by_location,
            last,
            cost_left,
            networks: 0,
            on_progress,
        }
    }

    /// The number of the record at `offset`, which the network at `start` refers to.
    #[inline]
    fn record_number<K: Address>(
        &mut self,
        start: K,
        length: u8,
        offset: Option<u32>,
    ) -> Result<u32, DatabaseErrorKind> {
        self.networks += 1;
        if self.networks.is_multiple_of(PROGRESS_INTERVAL_NETWORKS) {
            (self.on_progress)(DatabaseProgress {
                networks: self.networks,
                records: self.by_offset.len() as u32,
            });
        }
        if self.last.0 == offset {
            return Ok(self.last.1);
        }
        let Some(some_offset) = offset else { return Ok(UNKNOWN) };
        let record = match self.by_offset.get(&some_offset) {
            Some(&record) => record,
            None => self.decode(start.prefix(length), start.to_ip(), some_offset)?,
        };
        self.last = (offset, record);
        Ok(record)
    }

    #[cold]
    fn decode(
        &mut self,
        network: IpNet,
        ip: IpAddr,
        offset: u32,
    ) -> Result<u32, DatabaseErrorKind> {
        let broken =
            |error: MaxMindDbError| DatabaseErrorKind::Record(network, one_line_reason(&error));
        let found = self.reader.lookup(ip).map_err(broken)?;
        if found.offset() != Some(offset as usize) {
            return Err(DatabaseErrorKind::Record(
                network,
                "it is not the record that the file has for its address".into(),
            ));
        }
        let Some(decoded) = found.decode::<DecodedRecord>().map_err(broken)? else {
            return Err(DatabaseErrorKind::Record(network, "there is no such record".into()));
        };
        self.cost_left =
            self.cost_left.checked_sub(decoded.cost).ok_or(DatabaseErrorKind::TooCostly)?;
        let next = self.by_location.len() as u32;
        let record = *self.by_location.entry(decoded.into_location()).or_insert(next);
        self.by_offset.insert(offset, record);
        Ok(record)
    }

    fn finish(self) -> Vec<Location> {
        let mut locations = vec![Location::default(); self.by_location.len()];
        for (location, record) in self.by_location {
            locations[record as usize] = location;
        }
        locations
    }
}

/// The message of the crate on one line, without what the surrounding message says already.
fn one_line_reason(error: &MaxMindDbError) -> Box<str> {
    let text = match error {
        MaxMindDbError::InvalidDatabase { message, offset: Some(offset) } => {
            format!("{message} (at octet {offset})")
        }
        MaxMindDbError::InvalidDatabase { message, offset: None } => message.clone(),
        MaxMindDbError::Decoding { message, .. }
        | MaxMindDbError::ResourceLimit { message, .. } => message.clone(),
        other => other.to_string(),
    };
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect::<String>().into()
}
