//! Differential test against Knot and NSD: for random static zones, `engine::answer` must agree
//! with at least one of them on every query.
//!
//! Compared are the rcode, AA, TC, the answer and authority sections as sets, the order of aliases
//! in an answer, and the glue that a referral must have (RFC 9471). Where the two differ from each
//! other, either is accepted; the number of such queries is printed. `PORTOLAN_SEED` chooses other
//! zones, `PORTOLAN_ZONES` their number.

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs, reason = "a test's own modules")]

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    sync::Arc,
};

use fastrand::Rng;
use portolan::{
    dns::Name,
    engine::{self, Query, Transport},
    snapshot::Snapshot,
    steer::DrawState,
    zone::{ZoneBuilder, Zones, master},
};

use message::{EdnsMode, Record, Reply};
use peers::Peer;
use zones::{Question, Zone};

mod message;
mod peers;
#[path = "../support/ports.rs"]
mod ports;
#[path = "../support/programs.rs"]
mod programs;
#[path = "../support/wire.rs"]
mod wire;
mod zones;

const NS: u16 = 2;
const CNAME: u16 = 5;
const DNAME: u16 = 39;
/// The branches of the lookup. The queries must reach each of them.
const BRANCHES: &[&str] = &[
    "refused",
    "yxdomain",
    "truncated",
    "referral",
    "dname",
    "alias",
    "alias chain",
    "data",
    "nodata",
    "nxdomain",
];
/// The number of disagreements that are printed.
const SHOWN: usize = 10;

#[test]
fn static_zones_are_answered_as_knot_or_nsd_answer_them() {
    let number = |variable: &str, default| {
        env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let seed = number("PORTOLAN_SEED", 9471);
    let mut rng = Rng::with_seed(seed);
    let zones = zones::generate(&mut rng, number("PORTOLAN_ZONES", 30) as usize);
    let directory = tempfile::tempdir().unwrap();
    for zone in &zones {
        fs::write(directory.path().join(format!("{}.zone", zone.apex)), &zone.text).unwrap();
    }
    let knot = Peer::knot(directory.path(), &zones).unwrap();
    let nsd = Peer::nsd(directory.path(), &zones).unwrap();
    if knot.is_none() || nsd.is_none() {
        println!("skipped in part: knotd {}, nsd {}", found(knot.is_some()), found(nsd.is_some()));
    }
    let mut peers: Vec<Peer> = knot.into_iter().chain(nsd).collect();
    if peers.is_empty() {
        return;
    }
    for peer in &mut peers {
        zones.iter().for_each(|zone| peer.wait_until_it_serves(zone));
    }
    let mut trial = Comparison {
        snapshot: snapshot(&zones),
        peers,
        questions_sent: 0,
        referee_disagreements: 0,
        wrong_replies: 0,
        replies_by_branch: BTreeMap::new(),
    };
    for zone in &zones {
        for question in zones::questions(&mut rng, zone) {
            let edns = [EdnsMode::No, EdnsMode::Plain, EdnsMode::DnssecOk][rng.usize(0..3)];
            trial.compare(zone, &question, edns);
        }
    }
    println!(
        "seed {seed}: {} questions, referees at odds in {}: {:?}",
        trial.questions_sent, trial.referee_disagreements, trial.replies_by_branch
    );
    assert_eq!(trial.wrong_replies, 0, "disagreements, seed {seed}");
    let missed: Vec<_> =
        BRANCHES.iter().filter(|branch| !trial.replies_by_branch.contains_key(*branch)).collect();
    assert!(missed.is_empty(), "no question reached {missed:?}, seed {seed}");
}

fn found(is_there: bool) -> &'static str {
    if is_there { "runs" } else { "is not installed (Debian packages knot and nsd)" }
}

/// The snapshot from which `portolan` answers for the zones.
fn snapshot(zones: &[Zone]) -> Snapshot {
    let mut built = Vec::new();
    for zone in zones {
        let apex: Name = zone.apex.parse().unwrap();
        let file = master::parse(zone.text.as_bytes(), &apex, None, &mut |_| {
            Err("no files here".to_owned())
        });
        assert_eq!(file.errors, []);
        let mut builder = ZoneBuilder::new(apex);
        for entry in file.entries {
            builder.add(entry.record).unwrap();
        }
        built.push(Arc::new(builder.finish().unwrap()));
    }
    Snapshot { zones: Arc::new(Zones::build(built, &[])), ..Snapshot::default() }
}

struct Comparison {
    snapshot: Snapshot,
    peers: Vec<Peer>,
    questions_sent: usize,
    /// The number of queries on which Knot and NSD differ.
    referee_disagreements: usize,
    wrong_replies: usize,
    /// The number of replies from each branch of the lookup.
    replies_by_branch: BTreeMap<&'static str, usize>,
}

