//! The argument that names a running server.

use std::path::PathBuf;

use clap::Args;

/// The running server that a command uses.
#[derive(Debug, Clone, Args)]
pub struct ServerArguments {
    /// The admin address of the server, a URL or host:port [default: that of the configuration,
    /// else http://127.0.0.1:8053].
    #[arg(long, value_name = "URL", env = "PORTOLAN_SERVER", hide_env_values = true)]
    pub server: Option<String>,
    /// The configuration file that names the admin address.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}
