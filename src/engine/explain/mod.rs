//! The explanation: the answer that one client gets, and every step that led to it.
//!
//! The engine itself makes the reply, from a query in wire format, and the reply is decoded again.
//! The steps are read from the zones and charts of the snapshot, and from an inspection of the
//! search that made the charts. Pure, like the engine.

mod modifier_phrases;
mod overview;
mod phrase;
mod request;
mod steering;
mod text;
mod view;

use std::net::IpAddr;

use hickory_proto::{
    op::Message,
    rr::{
        RData, Record as ReplyRecord,
        rdata::opt::{EdnsCode, EdnsOption},
    },
};
use ipnet::IpNet;

use self::steering::ServiceQuestion;
use super::{
    answer::answer,
    query::{Query, Transport},
    snapshot_context::SnapshotContext,
};
use crate::{
    dns::{LookupName, Name, Rcode, Rtype},
    snapshot::Snapshot,
    steer::DrawState,
    zone::{LookupOutcome, LookupResult, Node},
};

pub(super) use modifier_phrases::format_duration;
pub use overview::{MemberOverview, PoolOverview, pool_overview};
pub use request::{ExplainRequest, NameNotServed};
pub use text::render_text;
pub use view::{
    AttemptView, DatacenterView, DecidedByView, Explanation, LocationView, MemberView, PoolView,
    QuestionView, RecordView, ReplyView, SteeringView, StepView, TargetView, TtlView,
};

/// Explains the answer to a question. Takes about a millisecond, because it repeats the search
/// through the pools of the service.
///
/// # Errors
/// [`NameNotServed`], if no zone has the name: the answer to such a question is REFUSED.
pub fn explain(
    context: &SnapshotContext<'_>,
    request: &ExplainRequest,
) -> Result<Explanation, NameNotServed> {
    let snapshot = context.snapshot;
    let request =
        &ExplainRequest { subnet: request.subnet.map(|subnet| subnet.trunc()), ..request.clone() };
    let first = snapshot
        .zones
        .find(&LookupName::from(&request.name), request.rtype)
        .ok_or_else(|| not_served(context, request))?;
    // A zone that ignores client subnets does not echo one either.
    let subnet = request.subnet.filter(|_| first.zone.client_subnet);
    let reply = reply(snapshot, request, subnet);
    let inputs = StepInputs {
        context,
        request,
        reply: &reply,
        uses_client_subnet: first.zone.client_subnet,
    };
    let steps = inputs.steps(&first);
    let because = deciding_reason(&reply, &steps);
    let question = QuestionView {
        name: request.name.to_string(),
        rtype: request.rtype.to_string(),
        client: request.client.to_string(),
        subnet: request.subnet.map(|subnet| subnet.to_string()),
    };
    Ok(Explanation { question, generation: snapshot.generation, reply, because, steps })
}

fn not_served(context: &SnapshotContext<'_>, request: &ExplainRequest) -> NameNotServed {
    let zones = context.snapshot.zones.list();
    NameNotServed {
        name: request.name.clone(),
        zones: (zones.iter().take(3).map(|zone| zone.apex.clone()).collect(), zones.len()),
    }
}

/// The reply of the engine, decoded.
fn reply(snapshot: &Snapshot, request: &ExplainRequest, subnet: Option<IpNet>) -> ReplyView {
    let mut draws = DrawState::new(request.seed);
    draws.reserve_turns(snapshot.turn_counters);
    let message = message(request);
    let mut out = vec![0; usize::from(u16::MAX)];
    let query =
        Query { message: &message, source: request.client, transport: Transport::Tcp, now_secs: 0 };
    let length = answer(snapshot, &query, &mut draws, &mut out).map_or(0, |reply| reply.length);
    let message = Message::from_vec(&out[..length]).unwrap_or_else(|_| Message::query());
    let edns = message.edns.as_ref().and_then(|edns| edns.option(EdnsCode::Subnet));
    let scope = match edns {
        Some(EdnsOption::Subnet(echoed)) => Some(echoed.scope_prefix()),
        _ => None,
    };
    ReplyView {
        rcode: Rcode(u16::from(message.response_code)).to_string(),
        is_authoritative: message.authoritative,
        answers: message.answers.iter().map(record).collect(),
        authorities: message.authorities.iter().map(record).collect(),
        scope,
        scope_means: describe_scope(subnet, scope),
    }
}

