//! The client of a running server's admin API: which server to use, requests, and errors.

use std::{fmt, net::IpAddr, process::ExitCode, time::Duration};

use reqwest::{Certificate, Method};
use rustls::pki_types::CertificateDer;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use super::{args::ServerArguments, output::Output, text::format_time};
use crate::{
    admin::{DrainBody, SERVER_HEADER, USER_HEADER},
    config::{SourceOptions, admin_address},
    control::ServerStatus,
    printable::{self, redacted},
};

/// The longest time for a whole request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest time for the connection, so that a missing server is reported soon.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_PORT: u16 = 8053;
const USER_AGENT: &str = concat!("portolan/", env!("CARGO_PKG_VERSION"));

/// Why a request to the server failed.
#[derive(Debug)]
pub(super) enum RemoteError {
    /// No server answers at `url`.
    Unreachable {
        /// The URL without its password.
        url: String,
        /// The cause, as text.
        cause: String,
    },
    /// The certificate of the server at this URL cannot be verified: this host has no CA
    /// certificates.
    NoCaCertificates(String),
    /// No usable address of a server is given or configured, as explained by this text.
    NoAdminAddress(String),
    /// The reply from `url` is not from portolan, or from another version.
    NotPortolan {
        /// The URL without its password.
        url: String,
        /// The cause, as text.
        cause: String,
    },
    /// The server replied with an error.
    Refused(Box<ServerRefusal>),
}

/// The error reply of a server.
#[derive(Debug)]
pub(super) struct ServerRefusal {
    server: ServerStatus,
    /// The server's text for operators.
    message: String,
    /// The same as JSON, with complete lists.
    detail: serde_json::Value,
}

impl RemoteError {
    /// Ends the command with an exit code. With `--json`, the document contains the whole reply of
    /// the server.
    pub(super) fn report(&self, output: &Output) -> ExitCode {
        if output.json {
            output.print_document(&self.document());
            output.print_message(&format!("error: {self}"));
        } else {
            output.fail(self);
        }
        ExitCode::from(self.exit_code())
    }

    /// The error as a document, with the whole reply of the server.
    pub(super) fn document(&self) -> serde_json::Value {
        match self {
            Self::Refused(refusal) => {
                let ServerRefusal { server, message, detail } = &**refusal;
                json!({ "error": message, "detail": detail, "server": server })
            }
            _ => json!({ "error": self.to_string() }),
        }
    }

    /// 3 if the server refused a change because of a rule, else 1.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(refusal) if refusal.detail.get("distress").is_some() => 3,
            _ => 1,
        }
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { url, cause } => write!(
                f,
                "no portolan server answers at {url}: {cause}\n  help: start it with `portolan serve`, or name its admin address with --server URL"
            ),
            Self::NoCaCertificates(url) => write!(
                f,
                "cannot verify the certificate of {url}: this host has no CA certificates\n  help: install the package \
                 `ca-certificates`, or name the server by an http:// URL"
            ),
            Self::NoAdminAddress(why) => f.write_str(why),
            Self::NotPortolan { url, cause } => {
                write!(f, "the server at {url} is not portolan, or another version of it: {cause}")
            }
            Self::Refused(refusal) => {
                write!(f, "{}\n  {}", refusal.message, server_line(&refusal.server))
            }
        }
    }
}

/// A document and the server that sent it.
#[derive(Debug, Serialize)]
pub(super) struct ServerReply<T> {
    pub server: ServerStatus,
    #[serde(flatten)]
    pub document: T,
}

impl<T: Serialize + DeserializeOwned> ServerReply<T> {
    /// The reply with each text on one line and without control sequences, so that a drain's reason
    /// cannot forge a line of a report.
    pub(super) fn escaped(self) -> Self {
        Self { document: escape_document(self.document), ..self }
    }
}

