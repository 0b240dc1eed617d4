//! The measured servers, and the part of their configuration that every case needs.

use std::{fs, io, net::SocketAddr, path::Path, process::Command};

use super::process::program;

/// A server that the benchmarks measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    Portolan,
    /// gdnsd: `gdnsdctl reload-zones` for zones; for anything else, a new daemon replaces the old
    /// one.
    Gdnsd {
        /// Whether the edit is of the configuration, not of a zone.
        is_replaced: bool,
    },
    Knot,
}

/// The kind of an edited file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EditKind {
    /// The server's own configuration.
    Configuration,
    /// The file of this zone.
    Zone(&'static str),
}

impl Peer {
    /// The name in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Portolan => "portolan",
            Self::Gdnsd { .. } => "gdnsd",
            Self::Knot => "Knot",
        }
    }

    /// Writes the settings for listening and directories. For gdnsd, the `config` of the case is
    /// completed.
    pub(crate) fn prepare(self, directory: &Path, address: SocketAddr) -> io::Result<()> {
        let (ip, port, path) = (address.ip(), address.port(), directory.display());
        match self {
            Self::Portolan => {
                let text =
                    format!("[server]\nlisten = [\"{address}\"]\nadmin = false\nthreads = 1\n");
                let case = fs::read_to_string(directory.join("geoip.toml")).unwrap_or_default();
                fs::write(directory.join("portolan.toml"), text + &case)
            }
            Self::Gdnsd { .. } => {
                for sub in ["run", "state"] {
                    fs::create_dir_all(directory.join(sub))?;
                }
                let options = format!(
                    "options => {{ listen => [\"{ip}:{port}\"], run_dir => {path}/run, state_dir => {path}/state, \
                     udp_threads => 1, tcp_threads => 1 }}\n$include{{plugins}}\n"
                );
                let plugins = directory.join("plugins");
                if !plugins.exists() {
                    fs::write(plugins, "")?;
                }
                fs::write(directory.join("config"), options)
            }
            Self::Knot => {
                let weighted = directory.join("weighted.conf");
                let (module, of_zone) = if weighted.exists() {
                    let module = format!(
                        "mod-geoip:\n  - id: weighted\n    config-file: {}\n    ttl: 30\n    mode: weighted\n",
                        weighted.display()
                    );
                    (
                        module,
                        "    module: mod-geoip/weighted\n  - domain: other.example.\n    file: other.example.zone\n",
                    )
                } else {
                    (String::new(), "")
                };
                let text = format!(
                    "server:\n  rundir: {path}\n  listen: {ip}@{port}\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n\
                     database:\n  storage: {path}\nlog:\n  - target: stderr\n    any: error\n{module}\
                     template:\n  - id: default\n    storage: {path}/zones\n    journal-content: none\n    zonefile-sync: -1\n    \
                     zonefile-load: whole\n    semantic-checks: off\nzone:\n  - domain: x.example.\n    file: x.example.zone\n{of_zone}"
                );
                fs::write(directory.join("knot.conf"), text)
            }
        }
    }

    /// The command that starts the server in the foreground.
    pub(crate) fn command(self, directory: &Path) -> Command {
        match self {
            Self::Portolan => {
                let mut command = Command::new(portolan());
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

    /// The command that applies an edit of a zone; `None` if the server watches its files.
    pub(crate) fn take_up(self, directory: &Path) -> Option<Command> {
        let what =
            if self.is_replaced() { EditKind::Configuration } else { EditKind::Zone("x.example.") };
        self.take_up_of(directory, what)
    }

    /// The command that applies an edit of `what`; `None` if the server watches its files.
    pub(crate) fn take_up_of(self, directory: &Path, what: EditKind) -> Option<Command> {
        match (self, what) {
            (Self::Portolan, _) => None,
            (Self::Gdnsd { .. }, EditKind::Configuration) => {
                let mut command = Command::new(program("gdnsd"));
                command.arg("-c").arg(directory).args(["-R", "start"]);
                Some(command)
            }
            (Self::Gdnsd { .. }, EditKind::Zone(_)) => {
                let mut command = Command::new("gdnsdctl");
                command.arg("-c").arg(directory).arg("reload-zones");
                Some(command)
            }
            (Self::Knot, what) => {
                let mut command = Command::new(program("knotc"));
                command.arg("-c").arg(directory.join("knot.conf"));
                match what {
                    EditKind::Configuration => command.arg("reload"),
                    EditKind::Zone(zone) => command.args(["zone-reload", zone]),
                };
                Some(command)
            }
        }
    }

    /// Whether a new process replaces the old one.
    pub(crate) fn is_replaced(self) -> bool {
        self == Self::Gdnsd { is_replaced: true }
    }
}

/// The measured program: `PORTOLAN_BENCH_PROGRAM`, else the one that cargo builds.
fn portolan() -> std::ffi::OsString {
    std::env::var_os("PORTOLAN_BENCH_PROGRAM")
        .unwrap_or_else(|| env!("CARGO_BIN_EXE_portolan").into())
}
