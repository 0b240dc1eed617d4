//! Why a request to a server failed, and how commands report it.

use std::{fmt, process::ExitCode};

use serde_json::{Value, json};

use super::{exit::CommandExit, output::Output, text::server_line};
use crate::control::ServerStatus;

/// Why a request to the server failed. URLs are without passwords.
#[derive(Debug)]
pub(super) enum RemoteError {
    /// No server answers at `url`.
    Unreachable {
        /// The URL of the server.
        url: String,
        /// The cause, as text.
        cause: String,
    },
    /// A request for a change was sent, and no reply came: it may have been carried out.
    Unconfirmed {
        /// The URL of the server.
        url: String,
        /// The cause, as text.
        cause: String,
    },
    /// The certificate of the server at this URL cannot be verified: this host has no CA
    /// certificates.
    NoCaCertificates(String),
    /// The file of `--ca` cannot be used.
    UnusableCaFile {
        /// The path of the file.
        path: String,
        /// The cause, as text.
        cause: String,
    },
    /// The token of PORTOLAN_TOKEN must not be sent to this server.
    TokenNotSent {
        /// The URL of the server.
        url: String,
        /// The cause and the remedy, as text.
        why: String,
    },
    /// No usable address of a server is given or configured, as explained by this text.
    NoAdminAddress(String),
    /// The reply is a refusal that does not name a server: by the guard of the admin API, or by a
    /// proxy.
    Rejected {
        /// The URL of the server.
        url: String,
        /// Status and text of the reply.
        reply: String,
    },
    /// The reply from `url` is not from portolan, or from another version.
    NotPortolan {
        /// The URL of the server.
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
    pub(super) server: ServerStatus,
    /// The server's text for operators.
    pub(super) message: String,
    /// The same as JSON, with complete lists.
    pub(super) detail: Value,
}

impl RemoteError {
    /// The error as a document. It contains the whole reply of a server that refused the request.
    pub(super) fn document(&self) -> Value {
        match self {
            Self::Refused(refusal) => {
                let ServerRefusal { server, message, detail } = &**refusal;
                json!({ "error": message, "detail": detail, "server": server })
            }
            _ => json!({ "error": self.to_string() }),
        }
    }

    /// How a command ends because of the error: a server names the clients that a rule protects.
    pub(super) fn exit(&self) -> CommandExit {
        match self {
            Self::Refused(refusal)
                if ["distress", "forbidden"]
                    .iter()
                    .any(|key| refusal.detail.get(key).is_some()) =>
            {
                CommandExit::Forbidden
            }
            _ => CommandExit::Failure,
        }
    }

    /// Ends the command, and reports the error on stderr; with `--json` also as a document.
    pub(super) fn report(&self, output: &Output) -> ExitCode {
        if output.json {
            output.print_document(&self.document());
        }
        output.print_message(&format!("error: {self}"));
        self.exit().code()
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { url, cause } => write!(
                f,
                "no portolan server answers at {url}: {cause}\n  help: start it with `portolan serve`, or name its admin address with --server URL"
            ),
            Self::Unconfirmed { url, cause } => write!(
                f,
                "the server at {url} was asked for the change and sent no reply: {cause}; the change may be in force all the same\n  \
                 help: see `portolan status --server {url}`, then repeat the command if it is not"
            ),
            Self::NoCaCertificates(url) => write!(
                f,
                "cannot verify the certificate of {url}: this host has no CA certificates\n  help: install the package \
                 `ca-certificates`, name a file of CA certificates with --ca, or name the server by an http:// URL"
            ),
            Self::UnusableCaFile { path, cause } => write!(
                f,
                "cannot use the CA certificates of {path}: {cause}\n  help: --ca names a PEM file with one or more certificates"
            ),
            Self::TokenNotSent { url, why } => {
                write!(f, "the token of PORTOLAN_TOKEN is not sent to {url}: {why}")
            }
            Self::NoAdminAddress(why) => f.write_str(why),
            Self::Rejected { url, reply } => {
                write!(f, "the request to {url} was refused: {reply}")
            }
            Self::NotPortolan { url, cause } => {
                write!(f, "the server at {url} is not portolan, or another version of it: {cause}")
            }
            Self::Refused(refusal) => {
                write!(f, "{}\n  {}", refusal.message, server_line(&refusal.server))
            }
        }
    }
}
