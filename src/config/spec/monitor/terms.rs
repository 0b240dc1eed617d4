//! What several kinds of monitor have in common: ports, host names, the terms of TLS, the PROXY header.

use std::path::Path;

use crate::{
    config::{
        diagnostics::Quoted,
        problems::Problems,
        reader::{Item, Subject, TableReader},
    },
    health::{ClientCertificate, ProxyProtocol, TlsTerms},
};

/// A TCP or UDP port.
pub(super) fn port(item: Item<'_>, problems: &mut Problems) -> Option<u16> {
    let port = item.integer(1, 65535, "it is a port", problems)?;
    u16::try_from(port.value).ok()
}

/// The port of a kind that has one of its own where none is written.
pub(super) fn port_or(table: &mut TableReader<'_>, default: u16, problems: &mut Problems) -> Option<u16> {
    table.item("port").map_or(Some(default), |item| port(item, problems))
}

/// The name that stands in Host headers, SNI and certificates. `Some(None)` where none is written.
pub(super) fn host(table: &mut TableReader<'_>, problems: &mut Problems) -> Option<Option<Box<str>>> {
    let Some(item) = table.item("host") else { return Some(None) };
    let text = item.text(problems)?;
    let is_host = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    if !text.value.is_empty() && text.value.len() <= 255 && text.value.bytes().all(is_host) {
        return Some(Some(text.value.into()));
    }
    problems
        .error(text.place, format!("{} has host {}, which is no host name", item.subject, Quoted(text.value)))
        .help("write the name that the Host header and SNI are to carry: \"www.example.com\"");
    None
}

/// Whom to trust and what to show; paths are relative to `directory`.
pub(super) fn tls(table: &mut TableReader<'_>, directory: &Path, problems: &mut Problems) -> Option<TlsTerms> {
    let verify = table.optional("verify", problems, Item::boolean).unwrap_or(true);
    let authorities = table.item("ca").map(|item| path(item, directory, problems));
    let client_certificate = table.item("client-certificate").map(|item| identity(item, directory, problems));
    Some(TlsTerms {
        verify,
        authorities: authorities.map_or(Some(None), |path| path.map(Some))?,
        client_certificate: client_certificate.map_or(Some(None), |identity| identity.map(Some))?,
    })
}

/// Reports keys of [`tls`] where no TLS is spoken.
pub(super) fn refuse_tls_keys(table: &mut TableReader<'_>, help: &str, problems: &mut Problems) {
    for key in ["ca", "client-certificate"] {
        if let Some(item) = table.item(key) {
            problems.error(item.place, format!("{} has `{key}`, but does not speak TLS", table.subject)).help(help);
        }
    }
}

/// `"v1"` or `"v2"`. `Some(None)` where nothing is written.
pub(super) fn proxy_protocol(table: &mut TableReader<'_>, problems: &mut Problems) -> Option<Option<ProxyProtocol>> {
    const VERSIONS: [(&str, ProxyProtocol); 2] = [("v1", ProxyProtocol::V1), ("v2", ProxyProtocol::V2)];
    let Some(item) = table.item("proxy-protocol") else { return Some(None) };
    item.word(&VERSIONS, problems).map(Some)
}

fn path(item: Item<'_>, directory: &Path, problems: &mut Problems) -> Option<Box<Path>> {
    item.text(problems).map(|text| directory.join(text.value).into())
}

/// `{ certificate = "x.pem", key = "x.key" }`.
fn identity(item: Item<'_>, directory: &Path, problems: &mut Problems) -> Option<ClientCertificate> {
    const HELP: &str = "write client-certificate = { certificate = \"client.pem\", key = \"client.key\" }";
    let subject = Subject { kind: "`client-certificate` of monitor", name: item.subject.name };
    let mut table = item.table(subject, problems)?;
    let mut file = |key| table.required(key, HELP, problems).and_then(|item| path(item, directory, problems));
    let (certificate, key) = (file("certificate"), file("key"));
    table.finish(problems);
    Some(ClientCertificate { certificate: certificate?, key: key? })
}
