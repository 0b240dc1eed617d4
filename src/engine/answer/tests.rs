//! Conversations with a small zone, each with the clause that it proves.

use std::sync::Arc;

use hickory_proto::{op::Message, rr::Record as HickoryRecord};

use super::*;
use crate::{
    dns::Name,
    steer::ZoneId,
    zone::{Record, ZoneBuilder, Zones},
};

/// Wire form of rdata from words: names end in a dot, `@4` an IPv4 address, `#n` 16 bits, `%n` 32 bits, other words are text.
fn rdata(words: &str) -> Box<[u8]> {
    let mut out = Vec::new();
    for word in words.split_whitespace() {
        match word.split_at(1) {
            ("@", address) if !address.is_empty() => match address.parse().unwrap() {
                IpAddr::V4(v4) => out.extend(v4.octets()),
                IpAddr::V6(v6) => out.extend(v6.octets()),
            },
            ("#", number) => out.extend(number.parse::<u16>().unwrap().to_be_bytes()),
            ("%", number) => out.extend(number.parse::<u32>().unwrap().to_be_bytes()),
            _ if word.ends_with('.') => out.extend(word.parse::<Name>().unwrap().as_wire()),
            _ => out.extend([&[word.len() as u8], word.as_bytes()].concat()),
        }
    }
    out.into()
}

/// A snapshot of zones, each given as its apex and lines of owner, TTL, type, rdata; SOA and NS are added.
fn snapshot(zones: &[(&str, &str)]) -> Snapshot {
    let zones = zones.iter().map(|(apex, lines)| {
        let mut builder = ZoneBuilder::new(apex.parse().unwrap());
        let suffix = if *apex == "." { "" } else { apex };
        let own =
            format!("{apex} 3600 SOA ns.{suffix} host.{suffix} %7 %1 %2 %3 %300\n{apex} 3600 NS ns.elsewhere.test.");
        for line in own.lines().chain(lines.lines()).map(str::trim).filter(|line| !line.is_empty()) {
            let mut words = line.splitn(4, ' ');
            let mut word = || words.next().unwrap();
            let (owner, ttl_secs, rtype) = (word().parse().unwrap(), word().parse().unwrap(), word().parse().unwrap());
            builder.add(Record { owner, rtype, ttl_secs, rdata: rdata(word()) }).unwrap();
        }
        Arc::new(builder.finish().unwrap())
    });
    let zones = zones.collect();
    Snapshot { zones: Arc::new(Zones::build(zones, &[])), ..Snapshot::default() }
}

const EXAMPLE: &str = "
    www.example.com. 60 A @192.0.2.1
    www.example.com. 60 AAAA @2001:db8::1
    alias.example.com. 61 CNAME www.example.com.
    away.example.com. 61 CNAME www.example.net.
    gone.example.com. 61 CNAME nothere.example.com.
    loop1.example.com. 61 CNAME loop2.example.com.
    loop2.example.com. 61 CNAME loop1.example.com.
    deep.ent.example.com. 60 A @192.0.2.2
    *.wild.example.com. 62 A @192.0.2.3
    *.wildalias.example.com. 62 CNAME www.example.com.
    host.sub.wild.example.com. 62 A @192.0.2.4
    sub.example.com. 63 NS ns.sub.example.com.
    sub.example.com. 63 NS ns.other.example.com.
    sub.example.com. 63 DS #1 #2
    ns.sub.example.com. 64 A @192.0.2.53
    other.example.com. 63 NS ns.other.example.com.
    ns.other.example.com. 64 A @192.0.2.54
    d.example.com. 65 DNAME target.example.com.
    x.target.example.com. 60 A @192.0.2.5
    below.d.example.com. 60 A @192.0.2.6
    mail.example.com. 66 MX #10 www.example.com.
    srv.example.com. 66 SRV #1 #2 #3 www.example.com.
    many.example.com. 60 TXT one
    many.example.com. 60 A @192.0.2.7
";

/// A query as bytes: name, type, class, and whatever follows.
fn request(name: &str, rtype: Rtype, rest: &[u8]) -> Vec<u8> {
    let additional = u8::from(!rest.is_empty());
    let header = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, additional];
    let name = name.parse::<Name>().unwrap();
    [&header, name.as_wire(), &rtype.0.to_be_bytes(), &[0, 1], rest].concat()
}

const OPT: &[u8] = b"\0\0\x29\x10\0\0\0\0\0\0\0";

fn ask(snapshot: &Snapshot, message: &[u8], transport: Transport) -> Result<(Vec<u8>, Tally), Ignored> {
    let mut out = vec![0; 65_535];
    let query = Query { message, source: [192, 0, 2, 99].into(), transport, now_secs: 0 };
    let reply = answer(snapshot, &query, &mut Draws::new(1), &mut out)?;
    out.truncate(reply.length);
    Ok((out, reply.tally))
}

