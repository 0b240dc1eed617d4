//! Real nginx and HAProxy processes as the balancers of regions, each on its own loopback address.

use std::{
    fs,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    harness::{WAIT_TIMEOUT, fill},
    programs::find_program,
    query::Deadline,
};

/// The configuration of nginx.
const NGINX: &str = "daemon off;
master_process off;
pid nginx.pid;
error_log stderr crit;
events {}
http {
access_log off;
$temporary
server {
listen $address:$port$flag;
$tls
location = /healthz { $health }
location = /stub_status { stub_status; }
}
}
";

/// A running balancer process. It is killed when dropped.
pub struct Balancer {
    child: Child,
    directory: TempDir,
}

/// The answers of nginx, and the transport.
#[derive(Debug, Clone, Copy)]
pub enum BalancerContent<'a> {
    /// Answers `/healthz` with status 200.
    Health,
    /// The same over TLS, with this certificate and key in PEM.
    Tls { certificate: &'a str, key: &'a str },
    /// Like `Health`, but only to connections that begin with a PROXY header.
    BehindProxy,
    /// Forwards /healthz to a server on this port of 127.0.0.1.
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
        let configuration = fill(
            NGINX,
            &[
                ("$temporary", &temporary),
                ("$address", &address),
                ("$port", &port),
                ("$flag", &flag),
                ("$tls", &tls),
                ("$health", &health),
            ],
        );
        fs::write(directory.path().join("nginx.conf"), configuration).unwrap();
        let mut command = Command::new(find_program("nginx").unwrap());
        command.arg("-p").arg(directory.path()).args(["-c", "nginx.conf", "-e", "stderr"]);
        Self::start(command, directory, address, port)
    }

    /// Starts HAProxy on `address`. It answers 200 if `backend_works`, else its own 503.
    pub fn haproxy(address: &str, port: u16, backend_works: bool) -> Self {
        Self::haproxy_bound(address, port, backend_works, "")
    }

    /// Like [`Self::haproxy`], with an additional keyword on the bind line: `accept-proxy`, `proto
    /// h2`.
    pub fn haproxy_bound(address: &str, port: u16, backend_works: bool, bound: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let answer = match backend_works {
            true => "http-request return status 200 content-type text/plain string ok",
            // Nothing listens on port 1, so HAProxy itself answers 503.
            false => "server gone 127.0.0.1:1",
        };
        let configuration = format!(
            "global
  maxconn 100
defaults
  mode http
  retries 0
  timeout connect 1s
  timeout client 5s
  timeout server 5s
frontend web
  bind {address}:{port} {bound}
  default_backend web
backend web
  {answer}
"
        );
        let path = directory.path().join("haproxy.cfg");
        fs::write(&path, configuration).unwrap();
        let mut command = Command::new(find_program("haproxy").unwrap());
        command.args(["-db", "-q", "-f"]).arg(path);
        Self::start(command, directory, address, port)
    }

    /// Starts HAProxy with the given configuration, in which `{directory}` is replaced by the
    /// directory of [`Balancer::path`], and waits until it listens.
    pub fn haproxy_with(configuration: &str, address: &str, port: u16) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let configuration =
            configuration.replace("{directory}", directory.path().to_str().unwrap());
        let path = directory.path().join("haproxy.cfg");
        fs::write(&path, configuration).unwrap();
        let mut command = Command::new(find_program("haproxy").unwrap());
        command.args(["-db", "-q", "-f"]).arg(path);
        Self::start(command, directory, address, port)
    }

    /// The path of a file in the balancer's directory.
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

/// Starts a server that accepts connections, never answers, and closes when the client does;
/// returns its port.
pub fn start_holding_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let hold = |mut stream: TcpStream| _ = std::io::copy(&mut stream, &mut std::io::sink());
    std::thread::spawn(move || {
        listener
            .incoming()
            .flatten()
            .for_each(|stream| _ = std::thread::spawn(move || hold(stream)));
    });
    port
}

/// Whether all these programs are installed; prints the missing ones.
pub fn are_installed(names: &[&str]) -> bool {
    let missing: Vec<_> = names.iter().filter(|name| find_program(name).is_none()).collect();
    if !missing.is_empty() {
        println!("skipped: {missing:?} not installed (apt-get install nginx-light haproxy)");
    }
    missing.is_empty()
}
