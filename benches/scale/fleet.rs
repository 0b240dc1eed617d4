//! Many services over twenty balancers, ten in each of two datacenters: each service has two
//! balancers of each. The `clients` and `weighted` benchmarks serve them, as files of portolan,
//! gdnsd and Knot.

use std::{
    fmt::{self, Write},
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

use super::{peers::Peer, targets};

/// The number of balancers.
pub(crate) const BALANCERS: usize = 20;
/// The number of balancers in each datacenter.
const PER_DATACENTER: usize = BALANCERS / 2;
/// The number of services that are queried to see whether all services show a change.
const SAMPLED: usize = 50;
/// The file with the states of the datacenters.
pub(crate) const DATACENTERS: &str = "zones/datacenters.toml";
const SERVICES: &str = "zones/services.toml";

/// The kind of services in the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `spread = "client"`, two addresses in an answer.
    Client,
    /// The same of type HTTPS.
    Https,
    /// Four weights, one random address in each answer.
    Weighted,
}

/// The version of a service's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// The text at the start.
    First,
    /// The text with another TTL, or with weights that leave one member.
    Edited,
}

/// The services, and the probing of their balancers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fleet {
    pub(crate) kind: Kind,
    pub(crate) services: usize,
    /// The port of all balancers.
    pub(crate) port: u16,
    pub(crate) interval_secs: u32,
}

/// The TTL of an edited service's answers.
pub(crate) const EDITED_TTL_SECS: u32 = 31;
/// The address in the other zone's record, before and after its edit.
pub(crate) const OTHER: [Ipv4Addr; 2] =
    [Ipv4Addr::new(203, 0, 113, 1), Ipv4Addr::new(203, 0, 113, 2)];

impl Fleet {
    /// The name of a service.
    pub(crate) fn name(service: usize) -> String {
        format!("w{service}.x.example")
    }

    /// The balancers of a service: two of the first datacenter, two of the second.
    pub(crate) fn members(service: usize) -> [usize; 4] {
        let pair = |first: usize, step: usize| [first % 10, (first + 1 + step % 9) % 10];
        let ([a, b], [c, d]) = (pair(service, service / 10), pair(service / 7, service / 3));
        [a, b, PER_DATACENTER + c, PER_DATACENTER + d]
    }

    /// The balancers of the first datacenter, `fra`.
    pub(crate) fn drained() -> Vec<Ipv4Addr> {
        (0..PER_DATACENTER).map(targets::address).collect()
    }

    /// The names of at most [`SAMPLED`] services that have a member among `addresses`, the first
    /// and the last included.
    pub(crate) fn sample(&self, addresses: &[Ipv4Addr]) -> Vec<String> {
        let has_one = |service: &usize| {
            Self::members(*service)
                .iter()
                .any(|&member| addresses.contains(&targets::address(member)))
        };
        let all: Vec<usize> = (0..self.services).filter(has_one).collect();
        let count = SAMPLED.min(all.len());
        let last = all.len().saturating_sub(1);
        (0..count)
            .map(|index| Self::name(all[index * last / count.saturating_sub(1).max(1)]))
            .collect()
    }

    /// The number of clients that query each sampled service. Answers of one random address need
    /// many queries.
    pub(crate) fn clients(&self) -> u8 {
        if self.kind == Kind::Weighted { 16 } else { 4 }
    }

    /// Writes all files of a server.
    pub(crate) fn write(
        &self,
        peer: Peer,
        directory: &Path,
        dns: SocketAddr,
        admin: SocketAddr,
    ) -> io::Result<()> {
        fs::create_dir_all(directory.join("zones"))?;
        let zone = |record: &str| {
            format!(
                "$TTL 300\n@ SOA ns1.example.com. h.example.com. 1 3600 900 1209600 60\n@ NS ns1.example.com.\n{record}"
            )
        };
        fs::write(directory.join(other_zone(peer)), zone(&other_record(OTHER[0])))?;
        match peer {
            Peer::Portolan => {
                let text =
                    format!("[server]\nlisten = [\"{dns}\"]\nadmin = \"{admin}\"\nthreads = 1\n");
                fs::write(directory.join("portolan.toml"), text)?;
                fs::write(directory.join(DATACENTERS), datacenters(State::Active))?;
                fs::write(directory.join(SERVICES), self.tables().map_err(io::Error::other)?)
            }
            Peer::Gdnsd { .. } => {
                fs::write(directory.join("plugins"), self.plugins().map_err(io::Error::other)?)?;
                let records =
                    self.records(|service| format!("w{service} 30 DYNA weighted!w{service}"));
                fs::write(directory.join("zones/x.example"), zone(&records))?;
                peer.prepare(directory, dns)
            }
            Peer::Knot => {
                let lists = (0..self.services)
                    .map(|service| knot_list(service, Version::First))
                    .collect::<String>();
                fs::write(directory.join("weighted.conf"), lists)?;
                let records =
                    self.records(|service| format!("w{service} 30 A {}", targets::address(0)));
                fs::write(directory.join("zones/x.example.zone"), zone(&records))?;
                // This file is written last, because it depends on whether there is a list of
                // weights.
                peer.prepare(directory, dns)
            }
        }
    }

