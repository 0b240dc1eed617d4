//! The servers that a command talks to, and the token that it sends them.
//!
//! The first of these that is given names the servers: `--server`, PORTOLAN_SERVER, the admin
//! address of the configuration, its default.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use reqwest::{Url, header::HeaderValue};

use super::{args::ServerArguments, remote_error::RemoteError};
use crate::{
    config::{SourceOptions, admin_address},
    printable::redacted,
};

const DEFAULT_PORT: u16 = 8053;

/// A server that a command talks to.
#[derive(Debug, Clone)]
pub(super) struct RemoteServer {
    url: Url,
    /// The token of PORTOLAN_TOKEN; debug output does not contain it.
    token: Option<HeaderValue>,
    /// A PEM file of CA certificates that replace those of the system.
    pub(super) ca_file: Option<PathBuf>,
}

/// The servers that a command talks to.
#[derive(Debug, Clone)]
pub(super) struct ServerList {
    /// The servers in the order named, each once; at least one.
    pub(super) servers: Vec<RemoteServer>,
    /// What names the servers.
    pub(super) source: ServerSource,
}

/// What names the servers of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ServerSource {
    /// One or more `--server`.
    Flag,
    /// The environment variable PORTOLAN_SERVER.
    Environment,
    /// The configuration, or the default address.
    Configuration,
}

/// What the environment says about servers; empty variables count as unset.
#[derive(Default)]
struct RemoteSettings {
    /// PORTOLAN_SERVER: servers, separated by commas.
    servers: String,
    /// PORTOLAN_TOKEN: a secret, which no message contains.
    token: String,
}

impl RemoteSettings {
    fn of_process() -> Result<Self, RemoteError> {
        let text = |name: &str| match std::env::var(name) {
            Ok(text) => Ok(text.trim().to_owned()),
            Err(std::env::VarError::NotPresent) => Ok(String::new()),
            Err(std::env::VarError::NotUnicode(_)) => {
                Err(RemoteError::NoAdminAddress(format!("{name} is not UTF-8")))
            }
        };
        Ok(Self { servers: text("PORTOLAN_SERVER")?, token: text("PORTOLAN_TOKEN")? })
    }
}

impl ServerList {
    /// The servers that the arguments, the environment or the configuration name.
    ///
    /// # Errors
    /// A name is no URL, the configuration has no admin address, or the token cannot be sent.
    pub(super) fn new(remote: &ServerArguments) -> Result<Self, RemoteError> {
        Self::with_settings(remote, &RemoteSettings::of_process()?)
    }

    fn with_settings(
        remote: &ServerArguments,
        settings: &RemoteSettings,
    ) -> Result<Self, RemoteError> {
        let flags = remote.server.iter().map(String::as_str);
        let named = non_empty(flags);
        let (urls, source) = if !named.is_empty() {
            (named, ServerSource::Flag)
        } else {
            (non_empty(settings.servers.split(',')), ServerSource::Environment)
        };
        let (urls, source) = if urls.is_empty() {
            let locations =
                SourceOptions { config: remote.config.clone(), ..SourceOptions::default() };
            (vec![configured_url(&locations)?], ServerSource::Configuration)
        } else {
            (urls.into_iter().map(server_url).collect::<Result<_, _>>()?, source)
        };
        let token = (!settings.token.is_empty()).then(|| bearer(&settings.token)).transpose()?;
        let mut servers: Vec<RemoteServer> = Vec::with_capacity(urls.len());
        for url in urls {
            if servers.iter().all(|known| known.url != url) {
                let (token, ca_file) = (token.clone(), remote.ca.clone());
                servers.push(RemoteServer { url, token, ca_file });
            }
        }
        Ok(Self { servers, source })
    }

    /// Whether PORTOLAN_SERVER names servers.
    pub(super) fn is_named_by_environment() -> bool {
        std::env::var_os("PORTOLAN_SERVER").is_some_and(|servers| !servers.is_empty())
    }