/// A document with each text on one line and without control sequences.
pub(super) fn escape_document<T: Serialize + DeserializeOwned>(document: T) -> T {
    let Ok(mut value) = serde_json::to_value(&document) else { return document };
    escape_texts(&mut value);
    serde_json::from_value(value).unwrap_or(document)
}

fn escape_texts(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) => *text = printable::escaped(text).into_owned(),
        serde_json::Value::Array(list) => list.iter_mut().for_each(escape_texts),
        serde_json::Value::Object(map) => {
            let entries = std::mem::take(map).into_iter().map(|(key, mut value)| {
                escape_texts(&mut value);
                (printable::escaped(&key).into_owned(), value)
            });
            *map = entries.collect();
        }
        _ => {}
    }
}

impl<T> ServerReply<T> {
    /// A line that names the server.
    pub(super) fn server_line(&self) -> String {
        server_line(&self.server)
    }
}

/// `server http://127.0.0.1:8053: node gslb1, process 4711, started 2026-12-01 06:00:00 UTC`.
pub(super) fn server_line(server: &ServerStatus) -> String {
    let url = server.url.as_deref().unwrap_or("-");
    let (node, started) = (printable::escaped(&server.node), format_time(server.started));
    format!("server {url}: node {node}, process {}, started {started}", server.pid)
}

/// Sends a request to the server: POST with a body, else GET.
pub(super) fn request<T: DeserializeOwned>(
    remote: &ServerArguments,
    path: &str,
    body: Option<&DrainBody>,
) -> Result<ServerReply<T>, RemoteError> {
    request_with_body(remote, path, body.and_then(|body| serde_json::to_vec(body).ok()))
}

pub(super) fn request_with_body<T: DeserializeOwned>(
    remote: &ServerArguments,
    path: &str,
    body: Option<Vec<u8>>,
) -> Result<ServerReply<T>, RemoteError> {
    request_at(&base_url(remote)?, path, body)
}

/// Sends a request that changes the server, with a method other than POST.
pub(super) fn request_with_method<T: DeserializeOwned>(
    remote: &ServerArguments,
    method: Method,
    path: &str,
    body: &impl Serialize,
) -> Result<ServerReply<T>, RemoteError> {
    // The bodies of requests have text keys and finite numbers, so this cannot fail.
    let body = serde_json::to_vec(body).unwrap_or_default();
    send(&base_url(remote)?, path, Some((method, body)))
}

/// Sends a request to the server at `base`: POST with a body, else GET.
pub(super) fn request_at<T: DeserializeOwned>(
    base: &str,
    path: &str,
    body: Option<Vec<u8>>,
) -> Result<ServerReply<T>, RemoteError> {
    send(base, path, body.map(|body| (Method::POST, body)))
}

fn send<T: DeserializeOwned>(
    base: &str,
    path: &str,
    body: Option<(Method, Vec<u8>)>,
) -> Result<ServerReply<T>, RemoteError> {
    let shown = redacted(base).into_owned();
    let unreachable = |cause: &dyn fmt::Display| RemoteError::Unreachable {
        url: shown.clone(),
        cause: cause.to_string(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| unreachable(&error))?;
    let roots = if base.starts_with("https:") { system_roots(base)? } else { Vec::new() };
    runtime.block_on(async {
        let client = client(roots).map_err(|error| unreachable(&root_cause(&error)))?;
        let url = format!("{base}{path}");
        let request = match body {
            Some((method, body)) => client
                .request(method, url)
                .header("content-type", "application/json")
                .header(USER_HEADER, client_user())
                .body(body),
            None => client.get(url),
        };
        let response = request.send().await.map_err(|error| unreachable(&root_cause(&error)))?;
        let is_success = response.status().is_success();
        let server = response
            .headers()
            .get(SERVER_HEADER)
            .and_then(|text| serde_json::from_slice(text.as_bytes()).ok());
        let octets = response.bytes().await.map_err(|error| unreachable(&root_cause(&error)))?;
        let server: Option<ServerStatus> =
            server.map(|server| ServerStatus { url: Some(shown.clone()), ..server });
        let not_portolan = |cause: String| RemoteError::NotPortolan { url: shown.clone(), cause };
        match server {
            Some(server) if !is_success => {
                let (message, detail) = parse_refusal(&octets);
                Err(RemoteError::Refused(Box::new(ServerRefusal { server, message, detail })))
            }
            None if !is_success => Err(not_portolan(parse_refusal(&octets).0)),
            None => Err(not_portolan("its reply does not name a server".to_owned())),
            Some(server) => match serde_json::from_slice(&octets) {
                Ok(document) => Ok(ServerReply { server, document }),
                Err(error) => Err(not_portolan(error.to_string())),
            },
        }
    })
}

/// A client that trusts only `roots`; there are none for plain HTTP. By default, reqwest loads the
/// system's CA certificates for every client, and fails if there are none.
fn client(roots: Vec<Certificate>) -> reqwest::Result<reqwest::Client> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(REQUEST_TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT);
    client.user_agent(USER_AGENT).tls_certs_only(roots).build()
}

