//! Reads the keys that several kinds of monitor share: ports, host names, the options of TLS, the
//! PROXY header.

use std::{net::Ipv6Addr, path::Path};

use rustls::pki_types::ServerName;

use crate::{
    config::{
        a_labels,
        place::Placed,
        problems::Problems,
        quoted::Quoted,
        reader::{TableReader, TableSubject, ValueReader},
        spec::monitor::credentials::{ClientCredential, Credential},
    },
    health::{ClientCertificate, ProxyProtocol, TlsOptions},
};

/// Reads a TCP or UDP port.
pub(super) fn port(item: ValueReader<'_>, problems: &mut Problems) -> Option<u16> {
    let port = item.integer(1, 65535, "it is a port", problems)?;
    u16::try_from(port.value).ok()
}

/// Reads `port` of a kind that has a default port.
pub(super) fn port_or(
    table: &mut TableReader<'_>,
    default: u16,
    problems: &mut Problems,
) -> Option<u16> {
    table.value("port").map_or(Some(default), |item| port(item, problems))
}

/// The use of a monitor's `host`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HostUse {
    /// The host is sent in SNI and compared with the certificate: a name or an address, without a
    /// port.
    Certificate,
    /// The host is sent in the Host header (RFC 9110 section 7.2): a name, or an address as in a
    /// URI, with or without a port.
    Header,
    /// The host is compared with the certificate and sent in the Host header.
    Both,
}

impl HostUse {
    /// The use in a check by HTTP.
    pub(super) fn for_http(is_tls: bool) -> Self {
        if is_tls { Self::Both } else { Self::Header }
    }

    fn accepts(self, host: &str) -> bool {
        let (name, port) = name_and_port(host);
        let is_certificate = || ServerName::try_from(host).is_ok();
        let is_header = || {
            is_host(name) && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
        };
        match self {
            Self::Certificate => is_certificate(),
            Self::Header => is_header(),
            Self::Both => is_certificate() && is_header(),
        }
    }
}

/// Reads `host`, the name in Host headers, SNI and certificates. `Some(None)` where none is
/// written.
pub(super) fn host(
    table: &mut TableReader<'_>,
    place: HostUse,
    problems: &mut Problems,
) -> Option<Option<Box<str>>> {
    let Some(item) = table.value("host") else { return Some(None) };
    let text = item.text(problems)?;
    if place.accepts(text.value) {
        return Some(Some(text.value.into()));
    }
    if let Some(meant) = corrected_host(text.value, place) {
        problems
            .error(
                text.place,
                format!(
                    "{} has host {}, which is not a host name",
                    item.subject,
                    Quoted(text.value)
                ),
            )
            .help(format!("write host = {}", Quoted(&meant)));
        return None;
    }
    let (name, port) = name_and_port(text.value);
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let (what, help) = if place != HostUse::Header && port.is_some() && place.accepts(name) {
        (
            ": no certificate is for a name with a port",
            format!("write host = {}; the port that is probed is `port`", Quoted(name)),
        )
    } else if place == HostUse::Certificate && place.accepts(bare) {
        (
            ", which no certificate can be for",
            format!("write the address without brackets: host = {}", Quoted(bare)),
        )
    } else if place == HostUse::Both && bare.parse::<Ipv6Addr>().is_ok() {
        let help = "omit `host` to use the target's own address, or write a name";
        (", which cannot be both in a certificate and in a Host header", help.to_owned())
    } else if place == HostUse::Header && text.value.parse::<Ipv6Addr>().is_ok() {
        (
            ", which no Host header can carry",
            format!("write an IPv6 address in brackets: host = \"[{}]\"", text.value),
        )
    } else {
        let help = "write the name that the Host header and SNI are to carry: \"www.example.com\"";
        (", which is not a host name", help.to_owned())
    };
    problems
        .error(text.place, format!("{} has host {}{what}", item.subject, Quoted(text.value)))
        .help(help);
    None
}

/// The host that was meant by a URL or by an internationalised name.
fn corrected_host(text: &str, place: HostUse) -> Option<String> {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // User information is before the host.
    let host = authority.rsplit('@').next().unwrap_or_default();
    let (name, port) = name_and_port(host);
    let name = a_labels::to_a_labels(name)?;
    let meant = match port.filter(|_| place == HostUse::Header) {
        Some(port) => format!("{name}:{port}"),
        None => name.into_owned(),
    };
    (rest != text || host != rest || !text.is_ascii())
        .then_some(meant)
        .filter(|meant| place.accepts(meant))
}

