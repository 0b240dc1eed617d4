//! Queries for some of many services, from several clients, until the answers show a change.
//!
//! A removal is complete only when every sampled service was queried without one answer that still
//! names the removed address; its time is that of the last answer that did.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    thread,
    time::{Duration, Instant},
};

/// The timeout of a change.
pub(crate) const LONGEST: Duration = Duration::from_secs(120);
/// The timeout of a reply, after which the query is sent again.
const RETRY: Duration = Duration::from_millis(50);
/// The pause after an answer that does not show the change yet, so that queries leave CPU for the
/// server.
const PAUSE: Duration = Duration::from_millis(1);

/// The contents of a reply.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The addresses of the A records, in order.
    pub(crate) addresses: Vec<Ipv4Addr>,
    /// The TTL of the last A record.
    pub(crate) ttl_secs: u32,
}

impl Answer {
    /// Whether the reply contains one of these addresses.
    pub(crate) fn names(&self, any: &[Ipv4Addr]) -> bool {
        self.addresses.iter().any(|address| any.contains(address))
    }
}

/// A socket that sends queries and receives replies.
pub(crate) struct Sampler {
    socket: UdpSocket,
    server: SocketAddr,
    next_id: u16,
    /// The number of clients for each name. Each has its own client subnet.
    clients: u8,
}

impl Sampler {
    pub(crate) fn new(server: SocketAddr, clients: u8) -> io::Result<Self> {
        let socket = UdpSocket::bind(("127.0.0.1", 0))?;
        socket.set_read_timeout(Some(RETRY))?;
        socket.connect(server)?;
        Ok(Self { socket, server, next_id: 1, clients })
    }

    /// Sends a query, again while no reply arrives.
    pub(crate) fn ask(&mut self, name: &str, client: u8) -> io::Result<Answer> {
        let began = Instant::now();
        let mut buffer = [0; 4096];
        while began.elapsed() < LONGEST {
            self.next_id = self.next_id.wrapping_add(1);
            let question = question(self.next_id, name, client);
            // While the server starts, its port refuses datagrams; the next call reports that.
            match self.socket.send(&question).and_then(|_| self.reply(&mut buffer)) {
                Ok(length) => return Ok(answer(&buffer[..length]).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => thread::sleep(PAUSE),
            }
        }
        Err(timed_out(name))
    }

    /// Waits for the reply to the last query; late replies to earlier queries are skipped.
    fn reply(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let length = self.socket.recv(buffer)?;
            if buffer[..2] == self.next_id.to_be_bytes() {
                return Ok(length);
            }
        }
    }

    /// Queries over TCP, for answers that exceed a datagram.
    pub(crate) fn ask_over_tcp(&mut self, name: &str) -> io::Result<Answer> {
        self.next_id = self.next_id.wrapping_add(1);
        let question = question(self.next_id, name, 0);
        let mut stream = TcpStream::connect(self.server)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(&[&(question.len() as u16).to_be_bytes()[..], &question].concat())?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut reply)?;
        Ok(answer(&reply).unwrap_or_default())
    }

    /// Queries until an answer is as expected; returns the time of that answer.
    pub(crate) fn until(
        &mut self,
        name: &str,
        is_wanted: impl Fn(&Answer) -> bool,
    ) -> io::Result<Instant> {
        let began = Instant::now();
        while began.elapsed() < LONGEST {
            if is_wanted(&self.ask(name, 0)?) {
                return Ok(Instant::now());
            }
            thread::sleep(PAUSE);
        }
        Err(timed_out(name))
    }

    /// Queries until each name has an answer with addresses and without any of `removed`; returns
    /// the time of the last other answer.
    pub(crate) fn until_gone(
        &mut self,
        names: &[String],
        removed: &[Ipv4Addr],
    ) -> io::Result<Instant> {
        let began = Instant::now();
        let (mut last, mut clean) = (began, 0);
        let questions = names.len() * usize::from(self.clients);
        for index in (0..questions).cycle() {
            let answer = self.ask(&names[index % names.len()], (index / names.len()) as u8)?;
            clean += 1;
            if answer.addresses.is_empty() || answer.names(removed) {
                (last, clean) = (Instant::now(), 0);
                thread::sleep(PAUSE);
            }
            if clean == questions {
                return Ok(last);
            }
            if began.elapsed() > LONGEST {
                return Err(timed_out(&names[index % names.len()]));
            }
        }
        Ok(last)
    }

    /// Queries until each name was answered with one of the addresses; returns the time of the last
    /// such answer.
    pub(crate) fn until_named(
        &mut self,
        names: &[String],
        added: &[Ipv4Addr],
    ) -> io::Result<Instant> {
        let began = Instant::now();
        for name in names {
            let mut client = 0_u8;
            while !self.ask(name, client)?.names(added) {
                client = client.wrapping_add(1);
                if began.elapsed() > LONGEST {
                    return Err(timed_out(name));
                }
                thread::sleep(PAUSE);
            }
        }
        Ok(Instant::now())
    }
}

fn timed_out(name: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        format!("the answer for {name} did not change within {LONGEST:?}"),
    )
}

/// A query of type A and class IN with the client subnet 20.0.CLIENT.0/24, with RD clear.
fn question(id: u16, name: &str, client: u8) -> Vec<u8> {
    // An OPT record (RFC 6891) with a payload size of 4,096 octets and the client subnet option
    // (RFC 7871).
    let opt = [0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 11, 0, 8, 0, 7, 0, 1, 24, 0, 20, 0, client];
    super::wire::query_with_opt(id, name, 1, &opt)
}

/// The A records of a reply's answer section; `None` if the reply is cut off.
fn answer(reply: &[u8]) -> Option<Answer> {
    let count = u16::from_be_bytes([*reply.get(6)?, *reply.get(7)?]);
    let mut offset = past_name(reply, 12)? + 4;
    let mut answer = Answer::default();
    for _ in 0..count {
        offset = past_name(reply, offset)?;
        let [t0, t1, _, _, l0, l1, l2, l3, d0, d1] = *reply.get(offset..)?.first_chunk()?;
        let length = usize::from(u16::from_be_bytes([d0, d1]));
        let data = reply.get(offset + 10..offset + 10 + length)?;
        if let (1, Ok(address)) = (u16::from_be_bytes([t0, t1]), <[u8; 4]>::try_from(data)) {
            answer.addresses.push(address.into());
            answer.ttl_secs = u32::from_be_bytes([l0, l1, l2, l3]);
        }
        offset += 10 + length;
    }
    Some(answer)
}

fn past_name(reply: &[u8], mut offset: usize) -> Option<usize> {
    loop {
        match *reply.get(offset)? {
            0 => return Some(offset + 1),
            length if length >= 0xc0 => return Some(offset + 2),
            length => offset += 1 + usize::from(length),
        }
    }
}
