//! Runs the real program in a temporary directory, on free ports.

use std::{
    fmt::Display,
    fs,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::query::{Deadline, Reply, TestQuery};

/// The timeout of every wait. It is generous because the machine may be busy.
pub const WAIT_TIMEOUT: Duration = Duration::from_secs(20);

/// Replaces each placeholder, such as `$port`, by its value. Templates keep the braces of
/// configuration files readable, which `format!` would need doubled.
///
/// # Panics
/// The template lacks a placeholder.
pub fn fill(template: &str, values: &[(&str, &dyn Display)]) -> String {
    values.iter().fold(template.to_owned(), |text, (placeholder, value)| {
        assert!(text.contains(placeholder), "no {placeholder} in the template:\n{text}");
        text.replace(placeholder, &value.to_string())
    })
}

/// A temporary directory with the configuration of a server.
pub struct ServerDirectory {
    directory: TempDir,
}

impl ServerDirectory {
    /// Creates a directory with the given files, a `portolan.toml` that picks free ports, and a
    /// sample database in `geoip/`.
    pub fn new(files: &[(&str, &str)]) -> Self {
        let site = Self { directory: tempfile::tempdir().unwrap() };
        site.write(
            "portolan.toml",
            r#"[server]
admin = "127.0.0.1:0"
threads = 1
nsid = "test"
"#,
        );
        fs::create_dir_all(site.path("zones")).unwrap();
        fs::create_dir_all(site.path("geoip")).unwrap();
        fs::write(site.path("geoip/world.mmdb"), sample_database()).unwrap();
        for (path, text) in files {
            site.write(path, text);
        }
        site
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.directory.path().join(relative)
    }

    /// Writes a file in place; creates missing directories.
    pub fn write(&self, relative: &str, text: &str) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Writes a file as most editors do: a new file, renamed over the old one.
    pub fn replace(&self, relative: &str, text: &str) {
        let path = self.path(relative);
        let new = path.with_file_name(".new");
        fs::write(&new, text).unwrap();
        fs::rename(new, path).unwrap();
    }

    pub fn read(&self, relative: &str) -> String {
        fs::read_to_string(self.path(relative)).unwrap()
    }

    /// Replaces `old`, which must occur in the file, by `new`.
    pub fn edit(&self, relative: &str, old: &str, new: &str) {
        let text = self.read(relative);
        assert!(text.contains(old), "{relative} has no {old:?}:\n{text}");
        self.write(relative, &text.replace(old, new));
    }

    /// A command that runs the program with these arguments in this directory.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portolan"));
        command.args(arguments).current_dir(self.directory.path());
        command.env_remove("PORTOLAN_LOG").env("NO_COLOR", "1");
        command.env_remove("PORTOLAN_SERVER").env_remove("PORTOLAN_TOKEN");
        command
    }

    /// Runs a command until it exits and returns exit code, stdout and stderr.
    pub fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.command(arguments).stdin(Stdio::null()).output().unwrap();
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    /// Starts `serve` and waits until it listens.
    pub fn serve(&self) -> Server {
        self.serve_with(&[]).unwrap_or_else(|ended| panic!("the server did not start: {ended}"))
    }

    /// Starts `serve` with more arguments. The error is the exit status and log of a server that
    /// ended.
    pub fn serve_with(&self, arguments: &[&str]) -> Result<Server, String> {
        let mut command =
            self.command(&["serve", "--config", "portolan.toml", "--listen", "127.0.0.1:0"]);
        command.args(arguments).env("PORTOLAN_LOG", "info");
        Server::start(command)
    }
}

