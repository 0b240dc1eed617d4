//! The arguments that name running servers.

use std::path::PathBuf;

use clap::Args;

/// The running servers that a command uses.
#[derive(Debug, Clone, Args)]
pub struct ServerArguments {
    /// The admin address of a server, a URL or host:port; may be repeated [default:
    /// PORTOLAN_SERVER, a list with commas; else that of the configuration; else
    /// http://127.0.0.1:8053]. The token in PORTOLAN_TOKEN is sent over https:// and to loopback
    /// addresses.
    #[arg(long, value_name = "URL")]
    pub server: Vec<String>,
    /// A PEM file of CA certificates for https:// servers [default: those of the system].
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// The configuration file that names the admin address.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}
