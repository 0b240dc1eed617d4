//! DNS: one query, and what the reply must hold (RFC 1035, RFC 5452 on what makes a reply ours).
//!
//! Over UDP each query has a socket, a port and an id of its own, and what does not answer it is as if it had not come.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hickory_proto::{
    op::{Message, MessageType},
    rr::{RData, RecordType},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UdpSocket,
};

use super::{
    attempt::{Pass, Trouble},
    tcp,
};
use crate::{
    dns::Rcode,
    health::{DnsCheck, Failure},
};

/// What we say that we take over UDP (RFC 9715).
const UDP_OCTETS: u16 = 1232;
const IN: u16 = 1;

/// A check made ready.
#[derive(Debug)]
pub(super) struct DnsProbe {
    check: DnsCheck,
    /// The query, with an id of 0.
    query: Vec<u8>,
    /// The question that a reply must repeat.
    asked: Message,
    wanted: Vec<RData>,
}

impl DnsProbe {
    /// Encodes the query, and decodes the wanted records as a reply's will be.
    ///
    /// # Errors
    /// [`Failure::Monitor`] where either is not possible.
    pub(super) fn new(check: &DnsCheck) -> Result<Self, Failure> {
        let query = query(check);
        let broken = |_| Failure::Monitor("its query or its answers are not DNS".into());
        let asked = Message::from_vec(&query).map_err(broken)?;
        let wanted = Message::from_vec(&answer_of(check)).map_err(broken)?;
        let wanted = wanted.answers.into_iter().map(|record| record.data).collect();
        Ok(Self { check: check.clone(), query, asked, wanted })
    }

    /// Asks the target at `address`.
    ///
    /// # Errors
    /// Why the target does not pass.
    pub(super) async fn probe(&self, address: SocketAddr) -> Result<Pass, Trouble> {
        let id = fastrand::u16(..);
        let mut query = self.query.clone();
        query.splice(..2, id.to_be_bytes());
        let reply =
            if self.check.tcp { self.over_tcp(&query, address).await } else { self.over_udp(&query, address).await }?;
        self.judge(&reply).map(|()| Pass::default()).map_err(Trouble::Target)
    }

    async fn over_udp(&self, query: &[u8], address: SocketAddr) -> Result<Message, Trouble> {
        let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).await?;
        // The kernel drops what comes from elsewhere, and tells of closed ports.
        socket.connect(address).await?;
        socket.send(query).await?;
        let mut octets = [0; 4096];
        loop {
            let length = socket.recv(&mut octets).await?;
            let Some(reply) = octets.get(..length).filter(|reply| reply.get(..2) == query.get(..2)) else { continue };
            match Message::from_vec(reply) {
                Ok(message) if self.is_reply(&message) => return Ok(message),
                Ok(_) => {}
                Err(_) => return Err(Failure::NotDns.into()),
            }
        }
    }

    async fn over_tcp(&self, query: &[u8], address: SocketAddr) -> Result<Message, Trouble> {
        let mut stream = tcp::open(address).await?;
        let mut framed = (query.len() as u16).to_be_bytes().to_vec();
        framed.extend(query);
        stream.write_all(&framed).await?;
        let length = stream.read_u16().await?;
        let mut reply = vec![0; usize::from(length)];
        stream.read_exact(&mut reply).await?;
        let is_ours = reply.get(..2) == query.get(..2);
        Message::from_vec(&reply).ok().filter(|message| is_ours && self.is_reply(message)).ok_or(Failure::NotDns.into())
    }

    /// Whether a message answers our question. Some errors come without one (RFC 5625 section 4.1 and servers at large).
    fn is_reply(&self, message: &Message) -> bool {
        let is_error = Rcode(message.metadata.response_code.into()) != Rcode::NOERROR;
        message.metadata.message_type == MessageType::Response
            && (message.queries == self.asked.queries || is_error && message.queries.is_empty())
    }

    fn judge(&self, reply: &Message) -> Result<(), Failure> {
        let (got, want) = (Rcode(reply.metadata.response_code.into()), Rcode(self.check.rcode));
        if got != want {
            let name = |code: Rcode| code.mnemonic().unwrap_or("of no name");
            return Err(Failure::Rcode { got: name(got), want: name(want) });
        }
        let rtype = RecordType::from(self.check.rtype);
        let holds =
            |wanted: &RData| reply.answers.iter().any(|record| record.record_type() == rtype && record.data == *wanted);
        match self.wanted.iter().all(holds) {
            true => Ok(()),
            false if reply.metadata.truncation => Err(Failure::Truncated),
            false => Err(Failure::Answer),
        }
    }
}

/// A query with one question and an OPT record (RFC 6891).
fn query(check: &DnsCheck) -> Vec<u8> {
    const RECURSION_DESIRED: u8 = 1;
    const OPT: u16 = 41;
    let mut query = vec![0, 0, u8::from(check.recursion) * RECURSION_DESIRED, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    query.extend(&check.name);
    query.extend(check.rtype.to_be_bytes());
    query.extend(IN.to_be_bytes());
    query.push(0);
    query.extend(OPT.to_be_bytes());
    query.extend(UDP_OCTETS.to_be_bytes());
    query.extend([0; 6]);
    query
}

/// A reply that holds the wanted records and nothing else.
fn answer_of(check: &DnsCheck) -> Vec<u8> {
    const RESPONSE: u8 = 0x80;
    let mut reply = vec![0, 0, RESPONSE, 0, 0, 0];
    reply.extend((check.answers.len() as u16).to_be_bytes());
    reply.extend([0; 4]);
    for rdata in &check.answers {
        reply.push(0);
        reply.extend(check.rtype.to_be_bytes());
        reply.extend(IN.to_be_bytes());
        reply.extend([0; 4]);
        reply.extend((rdata.len() as u16).to_be_bytes());
        reply.extend(rdata);
    }
    reply
}
