//! Sends one DNS query and receives its reply, as a client (RFC 1035 section 4.2; RFC 5452 on how a
//! reply is matched to its query).
//!
//! Over UDP, each query has its own socket, port and id, and a datagram that does not answer it is
//! ignored. The caller sets the timeout and evaluates the reply.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use hickory_proto::op::{self, Message, MessageType, ResponseCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
};

/// The payload size that our queries announce over UDP, in octets (RFC 9715).
const UDP_PAYLOAD_OCTETS: u16 = 1232;

/// A query of class IN for one name and type.
#[derive(Debug, Clone, Copy)]
pub struct OutgoingQuery<'q> {
    /// The name in wire format, without compression.
    pub name: &'q [u8],
    /// The record type's number.
    pub rtype: u16,
    /// Whether the query requests recursion (RD).
    pub wants_recursion: bool,
    /// Whether the query has an OPT record (RFC 6891), so that the reply over UDP may exceed 512
    /// octets.
    pub has_edns: bool,
}

impl OutgoingQuery<'_> {
    /// The query as a message with this id.
    pub fn encode(&self, id: u16) -> Vec<u8> {
        const RECURSION_DESIRED: u8 = 1;
        const OPT: u16 = 41;
        const IN: u16 = 1;
        let [high, low] = id.to_be_bytes();
        let flags = u8::from(self.wants_recursion) * RECURSION_DESIRED;
        let mut message = vec![high, low, flags, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(self.has_edns)];
        message.extend(self.name);
        message.extend(self.rtype.to_be_bytes());
        message.extend(IN.to_be_bytes());
        if self.has_edns {
            message.push(0);
            message.extend(OPT.to_be_bytes());
            message.extend(UDP_PAYLOAD_OCTETS.to_be_bytes());
            message.extend([0; 6]);
        }
        message
    }
}

/// Why a query got no reply.
#[derive(Debug)]
pub enum DnsClientError {
    /// The system or the network failed.
    Io(io::Error),
    /// The reply is not a DNS message or, over TCP, does not answer the query.
    NotDns,
}

impl fmt::Display for DnsClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::NotDns => f.write_str("the reply is no DNS message that answers the query"),
        }
    }
}

impl std::error::Error for DnsClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::NotDns => None,
        }
    }
}

impl From<io::Error> for DnsClientError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Sends `query` over UDP and waits, without a timeout, for the reply to it. `is_own_question` says
/// whether a question is that of the query.
///
/// # Errors
/// [`DnsClientError`]; a closed port is a network error.
pub async fn query_udp(
    query: &[u8],
    server: SocketAddr,
    is_own_question: impl Fn(&op::Query) -> bool,
) -> Result<Message, DnsClientError> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    // The kernel drops datagrams of other senders, and reports closed ports.
    socket.connect(server).await?;
    socket.send(query).await?;
    let mut octets = [0; 4096];
    loop {
        let length = socket.recv(&mut octets).await?;
        let Some(reply) = octets.get(..length).filter(|reply| reply.get(..2) == query.get(..2))
        else {
            continue;
        };
        match Message::from_vec(reply) {
            Ok(message) if is_reply(&message, &is_own_question) => return Ok(message),
            Ok(_) => {}
            Err(_) => return Err(DnsClientError::NotDns),
        }
    }
}

/// Sends `query` over a TCP connection and waits, without a timeout, for the reply to it.
///
/// # Errors
/// A network error, or a message that does not answer the query.
pub async fn query_tcp(
    mut stream: TcpStream,
    query: &[u8],
    is_own_question: impl Fn(&op::Query) -> bool,
) -> Result<Message, DnsClientError> {
    let length = u16::try_from(query.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], query].concat()).await?;
    let length = stream.read_u16().await?;
    let mut reply = vec![0; usize::from(length)];
    stream.read_exact(&mut reply).await?;
    let is_own =
        |message: &Message| reply.get(..2) == query.get(..2) && is_reply(message, &is_own_question);
    Message::from_vec(&reply).ok().filter(is_own).ok_or(DnsClientError::NotDns)
}

/// Whether a message is a reply to the query. Some error replies contain no question (RFC 5625
/// section 4.1, and many servers).
fn is_reply(message: &Message, is_own_question: impl Fn(&op::Query) -> bool) -> bool {
    let answers_question = match &message.queries[..] {
        [] => message.metadata.response_code != ResponseCode::NoError,
        [query] => is_own_question(query),
        _ => false,
    };
    message.metadata.message_type == MessageType::Response && answers_question
}
