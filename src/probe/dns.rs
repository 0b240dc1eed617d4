//! DNS: one query, and the records that the reply must contain (RFC 1035).

use std::net::SocketAddr;

use hickory_proto::{
    op::{self, Message},
    rr::{RData, RecordType},
};

use super::{
    result::{PassDetails, ProbeError},
    tcp,
};
use crate::{
    dns::Rcode,
    dns_client,
    health::{DnsCheck, Failure},
    random,
};

/// A prepared check: its query encoded, its required records decoded.
#[derive(Debug)]
pub(super) struct DnsProbe {
    check: DnsCheck,
    /// The encoded query, with id 0.
    query: Vec<u8>,
    /// The question that a reply must repeat.
    question: Message,
    expected_rdata: Vec<RData>,
}

impl DnsProbe {
    /// Encodes the query, and decodes the required records in the same way as those of a reply.
    ///
    /// # Errors
    /// [`Failure::MonitorUnusable`] if either is not valid DNS.
    pub(super) fn new(check: &DnsCheck) -> Result<Self, Failure> {
        let query = query(check);
        let broken = |_| Failure::MonitorUnusable("its query or its answers are not DNS".into());
        let question = Message::from_vec(&query).map_err(broken)?;
        let expected = Message::from_vec(&expected_reply(check)).map_err(broken)?;
        let expected_rdata = expected.answers.into_iter().map(|record| record.data).collect();
        Ok(Self { check: check.clone(), query, question, expected_rdata })
    }

    /// Sends the query to the target at `address`.
    ///
    /// # Errors
    /// The reason why the target does not pass.
    pub(super) async fn probe(&self, address: SocketAddr) -> Result<PassDetails, ProbeError> {
        let id = random::query_id().map_err(ProbeError::from_randomness)?;
        let mut query = self.query.clone();
        query.splice(..2, id.to_be_bytes());
        let repeats_question = |query: &op::Query| self.question.queries.first() == Some(query);
        let reply = match self.check.tcp {
            true => {
                dns_client::query_tcp(tcp::open(address).await?, &query, repeats_question).await?
            }
            false => dns_client::query_udp(&query, address, repeats_question).await?,
        };
        self.evaluate_reply(&reply).map(|()| PassDetails::default()).map_err(ProbeError::Target)
    }

    fn evaluate_reply(&self, reply: &Message) -> Result<(), Failure> {
        let (got, want) = (Rcode(reply.metadata.response_code.into()), Rcode(self.check.rcode));
        if got != want {
            let name = |code: Rcode| code.mnemonic().unwrap_or("without a name");
            return Err(Failure::Rcode { got: name(got), want: name(want) });
        }
        let rtype = RecordType::from(self.check.rtype);
        let is_in_reply = |expected: &RData| {
            reply
                .answers
                .iter()
                .any(|record| record.record_type() == rtype && record.data == *expected)
        };
        match self.expected_rdata.iter().all(is_in_reply) {
            true => Ok(()),
            false if reply.metadata.truncation => Err(Failure::TruncatedAnswer),
            false => Err(Failure::MissingRecord),
        }
    }
}

/// A query with an OPT record (RFC 6891) and id 0.
fn query(check: &DnsCheck) -> Vec<u8> {
    let DnsCheck { name, rtype, recursion, .. } = check;
    dns_client::OutgoingQuery { name, rtype: *rtype, wants_recursion: *recursion, has_edns: true }
        .encode(0)
}

/// A reply that contains the required records and nothing else.
fn expected_reply(check: &DnsCheck) -> Vec<u8> {
    const RESPONSE: u8 = 0x80;
    const IN: u16 = 1;
    let mut reply = vec![0, 0, RESPONSE, 0, 0, 0];
    reply.extend((check.required_rdata.len() as u16).to_be_bytes());
    reply.extend([0; 4]);
    for rdata in &check.required_rdata {
        reply.push(0);
        reply.extend(check.rtype.to_be_bytes());
        reply.extend(IN.to_be_bytes());
        reply.extend([0; 4]);
        reply.extend((rdata.len() as u16).to_be_bytes());
        reply.extend(rdata);
    }
    reply
}
