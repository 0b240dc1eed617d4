//! A name server as its own process, measured from outside: the time of its answers, its CPU and
//! its memory.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::{
    cores,
    ports::free_port,
    programs::find_program,
    usage::{cpu_times, memory_kib},
    wire,
};

/// The timeout of every wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// The timeout of a reply, after which the query is sent again.
const RETRY_INTERVAL: Duration = Duration::from_millis(2);

/// A query of type A with an address that its answer must contain.
#[derive(Debug, Clone)]
pub(crate) struct ExpectedAnswer {
    /// The name, without its final dot.
    pub(crate) name: String,
    /// The IPv4 address expected in the answer.
    pub(crate) address: Ipv4Addr,
}

/// A running server. It is killed when dropped.
pub(crate) struct Server {
    child: Child,
    socket: UdpSocket,
    next_id: u16,
}

/// The cost until the expected answer arrived.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ResourceUsage {
    /// The time from the start, or from the end of the edit, to the answer.
    pub(crate) wall_secs: f64,
    /// User and system CPU time, in seconds.
    pub(crate) cpu_secs: f64,
    /// The resident memory afterwards, in MiB.
    pub(crate) resident_mib: f64,
    /// The peak of resident memory, in MiB.
    pub(crate) peak_mib: f64,
}

impl Drop for Server {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}

impl Server {
    /// Starts a program that will answer at `address`; `None` if it is not installed.
    pub(crate) fn start(command: &mut Command, address: SocketAddr) -> io::Result<Option<Self>> {
        Self::start_by(Command::spawn, command, address)
    }

    /// Starts a program on the servers' core, from a thread on the load's core.
    pub(crate) fn start_apart(
        command: &mut Command,
        address: SocketAddr,
    ) -> io::Result<Option<Self>> {
        Self::start_by(cores::spawn_server, command, address)
    }

    fn start_by(
        spawn: impl FnOnce(&mut Command) -> io::Result<Child>,
        command: &mut Command,
        address: SocketAddr,
    ) -> io::Result<Option<Self>> {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = match spawn(quiet) {
            Ok(child) => child,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let socket = UdpSocket::bind(("127.0.0.1", 0))?;
        socket.set_read_timeout(Some(RETRY_INTERVAL))?;
        socket.connect(address)?;
        Ok(Some(Self { child, socket, next_id: 1 }))
    }

    /// The id of the server process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for an answer; returns the cost since `since`, when the process had used `cpu_before`.
    pub(crate) fn figures(
        &mut self,
        expected: &ExpectedAnswer,
        since: Instant,
        cpu_before: f64,
    ) -> io::Result<ResourceUsage> {
        self.wait_for(expected)?;
        let wall_secs = since.elapsed().as_secs_f64();
        Ok(ResourceUsage {
            wall_secs,
            cpu_secs: cpu_secs(self.id())? - cpu_before,
            resident_mib: memory_mib(self.id(), "VmRSS:")?,
            peak_mib: memory_mib(self.id(), "VmHWM:")?,
        })
    }

    /// Queries until the answer contains the expected address.
    pub(crate) fn wait_for(&mut self, expected: &ExpectedAnswer) -> io::Result<()> {
        let began = Instant::now();
        let mut buffer = [0; 4096];
        while began.elapsed() < ANSWER_TIMEOUT {
            self.next_id = self.next_id.wrapping_add(1);
            // While the server does not listen yet, the datagram is refused, which the next call
            // reports.
            let sent = self.socket.send(&question(self.next_id, &expected.name));
            match sent.and_then(|_| self.socket.recv(&mut buffer)) {
                Ok(length)
                    if buffer[..length]
                        .windows(4)
                        .any(|four| four == expected.address.octets()) =>
                {
                    return Ok(());
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => std::thread::sleep(RETRY_INTERVAL),
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("the server ended: {status}")));
            }
        }
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer for {} within {ANSWER_TIMEOUT:?}", expected.name),
        ))
    }

    /// Queries until any reply arrives.
    pub(crate) fn wait_for_reply(&mut self) -> io::Result<()> {
        let began = Instant::now();
        while self
            .socket
            .send(&question(0, "x"))
            .and_then(|_| self.socket.recv(&mut [0; 512]))
            .is_err()
        {
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("the server ended: {status}")));
            }
            if began.elapsed() > ANSWER_TIMEOUT {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "no word from the server"));
            }
            std::thread::sleep(RETRY_INTERVAL);
        }
        Ok(())
    }

    /// Resets the peak of resident memory to the present value.
    pub(crate) fn forget_peak(&self) -> io::Result<()> {
        fs::write(format!("/proc/{}/clear_refs", self.id()), "5")
    }

    /// The address at which the server answers.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }

    /// The resident memory at present, in MiB.
    pub(crate) fn resident_mib(&self) -> io::Result<f64> {
        memory_mib(self.id(), "VmRSS:")
    }

    /// The maximum memory resident since the start, or since [`forget_peak`](Self::forget_peak).
    pub(crate) fn peak_mib(&self) -> io::Result<f64> {
        memory_mib(self.id(), "VmHWM:")
    }

    /// The CPU time used so far, in seconds.
    pub(crate) fn cpu_secs(&self) -> io::Result<f64> {
        cpu_secs(self.id())
    }

    /// The resident memory once the process is idle, in MiB.
    pub(crate) fn settled_mib(&self) -> io::Result<f64> {
        let mut last = self.cpu_secs()?;
        for _ in 0..40 {
            std::thread::sleep(Duration::from_millis(100));
            let now = self.cpu_secs()?;
            if now == last {
                break;
            }
            last = now;
        }
        self.resident_mib()
    }
}

/// A query of type A and class IN, with RD clear.
pub(crate) fn question(id: u16, name: &str) -> Vec<u8> {
    wire::query(id, name, 1)
}

/// A free loopback address, for both UDP and TCP.
pub(crate) fn free_address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()))
}

/// The path of a program, or its name if it is not installed, so that its start fails.
pub(crate) fn program(name: &str) -> PathBuf {
    find_program(name).unwrap_or_else(|| name.into())
}

fn cpu_secs(process: u32) -> io::Result<f64> {
    Ok(cpu_times(process)?.iter().sum::<Duration>().as_secs_f64())
}

fn memory_mib(process: u32, field: &str) -> io::Result<f64> {
    Ok(memory_kib(process, field)? as f64 / 1024.0)
}
