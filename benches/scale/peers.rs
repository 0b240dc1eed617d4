//! The servers that are measured, and the part of their configuration that every case needs.

use std::{fs, io, net::SocketAddr, path::Path, process::Command};

use super::process::program;

/// A server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// This project's.
    Portolan,
    /// gdnsd: `gdnsdctl reload-zones` for zones; for anything else a new daemon takes over from the old one.
    Gdnsd {
        /// Whether the edit is of the configuration.
        is_replaced: bool,
    },
    /// Knot DNS.
    Knot,
}

impl Peer {
    /// What its table is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Portolan => "portolan",
            Self::Gdnsd { .. } => "gdnsd",
            Self::Knot => "Knot",
        }
    }

    /// Writes what is said of listening and of directories. A case's own `config` of gdnsd is completed.
    pub(crate) fn prepare(self, directory: &Path, address: SocketAddr) -> io::Result<()> {
        let (ip, port, at) = (address.ip(), address.port(), directory.display());
        match self {
            Self::Portolan => {
                let text = format!("[server]\nlisten = [\"{address}\"]\nadmin = false\nthreads = 1\n");
                let case = fs::read_to_string(directory.join("geoip.toml")).unwrap_or_default();
                fs::write(directory.join("portolan.toml"), text + &case)
            }
            Self::Gdnsd { .. } => {
                for sub in ["run", "state"] {
                    fs::create_dir_all(directory.join(sub))?;
                }
                let options = format!(
                    "options => {{ listen => [\"{ip}:{port}\"], run_dir => {at}/run, state_dir => {at}/state, \
                     udp_threads => 1, tcp_threads => 1 }}\n$include{{plugins}}\n"
                );
                let plugins = directory.join("plugins");
                if !plugins.exists() {
                    fs::write(plugins, "")?;
                }
                fs::write(directory.join("config"), options)
            }
            Self::Knot => fs::write(
                directory.join("knot.conf"),
                format!(
                    "server:\n  rundir: {at}\n  listen: {ip}@{port}\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n\
                     database:\n  storage: {at}\nlog:\n  - target: stderr\n    any: error\n\
                     template:\n  - id: default\n    storage: {at}/zones\n    journal-content: none\n    zonefile-sync: -1\n    \
                     zonefile-load: whole\n    semantic-checks: off\nzone:\n  - domain: x.example.\n    file: x.example.zone\n"
                ),
            ),
        }
    }

    /// What starts it in the foreground.
    pub(crate) fn command(self, directory: &Path) -> Command {
        match self {
            Self::Portolan => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_portolan"));
                command.args(["serve", "--config", "portolan.toml"]).current_dir(directory);
                command.env("PORTOLAN_LOG", "error");
                command
            }
            Self::Gdnsd { .. } => {
                let mut command = Command::new(program("gdnsd"));
                command.arg("-c").arg(directory).arg("start");
                command
            }
            Self::Knot => {
                let mut command = Command::new(program("knotd"));
                command.arg("-c").arg(directory.join("knot.conf"));
                command
            }
        }
    }

    /// What makes it take up an edit, where it does not do so by itself.
    pub(crate) fn take_up(self, directory: &Path) -> Option<Command> {
        match self {
            Self::Portolan => None,
            Self::Gdnsd { is_replaced: true } => {
                let mut command = Command::new(program("gdnsd"));
                command.arg("-c").arg(directory).args(["-R", "start"]);
                Some(command)
            }
            Self::Gdnsd { is_replaced: false } => {
                let mut command = Command::new("gdnsdctl");
                command.arg("-c").arg(directory).arg("reload-zones");
                Some(command)
            }
            Self::Knot => {
                let mut command = Command::new(program("knotc"));
                command.arg("-c").arg(directory.join("knot.conf")).args(["zone-reload", "x.example."]);
                Some(command)
            }
        }
    }

    /// Whether a new process takes over from the old one.
    pub(crate) fn is_replaced(self) -> bool {
        self == Self::Gdnsd { is_replaced: true }
    }
}