/// A reply in words: code, flags, then each section's records (hickory shows a DNAME's rdata as base64).
fn shown(reply: &[u8]) -> String {
    let message = Message::from_vec(reply).unwrap();
    let records = |records: &[HickoryRecord]| {
        let mut lines: Vec<_> =
            records.iter().map(|r| format!("{} {} {} {}", r.name, r.ttl, r.record_type(), r.data)).collect();
        lines.sort();
        lines.join(", ")
    };
    let authoritative = if message.authoritative { " aa" } else { "" };
    let truncated = if message.truncation { " tc" } else { "" };
    let (answers, authorities, additionals) =
        (records(&message.answers), records(&message.authorities), records(&message.additionals));
    format!("{}{authoritative}{truncated} | {answers} | {authorities} | {additionals}", message.response_code)
}

#[test]
fn lookups_end_as_the_rfcs_say() {
    let snapshot = snapshot(&[("example.com.", EXAMPLE)]);
    const SOA: &str = "example.com. 300 SOA ns.example.com. host.example.com. 7 1 2 3 300";
    for (clause, name, rtype, expected) in [
        ("RFC 1034 4.3.2 3a", "www.example.com", Rtype::A, "No Error aa | www.example.com. 60 A 192.0.2.1 |  | ".into()),
        ("RFC 2308 2.2 NODATA", "www.example.com", Rtype::TXT, format!("No Error aa |  | {SOA} | ")),
        ("RFC 2308 2.1 NXDOMAIN", "nope.example.com", Rtype::A, format!("Non-Existent Domain aa |  | {SOA} | ")),
        ("RFC 8020 empty non-terminal", "ent.example.com", Rtype::A, format!("No Error aa |  | {SOA} | ")),
        (
            "RFC 1034 4.3.2 3a CNAME",
            "alias.example.com",
            Rtype::A,
            "No Error aa | alias.example.com. 61 CNAME www.example.com., www.example.com. 60 A 192.0.2.1 |  | ".into(),
        ),
        (
            "a CNAME asked for is not followed",
            "alias.example.com",
            Rtype::CNAME,
            "No Error aa | alias.example.com. 61 CNAME www.example.com. |  | ".into(),
        ),
        (
            "a chain that leaves our zones",
            "away.example.com",
            Rtype::A,
            "No Error aa | away.example.com. 61 CNAME www.example.net. |  | ".into(),
        ),
        (
            "RFC 2308 2.1 the code is the last name's",
            "gone.example.com",
            Rtype::A,
            format!("Non-Existent Domain aa | gone.example.com. 61 CNAME nothere.example.com. | {SOA} | "),
        ),
        (
            "a loop ends",
            "loop1.example.com",
            Rtype::A,
            "No Error aa | loop1.example.com. 61 CNAME loop2.example.com., loop2.example.com. 61 CNAME loop1.example.com. |  | "
                .into(),
        ),
        ("RFC 4592 2.1.2", "a.wild.example.com", Rtype::A, "No Error aa | a.wild.example.com. 62 A 192.0.2.3 |  | ".into()),
        ("RFC 4592 3.3.1 many labels", "b.a.wild.example.com", Rtype::A, "No Error aa | b.a.wild.example.com. 62 A 192.0.2.3 |  | ".into()),
        ("RFC 4592 2.2.1 NODATA", "a.wild.example.com", Rtype::MX, format!("No Error aa |  | {SOA} | ")),
        ("RFC 4592 2.2.2 not through an empty non-terminal", "sub.wild.example.com", Rtype::A, format!("No Error aa |  | {SOA} | ")),
        ("RFC 4592 2.2.1 not below a name that exists", "a.sub.wild.example.com", Rtype::A, format!("Non-Existent Domain aa |  | {SOA} | ")),
        (
            "RFC 4592 3.3.3 wildcard CNAME",
            "x.wildalias.example.com",
            Rtype::A,
            "No Error aa | www.example.com. 60 A 192.0.2.1, x.wildalias.example.com. 62 CNAME www.example.com. |  | ".into(),
        ),
        (
            "RFC 1034 4.3.2 3b referral, RFC 9471 glue",
            "host.sub.example.com",
            Rtype::A,
            "No Error |  | sub.example.com. 63 NS ns.other.example.com., sub.example.com. 63 NS ns.sub.example.com. | \
             ns.other.example.com. 64 A 192.0.2.54, ns.sub.example.com. 64 A 192.0.2.53"
                .into(),
        ),
        (
            "glue is not answered",
            "ns.other.example.com",
            Rtype::A,
            "No Error |  | other.example.com. 63 NS ns.other.example.com. | ns.other.example.com. 64 A 192.0.2.54".into(),
        ),
        ("RFC 4035 3.1.4.1 no DS", "other.example.com", Rtype::DS, format!("No Error aa |  | {SOA} | ")),
        (
            "RFC 6672 3.1",
            "x.d.example.com",
            Rtype::A,
            "No Error aa | d.example.com. 65 DNAME BnRhcmdldAdleGFtcGxlA2NvbQA=, x.d.example.com. 65 CNAME x.target.example.com., \
             x.target.example.com. 60 A 192.0.2.5 |  | "
                .into(),
        ),
        (
            "RFC 6672 2.4 occluded",
            "below.d.example.com",
            Rtype::A,
            format!("Non-Existent Domain aa | below.d.example.com. 65 CNAME below.target.example.com., d.example.com. 65 DNAME BnRhcmdldAdleGFtcGxlA2NvbQA= | {SOA} | "),
        ),
        ("RFC 6672 2.3 the owner itself", "d.example.com", Rtype::A, format!("No Error aa |  | {SOA} | ")),
        (
            "RFC 1035 3.3.9 additional addresses",
            "mail.example.com",
            Rtype::MX,
            "No Error aa | mail.example.com. 66 MX 10 www.example.com. |  | www.example.com. 60 A 192.0.2.1, www.example.com. 60 AAAA 2001:db8::1".into(),
        ),
        (
            "RFC 2782 additional addresses",
            "srv.example.com",
            Rtype::SRV,
            "No Error aa | srv.example.com. 66 SRV 1 2 3 www.example.com. |  | www.example.com. 60 A 192.0.2.1, www.example.com. 60 AAAA 2001:db8::1".into(),
        ),
        ("no upward referral", "example.net", Rtype::A, "Query Refused |  |  | ".into()),
        ("RFC 8482 4.1 one RRset", "many.example.com", Rtype::ANY, "No Error aa | many.example.com. 60 A 192.0.2.7 |  | ".into()),
    ] {
        let (reply, _) = ask(&snapshot, &request(name, rtype, &[]), Transport::Udp).unwrap();
        assert_eq!(shown(&reply), expected, "{clause}: {name} {rtype}");
    }
}

