//! A running server asked over its admin API: which one, and what it answers.

use std::{fmt, net::IpAddr, process::ExitCode, time::Duration};

use reqwest::Certificate;
use rustls::pki_types::CertificateDer;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use super::{
    args::{ReloadArguments, ServerArguments},
    output::Output,
    status,
};
use crate::{
    admin::{DrainBody, ReloadBody, SERVER_HEADER, USER_HEADER},
    config::{SourceOptions, admin_address},
    control::{ReloadReport, ServerStatus, Status},
    printable::{self, redacted},
};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// A server that is there accepts within this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_PORT: u16 = 8053;
const USER_AGENT: &str = concat!("portolan/", env!("CARGO_PKG_VERSION"));

/// Why the server could not be asked, or said no.
#[derive(Debug)]
pub(super) enum RemoteError {
    /// No server answers at this URL.
    Unreachable(String, String),
    /// The certificate of the server at this URL cannot be verified: this host has no CA
    /// certificates.
    NoCaCertificates(String),
    /// The configuration does not say where its server is asked.
    NoAdminAddress(String),
    /// What answers at this URL is not portolan, or of another version.
    NotPortolan(String, String),
    /// The server said no.
    Refused(Box<ServerRefusal>),
}

/// The error reply of a server.
#[derive(Debug)]
pub(super) struct ServerRefusal {
    server: ServerStatus,
    /// The server's own words.
    message: String,
    /// The same for programs, with every list in full.
    detail: serde_json::Value,
}

impl RemoteError {
    /// Ends the command; with `--json` the document has all that the server said.
    pub(super) fn report(&self, output: &Output) -> ExitCode {
        match self {
            Self::Refused(refusal) if output.json => {
                let ServerRefusal { server, message, detail } = &**refusal;
                output.print_document(
                    &json!({ "error": message, "detail": detail, "server": server }),
                );
                output.print_message(&format!("error: {self}"));
                ExitCode::FAILURE
            }
            _ => output.fail(self),
        }
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(url, why) => write!(
                f,
                "no portolan answers at {url}: {why}\n  help: start it with `portolan serve`, or name its admin address with --server URL"
            ),
            Self::NoCaCertificates(url) => write!(
                f,
                "cannot verify the certificate of {url}: this host has no CA certificates\n  help: install the package \
                 `ca-certificates`, or name the server by an http:// URL"
            ),
            Self::NoAdminAddress(why) => f.write_str(why),
            Self::NotPortolan(url, why) => {
                write!(f, "what answers at {url} is not this version of portolan: {why}")
            }
            Self::Refused(refusal) => {
                write!(f, "{}\n  {}", refusal.message, server_line(&refusal.server))
            }
        }
    }
}

/// A document and the server that gave it.
#[derive(Debug, Serialize)]
pub(super) struct ServerReply<T> {
    pub server: ServerStatus,
    #[serde(flatten)]
    pub document: T,
}

impl<T: Serialize + DeserializeOwned> ServerReply<T> {
    /// The same with each text on one line and without control sequences: a reason can forge no
    /// line of a report.
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
    let (node, started) = (printable::escaped(&server.node), status::format_time(server.started));
    format!("server {url}: node {node}, process {}, started {started}", server.pid)
}

pub(super) fn status(remote: &ServerArguments, output: &Output) -> ExitCode {
    let path = if output.json { "/api/v1/status?full=true" } else { "/api/v1/status" };
    let answered: ServerReply<Status> = match request(remote, path, None) {
        Ok(answered) => answered,
        Err(error) => return error.report(output),
    };
    if output.json {
        // The document names its server itself.
        output.print_document(&Status { server: answered.server, ..answered.document });
    } else {
        let answered = answered.escaped();
        output.print_line(&answered.server_line());
        output.print_line(status::render(&answered.document, output.is_coloured()).trim_end());
    }
    ExitCode::SUCCESS
}

pub(super) fn reload(reload: &ReloadArguments, output: &Output) -> ExitCode {
    let body = ReloadBody { accept_removal: reload.accept_removal };
    let body = serde_json::to_vec(&body).ok();
    let answered: ServerReply<ReloadReport> =
        match request_with_body(&reload.remote, "/api/v1/reload", body) {
            Ok(answered) => answered,
            Err(error) => return error.report(output),
        };
    if output.json {
        output.print_document(&answered);
    } else {
        output.print_line(&answered.server_line());
        output.print_line(&format!(
            "all files are in use; generation {}",
            answered.document.generation
        ));
    }
    ExitCode::SUCCESS
}

/// Asks the server; with a body it is asked for a change.
pub(super) fn request<T: DeserializeOwned>(
    remote: &ServerArguments,
    path: &str,
    body: Option<&DrainBody>,
) -> Result<ServerReply<T>, RemoteError> {
    request_with_body(remote, path, body.and_then(|body| serde_json::to_vec(body).ok()))
}

fn request_with_body<T: DeserializeOwned>(
    remote: &ServerArguments,
    path: &str,
    body: Option<Vec<u8>>,
) -> Result<ServerReply<T>, RemoteError> {
    request_at(&base_url(remote)?, path, body)
}

