//! Knot and NSD as child processes on free loopback ports; they are killed when dropped.

use std::{
    fmt::Write,
    fs, io,
    net::{SocketAddr, UdpSocket},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{
    message::{self, EdnsMode, Reply},
    ports::free_port,
    programs::find_program,
    zones::{Question, Zone},
};

/// The number of attempts before a peer counts as dead. Some of them pass while it starts.
const TRIES: u32 = 300;

/// A name server that gets the same queries.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    process: Child,
    socket: UdpSocket,
    next_id: u16,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _already_gone = self.process.kill();
        let _already_gone = self.process.wait();
    }
}

impl Peer {
    /// Starts Knot with the master files in `directory`; `None` if it is not installed.
    pub(crate) fn knot(directory: &Path, zones: &[Zone]) -> io::Result<Option<Self>> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let run = directory.join("knot");
        fs::create_dir_all(&run)?;
        let (files, run_path) = (directory.display(), run.display());
        let (ip, port) = (address.ip(), address.port());
        let mut text = format!(
            "server:\n  rundir: \"{run_path}\"\n  listen: {ip}@{port}\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n\
             database:\n  storage: \"{run_path}\"\n\
             log:\n  - target: stderr\n    any: error\n\
             template:\n  - id: default\n    storage: \"{files}\"\n    journal-content: none\n    zonefile-sync: -1\nzone:\n"
        );
        for zone in zones {
            let _infallible = write!(text, "  - domain: {0}.\n    file: \"{0}.zone\"\n", zone.apex);
        }
        let path = run.join("knot.conf");
        fs::write(&path, text)?;
        Self::start("knot", "knotd", &["-c"], &path, address)
    }

    /// Starts NSD with the master files in `directory`; `None` if it is not installed.
    pub(crate) fn nsd(directory: &Path, zones: &[Zone]) -> io::Result<Option<Self>> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let run = directory.join("nsd");
        fs::create_dir_all(&run)?;
        let (files, run_path) = (directory.display(), run.display());
        let (ip, port) = (address.ip(), address.port());
        let mut text = format!(
            "server:\n  ip-address: {ip}@{port}\n  server-count: 1\n  username: \"\"\n  chroot: \"\"\n  zonesdir: \"{files}\"\n  \
             database: \"\"\n  pidfile: \"\"\n  xfrdfile: \"\"\n  xfrdir: \"{run_path}\"\n  zonelistfile: \"{run_path}/list\"\n  \
             logfile: \"{run_path}/log\"\n  rrl-ratelimit: 0\n  rrl-whitelist-ratelimit: 0\nremote-control:\n  control-enable: no\n"
        );
        for zone in zones {
            let _infallible =
                write!(text, "zone:\n  name: {0}.\n  zonefile: {0}.zone\n", zone.apex);
        }
        let path = run.join("nsd.conf");
        fs::write(&path, text)?;
        Self::start("nsd", "nsd", &["-d", "-c"], &path, address)
    }

    fn start(
        name: &'static str,
        program: &str,
        arguments: &[&str],
        configuration: &Path,
        address: SocketAddr,
    ) -> io::Result<Option<Self>> {
        let Some(program) = find_program(program) else { return Ok(None) };
        let process = Command::new(program)
            .args(arguments)
            .arg(configuration)
            .stdin(Stdio::null())
            .spawn()?;
        let socket = UdpSocket::bind(("127.0.0.1", 0))?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        socket.connect(address)?;
        Ok(Some(Self { name, process, socket, next_id: 1 }))
    }

    /// Queries until the peer answers. A peer that is still starting refuses the datagram, loses
    /// it, or answers SERVFAIL.
    pub(crate) fn wait_until_it_serves(&mut self, zone: &Zone) {
        let soa = Question { name: zone.apex.clone(), rtype: 6 };
        for _ in 0..TRIES {
            let ready = self
                .try_ask(&soa, EdnsMode::No)
                .is_some_and(|reply| reply.rcode == 0 && reply.is_authoritative);
            if ready {
                return;
            }
            if let Ok(Some(status)) = self.process.try_wait() {
                panic!("{} ended: {status}", self.name);
            }
        }
        panic!("{} does not serve {}", self.name, zone.apex);
    }

    /// Sends a query, again if a datagram was lost.
    pub(crate) fn ask(&mut self, question: &Question, edns: EdnsMode) -> Reply {
        (0..TRIES)
            .find_map(|_| self.try_ask(question, edns))
            .unwrap_or_else(|| panic!("{} does not answer {question:?}", self.name))
    }

    fn try_ask(&mut self, question: &Question, edns: EdnsMode) -> Option<Reply> {
        self.next_id = self.next_id.wrapping_add(1);
        let id = self.next_id;
        let mut buffer = [0; 65535];
        // A refused datagram fails at once; the wait for a reply limits the rate of attempts.
        let _refused = self.socket.send(&message::request(id, question, edns));
        loop {
            match self.socket.recv(&mut buffer) {
                Ok(length) if buffer[..length].starts_with(&id.to_be_bytes()) => {
                    let reply = message::read(&buffer[..length]);
                    return Some(reply.unwrap_or_else(|| {
                        panic!("{} sends what is no reply: {question:?}", self.name)
                    }));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(_) => return None,
            }
        }
    }
}
