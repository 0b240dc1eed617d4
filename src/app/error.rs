//! Why the server does not start, or ends by itself.

use std::{error::Error, fmt, io};

use crate::transport::{BindError, CertificateError, StartError};

/// Why the server did not start, or had to end.
#[derive(Debug)]
pub enum ServeError {
    /// The files are not a valid configuration; the text shows every mistake.
    Configuration(String),
    /// An address cannot be listened on.
    Bind(BindError),
    /// A certificate cannot be used.
    Certificate(CertificateError),
    /// The UDP shards cannot be started.
    Start(StartError),
    /// The operating system refused something else, which the text names.
    System(&'static str, io::Error),
    /// A component that answers queries has failed.
    ComponentDied(&'static str),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(rendered) => f.write_str(rendered.trim_end()),
            Self::Bind(error) => error.fmt(f),
            Self::Certificate(error) => error.fmt(f),
            Self::Start(error) => error.fmt(f),
            Self::System(action, error) => write!(f, "cannot {action}: {error}"),
            Self::ComponentDied(component) => write!(
                f,
                "{component} failed; the log says why. The server stops, so that its service manager \
                 restarts it"
            ),
        }
    }
}

impl Error for ServeError {}

/// Maps an error of the system that prevented `action`, such as "start the control threads".
pub(super) fn system_error(action: &'static str) -> impl Fn(io::Error) -> ServeError {
    move |error| ServeError::System(action, error)
}
