//! Lookups in random small zones, compared with a model that follows RFC 1034 section 4.3.2, RFC
//! 4592 and RFC 6672 literally.

use std::collections::BTreeSet;

use hickory_proto::op::Message;
use proptest::prelude::*;

use super::{ask, request, zone};
use crate::{dns::Rtype, engine::Transport, snapshot::Snapshot, zone::Zones};

/// The compared parts of a reply: code, AA, and the sections as sets of owner, type and value.
#[derive(Debug, PartialEq, Eq, Default)]
struct ModelReply {
    rcode: u8,
    authoritative: bool,
    answer: BTreeSet<(String, Rtype, String)>,
    authority: BTreeSet<(String, Rtype)>,
}

/// Owner, type and value of each record. Names have no final dot; the apex is `z`.
type ModelRecords = Vec<(String, Rtype, String)>;

fn is_below_or_at(name: &str, ancestor: &str) -> bool {
    name == ancestor || name.ends_with(&format!(".{ancestor}"))
}

/// Names from the apex down to `name`, both included.
fn path(name: &str) -> Vec<&str> {
    let mut starts: Vec<_> = name.match_indices('.').map(|(dot, _)| &name[dot + 1..]).collect();
    starts.insert(0, name);
    starts.reverse();
    starts
}

fn records_of(rows: &ModelRecords, owner: &str, rtype: Rtype) -> ModelRecords {
    rows.iter().filter(|row| row.0 == owner && row.1 == rtype).cloned().collect()
}

/// Whether the zone has the name: it owns records, or a name below it does.
fn exists(rows: &ModelRecords, name: &str) -> bool {
    rows.iter().any(|row| is_below_or_at(&row.0, name))
}

fn model(rows: &ModelRecords, name: &str, rtype: Rtype) -> ModelReply {
    let mut outcome = ModelReply { authoritative: true, ..ModelReply::default() };
    let mut name = name.to_owned();
    let mut followed = BTreeSet::new();
    'alias: for hop in 0..16 {
        if !is_below_or_at(&name, "z") {
            return outcome;
        }
        let mut source = name.clone();
        let mut rewrite = None;
        for step in path(&name) {
            if !exists(rows, step) {
                let parent = &step[step.find('.').unwrap() + 1..];
                source = format!("*.{parent}");
                if !exists(rows, &source) {
                    outcome.rcode = 3;
                    outcome.authority.insert(("z".into(), Rtype::SOA));
                    return outcome;
                }
                break;
            }
            let is_cut = step != "z" && !records_of(rows, step, Rtype::NS).is_empty();
            if is_cut && !(step == name && rtype == Rtype::DS) {
                outcome.authoritative = hop > 0;
                outcome.authority.insert((step.into(), Rtype::NS));
                return outcome;
            }
            if step != name
                && let Some(dname) = records_of(rows, step, Rtype::DNAME).first()
            {
                let prefix = &name[..name.len() - step.len()];
                rewrite = Some((dname.clone(), format!("{prefix}{}", dname.2)));
                break;
            }
        }
        if let Some((dname, target)) = rewrite {
            if hop == 15 || !followed.insert(name.clone()) {
                return outcome;
            }
            // A DNAME whose target is below its owner is followed once.
            let is_endless = is_below_or_at(&dname.2, &dname.0);
            outcome.answer.insert((dname.0, Rtype::DNAME, String::new()));
            if target.len() + 2 > 255 {
                outcome.rcode = 6;
                return outcome;
            }
            outcome.answer.insert((name, Rtype::CNAME, target.clone()));
            if is_endless || rtype == Rtype::CNAME {
                return outcome;
            }
            name = target;
            continue 'alias;
        }
        let found = records_of(rows, &source, rtype);
        if !found.is_empty() {
            outcome.answer.extend(found.into_iter().map(|row| (name.clone(), row.1, row.2)));
            return outcome;
        }
        let Some(cname) = records_of(rows, &source, Rtype::CNAME).pop() else {
            outcome.authority.insert(("z".into(), Rtype::SOA));
            return outcome;
        };
        if !followed.insert(name.clone()) {
            return outcome;
        }
        outcome.answer.insert((name, Rtype::CNAME, cname.2.clone()));
        name = cname.2;
    }
    outcome
}

