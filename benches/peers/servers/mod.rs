//! Who takes part, a file each: what a server's configuration is, how it is started, and what it
//! cannot do.
//!
//! A server runs in a directory of its own as a plain process with one worker thread on core 0, on
//! a free loopback port, and logs no queries. It is ready when it answers for both zones.

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
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    BenchResult, agreement, cores, cpu_usage,
    workload::{Kind, Question, Workload},
    zone,
};

/// 100,000 names in YAML take PowerDNS a while.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// How a server takes a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WorkloadSupport {
    /// As everyone is meant to.
    Whole,
    /// It sends the question back, whatever it is.
    Echo,
    /// It decides by the address that a query comes from, and not by its client subnet.
    SourceAddress,
    /// It has no such thing.
    Cannot,
}

/// A server that could take part.
pub(crate) struct PeerServer {
    /// The unique name in tables.
    pub(crate) label: String,
    /// By which `--only` names it.
    pub(crate) kind: &'static str,
    pub(crate) program: PathBuf,
    /// What makes it say its version.
    version: &'static [&'static str],
    /// The Debian packages that bring it.
    packages: &'static str,
    /// Writes its files and says with what arguments it runs.
    prepare: fn(&PeerDirectory) -> BenchResult<Vec<String>>,
    /// What it makes of a workload.
    pub(crate) reach: fn(Workload) -> WorkloadSupport,
}

/// Everyone, portolan first, under each of these labels.
///
/// # Errors
/// Two have the same label.
pub(crate) fn all(portolans: Vec<(String, PathBuf)>) -> BenchResult<Vec<PeerServer>> {
    let mut contenders: Vec<_> =
        portolans.into_iter().map(|(label, program)| portolan::contender(label, program)).collect();
    contenders.extend([
        gdnsd::contender(),
        knot::contender(),
        powerdns::contender(),
        bind::contender(),
        echo::contender(std::env::current_exe()?),
    ]);
    let mut labels = HashSet::new();
    match contenders.iter().find(|contender| !labels.insert(&contender.label)) {
        Some(twice) => {
            Err(format!("two servers are called {}: --portolan LABEL=PATH names them", twice.label)
                .into())
        }
        None => Ok(contenders),
    }
}

/// Where a server is set up.
pub(crate) struct PeerDirectory {
    directory: PathBuf,
    address: SocketAddr,
    /// The GeoIP database, an absolute path.
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
    /// Whether it takes clients by their source address under any workload.
    pub(crate) fn needs_sources(&self) -> bool {
        Workload::ALL
            .into_iter()
            .any(|workload| (self.reach)(workload) == WorkloadSupport::SourceAddress)
    }

    /// What the program says of its version; why it cannot run where it is missing.
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

    /// Starts it in a directory below `site` and waits until it answers.
    ///
    /// # Errors
    /// It ended, or did not answer in time: with its log.
    pub(crate) fn start(&self, site: &Path, database: &Path) -> BenchResult<ServerProcess> {
        let address = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let ground = PeerDirectory {
            directory: site.join(&self.label),
            address,
            database: database.to_owned(),
        };
        fs::create_dir_all(&ground.directory)?;
        let arguments = (self.prepare)(&ground)?;
        let log = ground.directory.join("log");
        // It ends with this process, however that ends.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL"])
            .arg(&self.program)
            .args(arguments)
            .current_dir(&ground.directory)
            .stdin(Stdio::null())
            .stdout(File::create(&log)?)
            .stderr(File::options().append(true).open(&log)?);
        let child = cores::spawn_server(&mut command)?;
        let mut running = ServerProcess { child, address };
        let zones = if (self.reach)(Workload::Static) == WorkloadSupport::Echo {
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

/// A server that runs, until this value is dropped.
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

    /// Waits until hosts of these zones are answered.
    fn until_ready(&mut self, zones: &[&'static str]) -> Result<(), String> {
        let start = Instant::now();
        let is_answered = |zone| {
            let host = zone::hosts(zone).last().map(|host| host.name).unwrap_or_default();
            let reply = agreement::exchange(
                Ipv4Addr::LOCALHOST,
                self.address,
                &Question::new(&host, Kind::A).message(),
            );
            // QR is set, the code is NOERROR, and there is an answer.
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
        // It may have ended by itself; either way it is gone.
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}
