//! HTTP targets on loopback addresses that answer 200 or 500, and report when a probe first got the
//! new answer.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

/// The number of threads that answer probes. With several, a probe whose request arrives slowly
/// delays no other probe.
const THREADS: usize = 16;
/// The number of targets with the same third octet.
const PER_OCTET: usize = 250;

/// The answer of each target: true for 500.
pub(crate) type Switches = Arc<[AtomicBool]>;

/// Many targets on one port.
pub(crate) struct Targets {
    /// The port of all of them.
    pub(crate) port: u16,
    /// For each target, whether it is down.
    pub(crate) is_down: Switches,
    /// Receives each target whose answer changed, with the time at which the first probe got the
    /// new answer.
    pub(crate) answer_changes: mpsc::Receiver<(usize, Instant)>,
    answered: Arc<AtomicU64>,
}

/// The address of a target.
pub(crate) fn address(target: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 1, (target / PER_OCTET) as u8, (target % PER_OCTET + 1) as u8)
}

/// The target of an address.
fn target_of(address: Ipv4Addr) -> usize {
    let [_, _, high, low] = address.octets();
    usize::from(high) * PER_OCTET + usize::from(low) - 1
}

/// A file of `count` services, each with a target and the next target as its fallback, probed by
/// one monitor with these keys.
pub(crate) fn services(count: usize, targets: usize, ttl_secs: usize, monitor: &str) -> String {
    let mut text = format!(
        "[zone.\"x.example\"]\nnameservers = [\"ns1.example.com\"]\nhostmaster = \"h@example.com\"\n[monitor.m]\n{monitor}\n"
    );
    for service in 0..count {
        let [first, second] = [0, 1].map(|member| address((service + member) % targets));
        text.push_str(&format!(
            "[service.\"s{service}.x.example\"]\nttl = {ttl_secs}\nmonitor = \"m\"\npolicy = \"failover\"\n\
             members = [{{ addresses = [\"{first}\"] }}, {{ addresses = [\"{second}\"] }}]\n"
        ));
    }
    text
}

/// The state that the answering threads share.
#[derive(Clone)]
struct ProbeResponder {
    is_down: Switches,
    was_down: Switches,
    answer_changes: mpsc::Sender<(usize, Instant)>,
    answered: Arc<AtomicU64>,
}

impl Targets {
    /// Listens until the process ends.
    pub(crate) fn start(count: usize) -> io::Result<Self> {
        // It listens on the wildcard address: listeners for thousands of addresses would each need
        // a descriptor and a thread.
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        let port = listener.local_addr()?.port();
        let switches = || -> Switches { (0..count).map(|_| AtomicBool::new(false)).collect() };
        let (tell, told) = mpsc::channel();
        let desk = ProbeResponder {
            is_down: switches(),
            was_down: switches(),
            answer_changes: tell,
            answered: Arc::default(),
        };
        for _ in 0..THREADS {
            let (desk, listener) = (desk.clone(), listener.try_clone()?);
            thread::spawn(move || {
                listener.incoming().flatten().for_each(|stream| desk.serve(stream))
            });
        }
        Ok(Self { port, is_down: desk.is_down, answer_changes: told, answered: desk.answered })
    }

    /// The number of probes answered so far.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Relaxed)
    }

    /// Switches a target between 200 and 500; returns when the first probe got the new answer.
    pub(crate) fn turn_and_wait(&self, target: usize) -> io::Result<Instant> {
        const LONGEST: Duration = Duration::from_secs(120);
        self.answer_changes.try_iter().for_each(drop);
        turn(&self.is_down, target);
        loop {
            match self.answer_changes.recv_timeout(LONGEST).map_err(io::Error::other)? {
                (told, when) if told == target => return Ok(when),
                _ => {}
            }
        }
    }
}

impl ProbeResponder {
    fn serve(&self, stream: TcpStream) {
        let Ok(IpAddr::V4(address)) = stream.local_addr().map(|local| local.ip()) else { return };
        let target = target_of(address);
        let down = self.is_down[target].load(Relaxed);
        // The probe closed the connection before the reply.
        if answer(stream, down).is_err() {
            return;
        }
        self.answered.fetch_add(1, Relaxed);
        if self.was_down[target].swap(down, Relaxed) != down {
            let _ = self.answer_changes.send((target, Instant::now()));
        }
    }
}

/// Switches a target between 200 and 500.
pub(crate) fn turn(switches: &[AtomicBool], target: usize) {
    switches[target].fetch_xor(true, Relaxed);
}

fn answer(mut stream: TcpStream, is_down: bool) -> io::Result<()> {
    let mut request = [0; 2048];
    let _ = stream.read(&mut request)?;
    let status = if is_down { "500 Down" } else { "200 OK" };
    stream.write_all(
        format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").as_bytes(),
    )
}