fn engine(rows: &ModelRecords, name: &str, rtype: Rtype) -> ModelReply {
    let line = |(owner, rtype, value): &(String, Rtype, String)| match *rtype {
        Rtype::A => format!("{owner}. 5 A @{value}\n"),
        Rtype::DS => format!("{owner}. 5 DS #1 #2\n"),
        Rtype::SOA => String::new(),
        rtype => format!("{owner}. 5 {rtype} {value}.\n"),
    };
    let zone = zone("z.", &rows.iter().map(line).collect::<String>());
    let snapshot =
        Snapshot { zones: Zones::build(vec![zone.into()], &[]).into(), ..Snapshot::default() };
    let (reply, _) = ask(&snapshot, &request(name, rtype, &[]), Transport::Tcp).unwrap();
    let message = Message::from_vec(&reply).unwrap();
    let text = |name: &hickory_proto::rr::Name| name.to_string().trim_end_matches('.').to_owned();
    let rtype_of = |record: &hickory_proto::rr::Record| Rtype(record.record_type().into());
    let value = |record: &hickory_proto::rr::Record| match rtype_of(record) {
        Rtype::A | Rtype::CNAME | Rtype::NS => {
            record.data.to_string().trim_end_matches('.').to_owned()
        }
        _ => String::new(),
    };
    ModelReply {
        rcode: message.response_code.low(),
        authoritative: message.authoritative,
        answer: message.answers.iter().map(|r| (text(&r.name), rtype_of(r), value(r))).collect(),
        authority: message.authorities.iter().map(|r| (text(&r.name), rtype_of(r))).collect(),
    }
}

/// Names of up to three labels below the apex, from a few labels, so that names coincide.
fn names() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&["a", "b", "*"][..]), 0..4)
        .prop_map(|labels| labels.iter().map(|label| format!("{label}.")).collect::<String>() + "z")
}

fn rows() -> impl Strategy<Value = ModelRecords> {
    let rtypes = prop::sample::select(
        &[Rtype::A, Rtype::A, Rtype::CNAME, Rtype::CNAME, Rtype::NS, Rtype::DNAME, Rtype::DS][..],
    );
    prop::collection::vec(
        (names(), rtypes, prop_oneof![9 => names(), 1 => Just("elsewhere".to_owned())]),
        0..10,
    )
    .prop_map(|drafts| {
        let apex_record = |rtype, value: &str| ("z".to_owned(), rtype, value.to_owned());
        let mut rows =
            vec![apex_record(Rtype::SOA, ""), apex_record(Rtype::NS, "ns.elsewhere.test")];
        for (owner, rtype, target) in drafts {
            let value = match rtype {
                Rtype::A => "192.0.2.1".to_owned(),
                Rtype::DS => String::new(),
                _ => target,
            };
            // An owner of a CNAME has no other record, and an owner has at most one DNAME.
            let clashes = rows.iter().any(|row| {
                row.0 == owner
                    && (row.1 == Rtype::CNAME
                        || rtype == Rtype::CNAME
                        || row.1 == rtype && rtype != Rtype::NS)
            });
            if !clashes {
                rows.push((owner, rtype, value));
            }
        }
        rows
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_agrees_with_the_model(
        rows in rows(),
        questions in prop::collection::vec((names(), prop::sample::select(&[Rtype::A, Rtype::CNAME, Rtype::NS, Rtype::DS, Rtype::TXT][..])), 8),
    ) {
        for (name, rtype) in questions {
            prop_assert_eq!(engine(&rows, &name, rtype), model(&rows, &name, rtype), "{} {} in {:?}", name, rtype, rows);
        }
    }
}
