//! The client of the admin API of running servers: requests, and reports about each server.

use std::{fmt, path::Path, process::ExitCode, time::Duration};

use reqwest::{Certificate, Method, header, redirect};
use rustls::pki_types::CertificateDer;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{exit::CommandExit, output::Output, remote_error::ServerRefusal, text::server_line};
pub(super) use super::{
    remote_error::RemoteError,
    server_list::{RemoteServer, ServerList, ServerSource},
};
use crate::{
    admin::{SERVER_HEADER, USER_HEADER},
    control::ServerStatus,
    files::{self, SymlinkPolicy},
    printable::{self, redacted},
};

/// The longest time for a whole request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest time for the connection, so that a missing server is reported soon.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The maximum number of octets of a file of CA certificates.
const MAX_CA_OCTETS: u64 = 1 << 20;
/// The maximum number of characters of a foreign reply that a message shows.
const MAX_REPLY_CHARS: usize = 300;
const USER_AGENT: &str = concat!("portolan/", env!("CARGO_PKG_VERSION"));

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

/// What a command reports about one server.
#[derive(Debug)]
pub(super) struct ServerReport {
    pub(super) exit: CommandExit,
    /// The report as JSON.
    pub(super) document: Value,
    /// The line that names the server.
    pub(super) heading: String,
    /// The report as text, below the heading.
    pub(super) text: String,
    /// What the text is followed by on stderr; `--json` has it in the document.
    pub(super) messages: Vec<String>,
}

/// Asks every server at the same time, and reports each as [`report_replies`] does.
pub(super) fn report_each<T: Send>(
    servers: &[RemoteServer],
    output: &Output,
    ask: impl Fn(&RemoteServer) -> Result<ServerReply<T>, RemoteError> + Sync,
    report: impl Fn(ServerReply<T>, &Output) -> ServerReport,
) -> ExitCode {
    report_replies(ask_each(servers, ask), output, report).code()
}

/// Reports the reply of each server in the order named, also of those that did not answer. The exit
/// code is the worst of all. With `--json`, the reports about several servers are one list.
pub(super) fn report_replies<T>(
    replies: Vec<Result<ServerReply<T>, RemoteError>>,
    output: &Output,
    report: impl Fn(ServerReply<T>, &Output) -> ServerReport,
) -> CommandExit {
    let is_list = replies.len() > 1;
    let mut exit = CommandExit::Success;
    let mut documents = Vec::new();
    for (index, reply) in replies.into_iter().enumerate() {
        if index > 0 && !output.json {
            output.print_line("");
        }
        match reply {
            Ok(reply) => {
                let report = report(reply, output);
                exit = exit.max(report.exit);
                if !output.json {
                    output.print_line(&report.heading);
                    output.print_line(report.text.trim_end());
                    report.messages.iter().for_each(|message| output.print_message(message));
                }
                documents.push(report.document);
            }
            Err(error) => {
                exit = exit.max(error.exit());
                output.print_message(&format!("error: {error}"));
                documents.push(error.document());
            }
        }
    }
    match (output.json, is_list) {
        (false, _) => {}
        (true, false) => documents.iter().for_each(|document| output.print_document(document)),
        (true, true) => output.print_document(&documents),
    }
    exit
}

