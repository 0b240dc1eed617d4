//! Checks that all servers give the same answers; a server with other answers is not measured.
//!
//! Compared are the response code, AA, the records of the answer with their TTLs in any order, and
//! the SOA record of a negative answer. Sizes, the records of other sections and ECS scopes may
//! differ; scopes are reported.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write,
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use hickory_proto::{
    op::Message,
    rr::{
        Record, RecordType,
        rdata::opt::{EdnsCode, EdnsOption},
    },
};

use crate::{
    BenchResult,
    sources::Sources,
    statistics,
    workload::{Kind, Question, Workload},
    zone::{GEO, MEMBERS, STEERED_TTL, WEIGHTED},
};

/// The number of different queries of each workload that are compared.
const SAMPLE: usize = 200;
/// The number of queries for the weighted name, and the tolerance of its shares: more than five
/// standard deviations.
const DRAWS: usize = 3_000;
const TOLERANCE: f64 = 0.05;
/// A client that is in no database (RFC 2544).
const UNPLACED: Ipv4Addr = Ipv4Addr::new(198, 18, 5, 0);

/// Traits of a server's replies to a workload that are reported, not compared.
#[derive(Debug, Clone, Copy, Default, serde::Serialize)]
pub(crate) struct ReplyTraits {
    /// The median SCOPE PREFIX-LENGTH of replies with an ECS option.
    pub(crate) scope: Option<f64>,
    /// The median reply size, in octets.
    pub(crate) octets: f64,
}

/// A server that is compared.
pub(crate) struct ComparedServer<'a> {
    pub(crate) label: &'a str,
    pub(crate) address: SocketAddr,
    /// The addresses that stand for clients, if the server distinguishes clients by source address
    /// alone.
    pub(crate) sources: Option<&'a Sources>,
}

impl ComparedServer<'_> {
    /// The source address of a query.
    fn source(&self, question: &Question) -> Ipv4Addr {
        match (self.sources, question.subnet) {
            (Some(sources), Some(client)) => sources.of(client),
            _ => Ipv4Addr::LOCALHOST,
        }
    }
}