/// A running server. It is killed when dropped.
pub struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// The address for DNS over UDP and TCP.
    pub address: SocketAddr,
    /// The address of the admin API, if it is on.
    pub admin: Option<SocketAddr>,
    /// The address for DNS over HTTPS, if it is on.
    pub https: Option<SocketAddr>,
    log: Arc<Mutex<String>>,
    log_reader: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts `command` and waits until it listens. The error is the exit status and log.
    pub fn start(mut command: Command) -> Result<Self, String> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (sink, stderr) = (Arc::clone(&log), BufReader::new(child.stderr.take().unwrap()));
        let log_reader = std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let mut log = sink.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Self {
            child,
            stdout,
            address,
            admin: None,
            https: None,
            log,
            log_reader: Some(log_reader),
        };
        // The lines have a fixed order; the admin address is the last.
        while server.admin.is_none() {
            let mut line = String::new();
            if server.stdout.read_line(&mut line).unwrap() == 0 {
                let (status, log) = server.ended();
                return Err(format!("{status}\n{log}"));
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["listening", "udp", address] => server.address = address.parse().unwrap(),
                ["listening", "https", address] => server.https = Some(address.parse().unwrap()),
                ["listening", "admin", address] => server.admin = Some(address.parse().unwrap()),
                _ => {}
            }
        }
        Ok(server)
    }

    /// The next line about an address of the admin API, after that of `admin`.
    pub fn next_admin_address(&mut self) -> SocketAddr {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim()
            .strip_prefix("listening admin ")
            .unwrap_or_else(|| panic!("{line}"))
            .parse()
            .unwrap()
    }

    /// Sends one query; panics without a reply.
    pub fn ask(&self, query: &TestQuery) -> Reply {
        query.send(self.address).unwrap_or_else(|error| {
            panic!("{} {}: {error}\n{}", query.name, query.rtype, self.log())
        })
    }

    /// The rdata of the answers for type A.
    pub fn addresses(&self, name: &str) -> Vec<String> {
        self.ask(&TestQuery::new(name, "A")).answers()
    }

    /// Waits until `is_so`, and returns the time that this took. Panics with `what` and the log
    /// after `timeout`.
    pub fn until(
        &self,
        what: &str,
        timeout: Duration,
        mut is_so: impl FnMut(&Self) -> bool,
    ) -> Duration {
        let (start, deadline) = (Instant::now(), Deadline::after(timeout));
        while !is_so(self) {
            assert!(
                deadline.tick(),
                "timeout after {timeout:?} while waiting: {what}\n{}",
                self.log()
            );
        }
        start.elapsed()
    }

    /// Waits until the addresses of `name` are exactly `expected`.
    pub fn until_answers(&self, name: &str, expected: &[&str], timeout: Duration) -> Duration {
        self.until(&format!("{name} is {expected:?}"), timeout, |server| {
            server.addresses(name) == expected
        })
    }

    /// Asserts for `period` that `is_so` stays true.
    pub fn stays(&self, what: &str, period: Duration, mut is_so: impl FnMut(&Self) -> bool) {
        let deadline = Deadline::after(period);
        while deadline.tick() {
            assert!(is_so(self), "no longer: {what}\n{}", self.log());
        }
    }

    /// The log so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until the log contains `words`.
    pub fn until_logged(&self, words: &str) {
        self.until(&format!("the log says {words:?}"), WAIT_TIMEOUT, |server| {
            server.log().contains(words)
        });
    }

    /// The process id, for signals and /proc.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: i32) {
        send_signal(self.child.id(), signal);
    }

    /// Sends SIGTERM, waits for the exit and returns status and log.
    pub fn terminate(mut self) -> (ExitStatus, String) {
        self.signal(libc::SIGTERM);
        self.ended()
    }

    fn ended(&mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        let _ = self.stdout.read_to_string(&mut rest);
        let status = self.child.wait().unwrap();
        if let Some(reader) = self.log_reader.take() {
            reader.join().unwrap();
        }
        (status, self.log())
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Limits the file descriptors that the process may open from now on. The hard limit is 4096,
    /// so that the limit can be raised again.
    pub fn limit_descriptors(&self, count: u32) {
        let to = [format!("--pid={}", self.pid()), format!("--nofile={count}:4096")];
        assert!(Command::new("prlimit").args(to).status().unwrap().success());
    }

    /// The number of open file descriptors.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(Path::new("/proc").join(self.pid().to_string()).join("fd")).unwrap().count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a child process.
pub fn send_signal(pid: u32, signal: i32) {
    let sent =
        Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()).status().unwrap();
    assert!(sent.success());
}

/// A synthetic GeoIP database: networks in Germany, the USA and Japan, and one network with a
/// country and no coordinates.
pub fn sample_database() -> Vec<u8> {
    use mmdb_writer::{Value, Writer};
    let place = |country: &str, continent: &str, coordinates: Option<(f64, f64)>| {
        let code = |code: &str| Value::map([("iso_code", Value::from(code))]);
        let mut record = vec![
            ("country", code(country)),
            ("continent", Value::map([("code", Value::from(continent))])),
        ];
        if let Some((latitude, longitude)) = coordinates {
            record.push((
                "location",
                Value::map([
                    ("latitude", Value::from(latitude)),
                    ("longitude", Value::from(longitude)),
                ]),
            ));
        }
        Value::map(record)
    };
    let berlin = place("DE", "EU", Some((52.52, 13.40)));
    let ashburn = place("US", "NA", Some((39.04, -77.49)));
    let tokyo = place("JP", "AS", Some((35.68, 139.69)));
    let mut writer =
        Writer::builder("GeoLite2-City").description(&[("en", "made up for tests")]).build();
    for (network, record) in [
        ("80.0.0.0/8", &berlin),
        ("8.0.0.0/8", &ashburn),
        ("8.8.8.0/24", &tokyo),
        ("126.0.0.0/8", &tokyo),
        ("2a00::/16", &berlin),
        ("2600::/16", &ashburn),
        ("90.0.0.0/8", &place("DE", "EU", None)),
    ] {
        writer.insert_value(network.parse::<ipnet::IpNet>().unwrap(), record.clone()).unwrap();
    }
    writer.to_bytes().unwrap()
}