    /// The one server of a command that acts on a single one.
    ///
    /// # Errors
    /// Several servers are named.
    pub(super) fn single(self) -> Result<RemoteServer, RemoteError> {
        let count = self.servers.len();
        match <[RemoteServer; 1]>::try_from(self.servers) {
            Ok([server]) => Ok(server),
            Err(_) => Err(RemoteError::NoAdminAddress(format!(
                "this command acts on one server, and {count} are named\n  help: name one with --server URL, and repeat the \
                 command for each of the others"
            ))),
        }
    }
}

impl RemoteServer {
    /// The URL of a path of the admin API. A proxy may serve the API below a path of its own.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url.as_str().trim_end_matches('/'))
    }

    /// The URL without its password, for messages.
    pub(super) fn shown_url(&self) -> String {
        redacted(self.url.as_str().trim_end_matches('/')).into_owned()
    }

    pub(super) fn uses_tls(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The name `localhost` as the URL has it, which is a loopback address whatever a resolver says
    /// (RFC 6761 section 6.3).
    pub(super) fn localhost(&self) -> Option<&str> {
        self.url.host_str().filter(|host| *host == "localhost" || host.ends_with(".localhost"))
    }

    /// The header value with the token, if there is one.
    ///
    /// # Errors
    /// The token would cross a network in clear text, or the URL has a password, which takes the
    /// same header.
    pub(super) fn authorization(&self) -> Result<Option<HeaderValue>, RemoteError> {
        let Some(token) = &self.token else { return Ok(None) };
        let refused =
            |why: &str| RemoteError::TokenNotSent { url: self.shown_url(), why: why.to_owned() };
        if !self.uses_tls() && !self.is_loopback() {
            return Err(refused(
                "plain HTTP would show it to everything on the way\n  help: name the server by an https:// URL, or \
                 by a loopback address at the end of a tunnel (`ssh -L`), or unset PORTOLAN_TOKEN",
            ));
        }
        if !self.url.username().is_empty() || self.url.password().is_some() {
            return Err(refused(
                "the URL has a user name or a password, which would be sent in the same header\n  help: remove it \
                 from the URL, or unset PORTOLAN_TOKEN",
            ));
        }
        Ok(Some(token.clone()))
    }

    fn is_loopback(&self) -> bool {
        let host = self.url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let is_address =
            host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
        is_address || self.localhost().is_some()
    }
}

/// The texts without those that are blank.
fn non_empty<'t>(texts: impl Iterator<Item = &'t str>) -> Vec<&'t str> {
    texts.map(str::trim).filter(|text| !text.is_empty()).collect()
}

