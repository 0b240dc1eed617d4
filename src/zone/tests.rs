//! Zones built from records: what is refused, what is merged, and what a zone reports.

use super::*;
use crate::dns::{LookupName, Name, Rtype};

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn record(owner: &str, rtype: Rtype, rdata: &[u8]) -> Record {
    Record { owner: name(owner), rtype, ttl_secs: 60, rdata: rdata.into() }
}

fn soa(minimum: u32) -> Record {
    let numbers = [[0; 16].as_slice(), &minimum.to_be_bytes()].concat();
    record("example.com", Rtype::SOA, &[name("ns.example.com").as_wire(), b"\0", &numbers].concat())
}

/// A builder of `example.com` with SOA and NS.
fn builder() -> ZoneBuilder {
    let mut builder = ZoneBuilder::new(name("example.com"));
    builder.add(soa(300)).unwrap();
    builder.add(record("example.com", Rtype::NS, name("ns.elsewhere.test").as_wire())).unwrap();
    builder
}

#[test]
fn a_record_that_cannot_be_in_a_zone_is_refused_with_its_reason() {
    let target = name("a.test");
    let other_target = name("b.test");
    let a = |owner: &str| record(owner, Rtype::A, &[192, 0, 2, 1]);
    let cname = |owner: &str| record(owner, Rtype::CNAME, target.as_wire());
    let dname = |to: &Name| record("d.example.com", Rtype::DNAME, to.as_wire());
    let www = || name("www.example.com");
    let out_of_zone =
        |owner| RecordError::OutOfZone { owner: name(owner), apex: name("example.com") };
    for (first, second, expected) in [
        (None, a("www.example.net"), out_of_zone("www.example.net")),
        (None, a("badexample.com"), out_of_zone("badexample.com")),
        (
            Some(a("www.example.com")),
            cname("www.example.com"),
            RecordError::CnameAndOther { owner: www(), other: Rtype::A },
        ),
        (
            Some(cname("www.example.com")),
            a("www.example.com"),
            RecordError::CnameAndOther { owner: www(), other: Rtype::A },
        ),
        (
            Some(cname("www.example.com")),
            record("www.example.com", Rtype::CNAME, other_target.as_wire()),
            RecordError::SecondOfSingleton { owner: www(), rtype: Rtype::CNAME },
        ),
        (
            Some(dname(&target)),
            dname(&other_target),
            RecordError::SecondOfSingleton { owner: name("d.example.com"), rtype: Rtype::DNAME },
        ),
        (
            None,
            soa(301),
            RecordError::SecondOfSingleton { owner: name("example.com"), rtype: Rtype::SOA },
        ),
        (None, Record { owner: www(), ..soa(300) }, RecordError::SoaBelowApex { owner: www() }),
        (
            None,
            record("www.example.com", Rtype::OPT, b""),
            RecordError::MetaType { rtype: Rtype::OPT },
        ),
        (
            None,
            record("www.example.com", Rtype::ANY, b""),
            RecordError::MetaType { rtype: Rtype::ANY },
        ),
        (
            None,
            record("www.example.com", Rtype::A, b"abc"),
            RecordError::BadRdata { owner: www(), rtype: Rtype::A },
        ),
        (
            Some(record("www.example.com", Rtype::TXT, &[0; 60_000])),
            record("www.example.com", Rtype::TXT, &[0; 6_000]),
            RecordError::RrsetTooLarge { owner: www(), rtype: Rtype::TXT },
        ),
    ] {
        let mut builder = builder();
        if let Some(first) = first {
            builder.add(first).unwrap();
        }
        assert_eq!(builder.add(second), Err(expected));
    }
}

