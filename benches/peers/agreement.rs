//! Whether all servers give the same answers: a server with other answers is not measured.
//!
//! Compared are the response code, AA, the answer's records with their TTLs in any order, and the
//! SOA record of a negative answer. Sizes, other sections' records and ECS scopes may differ; the
//! latter are reported.

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

/// Different questions of each workload that are put to everyone.
const SAMPLE: usize = 200;
/// How often the weighted name is asked, and how far its shares may be off: five standard
/// deviations and more.
const DRAWS: usize = 3_000;
const TOLERANCE: f64 = 0.05;
/// No database knows it (RFC 2544).
const UNPLACED: Ipv4Addr = Ipv4Addr::new(198, 18, 5, 0);

/// What a server said of a workload beside its answers.
#[derive(Debug, Clone, Copy, Default, serde::Serialize)]
pub(crate) struct ReplyTraits {
    /// Median SCOPE PREFIX-LENGTH of replies with an ECS option.
    pub(crate) scope: Option<f64>,
    /// Median octets of a reply.
    pub(crate) octets: f64,
}

/// A server that takes part in a comparison.
pub(crate) struct ComparedServer<'a> {
    pub(crate) label: &'a str,
    pub(crate) address: SocketAddr,
    /// If it tells clients apart by these alone.
    pub(crate) sources: Option<&'a Sources>,
}

impl ComparedServer<'_> {
    /// Where a question is asked from.
    fn source(&self, question: &Question) -> Ipv4Addr {
        match (self.sources, question.subnet) {
            (Some(sources), Some(client)) => sources.of(client),
            _ => Ipv4Addr::LOCALHOST,
        }
    }
}

/// Compares what they say to a sample of a workload's questions; one manner for each of them.
///
/// # Errors
/// One is mute or they disagree: who said what to which question.
pub(crate) fn compare(
    workload: Workload,
    questions: &[Question],
    voices: &[ComparedServer<'_>],
) -> BenchResult<Vec<ReplyTraits>> {
    if workload == Workload::Weighted {
        return voices.iter().map(shares).collect();
    }
    let mut notes: Vec<(Vec<f64>, Vec<f64>)> = vec![Default::default(); voices.len()];
    for question in sample(workload, questions) {
        let mut said: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (voice, (scopes, octets)) in voices.iter().zip(&mut notes) {
            let reply = ask(voice, &question)?;
            scopes.extend(reply.scope.map(f64::from));
            octets.push(reply.octets as f64);
            said.entry(reply.text).or_default().push(voice.label);
        }
        if said.len() > 1 {
            return Err(disagreement(&question, &said).into());
        }
    }
    let manner = |(scopes, octets): (Vec<f64>, Vec<f64>)| ReplyTraits {
        scope: statistics::median(&scopes),
        octets: statistics::median(&octets).unwrap_or_default(),
    };
    Ok(notes.into_iter().map(manner).collect())
}

/// The first different questions, and where geography decides, a client of no known place.
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

fn disagreement(question: &Question, said: &BTreeMap<String, Vec<&str>>) -> String {
    let mut text = format!("the servers disagree about {question}\n");
    for (reply, labels) in said {
        let _ = writeln!(text, "{} said:\n  {}", labels.join(", "), reply.replace('\n', "\n  "));
    }
    text
}

/// Whether the weighted name is answered by one member at a time, in its share.
fn shares(voice: &ComparedServer<'_>) -> BenchResult<ReplyTraits> {
    let question = Question::new(WEIGHTED, Kind::A);
    let mut counts = [0_usize; MEMBERS.len()];
    let mut octets = Vec::new();
    for _ in 0..DRAWS {
        let reply = ask(voice, &question)?;
        let expected = |member: &(Ipv4Addr, u32)| {
            reply.text
                == format!("noerror, authoritative\n{WEIGHTED}. {STEERED_TTL} in a {}", member.0)
        };
        let member = MEMBERS.iter().position(expected);
        counts[member
            .ok_or_else(|| format!("{} said to {question}:\n{}", voice.label, reply.text))?] += 1;
        octets.push(reply.octets as f64);
    }
    let weights: u32 = MEMBERS.iter().map(|(_, weight)| weight).sum();
    for (count, (address, weight)) in counts.into_iter().zip(MEMBERS) {
        let (share, wanted) = (count as f64 / DRAWS as f64, f64::from(weight) / f64::from(weights));
        if (share - wanted).abs() > TOLERANCE {
            return Err(format!(
                "{} gives {address} a share of {share:.3}, not {wanted:.3}",
                voice.label
            )
            .into());
        }
    }
    Ok(ReplyTraits { scope: None, octets: statistics::median(&octets).unwrap_or_default() })
}

/// A reply, so far as it is compared.
struct Reply {
    text: String,
    scope: Option<u8>,
    octets: usize,
}

fn ask(voice: &ComparedServer<'_>, question: &Question) -> BenchResult<Reply> {
    let octets = exchange(voice.source(question), voice.address, &question.message())
        .map_err(|error| format!("{} to {question}: {error}", voice.label))?;
    let message = Message::from_vec(&octets)
        .map_err(|error| format!("{} to {question}: {error}", voice.label))?;
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
/// Nothing came.
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
