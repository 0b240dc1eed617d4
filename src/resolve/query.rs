//! One question to one resolver: over UDP with EDNS, then without EDNS if the resolver fails on it,
//! and over TCP if the reply does not fit (RFC 6891 section 6.2.2).

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

use super::{chain, report::ReplyFault};
use crate::{
    dns::Rcode,
    dns_client::{self, DnsClientError},
    random,
};

/// The longest wait for the reply to one message.
const MESSAGE_TIMEOUT: Duration = Duration::from_millis(1500);

/// The question of a query.
#[derive(Debug)]
pub(super) struct LookupQuestion {
    /// The name that the resolver is asked for.
    pub(super) name: Name,
    /// The queried record type, A or AAAA.
    pub(super) rtype: RecordType,
}

/// Whether a query has an OPT record, which allows replies of more than 512 octets over UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EdnsUse {
    With,
    Without,
}

/// Queries over UDP, and over TCP if the reply is truncated.
///
/// # Errors
/// The reason why the resolver gave no answer.
pub(super) async fn query_resolver(
    question: &LookupQuestion,
    server: SocketAddr,
    deadline: Instant,
) -> Result<Message, ReplyFault> {
    let first = with_timeout(deadline, question.over_udp(server, EdnsUse::With)).await;
    let reply = match first.and_then(accept_reply) {
        // Old servers and middleboxes reply to EDNS with an error, or do not reply.
        Err(ReplyFault::Rcode(
            Rcode::FORMERR | Rcode::NOTIMP | Rcode::SERVFAIL | Rcode::BADVERS,
        ))
        | Err(ReplyFault::TimedOut | ReplyFault::Malformed) => {
            with_timeout(deadline, question.over_udp(server, EdnsUse::Without))
                .await
                .and_then(accept_reply)?
        }
        other => other?,
    };
    if !reply.metadata.truncation {
        return Ok(reply);
    }
    query_over_tcp(question, server, deadline).await.map_err(|fault| match fault {
        ReplyFault::Io(kind) => ReplyFault::Truncated(Some(kind)),
        ReplyFault::TimedOut => ReplyFault::Truncated(None),
        other => other,
    })
}

/// Queries over TCP only.
///
/// # Errors
/// The reason why the resolver gave no answer.
pub(super) async fn query_over_tcp(
    question: &LookupQuestion,
    server: SocketAddr,
    deadline: Instant,
) -> Result<Message, ReplyFault> {
    with_timeout(deadline, question.over_tcp(server)).await.and_then(accept_reply)
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

/// Accepts NOERROR and NXDOMAIN. Other response codes and referrals to other servers are faults.
fn accept_reply(reply: Message) -> Result<Message, ReplyFault> {
    match Rcode(reply.metadata.response_code.into()) {
        Rcode::NOERROR if is_lame(&reply) => Err(ReplyFault::Lame),
        Rcode::NOERROR | Rcode::NXDOMAIN => Ok(reply),
        other => Err(ReplyFault::Rcode(other)),
    }
}

/// Whether an empty reply comes from a server that does not resolve the name: it is a referral (RFC
/// 1034 section 4.3.1), or the server offers neither recursion nor authority.
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

    /// A query with a new id, with recursion desired.
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
