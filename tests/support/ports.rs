//! Ports for servers that a test starts by their configuration, where port 0 is not possible.
//!
//! A port that the kernel chose and that was closed again can be taken by any socket that the tests
//! open before the server binds it. So the ports are below those that the kernel chooses from
//! (32768 upwards), and no two calls return the same.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    sync::atomic::{AtomicU16, Ordering},
};

const FIRST: u16 = 10_000;
const COUNT: u16 = 20_000;

/// A port that is free for UDP and TCP at every address of this host.
pub(crate) fn free_port() -> u16 {
    static CALLS: AtomicU16 = AtomicU16::new(0);
    // Test programs that run side by side start far apart.
    let start = (std::process::id() % 20 * 1_000) as u16;
    for _ in 0..COUNT {
        let call = CALLS.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + start.wrapping_add(call) % COUNT;
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        if UdpSocket::bind(any).is_ok() && TcpListener::bind(any).is_ok() {
            return port;
        }
    }
    panic!("no port is free from {FIRST} to {}", FIRST + COUNT);
}