/// The query in wire format: header, question, and OPT with the subnet (RFC 7871 section 6).
fn message(request: &ExplainRequest) -> Vec<u8> {
    let mut message = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    message.extend(request.name.as_wire());
    message.extend(request.rtype.0.to_be_bytes());
    message.extend([0, 1]);
    let mut option = Vec::new();
    if let Some(subnet) = request.subnet {
        let (family, octets) = match subnet.network() {
            IpAddr::V4(address) => (1, address.octets().to_vec()),
            IpAddr::V6(address) => (2, address.octets().to_vec()),
        };
        let length = usize::from(subnet.prefix_len().div_ceil(8));
        option.extend([0, 8, 0, 4 + length as u8, 0, family, subnet.prefix_len(), 0]);
        option.extend(&octets[..length]);
    }
    message.extend([0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, option.len() as u8]);
    message.extend(option);
    message
}

fn record(record: &ReplyRecord) -> RecordView {
    RecordView {
        name: without_dot(&record.name.to_string()),
        ttl: record.ttl,
        rtype: record.record_type().to_string(),
        rdata: rdata(&record.data),
    }
}

/// Rdata as in a master file. Hickory would write the strings of a TXT record without quotes.
fn rdata(data: &RData) -> String {
    match data {
        RData::TXT(txt) => {
            let quoted =
                txt.txt_data.iter().map(|string| format!("{:?}", String::from_utf8_lossy(string)));
            quoted.collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    }
}

fn without_dot(name: &str) -> String {
    if name == "." { name.to_owned() } else { name.strip_suffix('.').unwrap_or(name).to_owned() }
}

fn describe_scope(subnet: Option<IpNet>, scope: Option<u8>) -> String {
    match (subnet, scope) {
        (Some(subnet), Some(scope)) if scope > 0 => {
            // A resolver caches for no more than the subnet it sent (RFC 7871 section 7.3.1).
            let length = scope.min(subnet.prefix_len());
            let network = IpNet::new(subnet.addr(), length).unwrap_or(subnet).trunc();
            format!("/{scope}: a resolver may give this answer to all of {network}")
        }
        (Some(_), Some(_)) => "/0: a resolver may give this answer to everyone".to_owned(),
        _ => "none: a resolver gives this answer to all its clients".to_owned(),
    }
}

/// What every step of an explanation reads.
struct StepInputs<'a> {
    context: &'a SnapshotContext<'a>,
    request: &'a ExplainRequest,
    reply: &'a ReplyView,
    /// Whether the zone of the question uses client subnets.
    uses_client_subnet: bool,
}

impl StepInputs<'_> {
    /// One step for each name that the reply follows, and one for the IPv6 hints of a record.
    fn steps(&self, first: &LookupResult<'_>) -> Vec<StepView> {
        let mut steps = self.steps_of(&self.request.name, Some(first));
        let mut followed = 0;
        let mut name = self.request.name.clone();
        let aliases: Vec<&RecordView> =
            self.reply.answers.iter().filter(|record| record.rtype == "CNAME").collect();
        if matches!(self.request.rtype, Rtype::CNAME | Rtype::ANY) {
            return steps;
        }
        while let Some(target) = aliases
            .iter()
            .find(|record| record.name.parse::<Name>().is_ok_and(|owner| owner == name))
            .and_then(|record| record.rdata.parse::<Name>().ok())
            .filter(|_| followed < aliases.len())
        {
            followed += 1;
            let zones = &self.context.snapshot.zones;
            let lookup = zones.find(&LookupName::from(&target), self.request.rtype);
            steps.extend(self.steps_of(&target, lookup.as_ref()));
            name = target;
        }
        steps
    }

    /// The steps for one name.
    fn steps_of(&self, name: &Name, lookup: Option<&LookupResult<'_>>) -> Vec<StepView> {
        let step = self.step(name, lookup);
        let question = lookup.and_then(|lookup| self.service_question(lookup));
        let rtype = self.request.rtype.to_string();
        let is_answered = self.reply.answers.iter().any(|record| {
            record.rtype == rtype && record.name.parse::<Name>().as_ref() == Ok(name)
        });
        let hints = question
            .filter(|_| is_answered)
            .and_then(|question| steering::steering_of_ipv6_hints(self.context, &question))
            .map(|steering| StepView {
                means: "the IPv6 hints of the same record".to_owned(),
                steering: Some(steering),
                ..step.clone()
            });
        std::iter::once(step).chain(hints).collect()
    }

    /// The question to the service of a name, if it has one.
    fn service_question(&self, lookup: &LookupResult<'_>) -> Option<ServiceQuestion<'_>> {
        let LookupOutcome::Exists { service: Some(service), .. } = lookup.outcome else {
            return None;
        };
        Some(ServiceQuestion {
            service,
            request: self.request,
            client_subnet: self.uses_client_subnet,
            answers: &self.reply.answers,
        })
    }

    fn step(&self, name: &Name, lookup: Option<&LookupResult<'_>>) -> StepView {
        let Some(lookup) = lookup else {
            let (kind, means) = (
                "elsewhere".to_owned(),
                "in no zone served here: the resolver continues elsewhere".to_owned(),
            );
            return StepView { name: name.to_string(), zone: None, kind, means, steering: None };
        };
        let (kind, means) = describe_name(name, self.request.rtype, lookup, self.reply);
        let question = self.service_question(lookup).filter(|_| kind == "service");
        let steering = question.and_then(|question| steering::steering(self.context, &question));
        let zone = Some(lookup.zone.apex.to_string());
        StepView { name: name.to_string(), zone, kind: kind.to_owned(), means, steering }
    }
}

