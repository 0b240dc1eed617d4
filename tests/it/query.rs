//! DNS queries and replies over plain sockets. Queries are written octet by octet, because many are
//! deliberately malformed; replies are read by hickory-proto, an independent implementation.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use hickory_proto::{
    op::Message,
    rr::{
        Record,
        rdata::opt::{EdnsCode, EdnsOption},
    },
};

use crate::wire;

/// The timeout of one datagram or connection.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(2);
/// The number of datagrams sent before the server counts as silent.
const ATTEMPTS: usize = 3;

/// A query with its header fields, its EDNS options and its transport.
#[derive(Debug, Clone)]
pub struct TestQuery {
    pub name: String,
    pub rtype: u16,
    pub class: u16,
    pub opcode: u8,
    /// Sets the RD bit, for queries to a resolver.
    pub recursive: bool,
    pub edns: Option<Edns>,
    pub tcp: bool,
}

/// The contents of the OPT record.
#[derive(Debug, Clone, Default)]
pub struct Edns {
    pub payload: u16,
    pub version: u8,
    pub dnssec_ok: bool,
    pub options: Vec<(u16, Vec<u8>)>,
}

impl TestQuery {
    pub fn new(name: &str, rtype: &str) -> Self {
        Self {
            name: name.to_owned(),
            rtype: type_code(rtype),
            class: 1,
            opcode: 0,
            recursive: false,
            edns: None,
            tcp: false,
        }
    }

    /// Changes the OPT record, which is added if the query has none.
    pub fn edns(mut self, change: impl FnOnce(&mut Edns)) -> Self {
        change(self.edns.get_or_insert_with(|| Edns { payload: 1232, ..Edns::default() }));
        self
    }

    /// Sets the RD bit, for a query to a resolver.
    pub fn recursive(self) -> Self {
        Self { recursive: true, ..self }
    }

    /// Adds a client subnet option (RFC 7871 section 6), such as `192.0.2.0/24`.
    pub fn subnet(self, prefix: &str) -> Self {
        let prefix: ipnet::IpNet = prefix.parse().unwrap();
        let (family, octets) = match prefix.addr() {
            IpAddr::V4(address) => (1_u8, address.octets().to_vec()),
            IpAddr::V6(address) => (2_u8, address.octets().to_vec()),
        };
        let mut option = vec![0, family, prefix.prefix_len(), 0];
        option.extend(&octets[..usize::from(prefix.prefix_len()).div_ceil(8)]);
        self.edns(|edns| edns.options.push((8, option)))
    }

    /// The query in wire format.
    pub fn message(&self, id: u16) -> Vec<u8> {
        let mut message = id.to_be_bytes().to_vec();
        message.extend([
            self.opcode << 3 | u8::from(self.recursive),
            0,
            0,
            1,
            0,
            0,
            0,
            0,
            0,
            u8::from(self.edns.is_some()),
        ]);
        message.extend(wire::name(&self.name));
        message.extend(self.rtype.to_be_bytes());
        message.extend(self.class.to_be_bytes());
        if let Some(edns) = &self.edns {
            message.extend([0, 0, 41]);
            message.extend(edns.payload.to_be_bytes());
            message.extend([0, edns.version, if edns.dnssec_ok { 0x80 } else { 0 }, 0]);
            let options: Vec<u8> = edns
                .options
                .iter()
                .flat_map(|(code, value)| {
                    [&code.to_be_bytes()[..], &(value.len() as u16).to_be_bytes(), value].concat()
                })
                .collect();
            message.extend((options.len() as u16).to_be_bytes());
            message.extend(options);
        }
        message
    }

    /// Sends the query and waits for the reply. A lost datagram is sent again; no reply is an
    /// error.
    pub fn send(&self, server: SocketAddr) -> io::Result<Reply> {
        if self.tcp {
            return over_tcp(server, &self.message(4711))
                .and_then(|octets| self.read(4711, octets));
        }
        let socket = UdpSocket::bind(("127.0.0.1", 0))?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(REPLY_TIMEOUT))?;
        let mut buffer = [0; 65536];
        for attempt in 0..ATTEMPTS {
            let id = 1000 + attempt as u16;
            socket.send(&self.message(id))?;
            match socket.recv(&mut buffer) {
                Ok(length) => return self.read(id, buffer[..length].to_vec()),
                Err(error) if is_timeout(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "no reply"))
    }