/// Splits `www.example.com:8443` into name and port. A bare IPv6 address has no port.
fn name_and_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, Some(port)),
        _ => (text, None),
    }
}

/// Whether a text is a name of at most 253 octets in labels of 1 to 63, an IPv4 address, or an IPv6
/// address in brackets.
fn is_host(name: &str) -> bool {
    if let Some(address) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_octet = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(is_octet);
    name.len() <= 253 && name.split('.').all(is_label)
}

/// Reads the authorities to trust and the client certificate. Paths are relative to `directory`.
/// The files that are named are added to `credentials`.
pub(super) fn tls(
    table: &mut TableReader<'_>,
    directory: &Path,
    credentials: &mut Vec<Credential>,
    problems: &mut Problems,
) -> Option<TlsOptions> {
    let verify = table.optional("verify", problems, ValueReader::boolean).unwrap_or(true);
    let authorities = table.value("ca").map(|item| path(item, directory, problems));
    let client =
        table.value("client-certificate").map(|item| client_credential(item, directory, problems));
    let authorities = authorities.map_or(Some(None), |path| path.map(Some))?;
    let client = client.map_or(Some(None), |identity| identity.map(Some))?;
    if let Some(path) = authorities.clone().filter(|_| verify) {
        credentials.push(Credential::Authorities(path));
    }
    let client_certificate = client.as_ref().map(|ClientCredential { certificate, key }| {
        ClientCertificate { certificate: certificate.value.clone(), key: key.value.clone() }
    });
    credentials.extend(client.map(Credential::Client));
    Some(TlsOptions { verify, authorities: authorities.map(|path| path.value), client_certificate })
}

/// Reads the keys of [`tls`] for a check that may also be sent without TLS: then the result is
/// `Some(None)`, and `help` says how to turn TLS on.
pub(super) fn tls_if(
    is_tls: bool,
    table: &mut TableReader<'_>,
    help: &str,
    directory: &Path,
    credentials: &mut Vec<Credential>,
    problems: &mut Problems,
) -> Option<Option<TlsOptions>> {
    if is_tls {
        return tls(table, directory, credentials, problems).map(Some);
    }
    table.optional("verify", problems, ValueReader::boolean);
    refuse_tls_keys(table, help, problems);
    Some(None)
}

/// Reports keys of [`tls`] in a check without TLS.
fn refuse_tls_keys(table: &mut TableReader<'_>, help: &str, problems: &mut Problems) {
    for key in ["ca", "client-certificate"] {
        if let Some(item) = table.value(key) {
            problems
                .error(item.place, format!("{} has `{key}`, but does not speak TLS", table.subject))
                .help(help);
        }
    }
}

/// Reads `proxy-protocol`: `"v1"` or `"v2"`. `Some(None)` where it is not written.
pub(super) fn proxy_protocol(
    table: &mut TableReader<'_>,
    problems: &mut Problems,
) -> Option<Option<ProxyProtocol>> {
    const VERSIONS: [(&str, ProxyProtocol); 2] =
        [("v1", ProxyProtocol::V1), ("v2", ProxyProtocol::V2)];
    let Some(item) = table.value("proxy-protocol") else { return Some(None) };
    item.keyword(&VERSIONS, problems).map(Some)
}

fn path(
    item: ValueReader<'_>,
    directory: &Path,
    problems: &mut Problems,
) -> Option<Placed<Box<Path>>> {
    item.text(problems).map(|text| Placed::new(directory.join(text.value).into(), text.place))
}

/// Reads `client-certificate`: `{ certificate = "x.pem", key = "x.key" }`.
fn client_credential(
    item: ValueReader<'_>,
    directory: &Path,
    problems: &mut Problems,
) -> Option<ClientCredential> {
    const HELP: &str =
        "write client-certificate = { certificate = \"client.pem\", key = \"client.key\" }";
    let subject = TableSubject { kind: "`client-certificate` of monitor", name: item.subject.name };
    let mut table = item.table(subject, problems)?;
    let mut file =
        |key| table.required(key, HELP, problems).and_then(|item| path(item, directory, problems));
    let (certificate, key) = (file("certificate"), file("key"));
    table.finish(problems);
    Some(ClientCredential { certificate: certificate?, key: key? })
}
