//! One question to one resolver: over UDP with EDNS, without it where the resolver fails on that,
//! over TCP where the reply does not fit (RFC 6891 section 6.2.2).

use std::{io, net::SocketAddr, time::Duration};

use hickory_proto::{
    op::{self, Message},
    rr::{Name, RecordType},
    serialize::binary::BinEncodable,
};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};

use super::{Said, chain};
use crate::{
    dns::Rcode,
    dns_client::{self, DnsClientError},
    random,
};

/// How long a resolver may take to answer one message.
const ATTEMPT: Duration = Duration::from_millis(1500);

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
pub(super) async fn ask(
    question: &Question,
    server: SocketAddr,
    deadline: Instant,
) -> Result<Message, Said> {
    let first = within(deadline, question.over_udp(server, Edns::With)).await;
    let reply = match first.and_then(judged) {
        // Old servers and middleboxes answer EDNS with an error or not at all.
        Err(Said::Rcode(Rcode::FORMERR | Rcode::NOTIMP | Rcode::SERVFAIL | Rcode::BADVERS))
        | Err(Said::Nothing | Said::Garbage) => {
            within(deadline, question.over_udp(server, Edns::Without)).await.and_then(judged)?
        }
        other => other?,
    };
    if !reply.metadata.truncation {
        return Ok(reply);
    }
    ask_over_tcp(question, server, deadline).await.map_err(|said| match said {
        Said::Error(kind) => Said::Truncated(Some(kind)),
        Said::Nothing => Said::Truncated(None),
        other => other,
    })
}

/// Asks over TCP alone.
///
/// # Errors
/// What the resolver said instead of an answer.
pub(super) async fn ask_over_tcp(
    question: &Question,
    server: SocketAddr,
    deadline: Instant,
) -> Result<Message, Said> {
    within(deadline, question.over_tcp(server)).await.and_then(judged)
}

async fn within(
    deadline: Instant,
    attempt: impl Future<Output = Result<Message, DnsClientError>>,
) -> Result<Message, Said> {
    match timeout_at(deadline.min(Instant::now() + ATTEMPT), attempt).await {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(DnsClientError::NotDns)) => Err(Said::Garbage),
        Ok(Err(DnsClientError::Io(error))) => Err(Said::Error(error.kind())),
        Err(_) => Err(Said::Nothing),
    }
}

/// NXDOMAIN is an answer; other errors, and referrals to other servers, are none.
fn judged(reply: Message) -> Result<Message, Said> {
    match Rcode(reply.metadata.response_code.into()) {
        Rcode::NOERROR if is_lame(&reply) => Err(Said::Lame),
        Rcode::NOERROR | Rcode::NXDOMAIN => Ok(reply),
        other => Err(Said::Rcode(other)),
    }
}

/// Whether a server that does not resolve the name says so by an empty reply: a referral (RFC 1034
/// section 4.3.1), or neither recursion nor authority.
fn is_lame(reply: &Message) -> bool {
    let refers = reply.authorities.iter().any(|record| record.record_type() == RecordType::NS);
    let resolves = reply.metadata.recursion_available || reply.metadata.authoritative;
    let is_empty =
        reply.answers.is_empty() && !chain::is_negative(reply) && !reply.metadata.truncation;
    is_empty && (refers || !resolves)
}

impl Question {
    async fn over_udp(&self, server: SocketAddr, edns: Edns) -> Result<Message, DnsClientError> {
        dns_client::query_udp(&self.query(edns)?, server, |query| self.is(query)).await
    }

    async fn over_tcp(&self, server: SocketAddr) -> Result<Message, DnsClientError> {
        let stream = TcpStream::connect(server).await?;
        dns_client::query_tcp(stream, &self.query(Edns::Without)?, |query| self.is(query)).await
    }

    /// A query with an id of its own that asks for recursion.
    fn query(&self, edns: Edns) -> io::Result<Vec<u8>> {
        let name = self.name.to_bytes().map_err(io::Error::other)?;
        let query = dns_client::OutgoingQuery {
            name: &name,
            rtype: self.rtype.into(),
            wants_recursion: true,
            has_edns: edns == Edns::With,
        };
        Ok(query.encode(random::query_id()?))
    }

    fn is(&self, query: &op::Query) -> bool {
        query.name == self.name && query.query_type == self.rtype
    }
}
