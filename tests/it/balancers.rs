//! Real nginx and HAProxy as a region's own balancers, each on a loopback address of its own.

use std::{
    fs,
    net::{IpAddr, SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use crate::{harness::WAIT_TIMEOUT, query::Deadline};

/// A balancer at work. Killed when dropped.
pub struct Balancer {
    child: Child,
    directory: TempDir,
}

/// What a balancer serves.
#[derive(Debug, Clone, Copy)]
pub enum BalancerContent<'a> {
    /// Answers `/healthz` with status 200.
    Health,
    /// The same over TLS, with this certificate and key.
    Tls { certificate: &'a str, key: &'a str },
    /// The first, to connections that begin with a PROXY header.
    BehindProxy,
    /// On /healthz what a server on this port of 127.0.0.1 answers.
    Proxied(u16),
}

impl Balancer {
    /// Starts nginx on `address` and waits until it listens.
    pub fn nginx(address: &str, port: u16, serves: BalancerContent<'_>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (flag, tls) = match serves {
            BalancerContent::Health | BalancerContent::Proxied(_) => ("", ""),
            BalancerContent::BehindProxy => (" proxy_protocol", ""),
            BalancerContent::Tls { certificate, key } => {
                fs::write(directory.path().join("cert.pem"), certificate).unwrap();
                fs::write(directory.path().join("key.pem"), key).unwrap();
                (" ssl", "ssl_certificate cert.pem; ssl_certificate_key key.pem;")
            }
        };
        let health = match serves {
            BalancerContent::Proxied(port) => format!("proxy_pass http://127.0.0.1:{port};"),
            _ => "return 200 \"ok\";".to_owned(),
        };
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {};\n", directory.path().join(kind).display()))
            .concat();
        let configuration = format!(
            "daemon off; master_process off; pid nginx.pid; error_log stderr crit;\nevents {{}}\n\
             http {{ access_log off;\n{temporary}server {{ listen {address}:{port}{flag}; {tls}\n\
             location = /healthz {{ {health} }}\n\
             location = /stub_status {{ stub_status; }} }} }}\n"
        );
        fs::write(directory.path().join("nginx.conf"), configuration).unwrap();
        let mut command = Command::new(program("nginx").unwrap());
        command.arg("-p").arg(directory.path()).args(["-c", "nginx.conf", "-e", "stderr"]);
        Self::start(command, directory, address, port)
    }

    /// Starts HAProxy on `address`; `backend_works` decides between 200 and its own 503.
    pub fn haproxy(address: &str, port: u16, backend_works: bool) -> Self {
        Self::haproxy_bound(address, port, backend_works, "")
    }

    /// The same, with a word more about its listener: `accept-proxy`, `proto h2`.
    pub fn haproxy_bound(address: &str, port: u16, backend_works: bool, bound: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let answer = match backend_works {
            true => "http-request return status 200 content-type text/plain string ok",
            // No program listens on port 1: HAProxy answers 503 itself.
            false => "server gone 127.0.0.1:1",
        };
        let configuration = format!(
            "global\n  maxconn 100\ndefaults\n  mode http\n  retries 0\n  timeout connect 1s\n  timeout client 5s\n  timeout server 5s\n\
             frontend web\n  bind {address}:{port} {bound}\n  default_backend web\nbackend web\n  {answer}\n"
        );
        let path = directory.path().join("haproxy.cfg");
        fs::write(&path, configuration).unwrap();
        let mut command = Command::new(program("haproxy").unwrap());
        command.args(["-db", "-q", "-f"]).arg(path);
        Self::start(command, directory, address, port)
    }

    /// Starts HAProxy with a configuration of the test's own, in which `{directory}` stands for the
    /// directory that [`Balancer::path`] looks into, and waits until it listens.
    pub fn haproxy_with(configuration: &str, address: &str, port: u16) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let configuration =
            configuration.replace("{directory}", directory.path().to_str().unwrap());
        let path = directory.path().join("haproxy.cfg");
        fs::write(&path, configuration).unwrap();
        let mut command = Command::new(program("haproxy").unwrap());
        command.args(["-db", "-q", "-f"]).arg(path);
        Self::start(command, directory, address, port)
    }

    /// A file in its directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn start(mut command: Command, directory: TempDir, address: &str, port: u16) -> Self {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut balancer = Self { child, directory };
        let address = SocketAddr::new(address.parse::<IpAddr>().unwrap(), port);
        let deadline = Deadline::after(WAIT_TIMEOUT);
        while TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_err() {
            assert!(balancer.child.try_wait().unwrap().is_none(), "{command:?} ended");
            assert!(deadline.tick(), "{command:?} does not listen on {address}");
        }
        balancer
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether these programs are there; says so where they are not.
pub fn are_installed(names: &[&str]) -> bool {
    let missing: Vec<_> = names.iter().filter(|name| program(name).is_none()).collect();
    if !missing.is_empty() {
        println!("skipped: {missing:?} not installed (apt-get install nginx-light haproxy)");
    }
    missing.is_empty()
}

fn program(name: &str) -> Option<PathBuf> {
    ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"]
        .map(|directory| PathBuf::from(directory).join(name))
        .into_iter()
        .find(|path| path.is_file())
}
