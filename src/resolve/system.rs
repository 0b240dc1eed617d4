//! The resolvers of the system (`/etc/resolv.conf`), for a configuration that names none, and the
//! entries of `/etc/hosts`.
//!
//! Only the `nameserver` lines of `resolv.conf` are read (resolv.conf(5)). An alias is a full name,
//! so `search` and `domain` have no effect.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6},
    path::Path,
};

use super::report::ResolveFailure;
use crate::{dns::Name, files};

const RESOLV_CONF: &str = "/etc/resolv.conf";
const HOSTS: &str = "/etc/hosts";
const DNS_PORT: u16 = 53;
/// The largest size of each file that is read, in octets.
const MAX_FILE_OCTETS: u64 = 1 << 20;
/// The maximum number of resolvers that are queried; the lookup timeout leaves no time for more.
const MAX_RESOLVERS: usize = 3;

/// The resolvers of the system. If the file is missing, a resolver on this host.
///
/// # Errors
/// The file cannot be read.
pub(super) fn system_resolvers() -> Result<Vec<SocketAddr>, ResolveFailure> {
    match files::read_text(Path::new(RESOLV_CONF), MAX_FILE_OCTETS) {
        Ok(text) => Ok(parse_resolv_conf(&text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(parse_resolv_conf("")),
        Err(error) => Err(ResolveFailure::SystemSettings(
            format!("cannot read {RESOLV_CONF}: {error}").into(),
        )),
    }
}

/// The addresses of a name in the hosts file of the system.
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
    let mut fields = line.split_whitespace();
    let address =
        fields.next().filter(|field| *field == "nameserver").and_then(|_| fields.next())?;
    match address.split_once('%') {
        None => Some((address.parse::<IpAddr>().ok()?, DNS_PORT).into()),
        Some((address, zone)) => Some(
            SocketAddrV6::new(address.parse().ok()?, DNS_PORT, 0, interface_index(zone)?).into(),
        ),
    }
}

/// The index of an interface, given by index or name.
fn interface_index(zone: &str) -> Option<u32> {
    let index_of_name =
        || fs::read_to_string(format!("/sys/class/net/{zone}/ifindex")).ok()?.trim().parse().ok();
    zone.parse().ok().or_else(index_of_name)
}

fn parse_hosts(text: &str, name: &Name) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for line in text.lines() {
        let mut fields = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(address) = fields.next().and_then(|field| field.parse().ok()) else { continue };
        if fields.any(|field| field.parse::<Name>().is_ok_and(|host| host == *name)) {
            addresses.push(address);
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_read_whatever_else_the_file_contains() {
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
        let addresses = |name: &str| parse_hosts(text, &name.parse().unwrap());
        assert_eq!(
            addresses("lb.example.net"),
            ["192.0.2.1".parse::<IpAddr>().unwrap(), "2001:db8::1".parse().unwrap()]
        );
        assert!(addresses("lb2").is_empty(), "a comment");
    }
}