/// Asks the server at a URL.
pub(super) fn request_at<T: DeserializeOwned>(
    base: &str,
    path: &str,
    body: Option<Vec<u8>>,
) -> Result<ServerReply<T>, RemoteError> {
    let shown = redacted(base).into_owned();
    let unreachable =
        |why: &dyn fmt::Display| RemoteError::Unreachable(shown.clone(), why.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| unreachable(&error))?;
    let roots = if base.starts_with("https:") { system_roots(base)? } else { Vec::new() };
    runtime.block_on(async {
        let client = client(roots).map_err(|error| unreachable(&root_cause(&error)))?;
        let url = format!("{base}{path}");
        let request = match body {
            Some(body) => client
                .post(url)
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
        let foreign = |why: String| RemoteError::NotPortolan(shown.clone(), why);
        match server {
            Some(server) if !is_success => {
                let (message, detail) = parse_refusal(&octets);
                Err(RemoteError::Refused(Box::new(ServerRefusal { server, message, detail })))
            }
            None if !is_success => Err(foreign(parse_refusal(&octets).0)),
            None => Err(foreign("its reply does not name a server".to_owned())),
            Some(server) => match serde_json::from_slice(&octets) {
                Ok(document) => Ok(ServerReply { server, document }),
                Err(error) => Err(foreign(error.to_string())),
            },
        }
    })
}

/// A client that trusts `roots` alone. With none it speaks plain HTTP, which needs no CA
/// certificates: by itself reqwest loads the system's for every client, and fails where there are
/// none.
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
        .filter(|at| is_usable(at))
        .filter_map(|at| Certificate::from_der(at).ok())
        .collect();
    if roots.is_empty() { Err(RemoteError::NoCaCertificates(base.to_owned())) } else { Ok(roots) }
}

/// The user of this process for the server's log; of `sudo`, the one behind it. Characters that no
/// header may hold are left out.
fn client_user() -> String {
    let names =
        ["SUDO_USER", "USER", "LOGNAME"].into_iter().filter_map(|name| std::env::var(name).ok());
    // cron and systemd set none of them.
    let uid = || format!("uid:{}", rustix::process::getuid().as_raw());
    let name = names.into_iter().find(|name| !name.is_empty()).unwrap_or_else(uid);
    name.chars().filter(char::is_ascii_graphic).collect()
}

/// The server's own words in an error's document, and what else it says there.
fn parse_refusal(octets: &[u8]) -> (String, serde_json::Value) {
    let mut document: serde_json::Value = serde_json::from_slice(octets).unwrap_or_default();
    let words = document
        .get("message")
        .or_else(|| document.get("error"))
        .and_then(serde_json::Value::as_str);
    let words =
        words.map_or_else(|| String::from_utf8_lossy(octets).trim().to_owned(), str::to_owned);
    (words, document.get_mut("error").map(serde_json::Value::take).unwrap_or_default())
}

/// `--server`, else the admin address of the configuration, which has a default.
fn base_url(remote: &ServerArguments) -> Result<String, RemoteError> {
    match remote.server.as_deref().filter(|server| !server.trim().is_empty()) {
        Some(server) => server_url(server),
        None => configured_url(&SourceOptions {
            config: remote.config.clone(),
            ..SourceOptions::default()
        }),
    }
}

/// Where the server of a configuration is asked.
pub(super) fn configured_url(locations: &SourceOptions) -> Result<String, RemoteError> {
    let path = locations.config_path();
    match admin_address(locations) {
        Ok(Some(address)) => Ok(format!("http://{address}")),
        Ok(None) => Err(RemoteError::NoAdminAddress(format!(
            "the server of {0} has no admin address (`admin = false`), so that it can be neither asked nor changed\n  help: set \
             [server] admin = \"127.0.0.1:8053\" in {0} and restart the server, or name another server with --server URL",
            path.display()
        ))),
        Err(why) => Err(RemoteError::NoAdminAddress(format!(
            "the admin address is not known: {why}\n  help: see `portolan check`, or name the server with --server URL"
        ))),
    }
}

/// What was written, as a URL, if it can be one.
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

/// What was written without the password that it may hold, with a scheme or not.
fn without_password(server: &str) -> String {
    match server.contains("://") {
        true => redacted(server).into_owned(),
        false => redacted(&format!("http://{server}")).trim_start_matches("http://").to_owned(),
    }
}

/// What was written, as a URL: `http://gslb1:8053`, `gslb1:8053`, `gslb1`, `[2001:db8::1]:8053` and
/// `2001:db8::1` are all meant.
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
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// A name as a part of a URL's path.
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
    fn no_message_and_no_document_holds_the_password_of_a_server() {
        // As `main` does; another test may have done it before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // The port of an address where nothing listens any more.
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        for server in [format!("http://ada:hunter2@{closed}/"), format!("ada:hunter2@{closed}")] {
            let url = server_url(&server).unwrap();
            let error = request_at::<Status>(&url, "/", None).unwrap_err().to_string();
            assert!(error.contains("no portolan answers at http://***@127.0.0.1"), "{error}");
        }
        for wrong in
            ["ada:hunter2@gslb1:99999", "ftp://ada:hunter2@gslb1", "http://gslb1:x/?token=hunter2"]
        {
            let error = server_url(wrong).unwrap_err().to_string();
            assert!(error.contains("names no server") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_document_from_a_server_holds_no_control_sequence_once_it_is_for_people() {
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
    fn what_cannot_name_a_server_is_an_error() {
        for written in ["not a url", "http://", "ftp://gslb1", "http://gslb1:99999"] {
            assert!(server_url(written).is_err(), "{written}");
        }
    }

    #[test]
    fn a_configuration_without_an_admin_address_leads_to_no_other_server() {
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
            assert!(error.contains("the admin address is not known"), "{error}");
        }
        std::fs::remove_file(&config).unwrap();
        let missing = ServerArguments { server: None, config: Some(config.clone()) };
        assert!(base_url(&missing).unwrap_err().to_string().contains("portolan.toml"));
    }
}