/// Compares the replies of all servers to a sample of a workload's queries, and returns the traits
/// of each server.
///
/// # Errors
/// A server does not reply, or the servers disagree; the error lists the answers to that query.
pub(crate) fn compare(
    workload: Workload,
    questions: &[Question],
    servers: &[ComparedServer<'_>],
) -> BenchResult<Vec<ReplyTraits>> {
    if workload == Workload::Weighted {
        return servers.iter().map(shares).collect();
    }
    let mut notes: Vec<(Vec<f64>, Vec<f64>)> = vec![Default::default(); servers.len()];
    for question in sample(workload, questions) {
        let mut answers: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (server, (scopes, octets)) in servers.iter().zip(&mut notes) {
            let reply = ask(server, &question)?;
            scopes.extend(reply.scope.map(f64::from));
            octets.push(reply.octets as f64);
            answers.entry(reply.text).or_default().push(server.label);
        }
        if answers.len() > 1 {
            return Err(disagreement(&question, &answers).into());
        }
    }
    let manner = |(scopes, octets): (Vec<f64>, Vec<f64>)| ReplyTraits {
        scope: statistics::median(&scopes),
        octets: statistics::median(&octets).unwrap_or_default(),
    };
    Ok(notes.into_iter().map(manner).collect())
}

/// The first different queries; for a workload that depends on geography, also one for a client
/// without a location.
fn sample(workload: Workload, questions: &[Question]) -> Vec<Question> {
    let mut seen = HashSet::new();
    let mut sample: Vec<Question> =
        questions.iter().filter(|question| seen.insert(*question)).take(SAMPLE).cloned().collect();
    if matches!(workload, Workload::Geo | Workload::Mixed) {
        let unplaced = |kind| Question { subnet: Some(UNPLACED), ..Question::new(GEO, kind) };
        sample.extend([unplaced(Kind::A), unplaced(Kind::Aaaa)]);
    }
    sample
}

fn disagreement(question: &Question, answers: &BTreeMap<String, Vec<&str>>) -> String {
    let mut text = format!("the servers disagree about {question}\n");
    for (reply, labels) in answers {
        let _ = writeln!(text, "{} answers:\n  {}", labels.join(", "), reply.replace('\n', "\n  "));
    }
    text
}

/// Checks that each answer for the weighted name has one member, and that the shares match the
/// weights.
fn shares(server: &ComparedServer<'_>) -> BenchResult<ReplyTraits> {
    let question = Question::new(WEIGHTED, Kind::A);
    let mut counts = [0_usize; MEMBERS.len()];
    let mut octets = Vec::new();
    for _ in 0..DRAWS {
        let reply = ask(server, &question)?;
        let expected = |member: &(Ipv4Addr, u32)| {
            reply.text
                == format!("noerror, authoritative\n{WEIGHTED}. {STEERED_TTL} in a {}", member.0)
        };
        let member = MEMBERS.iter().position(expected);
        counts[member.ok_or_else(|| {
            format!("{} answered to {question}:\n{}", server.label, reply.text)
        })?] += 1;
        octets.push(reply.octets as f64);
    }
    let weights: u32 = MEMBERS.iter().map(|(_, weight)| weight).sum();
    for (count, (address, weight)) in counts.into_iter().zip(MEMBERS) {
        let (share, expected) =
            (count as f64 / DRAWS as f64, f64::from(weight) / f64::from(weights));
        if (share - expected).abs() > TOLERANCE {
            return Err(format!(
                "{} gives {address} a share of {share:.3}, not {expected:.3}",
                server.label
            )
            .into());
        }
    }
    Ok(ReplyTraits { scope: None, octets: statistics::median(&octets).unwrap_or_default() })
}

/// The compared parts of a reply.
struct Reply {
    text: String,
    scope: Option<u8>,
    octets: usize,
}

fn ask(server: &ComparedServer<'_>, question: &Question) -> BenchResult<Reply> {
    let octets = exchange(server.source(question), server.address, &question.message())
        .map_err(|error| format!("{} to {question}: {error}", server.label))?;
    let message = Message::from_vec(&octets)
        .map_err(|error| format!("{} to {question}: {error}", server.label))?;
    let mut answers: Vec<String> = message.answers.iter().map(line).collect();
    answers.sort();
    let negative =
        message.authorities.iter().filter(|record| record.record_type() == RecordType::SOA);
    let rcode = format!("{:?}", message.metadata.response_code).to_lowercase();
    let authority =
        if message.metadata.authoritative { "authoritative" } else { "not authoritative" };
    let lines =
        [format!("{rcode}, {authority}")].into_iter().chain(answers).chain(negative.map(line));
    let subnet = message.edns.as_ref().and_then(|edns| edns.option(EdnsCode::Subnet));
    let scope = match subnet {
        Some(EdnsOption::Subnet(subnet)) => Some(subnet.scope_prefix()),
        _ => None,
    };
    Ok(Reply { text: lines.collect::<Vec<_>>().join("\n"), scope, octets: octets.len() })
}

/// A record on one line with single spaces, all in lower case.
fn line(record: &Record) -> String {
    record.to_string().to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Sends a message and waits for the reply; a lost datagram is sent again.
///
/// # Errors
/// No reply arrived.
pub(crate) fn exchange(
    source: Ipv4Addr,
    server: SocketAddr,
    message: &[u8],
) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind((source, 0))?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut buffer = [0; 4096];
    let mut result = Err(io::ErrorKind::TimedOut.into());
    for _ in 0..3 {
        socket.send(message)?;
        result = socket.recv(&mut buffer);
        if result.is_ok() {
            break;
        }
    }
    Ok(buffer[..result?].to_vec())
}
