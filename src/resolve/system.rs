//! Which resolvers to ask where the configuration names none: those of `/etc/resolv.conf`; and what
//! `/etc/hosts` says.
//!
//! Of `resolv.conf` only `parse_nameserver` lines are read (resolv.conf(5)). An alias is a full
//! name, so `search` and `domain` do not matter, whatever they hold.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6},
    path::Path,
};

use super::ResolveFailure;
use crate::{dns::Name, files};

const RESOLV_CONF: &str = "/etc/resolv.conf";
const HOSTS: &str = "/etc/hosts";
const DNS_PORT: u16 = 53;
/// The largest of these files that is read, in octets.
const MAX_FILE_OCTETS: u64 = 1 << 20;
/// Further resolvers are not asked: there would be no time for them.
const MAX_RESOLVERS: usize = 3;

/// The system's resolvers.
///
/// # Errors
/// The file that names them cannot be read. One that is missing means a resolver on this host.
pub(super) fn system_resolvers() -> Result<Vec<SocketAddr>, ResolveFailure> {
    match files::read_text(Path::new(RESOLV_CONF), MAX_FILE_OCTETS) {
        Ok(text) => Ok(parse_resolv_conf(&text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(parse_resolv_conf("")),
        Err(error) => Err(ResolveFailure::SystemSettings(
            format!("cannot read {RESOLV_CONF}: {error}").into(),
        )),
    }
}

/// The addresses that the system's hosts file has for a name.
pub(super) fn hosts_file_addresses(name: &Name) -> Vec<IpAddr> {
    let text = files::read_text(Path::new(HOSTS), MAX_FILE_OCTETS);
    text.map(|text| parse_hosts(&text, name)).unwrap_or_default()
}

fn parse_resolv_conf(text: &str) -> Vec<SocketAddr> {
    let mut servers: Vec<SocketAddr> =
        text.lines().filter_map(parse_nameserver).take(MAX_RESOLVERS).collect();
    if servers.is_empty() {
        servers.push((Ipv4Addr::LOCALHOST, DNS_PORT).into());
    }
    servers
}

fn parse_nameserver(line: &str) -> Option<SocketAddr> {
    let mut words = line.split_whitespace();
    let address = words.next().filter(|word| *word == "nameserver").and_then(|_| words.next())?;
    match address.split_once('%') {
        None => Some((address.parse::<IpAddr>().ok()?, DNS_PORT).into()),
        Some((address, zone)) => Some(
            SocketAddrV6::new(address.parse().ok()?, DNS_PORT, 0, interface_index(zone)?).into(),
        ),
    }
}

/// An interface's index by its number or its name.
fn interface_index(zone: &str) -> Option<u32> {
    let of_name =
        || fs::read_to_string(format!("/sys/class/net/{zone}/ifindex")).ok()?.trim().parse().ok();
    zone.parse().ok().or_else(of_name)
}

fn parse_hosts(text: &str, name: &Name) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse().ok()) else { continue };
        if words.any(|word| word.parse::<Name>().is_ok_and(|known| known == *name)) {
            addresses.push(address);
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_read_whatever_else_the_file_holds() {
        let addresses = |texts: &[&str]| {
            texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>()
        };
        for (text, expected, why) in [
            (
                "search foo_bar..x\nnameserver 127.0.0.9\n",
                &["127.0.0.9:53"][..],
                "a search word that is no name",
            ),
            (
                "nameserver 192.0.2.1 # one\n nameserver\t2001:db8::1\n",
                &["192.0.2.1:53", "[2001:db8::1]:53"],
                "two",
            ),
            ("nameserver fe80::1%7\n", &["[fe80::1%7]:53"], "an address with its interface"),
            (
                "nameserver here\noptions edns0 trust-ad\nnameserver 192.0.2.1\n",
                &["192.0.2.1:53"],
                "a line that is wrong",
            ),
            (
                "nameserver 192.0.2.1\n".repeat(9).leak(),
                &["192.0.2.1:53"; 3],
                "more than there is time for",
            ),
            ("# nothing\n", &["127.0.0.1:53"], "none: one on this host"),
        ] {
            assert_eq!(parse_resolv_conf(text), addresses(expected), "{why}");
        }
    }

    #[test]
    fn the_hosts_file_has_addresses_of_both_families() {
        let text = "127.0.0.1 localhost\n192.0.2.1\tLB.example.net lb # lb2\n2001:db8::1 lb.example.net\nbroken lb.example.net\n";
        let of = |name: &str| parse_hosts(text, &name.parse().unwrap());
        assert_eq!(
            of("lb.example.net"),
            ["192.0.2.1".parse::<IpAddr>().unwrap(), "2001:db8::1".parse().unwrap()]
        );
        assert!(of("lb2").is_empty(), "a comment");
    }
}
