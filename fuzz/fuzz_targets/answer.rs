//! Any octets as a query: no panic, no reply to a response, and every reply well-formed and of
//! bounded size.
//!
//! The first octet chooses the transport; the rest is the message.

#![no_main]

use std::sync::{Arc, LazyLock};

use hickory_proto::op::Message;
use libfuzzer_sys::fuzz_target;
use portolan::{
    dns::{Name, Rtype},
    engine::{IgnoreReason, Query, Transport, answer},
    snapshot::Snapshot,
    steer::DrawState,
    zone::{Record, ZoneBuilder, Zones},
};

static SNAPSHOT: LazyLock<Snapshot> = LazyLock::new(|| {
    let name = |text: &str| text.parse::<Name>().expect("a name of this file");
    let mut builder = ZoneBuilder::new(name("z"));
    let soa = [name("ns.z").as_wire(), name("host.z").as_wire(), &[0; 20]].concat();
    for (owner, rtype, rdata) in [
        ("z", Rtype::SOA, &soa[..]),
        ("z", Rtype::NS, name("ns.z").as_wire()),
        ("ns.z", Rtype::A, &[192, 0, 2, 1]),
        ("a.z", Rtype::CNAME, name("b.z").as_wire()),
        ("b.z", Rtype::CNAME, name("a.z").as_wire()),
        ("*.w.z", Rtype::MX, &[&[0, 1], name("ns.z").as_wire()].concat()),
        ("x.y.z", Rtype::TXT, b"\x03abc"),
        ("c.z", Rtype::NS, name("n.c.z").as_wire()),
        ("n.c.z", Rtype::AAAA, &[0; 16]),
        ("d.z", Rtype::DNAME, name("e.d.f.z").as_wire()),
        ("f.z", Rtype::DNAME, name("d.z").as_wire()),
    ] {
        let record = Record { owner: name(owner), rtype, ttl_secs: 5, rdata: rdata.into() };
        builder.add(record).expect("a record that fits");
    }
    let zone = Arc::new(builder.finish().expect("a whole zone"));
    Snapshot { zones: Arc::new(Zones::build(vec![zone], &[])), ..Snapshot::default() }
});

fuzz_target!(|input: &[u8]| {
    let Some((&choice, message)) = input.split_first() else { return };
    let (transport, most) =
        if choice & 1 == 0 { (Transport::Udp, 1232) } else { (Transport::Tcp, 65_535) };
    let query = Query { message, source: [192, 0, 2, 99].into(), transport, now_secs: 0 };
    let mut out = vec![0; 65_535];
    match answer(&SNAPSHOT, &query, &mut DrawState::new(1), &mut out) {
        Ok(reply) => {
            assert!(message[2] & 0x80 == 0 && reply.length <= most);
            match Message::from_vec(&out[..reply.length]) {
                Ok(decoded) => assert_eq!(decoded.truncation, reply.labels.truncated),
                // A client subnet of a family that the decoder does not support is repeated
                // unchanged.
                Err(error) => assert!(
                    error.to_string().contains("address family"),
                    "a reply that decodes: {error}"
                ),
            }
        }
        Err(IgnoreReason::Short) => assert!(message.len() < 12),
        Err(IgnoreReason::Response) => assert!(message[2] & 0x80 != 0),
    }
});