#[test]
fn a_name_has_at_most_a_hundred_types_and_more_records_of_each() {
    let mut builder = builder();
    let of_type = |rtype: u16, octet: u8| record("www.example.com", Rtype(rtype), &[octet]);
    (1000..1100).for_each(|rtype| builder.add(of_type(rtype, 1)).unwrap());
    assert_eq!(
        builder.add(of_type(1100, 1)),
        Err(RecordError::TooManyTypes { owner: name("www.example.com") })
    );
    (1000..1100).for_each(|rtype| builder.add(of_type(rtype, 2)).unwrap());
    builder.add(record("a.example.com", Rtype(1100), &[1])).unwrap();
    let zone = builder.finish().unwrap();
    assert_eq!(zone.types_of(&name("www.example.com")).len(), 100);
}

#[test]
fn a_zone_needs_an_soa_and_ns() {
    let apex = || name("example.com");
    let missing = ZoneBuilder::new(apex()).finish().unwrap_err();
    assert_eq!(missing, [ZoneError::NoSoa { apex: apex() }, ZoneError::NoNs { apex: apex() }]);
}

#[test]
fn equal_records_are_stored_once_and_the_lowest_ttl_applies() {
    let mut builder = builder();
    for (ttl_secs, last) in [(60, 1), (30, 2), (90, 1), (50, 2)] {
        builder
            .add(Record { ttl_secs, ..record("www.example.com", Rtype::A, &[192, 0, 2, last]) })
            .unwrap();
    }
    builder.add(soa(300)).unwrap();
    let zone = builder.finish().unwrap();
    let rrset =
        zone.node(&LookupName::from(&name("WWW.example.com"))).unwrap().rrset(Rtype::A).unwrap();
    assert_eq!((rrset.count, rrset.ttl_secs()), (2, 30));
    assert_eq!(rrset.records().map(|record| record.stored_rdata()[3]).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn the_order_of_records_does_not_matter() {
    let target = name("ns.example.com");
    let owners = ["example.com", "a.example.com", "b.a.example.com", "c.example.com"];
    let mut records = vec![soa(300)];
    for owner in owners {
        records.push(record(owner, Rtype::NS, target.as_wire()));
        records.extend((0..3).map(|last| record(owner, Rtype::TXT, &[1, last])));
        records.push(record(owner, Rtype::MX, &[&[0, 1], target.as_wire()].concat()));
    }
    let built = |records: Vec<Record>| {
        let mut builder = ZoneBuilder::new(name("example.com"));
        records.into_iter().for_each(|record| builder.add(record).unwrap());
        assert_eq!(builder.delegation_count(), 3);
        assert!(
            builder.has_records(&name("b.a.example.com"))
                && !builder.has_records(&name("b.example.com"))
        );
        let zone = builder.finish().unwrap();
        owners.map(|owner| {
            let node = zone.node(&LookupName::from(&name(owner))).unwrap();
            let rdata = |rrset: StoredRrset<'_>| {
                let mut rdata: Vec<_> =
                    rrset.records().map(|record| record.stored_rdata().to_vec()).collect();
                rdata.sort();
                (rrset.rtype, rrset.count, rdata)
            };
            let mut rrsets: Vec<_> = node.rrsets().map(rdata).collect();
            rrsets.sort_by_key(|rrset| rrset.0.0);
            (node.is_cut(), rrsets)
        })
    };
    let grouped = built(records.clone());
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..50 {
        random.shuffle(&mut records);
        assert_eq!(built(records.clone()), grouped);
    }
}

#[test]
fn a_flushed_builder_shows_every_name_and_its_targets() {
    let mut builder = builder();
    let mx = |front: &[u8], target: &str| [front, name(target).as_wire()].concat();
    for (owner, rtype, rdata) in [
        ("www.example.com", Rtype::MX, mx(b"\0\x01", "Mail.example.com")),
        ("a.b.example.com", Rtype::A, vec![192, 0, 2, 1]),
        ("www.example.com", Rtype::SRV, mx(b"\0\0\0\0\0\x01", "sip.test")),
        ("www.example.com", Rtype::MX, mx(b"\0\x02", "example.com")),
    ] {
        builder.add(record(owner, rtype, &rdata)).unwrap();
        builder.flush();
    }
    let www = builder.node(name("www.example.com").as_wire()).unwrap();
    let targets = |rtype| -> Vec<String> {
        www.targets(rtype).map(|wire| Name::from_wire(&wire).unwrap().to_string()).collect()
    };
    assert_eq!(targets(Rtype::MX), ["mail.example.com", "example.com"]);
    assert_eq!(targets(Rtype::SRV), ["sip.test"]);
    assert!(www.has(Rtype::SRV) && !www.has(Rtype::A) && targets(Rtype::A).is_empty());
    let between = builder.node(name("b.example.com").as_wire()).unwrap();
    assert_eq!(between.types().count(), 0);
    assert_eq!(builder.nodes().count(), 4);
}

#[test]
fn only_names_in_rdata_are_compared_without_case() {
    for (rtype, front, is_same) in [
        (Rtype::CNAME, &b""[..], true),
        (Rtype::NS, b"", true),
        (Rtype::MX, b"\0\x01", true),
        (Rtype::SRV, b"\0\x01\0\x02\0\x03", true),
        (Rtype::TXT, b"", false),
    ] {
        let mut builder = builder();
        for name in [&b"\x01A\x04TEST\0"[..], b"\x01a\x04test\0"] {
            builder.add(record("www.example.com", rtype, &[front, name].concat())).unwrap();
        }
        let zone = builder.finish().unwrap();
        let rrset =
            zone.node(&LookupName::from(&name("www.example.com"))).unwrap().rrset(rtype).unwrap();
        assert_eq!(rrset.count == 1, is_same, "{rtype}");
    }
    let mut builder = builder();
    builder.add(record("www.example.com", Rtype::MX, b"\0\x41\0")).unwrap();
    builder.add(record("www.example.com", Rtype::MX, b"\0\x61\0")).unwrap();
    let zone = builder.finish().unwrap();
    assert_eq!(
        zone.node(&LookupName::from(&name("www.example.com")))
            .unwrap()
            .rrset(Rtype::MX)
            .unwrap()
            .count,
        2
    );
}

#[test]
fn the_negative_ttl_is_the_lesser_of_the_soa_ttl_and_minimum() {
    for (ttl_secs, minimum, expected) in [(60, 300, 60), (600, 300, 300)] {
        let mut builder = ZoneBuilder::new(name("example.com"));
        builder.add(Record { ttl_secs, ..soa(minimum) }).unwrap();
        builder.add(record("example.com", Rtype::NS, b"\0")).unwrap();
        assert_eq!(builder.finish().unwrap().negative_ttl_secs(), expected);
    }
}

#[test]
fn a_zone_says_whether_it_is_authoritative_for_a_name() {
    let mut builder = builder();
    let target = name("a.test");
    for (owner, rtype) in [
        ("cut.example.com", Rtype::NS),
        ("d.example.com", Rtype::DNAME),
        ("x.cut.example.com", Rtype::NS),
    ] {
        builder.add(record(owner, rtype, target.as_wire())).unwrap();
    }
    let zone = builder.finish().unwrap();
    for (owner, expected) in [
        ("example.com", NameAuthority::Authoritative),
        ("new.example.com", NameAuthority::Authoritative),
        ("cut.example.com", NameAuthority::Delegated),
        ("a.b.cut.example.com", NameAuthority::Delegated),
        ("d.example.com", NameAuthority::Authoritative),
        ("x.d.example.com", NameAuthority::Redirected),
    ] {
        assert_eq!(zone.authority_of(&name(owner)), expected, "{owner}");
    }
    assert!(
        zone.has_rrset(&name("d.example.com"), Rtype::DNAME)
            && !zone.has_rrset(&name("d.example.com"), Rtype::A)
    );
    assert_eq!(zone.types_of(&name("cut.example.com")), [Rtype::NS]);
    assert_eq!(zone.types_of(&name("new.example.com")), []);
}

#[test]
fn a_small_record_costs_few_octets() {
    let mut builder = builder();
    for number in 0..20_000_u32 {
        builder
            .add(record(&format!("host{number}.example.com"), Rtype::A, &number.to_be_bytes()))
            .unwrap();
    }
    let zone = builder.finish().unwrap();
    let octets_per_record = zone.memory_octets() / 20_000;
    assert!(octets_per_record <= 100, "{octets_per_record} octets a record");
}

#[test]
fn a_zone_with_another_serial_differs_in_nothing_else() {
    let zone = |serial: u32| {
        let numbers = [&serial.to_be_bytes()[..], &[0; 12], &300_u32.to_be_bytes()].concat();
        let soa = [name("ns.example.com").as_wire(), b"\0", &numbers].concat();
        let mut builder = ZoneBuilder::new(name("example.com"));
        builder.add(record("example.com", Rtype::SOA, &soa)).unwrap();
        builder.add(record("example.com", Rtype::NS, name("ns.elsewhere.test").as_wire())).unwrap();
        builder.add(record("www.example.com", Rtype::A, &[192, 0, 2, 1])).unwrap();
        builder.finish().unwrap()
    };
    let (old, new) = (zone(7), zone(0x0102_0304));
    let changed = old.with_serial(new.serial());
    assert_eq!((old.serial(), changed.serial()), (7, 0x0102_0304));
    assert_eq!(format!("{changed:?}"), format!("{new:?}"));
}

#[test]
fn records_in_any_order_build_the_same_zone_in_as_little_memory() {
    const OWNERS: u32 = 12_000;
    let owner = |number: u32| format!("h{number}.example.com");
    let a = |number: u32| record(&owner(number), Rtype::A, &number.to_be_bytes());
    let txt = |number: u32, text: u8| {
        record(&owner(number), Rtype::TXT, &[&[200][..], &[text; 200]].concat())
    };
    let of_owner = |number: u32| {
        // Every hundredth is too large to be copied for each of its records.
        let texts = if number.is_multiple_of(100) { 4 } else { 1 };
        std::iter::once(a(number)).chain((0..texts).map(move |text| txt(number, text)))
    };
    let sorted: Vec<Record> = (0..OWNERS).flat_map(of_owner).collect();
    // By type, by number within each owner, and scattered.
    let mut by_type = sorted.clone();
    by_type.sort_by_key(|record| {
        (record.rtype.0, record.rdata.get(1).copied().filter(|_| record.rtype == Rtype::TXT))
    });
    let scattered: Vec<Record> =
        (0..sorted.len()).map(|number| sorted[number * 7919 % sorted.len()].clone()).collect();
    assert_ne!(sorted.len() % 7919, 0);
    let zone_of = |records: &[Record]| {
        let mut builder = builder();
        records.iter().for_each(|record| builder.add(record.clone()).unwrap());
        builder.finish().unwrap()
    };
    let rrsets_at = |zone: &Zone, number: u32| {
        let name: LookupName = (&name(&owner(number))).into();
        let node = zone.node(&name).unwrap();
        let mut rrsets: Vec<_> = [Rtype::A, Rtype::TXT]
            .into_iter()
            .filter_map(|rtype| node.rrset(rtype))
            .map(|rrset| {
                let mut records: Vec<_> =
                    rrset.records().map(|record| record.stored_rdata().to_vec()).collect();
                records.sort();
                (rrset.rtype, records)
            })
            .collect();
        rrsets.sort_by_key(|(rtype, _)| rtype.0);
        rrsets
    };
    let expected = zone_of(&sorted);
    for (records, order) in [(by_type, "by type"), (scattered, "scattered")] {
        let zone = zone_of(&records);
        assert!(
            (0..OWNERS).all(|number| rrsets_at(&zone, number) == rrsets_at(&expected, number)),
            "{order}"
        );
        let more = zone.memory_octets() as f64 / expected.memory_octets() as f64;
        assert!(more < 1.07, "{order}: {more} times the memory");
    }
}
