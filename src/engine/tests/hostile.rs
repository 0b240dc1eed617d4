//! Malformed and malicious queries: the reply is well-formed and of bounded size, or there is none.

use std::sync::LazyLock;

use hickory_proto::op::Message;
use proptest::prelude::*;

use super::{OPT, ask, lookup::EXAMPLE, request, snapshot};
use crate::{
    dns::{Rcode, Rtype},
    engine::{IgnoreReason, MAX_GROUP, NameBuffers, Query, QueryGroup, Transport},
    snapshot::Snapshot,
    steer::DrawState,
};

static SNAPSHOT: LazyLock<Snapshot> =
    LazyLock::new(|| snapshot(&[("example.com.", EXAMPLE), (".", "")]));

const NAMES: [&str; 9] = [
    "www.example.com",
    "loop1.example.com",
    "a.b.wild.example.com",
    "x.sub.example.com",
    "x.d.example.com",
    "nope.example.com",
    "ent.example.com",
    "mail.example.com",
    ".",
];

/// Sends a query, and checks the properties of every reply.
fn check(message: &[u8], transport: Transport) {
    match ask(&SNAPSHOT, message, transport) {
        Ok((reply, labels)) => {
            let decoded =
                Message::from_vec(&reply).unwrap_or_else(|error| panic!("{error}: {reply:?}"));
            assert_eq!(reply[..2], message[..2], "the id");
            assert_eq!(reply[2] & 0xf8, 0x80 | message[2] & 0x78, "QR and the opcode");
            assert!(reply.len() <= if transport == Transport::Udp { 1232 } else { 65_535 });
            assert_eq!(decoded.truncation, labels.truncated);
            if matches!(labels.rcode, Rcode::FORMERR | Rcode::REFUSED | Rcode::NOTIMP) {
                assert!(
                    reply.len() <= message.len() + 32,
                    "an error amplifies: {} from {}",
                    reply.len(),
                    message.len()
                );
            }
        }
        Err(IgnoreReason::Short) => assert!(message.len() < 12),
        Err(IgnoreReason::Response) => assert!(message[2] & 0x80 != 0),
    }
}

fn transports() -> impl Strategy<Value = Transport> {
    prop_oneof![Just(Transport::Udp), Just(Transport::Tcp)]
}

/// A query with options, of which some octets are changed, and possibly the end is cut off.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let code = prop_oneof![Just(3_u16), Just(8), Just(10), Just(11), any::<u16>()];
    let options = prop::collection::vec((code, prop::collection::vec(any::<u8>(), 0..24)), 0..4);
    let rtype = prop_oneof![Just(1_u16), Just(28), Just(255), Just(15), 0..300_u16];
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let cut = prop::option::weighted(0.2, any::<prop::sample::Index>());
    (prop::sample::select(&NAMES[..]), rtype, options, edits, cut).prop_map(
        |(name, rtype, options, edits, cut)| {
            let options: Vec<u8> = options
                .iter()
                .flat_map(|(code, data)| {
                    [&code.to_be_bytes(), &(data.len() as u16).to_be_bytes(), &data[..]].concat()
                })
                .collect();
            let opt = [&OPT[..9], &(options.len() as u16).to_be_bytes(), &options].concat();
            let mut message = request(name, Rtype(rtype), &opt);
            for (index, value) in edits {
                let position = index.index(message.len());
                message[position] = value;
            }
            if let Some(cut) = cut {
                message.truncate(cut.index(message.len()));
            }
            message
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_octets_get_a_well_formed_reply_or_none(message in prop::collection::vec(any::<u8>(), 0..200), transport in transports()) {
        check(&message, transport);
    }

    #[test]
    fn mutated_requests_get_a_well_formed_reply_or_none(message in mutated(), transport in transports()) {
        check(&message, transport);
    }

    #[test]
    fn a_group_answers_each_query_as_if_it_were_alone(messages in prop::collection::vec(mutated(), 1..=MAX_GROUP)) {
        let query = |message| Query { message, source: [192, 0, 2, 99].into(), transport: Transport::Udp, now_secs: 0 };
        let (mut names, mut buffers) = (NameBuffers::new(), vec![vec![0; 1232]; messages.len()]);
        let mut replies = vec![None; messages.len()];
        let mut group = QueryGroup::new(&mut names);
        for ((number, message), buffer) in messages.iter().enumerate().zip(&mut buffers) {
            let _ = group.add(number, query(message), buffer);
        }
        group.answer(&SNAPSHOT, &mut DrawState::new(1), |number, reply| replies[number] = Some(reply.length));
        drop(group);
        for ((message, buffer), length) in messages.iter().zip(&buffers).zip(replies) {
            let alone = ask(&SNAPSHOT, message, Transport::Udp).ok().map(|(reply, _)| reply);
            prop_assert_eq!(length.map(|length| &buffer[..length]), alone.as_deref(), "{:?}", message);
        }
    }
}

#[test]
fn every_opcode_class_and_type_gets_a_reply() {
    for opcode in 0..16_u8 {
        for class in [0, 1, 3, 4, 254, 255_u8] {
            for rtype in (0..300).chain([32_768, 32_769, 65_280, 65_535]) {
                let mut message = request("www.example.com", Rtype(rtype), &[]);
                message[2] = opcode << 3;
                let class_at = message.len() - 1;
                message[class_at] = class;
                check(&message, Transport::Udp);
                let (_, labels) = ask(&SNAPSHOT, &message, Transport::Udp).unwrap();
                assert_eq!(labels.rcode == Rcode::NOTIMP, opcode != 0);
            }
        }
    }
}

#[test]
fn the_largest_messages_get_a_well_formed_reply() {
    let counts = |questions, additional: u16| {
        let [high, low] = additional.to_be_bytes();
        vec![0, 1, 0, 0, 0, questions, 0, 0, 0, 0, high, low]
    };
    let fill = |mut head: Vec<u8>, unit: &[u8]| {
        while head.len() + unit.len() <= 65_535 {
            head.extend_from_slice(unit);
        }
        head
    };
    let question = [&b"\x01a".repeat(120)[..], b"\0\0\x01\0\x01"].concat();
    let labels = [&b"\x01a".repeat(127)[..], b"\0\0\x01\0\x01\0\0\0\0\0\0"].concat();
    let mut options = [counts(1, 1), question.clone()].concat();
    let options_length = 65_535 - 11 - options.len();
    options.extend_from_slice(&[&OPT[..9], &(options_length as u16).to_be_bytes()].concat());
    for message in [
        fill([counts(1, 65_535), question.clone()].concat(), &[0; 11]),
        fill([counts(1, 65_535), question.clone()].concat(), &labels),
        fill([counts(1, 65_535), question.clone()].concat(), &[0xc0, 12]),
        fill(options, b"\0\x63\0\0"),
        fill(counts(1, 0), b"\x01a"),
    ] {
        check(&message, Transport::Tcp);
    }
}
