//! DNS: one query, and what the reply must hold (RFC 1035).

use std::net::SocketAddr;

use hickory_proto::{
    op::{self, Message},
    rr::{RData, RecordType},
};

use super::{
    check::{PassDetails, ProbeError},
    tcp,
};
use crate::{
    dns::Rcode,
    dns_client::{self, DnsClientError},
    health::{DnsCheck, Failure},
    random,
};

impl From<DnsClientError> for ProbeError {
    fn from(error: DnsClientError) -> Self {
        match error {
            DnsClientError::Io(error) => error.into(),
            DnsClientError::NotDns => Failure::NotDns.into(),
        }
    }
}

/// A check made ready.
#[derive(Debug)]
pub(super) struct DnsProbe {
    check: DnsCheck,
    /// The query, with an id of 0.
    query: Vec<u8>,
    /// The question that a reply must repeat.
    question: Message,
    expected_rdata: Vec<RData>,
}

impl DnsProbe {
    /// Encodes the query, and decodes the wanted records as a reply's will be.
    ///
    /// # Errors
    /// [`Failure::MonitorUnusable`] where either is not possible.
    pub(super) fn new(check: &DnsCheck) -> Result<Self, Failure> {
        let query = query(check);
        let broken = |_| Failure::MonitorUnusable("its query or its answers are not DNS".into());
        let asked = Message::from_vec(&query).map_err(broken)?;
        let wanted = Message::from_vec(&expected_reply(check)).map_err(broken)?;
        let wanted = wanted.answers.into_iter().map(|record| record.data).collect();
        Ok(Self { check: check.clone(), query, question: asked, expected_rdata: wanted })
    }

    /// Asks the target at `address`.
    ///
    /// # Errors
    /// Why the target does not pass.
    pub(super) async fn probe(&self, address: SocketAddr) -> Result<PassDetails, ProbeError> {
        let id = random::query_id().map_err(ProbeError::from_randomness)?;
        let mut query = self.query.clone();
        query.splice(..2, id.to_be_bytes());
        let is_asked = |query: &op::Query| self.question.queries.first() == Some(query);
        let reply = match self.check.tcp {
            true => dns_client::query_tcp(tcp::open(address).await?, &query, is_asked).await?,
            false => dns_client::query_udp(&query, address, is_asked).await?,
        };
        self.evaluate_reply(&reply).map(|()| PassDetails::default()).map_err(ProbeError::Target)
    }

    fn evaluate_reply(&self, reply: &Message) -> Result<(), Failure> {
        let (got, want) = (Rcode(reply.metadata.response_code.into()), Rcode(self.check.rcode));
        if got != want {
            let name = |code: Rcode| code.mnemonic().unwrap_or("of no name");
            return Err(Failure::Rcode { got: name(got), want: name(want) });
        }
        let rtype = RecordType::from(self.check.rtype);
        let holds = |wanted: &RData| {
            reply
                .answers
                .iter()
                .any(|record| record.record_type() == rtype && record.data == *wanted)
        };
        match self.expected_rdata.iter().all(holds) {
            true => Ok(()),
            false if reply.metadata.truncation => Err(Failure::TruncatedAnswer),
            false => Err(Failure::MissingRecord),
        }
    }
}

/// A query with an OPT record (RFC 6891) and an id of 0.
fn query(check: &DnsCheck) -> Vec<u8> {
    let DnsCheck { name, rtype, recursion, .. } = check;
    dns_client::OutgoingQuery { name, rtype: *rtype, wants_recursion: *recursion, has_edns: true }
        .encode(0)
}

/// A reply that holds the wanted records and nothing else.
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
