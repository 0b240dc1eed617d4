//! The settings of the admin API: the table `[admin]`, and `admin` of `[server]`, the short form of
//! its `listen`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{
    listen_addresses::{listen, socket_address},
    place::{Placed, SourcePlace},
    problems::Problems,
    quoted::Quoted,
    reader::{TableReader, ValueReader},
};
use crate::dns::Name;

const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8053);
const HOSTS_HELP: &str = "write a name without a port: hosts = [\"gslb1.example.com\"]";

/// The settings of the admin API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminSettings {
    /// The addresses of the admin API; empty if it is off.
    pub listen: Vec<SocketAddr>,
    /// Whether the addresses were written. The server starts even if the default address cannot be
    /// used.
    pub is_configured: bool,
    /// The names that requests may have in their Host header, besides addresses and `localhost`:
    /// in lower case, without the final dot.
    pub hosts: Vec<Box<str>>,
}

impl Default for AdminSettings {
    fn default() -> Self {
        Self { listen: vec![DEFAULT_LISTEN], is_configured: false, hosts: Vec::new() }
    }
}

impl AdminSettings {
    /// Reads `admin` of `[server]`: an address such as `"127.0.0.1:8053"`, or `false`. Returns the
    /// place of the key.
    pub(super) fn read_short_form(
        &mut self,
        item: ValueReader<'_>,
        problems: &mut Problems,
    ) -> SourcePlace {
        self.listen = short_form(item, problems).into_iter().collect();
        self.is_configured = true;
        item.place
    }

    /// Reads the table `[admin]`. `short_form` is the place of `admin` of `[server]`, if it is
    /// written.
    pub(super) fn read_table(
        &mut self,
        mut table: TableReader<'_>,
        short_form: Option<SourcePlace>,
        problems: &mut Problems,
    ) {
        if let Some(item) = table.value("listen") {
            if let Some(place) = short_form {
                problems
                    .error(item.place, "the address of the admin API is written twice")
                    .help("write all addresses here, and remove `admin` from [server]")
                    .also(place, "`admin` is the short form of it");
            }
            self.listen = listen(item, problems).unwrap_or_default();
            self.is_configured = true;
        }
        if let Some(hosts) = table.optional("hosts", problems, hosts) {
            self.hosts = hosts;
        }
        table.finish(problems);
    }
}

/// The address of the short form; `None` if the API is off.
fn short_form(item: ValueReader<'_>, problems: &mut Problems) -> Option<SocketAddr> {
    if item.is_boolean() {
        if item.boolean(problems) == Some(true) {
            problems
                .error(item.place, "`admin` is an address, or false")
                .help("write admin = \"127.0.0.1:8053\", or omit it for just that");
        }
        return None;
    }
    if let Some(port) = item.as_number() {
        problems
            .error(item.place, "`admin` is an address with a port, or false")
            .help(format!("write admin = \"127.0.0.1:{port}\""));
        return None;
    }
    item.text(problems).and_then(|text| socket_address(text, item, problems))
}

fn hosts(item: ValueReader<'_>, problems: &mut Problems) -> Option<Vec<Box<str>>> {
    let texts = item.texts("names", problems)?;
    let mut hosts: Vec<Box<str>> = Vec::with_capacity(texts.len());
    for text in texts {
        let Some(host) = host(text, problems) else { continue };
        if hosts.contains(&host) {
            problems
                .error(text.place, format!("{} is listed twice", Quoted(text.value)))
                .help("remove one");
        }
        hosts.push(host);
    }
    Some(hosts)
}

/// A name as browsers and proxies write it into the Host header.
fn host(text: Placed<&str>, problems: &mut Problems) -> Option<Box<str>> {
    let written = text.value;
    let is_address = written.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
    let name = written.parse::<Name>().ok().filter(|name| !name.is_root());
    let fault = if is_address {
        Some(("is an address, which is always accepted", "remove it"))
    } else if written.contains('*') {
        let why = "has a wildcard: any name below it would be accepted, and its owner could reach the \
                   admin API from a web page (DNS rebinding)";
        Some((why, "write each name in full"))
    } else if name.is_none() || !written.bytes().all(is_plain) {
        Some(("is not the name of a host", HOSTS_HELP))
    } else {
        None
    };
    if let Some((fault, help)) = fault {
        problems
            .error(text.place, format!("`hosts` of `admin`: {} {fault}", Quoted(written)))
            .help(help);
        return None;
    }
    Some(written.trim_end_matches('.').to_ascii_lowercase().into())
}
