//! The measured servers, one file for each: how it is configured and started, and what it does not
//! support.
//!
//! A server runs in its own directory as a plain process with one worker thread on core 0, on a
//! free loopback port, without a query log. It is ready when it answers for both zones.

mod bind;
mod echo;
mod gdnsd;
mod knot;
mod portolan;
mod powerdns;

use std::{
    collections::HashSet,
    fs::{self, File},
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    BenchResult, agreement, cores, cpu_usage,
    ports::free_port,
    workload::{Kind, Question, Workload},
    zone,
};

/// The timeout of a start. PowerDNS needs a while to read 100,000 names in YAML.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// How far a server supports a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WorkloadSupport {
    /// The server supports the workload fully.
    Whole,
    /// The server returns every query unchanged.
    Echo,
    /// The server decides by the source address of a query, not by its client subnet.
    SourceAddress,
    /// The server lacks the feature.
    Cannot,
}

/// A server that can be measured.
pub(crate) struct PeerServer {
    /// The unique name in tables.
    pub(crate) label: String,
    /// The name that `--only` accepts.
    pub(crate) kind: &'static str,
    pub(crate) program: PathBuf,
    /// The arguments that print the version.
    version: &'static [&'static str],
    /// The Debian packages that contain it.
    packages: &'static str,
    /// Writes the server's files and returns its arguments.
    prepare: fn(&PeerDirectory) -> BenchResult<Vec<String>>,
    /// How far it supports a workload.
    pub(crate) support: fn(Workload) -> WorkloadSupport,
}

/// All servers, portolan first under each of these labels.
///
/// # Errors
/// Two servers have the same label.
pub(crate) fn all(portolans: Vec<(String, PathBuf)>) -> BenchResult<Vec<PeerServer>> {
    let mut servers: Vec<_> =
        portolans.into_iter().map(|(label, program)| portolan::server(label, program)).collect();
    servers.extend([
        gdnsd::server(),
        knot::server(),
        powerdns::server(),
        bind::server(),
        echo::server(std::env::current_exe()?),
    ]);
    let mut labels = HashSet::new();
    match servers.iter().find(|server| !labels.insert(&server.label)) {
        Some(twice) => {
            Err(format!("two servers are called {}: --portolan LABEL=PATH names them", twice.label)
                .into())
        }
        None => Ok(servers),
    }
}

/// The directory in which a server is set up.
pub(crate) struct PeerDirectory {
    directory: PathBuf,
    address: SocketAddr,
    /// The absolute path of the GeoIP database.
    database: PathBuf,
}

impl PeerDirectory {
    fn write(&self, path: &str, text: &str) -> io::Result<()> {
        let path = self.directory.join(path);
        fs::create_dir_all(path.parent().unwrap_or(&self.directory))?;
        fs::write(path, text)
    }

    fn path(&self, path: &str) -> String {
        self.directory.join(path).display().to_string()
    }
}

impl PeerServer {
    /// Whether the server decides by source address under any workload.
    pub(crate) fn needs_sources(&self) -> bool {
        Workload::ALL
            .into_iter()
            .any(|workload| (self.support)(workload) == WorkloadSupport::SourceAddress)
    }

    /// The version that the program prints; the error says why it cannot run.
    pub(crate) fn version(&self) -> Result<String, String> {
        let output =
            Command::new(&self.program).args(self.version).stdin(Stdio::null()).output().map_err(
                |error| {
                    format!(
                        "{}: {}: {error}; Debian has it in: {}",
                        self.label,
                        self.program.display(),
                        self.packages
                    )
                },
            )?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        let mut words = text.split_whitespace();
        let version = words.find(|word| {
            word.starts_with(|first: char| first.is_ascii_digit()) && word.contains('.')
        });
        Ok(version.unwrap_or("").trim_end_matches([',', ')']).to_owned())
    }

    /// Starts the server in a directory below `site` and waits until it answers.
    ///
    /// # Errors
    /// The server ended, or did not answer in time; the error has its log.
    pub(crate) fn start(&self, site: &Path, database: &Path) -> BenchResult<ServerProcess> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let directory = PeerDirectory {
            directory: site.join(&self.label),
            address,
            database: database.to_owned(),
        };
        fs::create_dir_all(&directory.directory)?;
        let arguments = (self.prepare)(&directory)?;
        let log = directory.directory.join("log");
        // The kernel kills the server when this process ends.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL"])
            .arg(&self.program)
            .args(arguments)
            .current_dir(&directory.directory)
            .stdin(Stdio::null())
            .stdout(File::create(&log)?)
            .stderr(File::options().append(true).open(&log)?);
        let child = cores::spawn_server(&mut command)?;
        let mut running = ServerProcess { child, address };
        let zones = if (self.support)(Workload::Static) == WorkloadSupport::Echo {
            &[][..]
        } else {
            &[zone::STEERED, zone::LARGE]
        };
        running.until_ready(zones).map_err(|error| {
            let log = fs::read_to_string(&log).unwrap_or_default();
            format!("{}: {error}; Debian has it in: {}\n{log}", self.label, self.packages)
        })?;
        Ok(running)
    }
}

/// A running server. It is killed when dropped.
pub(crate) struct ServerProcess {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl ServerProcess {
    pub(crate) fn usage(&self) -> io::Result<cpu_usage::Usage> {
        cpu_usage::Usage::of(self.child.id())
    }

    pub(crate) fn resident_kib(&self) -> io::Result<u64> {
        cpu_usage::resident_kib(self.child.id())
    }

    /// Waits until the server answers for hosts of these zones.
    fn until_ready(&mut self, zones: &[&'static str]) -> Result<(), String> {
        let start = Instant::now();
        let is_answered = |zone| {
            let host = zone::hosts(zone).last().map(|host| host.name).unwrap_or_default();
            let reply = agreement::exchange(
                Ipv4Addr::LOCALHOST,
                self.address,
                &Question::new(&host, Kind::A).message(),
            );
            // A reply has QR set, NOERROR and an answer.
            reply.is_ok_and(|reply| {
                reply.len() > 12 && reply[2] >= 0x80 && reply[3] & 15 == 0 && reply[7] == 1
            })
        };
        while !zones.iter().all(|zone| is_answered(zone)) {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("it ended: {status}"));
            }
            if start.elapsed() > START_TIMEOUT {
                return Err(format!("no answer within {START_TIMEOUT:?}"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}
