//! HTTP targets on loopback addresses that say 200 or 500 as they are told, and tell when they said 500 first.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::Instant,
};

/// What targets say: true for 500.
pub(crate) type Switches = Arc<[AtomicBool]>;

/// Many targets on one port.
pub(crate) struct Targets {
    /// Of all of them.
    pub(crate) port: u16,
    /// By target.
    pub(crate) is_down: Switches,
    /// Which target changed its mind, and when a probe was told so.
    pub(crate) told: mpsc::Receiver<(usize, Instant)>,
}

/// The address of a target.
pub(crate) fn address(target: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 1, (target / 250) as u8, (target % 250 + 1) as u8)
}

/// A file with so many services, each over one of the targets and else over the next, all probed by one monitor of these keys.
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

impl Targets {
    /// Listens until the process ends, a thread for each.
    pub(crate) fn start(count: usize) -> io::Result<Self> {
        let first = TcpListener::bind((address(0), 0))?;
        let port = first.local_addr()?.port();
        let is_down: Switches = (0..count).map(|_| AtomicBool::new(false)).collect();
        let (tell, told) = mpsc::channel();
        let mut listeners = vec![first];
        for target in 1..count {
            listeners.push(TcpListener::bind(SocketAddr::from((address(target), port)))?);
        }
        for (target, listener) in listeners.into_iter().enumerate() {
            let (is_down, tell) = (Arc::clone(&is_down), tell.clone());
            let serve = move || {
                let mut said_down = false;
                for stream in listener.incoming().flatten() {
                    let down = is_down[target].load(Relaxed);
                    // A probe that went away wants no reply.
                    if answer(stream, down).is_ok() && down != said_down {
                        said_down = down;
                        let _ = tell.send((target, Instant::now()));
                    }
                }
            };
            thread::Builder::new().stack_size(64 << 10).spawn(serve)?;
        }
        Ok(Self { port, is_down, told })
    }
}

/// Makes a target say otherwise from now on.
pub(crate) fn turn(switches: &[AtomicBool], target: usize) {
    switches[target].fetch_xor(true, Relaxed);
}

fn answer(mut stream: TcpStream, is_down: bool) -> io::Result<()> {
    let mut request = [0; 2048];
    let _ = stream.read(&mut request)?;
    let status = if is_down { "500 Down" } else { "200 OK" };
    stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").as_bytes())
}