/// The kind of the name in its zone, as one word and as a phrase.
fn describe_name(
    name: &Name,
    rtype: Rtype,
    lookup: &LookupResult<'_>,
    reply: &ReplyView,
) -> (&'static str, String) {
    let node_name = |node: &Node<'_>| {
        Name::from_wire(node.name()).map_or_else(|_| String::new(), |name| name.to_string())
    };
    match lookup.outcome {
        LookupOutcome::Missing => ("missing", "does not exist".to_owned()),
        LookupOutcome::Delegated(cut) => {
            ("delegation", format!("delegated at {}: a referral", node_name(&cut)))
        }
        LookupOutcome::Redirected(owner) => {
            ("dname", format!("below {}, whose DNAME gives it another name", node_name(&owner)))
        }
        LookupOutcome::Exists { node, service, is_wildcard } => {
            let alias = node.and_then(|node| node.rrset(Rtype::CNAME)).is_some();
            let target = reply
                .answers
                .iter()
                .find(|record| {
                    record.rtype == "CNAME" && record.name.parse::<Name>().as_ref() == Ok(name)
                })
                .map(|record| record.rdata.clone());
            let has_type = node.is_some_and(|node| node.rrset(rtype).is_some());
            let is_empty = node.is_none_or(|node| node.rrsets().next().is_none());
            let wildcard = if is_wildcard { "matched by a wildcard; " } else { "" };
            match (service, target) {
                (_, Some(target)) if alias => {
                    ("alias", format!("{wildcard}an alias of {}", without_dot(&target)))
                }
                (Some(_), _) if !has_type => ("service", format!("{wildcard}a service")),
                _ if has_type && is_wildcard => {
                    ("wildcard", format!("{wildcard}it has static {rtype} records"))
                }
                _ if has_type => ("static", format!("has static {rtype} records")),
                _ if node.is_some_and(|node| node.is_whoami()) => (
                    "whoami",
                    "whoami: shows each client how this server sees it, in a TXT record with TTL 0"
                        .to_owned(),
                ),
                _ if is_empty => {
                    ("empty", "exists for the names below it; has no records".to_owned())
                }
                _ => ("static", format!("{wildcard}it exists and has no {rtype} records")),
            }
        }
    }
}

/// The deciding reason, as one phrase.
fn deciding_reason(reply: &ReplyView, steps: &[StepView]) -> String {
    let mut steered = steps.iter().rev().filter(|step| step.steering.is_some());
    let last_steered = steered.next();
    // Of the hints of one record, those of IPv4 come first, unless it has none.
    let ipv4_hints = last_steered
        .zip(steered.next())
        .filter(|(hints, before)| hints.name == before.name)
        .map(|(_, before)| before)
        .filter(|before| before.steering.as_ref().is_some_and(SteeringView::is_answering));
    let steered = ipv4_hints.or(last_steered).and_then(|step| step.steering.as_ref());
    let last = steps.last();
    match (steered, last) {
        (Some(steering), _) => steering::deciding_reason(steering, reply),
        (None, Some(step)) => format!("{} {}", step.name, step.means),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests;