    /// Reads a reply, which must have this id and repeat the question.
    pub fn read(&self, id: u16, octets: Vec<u8>) -> io::Result<Reply> {
        let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
        let message = Message::from_vec(&octets)
            .map_err(|error| invalid(format!("{error}: {octets:02x?}")))?;
        if message.metadata.id != id {
            return Err(invalid(format!("a reply to {} for {id}", message.metadata.id)));
        }
        // The reply must repeat the question octet for octet, with its case
        // (draft-vixie-dnsext-dns0x20).
        let asked = self.message(id);
        let end = 12 + wire::name(&self.name).len() + 4;
        if octets.get(12..end) != asked.get(12..end) {
            return Err(invalid(format!("another question in the reply: {octets:02x?}")));
        }
        Ok(Reply { message, length: octets.len() })
    }
}

/// A reply, with its length in octets.
#[derive(Debug)]
pub struct Reply {
    pub message: Message,
    pub length: usize,
}

impl Reply {
    /// The rcode by name, such as `NXDOMAIN` or `BADVERS`.
    pub fn rcode(&self) -> String {
        match u16::from(self.message.metadata.response_code) {
            // The number is BADSIG in a TSIG record and BADVERS in a reply's head.
            16 => "BADVERS".to_owned(),
            _ => format!("{:?}", self.message.metadata.response_code).to_uppercase(),
        }
    }

    /// The rdata of the answer section, in order.
    pub fn answers(&self) -> Vec<String> {
        self.message.answers.iter().map(|record| record.data.to_string()).collect()
    }

    /// The lowest TTL of the answer section; 0 if it is empty.
    pub fn ttl(&self) -> u32 {
        self.message.answers.iter().map(|record| record.ttl).min().unwrap_or(0)
    }

    /// The client subnet option: source prefix length, scope prefix length, address.
    pub fn subnet(&self) -> Option<(u8, u8, IpAddr)> {
        match self.message.edns.as_ref()?.option(EdnsCode::Subnet)? {
            EdnsOption::Subnet(subnet) => {
                Some((subnet.source_prefix(), subnet.scope_prefix(), subnet.addr()))
            }
            _ => None,
        }
    }

    /// The octets of an EDNS option, if the reply contains it.
    pub fn option(&self, code: u16) -> Option<Vec<u8>> {
        self.message
            .edns
            .as_ref()?
            .option(EdnsCode::from(code))
            .and_then(|option| Vec::try_from(option).ok())
    }
}

/// A record on one line with single spaces: `www.example.org. 300 IN A 192.0.2.1`.
pub fn line(record: &Record) -> String {
    record.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// One query and reply on a new connection.
fn over_tcp(server: SocketAddr, request: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&server, REPLY_TIMEOUT)?;
    stream.set_read_timeout(Some(REPLY_TIMEOUT))?;
    stream.write_all(&framed(request))?;
    read_framed(&mut stream)
}

/// The message after its length (RFC 1035 section 4.2.2).
pub fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

/// Reads one message after its length.
pub fn read_framed(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message)?;
    Ok(message)
}

pub fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn type_code(rtype: &str) -> u16 {
    if let Some(number) = rtype.strip_prefix("TYPE") {
        return number.parse().unwrap();
    }
    rtype.parse::<hickory_proto::rr::RecordType>().unwrap_or_else(|_| panic!("type {rtype}")).into()
}

/// A deadline that is awaited without sleeping: each tick waits on a socket to which nothing is
/// sent.
pub struct Deadline {
    socket: UdpSocket,
    end: Instant,
}

impl Deadline {
    pub fn after(timeout: Duration) -> Self {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        Self { socket, end: Instant::now() + timeout }
    }

    /// Waits for 10 ms; returns whether the deadline is still ahead.
    pub fn tick(&self) -> bool {
        let _ = self.socket.recv(&mut [0]);
        Instant::now() < self.end
    }
}
