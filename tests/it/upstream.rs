//! Knot in place of a recursive resolver. To a stub resolver, an authoritative server is
//! equivalent, and it answers at once.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::{
    harness::{WAIT_TIMEOUT, send_signal},
    ports::free_port,
    programs::find_program,
    query::{Deadline, TestQuery},
};

/// A running name server with one zone. It is killed when dropped.
pub struct Upstream {
    program: PathBuf,
    address: SocketAddr,
    directory: TempDir,
    child: Option<Child>,
    serial: u32,
}

impl Upstream {
    /// Starts Knot with `lb.test` and these records; `None`, with a message, if it is not
    /// installed.
    pub fn knot(records: &str) -> Option<Self> {
        let Some(program) = find_program("knotd") else {
            println!("skipped: knotd not installed (apt-get install knot)");
            return None;
        };
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut upstream = Self {
            program,
            address,
            directory: tempfile::tempdir().unwrap(),
            child: None,
            serial: 0,
        };
        let (run, ip, port) = (upstream.directory.path().display(), address.ip(), address.port());
        let configuration = format!(
            r#"server:
  rundir: "{run}"
  listen: {ip}@{port}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
database:
  storage: "{run}"
log:
  - target: stderr
    any: error
zone:
  - domain: lb.test.
    storage: "{run}"
    file: "zone"
    journal-content: none
    zonefile-sync: -1
"#
        );
        fs::write(upstream.directory.path().join("knot.conf"), configuration).unwrap();
        upstream.write(records);
        upstream.start();
        Some(upstream)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Replaces the records of the zone.
    pub fn serve(&mut self, records: &str) {
        self.write(records);
        send_signal(self.child.as_ref().unwrap().id(), libc::SIGHUP);
        self.wait();
    }

    pub fn start(&mut self) {
        let path = self.directory.path().join("knot.conf");
        let mut command = Command::new(&self.program);
        command
            .arg("-c")
            .arg(path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.child = Some(command.spawn().unwrap());
        self.wait();
    }

    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn write(&mut self, records: &str) {
        self.serial += 1;
        let text = format!(
            "@ 5 SOA ns h {} 3600 600 86400 5
@ 5 NS ns
ns 5 A 192.0.2.53
{records}",
            self.serial
        );
        fs::write(self.directory.path().join("zone"), text).unwrap();
    }

    /// Waits until the newest serial is served.
    fn wait(&self) {
        let (serial, deadline) = (format!(" {} ", self.serial), Deadline::after(WAIT_TIMEOUT));
        let is_served = || {
            let reply = TestQuery::new("lb.test", "SOA").send(self.address);
            reply.is_ok_and(|reply| reply.answers().iter().any(|soa| soa.contains(&serial)))
        };
        while !is_served() {
            assert!(deadline.tick(), "knotd does not serve serial {serial}");
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop();
    }
}
