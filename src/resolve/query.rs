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

use super::{ReplyFault, chain};
use crate::{
    dns::Rcode,
    dns_client::{self, DnsClientError},
    random,
};

/// How long a resolver may take to answer one message.
const MESSAGE_TIMEOUT: Duration = Duration::from_millis(1500);

/// What is asked of a resolver.
#[derive(Debug)]
pub(super) struct LookupQuestion {
    /// The name asked for.
    pub(super) name: Name,
    /// The type asked for.
    pub(super) rtype: RecordType,
}

/// Whether a query says that it takes more than 512 octets over UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EdnsUse {
    With,
    Without,
}

/// Asks over UDP, and over TCP what does not fit.
///
/// # Errors
/// What the resolver said instead of an answer.
pub(super) async fn query_resolver(
    question: &LookupQuestion,
    server: SocketAddr,
    deadline: Instant,
) -> Result<Message, ReplyFault> {
    let first = with_timeout(deadline, question.over_udp(server, EdnsUse::With)).await;
    let reply = match first.and_then(accepted) {
        // Old servers and middleboxes answer EDNS with an error or not at all.
        Err(ReplyFault::Rcode(
            Rcode::FORMERR | Rcode::NOTIMP | Rcode::SERVFAIL | Rcode::BADVERS,
        ))
        | Err(ReplyFault::TimedOut | ReplyFault::Malformed) => {
            with_timeout(deadline, question.over_udp(server, EdnsUse::Without))
                .await
                .and_then(accepted)?
        }
        other => other?,
    };
    if !reply.metadata.truncation {
        return Ok(reply);
    }
    query_over_tcp(question, server, deadline).await.map_err(|said| match said {
        ReplyFault::Io(kind) => ReplyFault::Truncated(Some(kind)),
        ReplyFault::TimedOut => ReplyFault::Truncated(None),
        other => other,
    })
}

/// Asks over TCP alone.
///
/// # Errors
/// What the resolver said instead of an answer.
pub(super) async fn query_over_tcp(
    question: &LookupQuestion,
    server: SocketAddr,
    deadline: Instant,
) -> Result<Message, ReplyFault> {
    with_timeout(deadline, question.over_tcp(server)).await.and_then(accepted)
}

async fn with_timeout(
    deadline: Instant,
    attempt: impl Future<Output = Result<Message, DnsClientError>>,
) -> Result<Message, ReplyFault> {
    match timeout_at(deadline.min(Instant::now() + MESSAGE_TIMEOUT), attempt).await {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(DnsClientError::NotDns)) => Err(ReplyFault::Malformed),
        Ok(Err(DnsClientError::Io(error))) => Err(ReplyFault::Io(error.kind())),
        Err(_) => Err(ReplyFault::TimedOut),
    }
}

/// NXDOMAIN is an answer; other errors, and referrals to other servers, are none.
fn accepted(reply: Message) -> Result<Message, ReplyFault> {
    match Rcode(reply.metadata.response_code.into()) {
        Rcode::NOERROR if is_lame(&reply) => Err(ReplyFault::Lame),
        Rcode::NOERROR | Rcode::NXDOMAIN => Ok(reply),
        other => Err(ReplyFault::Rcode(other)),
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

impl LookupQuestion {
    async fn over_udp(&self, server: SocketAddr, edns: EdnsUse) -> Result<Message, DnsClientError> {
        dns_client::query_udp(&self.query(edns)?, server, |query| self.matches(query)).await
    }

    async fn over_tcp(&self, server: SocketAddr) -> Result<Message, DnsClientError> {
        let stream = TcpStream::connect(server).await?;
        dns_client::query_tcp(stream, &self.query(EdnsUse::Without)?, |query| self.matches(query))
            .await
    }

    /// A query with an id of its own that asks for recursion.
    fn query(&self, edns: EdnsUse) -> io::Result<Vec<u8>> {
        let name = self.name.to_bytes().map_err(io::Error::other)?;
        let query = dns_client::OutgoingQuery {
            name: &name,
            rtype: self.rtype.into(),
            wants_recursion: true,
            has_edns: edns == EdnsUse::With,
        };
        Ok(query.encode(random::query_id()?))
    }

    fn matches(&self, query: &op::Query) -> bool {
        query.name == self.name && query.query_type == self.rtype
    }
}