    /// The file of a service, the service's text in it, and the text after the edit.
    pub(crate) fn edit(&self, peer: Peer, service: usize) -> (&'static str, String, String) {
        let [old, new] = [Version::First, Version::Edited].map(|version| match peer {
            Peer::Portolan => self.table(service, version),
            Peer::Gdnsd { .. } => gdnsd_resource(service, version),
            Peer::Knot => knot_list(service, version),
        });
        let file = match peer {
            Peer::Portolan => SERVICES,
            Peer::Gdnsd { .. } => "plugins",
            Peer::Knot => "weighted.conf",
        };
        (file, old, new)
    }

    fn tables(&self) -> Result<String, fmt::Error> {
        let mut text = String::from(
            "# an edit of this comment: 0\n[zone.\"x.example\"]\nnameservers = [\"ns1.example.com\"]\nhostmaster = \"h@example.com\"\n",
        );
        writeln!(text, "[monitor.m]\nhttp = {{ path = \"/\", port = {} }}", self.port)?;
        writeln!(
            text,
            "interval = \"{}s\"\ntimeout = \"900ms\"\nrise = 1\nfall = 1",
            self.interval_secs
        )?;
        (0..self.services).for_each(|service| text.push_str(&self.table(service, Version::First)));
        Ok(text)
    }

    fn table(&self, service: usize, version: Version) -> String {
        let is_edited = version == Version::Edited;
        let ttl = if is_edited { EDITED_TTL_SECS } else { 30 };
        let keys = match self.kind {
            Kind::Client => "spread = \"client\"\nanswers = 2\n",
            Kind::Https => "type = \"HTTPS\"\nalpn = [\"h2\"]\nanswers = 2\n",
            Kind::Weighted => "",
        };
        let members: String = (1..)
            .zip(Self::members(service))
            .map(|(place, balancer)| {
                let datacenter = if balancer < PER_DATACENTER { "fra" } else { "iad" };
                let weight = match self.kind {
                    Kind::Client | Kind::Https => 1,
                    Kind::Weighted if is_edited && place > 1 => 0,
                    Kind::Weighted => place,
                };
                let address = targets::address(balancer);
                format!("  {{ datacenter = \"{datacenter}\", addresses = [\"{address}\"], weight = {weight} }},\n")
            })
            .collect();
        let name = Self::name(service);
        format!(
            "[service.\"{name}\"]\nttl = {ttl}\n{keys}monitor = \"m\"\nmembers = [\n{members}]\n"
        )
    }

    fn records(&self, record: impl Fn(usize) -> String) -> String {
        (0..self.services).map(|service| record(service) + "\n").collect()
    }

    fn plugins(&self) -> Result<String, fmt::Error> {
        let mut text = format!(
            "service_types => {{ web => {{ plugin => http_status, port => {}, url_path => /, interval => {}, timeout => 1, \
             up_thresh => 1, ok_thresh => 1, down_thresh => 1 }} }}\nplugins => {{ weighted => {{ service_types => web\n",
            self.port, self.interval_secs
        );
        (0..self.services)
            .for_each(|service| text.push_str(&gdnsd_resource(service, Version::First)));
        text.push_str("} }\n");
        Ok(text)
    }
}

/// The state of the first datacenter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Active,
    Draining,
}

/// The file of the datacenters with the first datacenter in this state.
pub(crate) fn datacenters(state: State) -> String {
    let state = if state == State::Active { "active" } else { "draining" };
    format!("[datacenter.fra]\nstate = \"{state}\"\n[datacenter.iad]\nstate = \"active\"\n")
}

/// gdnsd's file of states set by hand: the addresses of the first datacenter are down, or none is.
pub(crate) fn gdnsd_states(state: State) -> String {
    let drained = if state == State::Draining { PER_DATACENTER } else { 0 };
    (0..drained).map(|at| format!("{}/web => DOWN\n", targets::address(at))).collect()
}

/// The other zone's file.
pub(crate) fn other_zone(peer: Peer) -> &'static str {
    match peer {
        Peer::Gdnsd { .. } => "zones/other.example",
        Peer::Portolan | Peer::Knot => "zones/other.example.zone",
    }
}

/// The record of the other zone that is edited.
pub(crate) fn other_record(address: Ipv4Addr) -> String {
    format!("r A {address}\n")
}

/// Weights as at the start, or weights with which nearly all answers have the first member: neither
/// gdnsd nor Knot allows a weight of 0, and Knot's maximum is 255.
fn weights(version: Version) -> [u32; 4] {
    match version {
        Version::First => [1, 2, 3, 4],
        Version::Edited => [255, 1, 1, 1],
    }
}

fn gdnsd_resource(service: usize, version: Version) -> String {
    let members = Fleet::members(service).into_iter().zip(weights(version));
    let members: String = members
        .map(|(at, weight)| format!("m{at} => [ {}, {weight} ] ", targets::address(at)))
        .collect();
    format!("w{service} => {{ {members}}}\n")
}

fn knot_list(service: usize, version: Version) -> String {
    let members = Fleet::members(service).into_iter().zip(weights(version));
    let members: String = members
        .map(|(at, weight)| format!("  - weight: {weight}\n    A: {}\n", targets::address(at)))
        .collect();
    format!("{}:\n{members}", Fleet::name(service))
}