/// Asks every server at the same time, so that one that does not answer delays no other. Returns
/// the replies in the order named.
pub(super) fn ask_each<T: Send>(
    servers: &[RemoteServer],
    ask: impl Fn(&RemoteServer) -> T + Sync,
) -> Vec<T> {
    if let [server] = servers {
        return vec![ask(server)];
    }
    std::thread::scope(|scope| {
        let ask = &ask;
        let started: Vec<_> =
            servers.iter().map(|server| scope.spawn(move || ask(server))).collect();
        let replies = started.into_iter().map(|thread| thread.join());
        replies
            .map(|reply| reply.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// Asks a server for a document, by GET.
pub(super) fn read_document<T: DeserializeOwned>(
    server: &RemoteServer,
    path: &str,
) -> Result<ServerReply<T>, RemoteError> {
    send(server, path, None)
}

/// Sends a request that changes a server.
pub(super) fn send_change<T: DeserializeOwned>(
    server: &RemoteServer,
    method: Method,
    path: &str,
    body: &impl Serialize,
) -> Result<ServerReply<T>, RemoteError> {
    // The bodies of requests have text keys and finite numbers, so this cannot fail.
    let body = serde_json::to_vec(body).unwrap_or_default();
    send(server, path, Some((method, body)))
}

/// Sends a request: GET without a method and a body.
fn send<T: DeserializeOwned>(
    server: &RemoteServer,
    path: &str,
    change: Option<(Method, Vec<u8>)>,
) -> Result<ServerReply<T>, RemoteError> {
    let unreachable = |cause: &dyn fmt::Display| RemoteError::Unreachable {
        url: server.shown_url(),
        cause: cause.to_string(),
    };
    let authorization = server.authorization()?;
    let is_change = change.is_some();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| unreachable(&error))?;
    let roots = if server.uses_tls() { trusted_roots(server)? } else { Vec::new() };
    runtime.block_on(async {
        let client = client(server, roots).map_err(|error| unreachable(&root_cause(&error)))?;
        let url = server.url(path);
        let mut request = match change {
            Some((method, body)) => client
                .request(method, url)
                .header(header::CONTENT_TYPE, "application/json")
                .header(USER_HEADER, client_user())
                .body(body),
            None => client.get(url),
        };
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let no_reply = |error: reqwest::Error| match is_change && !error.is_connect() {
            true => RemoteError::Unconfirmed { url: server.shown_url(), cause: root_cause(&error) },
            false => unreachable(&root_cause(&error)),
        };
        let response = request.send().await.map_err(no_reply)?;
        let head = ReplyHead::new(server, &response);
        let octets = response.bytes().await.map_err(no_reply)?;
        read_reply(server, head, &octets)
    })
}

/// What the head of a reply says.
struct ReplyHead {
    status: reqwest::StatusCode,
    /// The server that the reply names, with the URL that was asked.
    sender: Option<ServerStatus>,
    /// The URL that a redirection leads to.
    location: Option<String>,
}

impl ReplyHead {
    fn new(server: &RemoteServer, response: &reqwest::Response) -> Self {
        let header = |name: &header::HeaderName| response.headers().get(name);
        let sender: Option<ServerStatus> = header(&SERVER_HEADER)
            .and_then(|text| serde_json::from_slice(text.as_bytes()).ok())
            .map(|sender| ServerStatus { url: Some(server.shown_url()), ..sender });
        let location = header(&header::LOCATION).and_then(|url| url.to_str().ok());
        Self { status: response.status(), sender, location: location.map(str::to_owned) }
    }
}

fn read_reply<T: DeserializeOwned>(
    server: &RemoteServer,
    head: ReplyHead,
    octets: &[u8],
) -> Result<ServerReply<T>, RemoteError> {
    let url = server.shown_url();
    match head.sender {
        Some(sender) if head.status.is_success() => match serde_json::from_slice(octets) {
            Ok(document) => Ok(ServerReply { server: sender, document }),
            Err(error) => Err(RemoteError::NotPortolan { url, cause: error.to_string() }),
        },
        Some(server) => {
            let (message, detail) = parse_refusal(octets);
            Err(RemoteError::Refused(Box::new(ServerRefusal { server, message, detail })))
        }
        None if head.status.is_success() => {
            let cause = "its reply does not name a server".to_owned();
            Err(RemoteError::NotPortolan { url, cause })
        }
        None => {
            let text = match head.location.filter(|_| head.status.is_redirection()) {
                Some(location) => format!("it redirects to {}; name that URL", redacted(&location)),
                None => parse_refusal(octets).0.chars().take(MAX_REPLY_CHARS).collect(),
            };
            Err(RemoteError::Rejected { url, reply: format!("HTTP {}: {text}", head.status) })
        }
    }
}

/// A client that trusts only `roots`; there are none for plain HTTP. By default, reqwest loads the
/// system's CA certificates for every client, and fails if there are none. A redirection is not
/// followed: it could lead a token or a change to another server.
fn client(server: &RemoteServer, roots: Vec<Certificate>) -> reqwest::Result<reqwest::Client> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(REQUEST_TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(redirect::Policy::none());
    // The port 0 stands for that of the URL.
    let loopback = [([127, 0, 0, 1], 0).into(), ([0, 0, 0, 0, 0, 0, 0, 1], 0).into()];
    let client = match server.localhost() {
        Some(name) => client.resolve_to_addrs(name, &loopback),
        None => client,
    };
    client.user_agent(USER_AGENT).tls_certs_only(roots).build()
}

/// The CA certificates by which the certificate of a server is verified: those of `--ca`, else
/// those of the system.
fn trusted_roots(server: &RemoteServer) -> Result<Vec<Certificate>, RemoteError> {
    if let Some(path) = &server.ca_file {
        return read_ca_file(path).map_err(|cause| RemoteError::UnusableCaFile {
            path: path.display().to_string(),
            cause,
        });
    }
    let found = rustls_native_certs::load_native_certs().certs;
    let is_usable = |certificate: &CertificateDer<'_>| {
        rustls::RootCertStore::empty().add(certificate.clone()).is_ok()
    };
    let roots: Vec<_> = found
        .iter()
        .filter(|certificate| is_usable(certificate))
        .filter_map(|certificate| Certificate::from_der(certificate).ok())
        .collect();
    if roots.is_empty() {
        Err(RemoteError::NoCaCertificates(server.shown_url()))
    } else {
        Ok(roots)
    }
}

fn read_ca_file(path: &Path) -> Result<Vec<Certificate>, String> {
    let octets = files::read(path, SymlinkPolicy::Follow, MAX_CA_OCTETS);
    let octets = octets.map_err(|error| error.to_string())?;
    let roots = Certificate::from_pem_bundle(&octets).map_err(|error| root_cause(&error))?;
    if roots.is_empty() { Err("it holds no certificate".to_owned()) } else { Ok(roots) }
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
    use crate::{cli::args::ServerArguments, control::Status};

    fn server(url: &str) -> RemoteServer {
        let server = vec![url.to_owned()];
        ServerList::new(&ServerArguments { server, ca: None, config: None })
            .unwrap()
            .single()
            .unwrap()
    }

    #[test]
    fn no_message_contains_the_password_of_a_server() {
        // As in `main`; another test may have installed it before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // An address whose listener is closed.
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        for url in [format!("http://ada:hunter2@{closed}/"), format!("ada:hunter2@{closed}")] {
            let error = read_document::<Status>(&server(&url), "/").unwrap_err().to_string();
            assert!(
                error.contains("no portolan server answers at http://***@127.0.0.1"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_reply_that_names_no_server_is_reported_with_its_status_and_text() {
        let read = |status: u16, location: Option<&str>, text: &str| {
            let head = ReplyHead {
                status: reqwest::StatusCode::from_u16(status).unwrap(),
                sender: None,
                location: location.map(str::to_owned),
            };
            let server = server("https://gslb1.example.com");
            read_reply::<Status>(&server, head, text.as_bytes()).unwrap_err().to_string()
        };
        let refused = read(421, None, "{\"message\": \"the Host header is wrong\"}");
        assert_eq!(
            refused,
            "the request to https://gslb1.example.com was refused: HTTP 421 Misdirected Request: the Host header is wrong"
        );
        let redirected = read(301, Some("https://ada:secret@b.example/"), "<html>");
        assert!(redirected.contains("redirects to https://***@b.example/; name"), "{redirected}");
        assert!(read(502, None, &"x".repeat(10_000)).len() < 500);
        assert!(read(200, None, "{}").contains("is not portolan"));
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
}