impl Comparison {
    fn compare(&mut self, zone: &Zone, question: &Question, edns: EdnsMode) {
        let ours = self.answer(question, edns);
        let theirs: Vec<Reply> =
            self.peers.iter_mut().map(|peer| peer.ask(question, edns)).collect();
        self.questions_sent += 1;
        *self.replies_by_branch.entry(branch(question, &ours)).or_default() += 1;
        if theirs.windows(2).any(|pair| objection(&pair[0], &pair[1]).is_some()) {
            self.referee_disagreements += 1;
        }
        let mut objections: Vec<String> =
            theirs.iter().map_while(|theirs| objection(&ours, theirs)).collect();
        if objections.len() < theirs.len() {
            objections.clear();
        }
        objections.extend(self_objection(question, edns, &ours));
        if objections.is_empty() {
            return;
        }
        self.wrong_replies += 1;
        if self.wrong_replies <= SHOWN {
            println!(
                "\n{} type {} ({edns:?}): {}\n  portolan\n{ours}",
                question.name,
                question.rtype,
                objections.join("; ")
            );
            for (peer, theirs) in self.peers.iter().zip(&theirs) {
                println!("  {}\n{theirs}", peer.name);
            }
            println!("{}", zone.text);
        }
    }

    fn answer(&self, question: &Question, edns: EdnsMode) -> Reply {
        let request = message::request(7, question, edns);
        let source = "127.0.0.1".parse().unwrap();
        let query = Query { message: &request, source, transport: Transport::Udp, now_secs: 0 };
        let mut out = [0; 1232];
        let reply =
            engine::answer(&self.snapshot, &query, &mut DrawState::new(1), &mut out).unwrap();
        message::read(&out[..reply.length])
            .unwrap_or_else(|| panic!("no well-formed reply to {question:?}"))
    }
}

/// The branch of the lookup that a reply comes from.
fn branch(question: &Question, ours: &Reply) -> &'static str {
    let aliases = aliases(ours);
    match ours.rcode {
        5 => "refused",
        6 => "yxdomain",
        _ if ours.is_truncated => "truncated",
        0 if !ours.is_authoritative => "referral",
        _ if question.rtype != DNAME && aliases.iter().any(|(_, rtype)| *rtype == DNAME) => "dname",
        _ if aliases.len() > 1 => "alias chain",
        _ if aliases.len() == 1 && question.rtype != CNAME => "alias",
        3 => "nxdomain",
        _ if ours.answer.is_empty() => "nodata",
        _ => "data",
    }
}

/// A fault of a reply that shows without a comparison.
fn self_objection(question: &Question, edns: EdnsMode, ours: &Reply) -> Option<String> {
    let expected = match edns {
        EdnsMode::No => None,
        EdnsMode::Plain => Some(false),
        EdnsMode::DnssecOk => Some(true),
    };
    if ours.edns != expected {
        return Some(format!("OPT is {:?}, not {expected:?}", ours.edns));
    }
    let [high, low] = question.rtype.to_be_bytes();
    if ours.question != [&*wire::name(&question.name), &[high, low, 0, 1]].concat() {
        return Some("the question is not the one asked".to_owned());
    }
    let all: Vec<&Record> =
        ours.answer.iter().chain(&ours.authority).chain(&ours.additional).collect();
    if all.iter().collect::<BTreeSet<_>>().len() != all.len() {
        return Some("a record stands in the reply twice".to_owned());
    }
    None
}

/// The difference between a reply of portolan and one of a peer.
fn objection(ours: &Reply, theirs: &Reply) -> Option<String> {
    if (ours.rcode, ours.is_authoritative) != (theirs.rcode, theirs.is_authoritative) {
        return Some("rcode or AA differs".to_owned());
    }
    if ours.is_truncated != theirs.is_truncated {
        return Some("TC differs".to_owned());
    }
    if ours.is_truncated {
        return None;
    }
    if set(&ours.answer) != set(&theirs.answer) {
        return Some("the answer differs".to_owned());
    }
    if aliases(ours) != aliases(theirs) {
        return Some("the aliases are in another order".to_owned());
    }
    if authority(ours) != authority(theirs) {
        return Some("the authority differs".to_owned());
    }
    let missing = glue(theirs).into_iter().find(|glue| !ours.additional.contains(glue))?;
    Some(format!("the glue {missing} is missing"))
}

fn set(records: &[Record]) -> BTreeSet<&Record> {
    records.iter().collect()
}

fn aliases(reply: &Reply) -> Vec<(&[u8], u16)> {
    let is_alias = |record: &&Record| matches!(record.rtype, CNAME | DNAME);
    reply.answer.iter().filter(is_alias).map(|record| (&*record.owner, record.rtype)).collect()
}

/// The authority section without the NS records that may accompany any answer (RFC 1034 section
/// 4.3.2 requires none).
fn authority(reply: &Reply) -> BTreeSet<&Record> {
    let is_extra =
        |record: &Record| record.rtype == NS && reply.is_authoritative && !reply.answer.is_empty();
    reply.authority.iter().filter(|record| !is_extra(record)).collect()
}

/// The glue that a referral must have: addresses of name servers at or below the cut (RFC 9471
/// section 3.1).
fn glue(reply: &Reply) -> Vec<&Record> {
    let cuts: Vec<&[u8]> =
        reply.authority.iter().filter(|ns| ns.rtype == NS).map(|ns| &*ns.owner).collect();
    if reply.authority.iter().any(|record| record.rtype == 6)
        || cuts.is_empty()
        || reply.is_authoritative
    {
        return Vec::new();
    }
    let is_below = |record: &&Record| cuts.iter().any(|cut| record.owner.ends_with(cut));
    reply.additional.iter().filter(is_below).collect()
}