/// The system's CA certificates, for the server at an `https` URL.
fn system_roots(base: &str) -> Result<Vec<Certificate>, RemoteError> {
    let found = rustls_native_certs::load_native_certs().certs;
    let is_usable = |certificate: &CertificateDer<'_>| {
        rustls::RootCertStore::empty().add(certificate.clone()).is_ok()
    };
    let roots: Vec<_> = found
        .iter()
        .filter(|certificate| is_usable(certificate))
        .filter_map(|certificate| Certificate::from_der(certificate).ok())
        .collect();
    if roots.is_empty() { Err(RemoteError::NoCaCertificates(base.to_owned())) } else { Ok(roots) }
}

/// The user of this process, for the server's log; with `sudo`, the user who called it. Characters
/// that a header may not contain are omitted.
fn client_user() -> String {
    let names =
        ["SUDO_USER", "USER", "LOGNAME"].into_iter().filter_map(|name| std::env::var(name).ok());
    // cron and systemd set none of these variables.
    let uid = || format!("uid:{}", rustix::process::getuid().as_raw());
    let name = names.into_iter().find(|name| !name.is_empty()).unwrap_or_else(uid);
    name.chars().filter(char::is_ascii_graphic).collect()
}

/// The text for operators and the details in the document of an error.
fn parse_refusal(octets: &[u8]) -> (String, serde_json::Value) {
    let mut document: serde_json::Value = serde_json::from_slice(octets).unwrap_or_default();
    let message = document
        .get("message")
        .or_else(|| document.get("error"))
        .and_then(serde_json::Value::as_str);
    let message =
        message.map_or_else(|| String::from_utf8_lossy(octets).trim().to_owned(), str::to_owned);
    (message, document.get_mut("error").map(serde_json::Value::take).unwrap_or_default())
}

/// The URL of `--server`, else of the configured admin address, which has a default.
fn base_url(remote: &ServerArguments) -> Result<String, RemoteError> {
    match remote.server.as_deref().filter(|server| !server.trim().is_empty()) {
        Some(server) => server_url(server),
        None => configured_url(&SourceOptions {
            config: remote.config.clone(),
            ..SourceOptions::default()
        }),
    }
}

