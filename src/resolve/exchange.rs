//! One question to one resolver: over UDP with EDNS, without it where the resolver fails on that, over TCP where the reply does not
//! fit (RFC 1035 section 4.2, RFC 6891 section 6.2.2, RFC 5452 on what makes a reply ours).

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use hickory_proto::{
    op::{Message, MessageType},
    rr::{Name, RecordType},
    serialize::binary::BinEncodable,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::{Instant, timeout_at},
};

use super::Said;
use crate::dns::Rcode;

/// How long a resolver may take to answer one message.
const ATTEMPT: Duration = Duration::from_millis(1500);
/// What we say that we take over UDP (RFC 9715).
const UDP_OCTETS: u16 = 1232;

/// What is asked of a resolver.
#[derive(Debug)]
pub(super) struct Question {
    /// The name asked for.
    pub(super) name: Name,
    /// The type asked for.
    pub(super) rtype: RecordType,
}

/// Whether a query says that it takes more than 512 octets over UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edns {
    With,
    Without,
}

/// Asks over UDP, and over TCP what does not fit.
///
/// # Errors
/// What the resolver said instead of an answer.
pub(super) async fn ask(question: &Question, server: SocketAddr, deadline: Instant) -> Result<Message, Said> {
    let first = within(deadline, over_udp(question, server, Edns::With)).await;
    let reply = match first.and_then(judged) {
        // Old servers and middleboxes answer EDNS with an error or not at all.
        Err(Said::Rcode(Rcode::FORMERR | Rcode::NOTIMP | Rcode::SERVFAIL | Rcode::BADVERS))
        | Err(Said::Nothing | Said::Garbage) => {
            within(deadline, over_udp(question, server, Edns::Without)).await.and_then(judged)?
        }
        other => other?,
    };
    if !reply.metadata.truncation {
        return Ok(reply);
    }
    ask_over_tcp(question, server, deadline).await
}

/// Asks over TCP alone.
///
/// # Errors
/// What the resolver said instead of an answer.
pub(super) async fn ask_over_tcp(question: &Question, server: SocketAddr, deadline: Instant) -> Result<Message, Said> {
    within(deadline, over_tcp(question, server)).await.and_then(judged)
}

async fn within(deadline: Instant, attempt: impl Future<Output = io::Result<Message>>) -> Result<Message, Said> {
    match timeout_at(deadline.min(Instant::now() + ATTEMPT), attempt).await {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => Err(Said::Garbage),
        Ok(Err(error)) => Err(Said::Error(error.kind())),
        Err(_) => Err(Said::Nothing),
    }
}

/// NXDOMAIN is an answer; other errors are none.
fn judged(reply: Message) -> Result<Message, Said> {
    match Rcode(reply.metadata.response_code.into()) {
        Rcode::NOERROR | Rcode::NXDOMAIN => Ok(reply),
        other => Err(Said::Rcode(other)),
    }
}

async fn over_udp(question: &Question, server: SocketAddr, edns: Edns) -> io::Result<Message> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    // The kernel drops what comes from elsewhere, and reports closed ports.
    socket.connect(server).await?;
    let query = question.query(edns)?;
    socket.send(&query).await?;
    let mut octets = [0; 4096];
    loop {
        let length = socket.recv(&mut octets).await?;
        let Some(reply) = octets.get(..length).filter(|reply| reply.get(..2) == query.get(..2)) else { continue };
        match Message::from_vec(reply) {
            Ok(message) if question.is_answered_by(&message) => return Ok(message),
            Ok(_) => {}
            Err(_) => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

async fn over_tcp(question: &Question, server: SocketAddr) -> io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    let query = question.query(Edns::Without)?;
    let length = u16::try_from(query.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], &query].concat()).await?;
    let length = stream.read_u16().await?;
    let mut reply = vec![0; usize::from(length)];
    stream.read_exact(&mut reply).await?;
    let message = Message::from_vec(&reply).ok();
    let is_ours = |message: &Message| reply.get(..2) == query.get(..2) && question.is_answered_by(message);
    message.filter(is_ours).ok_or(io::ErrorKind::InvalidData.into())
}

impl Question {
    /// A query with an id of its own that asks for recursion.
    fn query(&self, edns: Edns) -> io::Result<Vec<u8>> {
        const RECURSION_DESIRED: u8 = 1;
        const OPT: u16 = 41;
        const IN: u16 = 1;
        let [high, low] = fastrand::u16(..).to_be_bytes();
        let additional = u8::from(edns == Edns::With);
        let mut query = vec![high, low, RECURSION_DESIRED, 0, 0, 1, 0, 0, 0, 0, 0, additional];
        query.extend(self.name.to_bytes().map_err(io::Error::other)?);
        query.extend(u16::from(self.rtype).to_be_bytes());
        query.extend(IN.to_be_bytes());
        if edns == Edns::With {
            query.push(0);
            query.extend(OPT.to_be_bytes());
            query.extend(UDP_OCTETS.to_be_bytes());
            query.extend([0; 6]);
        }
        Ok(query)
    }

    /// Whether a message answers this question. Some errors come without one (RFC 5625 section 4.1 and servers at large).
    fn is_answered_by(&self, message: &Message) -> bool {
        let is_error = Rcode(message.metadata.response_code.into()) != Rcode::NOERROR;
        let is_asked = match &message.queries[..] {
            [] => is_error,
            [query] => query.name == self.name && query.query_type == self.rtype,
            _ => false,
        };
        message.metadata.message_type == MessageType::Response && is_asked
    }
}