/// The value of the header `Authorization` (RFC 6750 section 2.1).
fn bearer(token: &str) -> Result<HeaderValue, RemoteError> {
    let value = HeaderValue::try_from(format!("Bearer {token}"));
    let value = value.ok().filter(|_| token.bytes().all(|octet| octet.is_ascii_graphic()));
    let mut value = value.ok_or_else(|| {
        RemoteError::NoAdminAddress(
            "PORTOLAN_TOKEN holds a character that no token has, such as a space or a line end\n  help: set it to the \
             token alone"
                .to_owned(),
        )
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// The URL of the admin address in a configuration.
fn configured_url(locations: &SourceOptions) -> Result<Url, RemoteError> {
    let path = locations.config_path();
    match admin_address(locations) {
        Ok(Some(address)) => server_url(&address_url(address)),
        Ok(None) => Err(RemoteError::NoAdminAddress(format!(
            "the server of {0} has no admin address (`admin = false`), so commands cannot reach it\n  help: set \
             [server] admin = \"127.0.0.1:8053\" in {0} and restart the server, or name another server with --server URL",
            path.display()
        ))),
        Err(why) => Err(RemoteError::NoAdminAddress(format!(
            "the admin address is unknown: {why}\n  help: see `portolan check`, or name the server with --server URL"
        ))),
    }
}

fn address_url(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// The URL of a `--server` argument.
///
/// # Errors
/// [`RemoteError::NoAdminAddress`] if it cannot be a URL.
fn server_url(server: &str) -> Result<Url, RemoteError> {
    let url = Url::parse(&complete_url(server)).ok();
    let is_base = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.query().is_none()
            && url.fragment().is_none()
    };
    url.filter(is_base).ok_or_else(|| {
        RemoteError::NoAdminAddress(format!(
            "{:?} names no server\n  help: write --server (or PORTOLAN_SERVER) as host, host:port, http://host:port or \
             https://host",
            without_password(server)
        ))
    })
}

/// A `--server` argument without its password, with a scheme or without.
fn without_password(server: &str) -> String {
    match server.contains("://") {
        true => redacted(server).into_owned(),
        false => redacted(&format!("http://{server}")).trim_start_matches("http://").to_owned(),
    }
}

/// Adds the missing scheme and port to a `--server` argument: it may be `http://gslb1:8053`,
/// `gslb1:8053`, `gslb1`, `[2001:db8::1]:8053` or `2001:db8::1`.
fn complete_url(server: &str) -> String {
    let server = server.trim().trim_end_matches('/');
    if server.contains("://") {
        return server.to_owned();
    }
    if let Ok(address) = server.parse::<IpAddr>() {
        return address_url(SocketAddr::new(address, DEFAULT_PORT));
    }
    let has_port = server.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if has_port { format!("http://{server}") } else { format!("http://{server}:{DEFAULT_PORT}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(servers: &[&str]) -> ServerArguments {
        let server = servers.iter().map(|server| (*server).to_owned()).collect();
        ServerArguments { server, ca: None, config: None }
    }

    fn list(servers: &[&str], settings: RemoteSettings) -> Result<ServerList, String> {
        let list = ServerList::with_settings(&arguments(servers), &settings);
        list.map_err(|error| error.to_string())
    }

    fn urls(list: &ServerList) -> Vec<String> {
        list.servers.iter().map(RemoteServer::shown_url).collect()
    }

    #[test]
    fn a_server_is_named_by_url_host_or_address() {
        for (written, url) in [
            ("http://gslb1.example.com:9000/", "http://gslb1.example.com:9000"),
            ("https://gslb1.example.com", "https://gslb1.example.com"),
            ("https://proxy.example.com/gslb1/", "https://proxy.example.com/gslb1"),
            ("gslb1:9000", "http://gslb1:9000"),
            ("gslb1", "http://gslb1:8053"),
            ("192.0.2.1", "http://192.0.2.1:8053"),
            ("192.0.2.1:9000", "http://192.0.2.1:9000"),
            ("2001:db8::1", "http://[2001:db8::1]:8053"),
            ("[2001:db8::1]:9000", "http://[2001:db8::1]:9000"),
        ] {
            let list = list(&[written], RemoteSettings::default()).unwrap();
            assert_eq!(list.servers[0].url("/x"), format!("{url}/x"));
        }
    }

    #[test]
    fn an_argument_that_names_no_server_is_an_error_without_its_password() {
        for written in [
            "not a url",
            "http://",
            "ftp://gslb1",
            "http://gslb1:99999",
            "http://gslb1/?full=true",
            "ada:hunter2@gslb1:99999",
            "ftp://ada:hunter2@gslb1",
            "http://gslb1:x/?token=hunter2",
        ] {
            let error = list(&[written], RemoteSettings::default()).unwrap_err();
            assert!(error.contains("names no server") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn flags_name_the_servers_before_the_environment_and_each_server_counts_once() {
        let settings = |servers: &str| RemoteSettings {
            servers: servers.to_owned(),
            ..RemoteSettings::default()
        };
        let named = list(&["a", "b:1", "http://a:8053/"], settings("c")).unwrap();
        assert_eq!(urls(&named), ["http://a:8053", "http://b:1"]);
        assert_eq!(named.source, ServerSource::Flag);
        let named = list(&[], settings(" c , https://d ,")).unwrap();
        assert_eq!(urls(&named), ["http://c:8053", "https://d"]);
        assert_eq!(named.source, ServerSource::Environment);
        assert!(named.single().unwrap_err().to_string().contains("2 are named"));
        let named = list(&[""], settings(" ,")).unwrap();
        assert_eq!(named.source, ServerSource::Configuration, "empty names are none");
    }

    #[test]
    fn a_token_is_sent_over_tls_and_to_loopback_addresses_alone() {
        let token = || RemoteSettings { token: "hunter2".to_owned(), ..RemoteSettings::default() };
        for (server, is_sent, why) in [
            ("https://gslb1.example.com", true, "TLS"),
            ("127.0.0.1:8053", true, "loopback"),
            ("[::1]:8053", true, "loopback of IPv6"),
            ("[::ffff:127.0.0.1]:8053", true, "the same, mapped"),
            ("localhost:8053", true, "resolved to loopback addresses, whatever a resolver says"),
            ("http://gslb1.example.com", false, "plain HTTP"),
            ("192.0.2.1", false, "plain HTTP to an address"),
            ("localhost.example.com", false, "a name that begins like localhost"),
            ("https://ada:secret@gslb1", false, "a password takes the same header"),
        ] {
            let server = list(&[server], token()).unwrap().servers.remove(0);
            let outcome = server.authorization();
            assert!(!format!("{server:?}{outcome:?}").contains("hunter2"), "{why}");
            match outcome {
                Ok(value) => assert!(is_sent && value.unwrap() == "Bearer hunter2", "{why}"),
                Err(error) => {
                    let text = error.to_string();
                    assert!(!is_sent && text.contains("is not sent to http"), "{why}: {text}");
                    assert!(text.contains("help:") && !text.contains("hunter2"), "{text}");
                }
            }
        }
        let broken = RemoteSettings { token: "hunter2 x".to_owned(), ..RemoteSettings::default() };
        let error = list(&["gslb1"], broken).unwrap_err();
        assert!(error.contains("PORTOLAN_TOKEN") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_configuration_without_an_admin_address_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("portolan.toml");
        let url = |text: &str| {
            std::fs::write(&config, text).unwrap();
            let remote = ServerArguments { config: Some(config.clone()), ..arguments(&[]) };
            let list = ServerList::with_settings(&remote, &RemoteSettings::default());
            list.map(|list| urls(&list).remove(0)).map_err(|error| error.to_string())
        };
        for (text, expected, why) in [
            ("[server]\n", "http://127.0.0.1:8053", "the default"),
            ("[server]\nadmin = \"192.0.2.1:9000\"\n", "http://192.0.2.1:9000", "the short form"),
            (
                "[admin]\nlisten = [\"192.0.2.1:1\", \"127.0.0.1:2\"]\n",
                "http://127.0.0.1:2",
                "loopback is preferred",
            ),
            ("[admin]\nlisten = [\"0.0.0.0:1\"]\n", "http://127.0.0.1:1", "every address"),
            ("[admin]\nlisten = [\"[::]:1\"]\n", "http://[::1]:1", "every address of IPv6"),
        ] {
            assert_eq!(url(text), Ok(expected.to_owned()), "{why}");
        }
        let error = url("[server]\nadmin = false\n").unwrap_err();
        assert!(
            error.contains("portolan.toml has no admin address") && error.contains("--server"),
            "{error}"
        );
        for broken in ["[server\n", "[server]\nadmin = \"nowhere\"\n"] {
            let error = url(broken).unwrap_err();
            assert!(error.contains("the admin address is unknown"), "{error}");
        }
        std::fs::remove_file(&config).unwrap();
        let missing = ServerArguments { config: Some(config.clone()), ..arguments(&[]) };
        let error = ServerList::with_settings(&missing, &RemoteSettings::default()).unwrap_err();
        assert!(error.to_string().contains("portolan.toml"));
    }
}