/// The URL of the admin address in a configuration.
pub(super) fn configured_url(locations: &SourceOptions) -> Result<String, RemoteError> {
    let path = locations.config_path();
    match admin_address(locations) {
        Ok(Some(address)) => Ok(format!("http://{address}")),
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

/// The URL of a `--server` argument.
///
/// # Errors
/// [`RemoteError::NoAdminAddress`] if it cannot be a URL.
pub(super) fn server_url(server: &str) -> Result<String, RemoteError> {
    let url = complete_url(server);
    match reqwest::Url::parse(&url) {
        Ok(parsed) if matches!(parsed.scheme(), "http" | "https") => Ok(url),
        _ => Err(RemoteError::NoAdminAddress(format!(
            "{:?} names no server\n  help: write --server (or PORTOLAN_SERVER) as host, host:port or http://host:port",
            without_password(server)
        ))),
    }
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
    match server.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => return format!("http://[{address}]:{DEFAULT_PORT}"),
        Ok(IpAddr::V4(address)) => return format!("http://{address}:{DEFAULT_PORT}"),
        Err(_) => {}
    }
    let has_port = server.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if has_port { format!("http://{server}") } else { format!("http://{server}:{DEFAULT_PORT}") }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Percent-encodes a name for the path of a URL.
pub(super) fn percent_encoded(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(
            |byte| {
                if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
            },
        )
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Status;

    #[test]
    fn a_server_is_named_by_url_host_or_address() {
        for (written, url) in [
            ("http://gslb1.example.com:9000/", "http://gslb1.example.com:9000"),
            ("https://gslb1.example.com", "https://gslb1.example.com"),
            ("gslb1:9000", "http://gslb1:9000"),
            ("gslb1", "http://gslb1:8053"),
            ("192.0.2.1", "http://192.0.2.1:8053"),
            ("192.0.2.1:9000", "http://192.0.2.1:9000"),
            ("2001:db8::1", "http://[2001:db8::1]:8053"),
            ("[2001:db8::1]:9000", "http://[2001:db8::1]:9000"),
        ] {
            assert_eq!(complete_url(written), url);
        }
    }

    #[test]
    fn no_message_contains_the_password_of_a_server() {
        // As in `main`; another test may have installed it before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // An address whose listener is closed.
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        for server in [format!("http://ada:hunter2@{closed}/"), format!("ada:hunter2@{closed}")] {
            let url = server_url(&server).unwrap();
            let error = request_at::<Status>(&url, "/", None).unwrap_err().to_string();
            assert!(
                error.contains("no portolan server answers at http://***@127.0.0.1"),
                "{error}"
            );
        }
        for wrong in
            ["ada:hunter2@gslb1:99999", "ftp://ada:hunter2@gslb1", "http://gslb1:x/?token=hunter2"]
        {
            let error = server_url(wrong).unwrap_err().to_string();
            assert!(error.contains("names no server") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn an_escaped_document_contains_no_control_sequence() {
        let hostile = "x\u{1b}[2J\nforged: line\u{9b}1m\u{202e}";
        let status = serde_json::json!({
            "node": hostile, "list": [{ "reason": hostile, "number": 1.5 }], "gauges": { hostile: 1 }, "none": null,
        });
        let clean = escape_document(status).to_string();
        assert!(!clean.contains(printable::is_unprintable) && !clean.contains("\\n\""), "{clean}");
        assert_eq!(clean.matches("forged: line").count(), 3, "{clean}");
        assert!(clean.contains(r"x\\u{1b}[2J\\nforged"), "{clean}");
    }

    #[test]
    fn an_argument_that_names_no_server_is_an_error() {
        for written in ["not a url", "http://", "ftp://gslb1", "http://gslb1:99999"] {
            assert!(server_url(written).is_err(), "{written}");
        }
    }

    #[test]
    fn a_configuration_without_an_admin_address_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("portolan.toml");
        let url = |text: &str| {
            std::fs::write(&config, text).unwrap();
            let remote = ServerArguments { server: None, config: Some(config.clone()) };
            base_url(&remote).map_err(|error| error.to_string())
        };
        assert_eq!(url("[server]\n"), Ok("http://127.0.0.1:8053".to_owned()));
        assert_eq!(
            url("[server]\nadmin = \"192.0.2.1:9000\"\n"),
            Ok("http://192.0.2.1:9000".to_owned())
        );
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
        let missing = ServerArguments { server: None, config: Some(config.clone()) };
        assert!(base_url(&missing).unwrap_err().to_string().contains("portolan.toml"));
    }
}