#[test]
fn a_child_zone_wins_at_and_below_its_apex() {
    let snapshot = snapshot(&[
        (".", "com. 5 NS ns.com.\nns.com. 5 A @192.0.2.8"),
        ("example.com.", "sub.example.com. 5 NS ns.sub.example.com.\nsub.example.com. 5 DS #1 #2"),
        ("sub.example.com.", "www.sub.example.com. 5 A @192.0.2.9"),
    ]);
    for (name, rtype, expected) in [
        ("www.sub.example.com", Rtype::A, "No Error aa | www.sub.example.com. 5 A 192.0.2.9 |  | "),
        ("other.com", Rtype::A, "No Error |  | com. 5 NS ns.com. | ns.com. 5 A 192.0.2.8"),
        (".", Rtype::NS, "No Error aa | . 3600 NS ns.elsewhere.test. |  | "),
        ("test", Rtype::A, "Non-Existent Domain aa |  | . 300 SOA ns. host. 7 1 2 3 300 | "),
        ("sub.example.com", Rtype::NS, "No Error aa | sub.example.com. 3600 NS ns.elsewhere.test. |  | "),
    ] {
        let (reply, _) = ask(&snapshot, &request(name, rtype, &[]), Transport::Udp).unwrap();
        assert_eq!(shown(&reply), expected, "{name} {rtype}");
    }
    let (reply, _) = ask(&snapshot, &request("sub.example.com", Rtype::DS, &[]), Transport::Udp).unwrap();
    // Header, question, and the DS record of the parent: its rdata are four octets.
    assert_eq!(reply.len(), 12 + 21 + 12 + 4);
    assert_eq!(snapshot.zones.list().len(), 3);
    let _ = ZoneId(0);
}

#[test]
fn what_is_no_request_gets_no_reply() {
    let snapshot = snapshot(&[]);
    assert_eq!(ask(&snapshot, &[0; 11], Transport::Udp).unwrap_err(), Ignored::Short);
    let mut response = request("example.com", Rtype::A, &[]);
    response[2] |= 0x80;
    assert_eq!(ask(&snapshot, &response, Transport::Udp).unwrap_err(), Ignored::Response);
}

#[test]
fn opt_is_answered_with_opt() {
    let snapshot = snapshot(&[("example.com.", EXAMPLE)]);
    let (reply, _) = ask(&snapshot, &request("www.example.com", Rtype::A, OPT), Transport::Udp).unwrap();
    assert!(reply.ends_with(b"\0\0\x29\x04\xd0\0\0\0\0\0\0"), "{reply:?}");
    let version_1 = b"\0\0\x29\x10\0\0\x01\0\0\0\0";
    let (reply, tally) = ask(&snapshot, &request("www.example.com", Rtype::A, version_1), Transport::Udp).unwrap();
    assert_eq!(tally.rcode, Rcode::BADVERS);
    assert!(reply.ends_with(b"\0\0\x29\x04\xd0\x01\0\0\0\0\0"), "{reply:?}");
}
