//! Static names: queries and replies, each with the clause of an RFC that it tests.

use super::{ask, request, shown, snapshot};
use crate::{dns::Rtype, engine::Transport};

pub(super) const EXAMPLE: &str = "
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

const SOA: &str = "example.com. 300 SOA ns.example.com. host.example.com. 7 1 2 3 300";

/// Asserts the reply to each query of name and type.
fn assert_lookups(rows: &[(&str, &str, Rtype, String)]) {
    let snapshot = snapshot(&[("example.com.", EXAMPLE)]);
    for (clause, name, rtype, expected) in rows {
        let (reply, _) = ask(&snapshot, &request(name, *rtype, &[]), Transport::Udp).unwrap();
        assert_eq!(shown(&reply), *expected, "{clause}: {name} {rtype}");
    }
}

#[test]
fn names_without_aliases_are_answered_by_rfc_1034_and_2308() {
    assert_lookups(&[
        (
            "RFC 1034 4.3.2 3a",
            "www.example.com",
            Rtype::A,
            "No Error aa | www.example.com. 60 A 192.0.2.1 |  | ".into(),
        ),
        (
            "RFC 2308 2.2 NODATA",
            "www.example.com",
            Rtype::TXT,
            format!("No Error aa |  | {SOA} | "),
        ),
        (
            "RFC 2308 2.1 NXDOMAIN",
            "nope.example.com",
            Rtype::A,
            format!("Non-Existent Domain aa |  | {SOA} | "),
        ),
        (
            "RFC 8020 empty non-terminal",
            "ent.example.com",
            Rtype::A,
            format!("No Error aa |  | {SOA} | "),
        ),
    ]);
}

#[test]
fn cnames_are_followed_within_the_zones_served() {
    assert_lookups(&[
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
            "a chain that leaves the zones served",
            "away.example.com",
            Rtype::A,
            "No Error aa | away.example.com. 61 CNAME www.example.net. |  | ".into(),
        ),
        (
            "RFC 2308 2.1 the code is that of the last name",
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
    ]);
}

#[test]
fn wildcards_are_expanded_by_rfc_4592() {
    assert_lookups(&[
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
    ]);
}

#[test]
fn delegations_are_referred_with_glue() {
    assert_lookups(&[
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
    ]);
}

#[test]
fn dnames_are_followed_by_rfc_6672() {
    assert_lookups(&[
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
    ]);
}

#[test]
fn additional_addresses_refusals_and_any_are_answered_by_their_rfcs() {
    assert_lookups(&[
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
    ]);
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
        (
            "sub.example.com",
            Rtype::NS,
            "No Error aa | sub.example.com. 3600 NS ns.elsewhere.test. |  | ",
        ),
    ] {
        let (reply, _) = ask(&snapshot, &request(name, rtype, &[]), Transport::Udp).unwrap();
        assert_eq!(shown(&reply), expected, "{name} {rtype}");
    }
    let (reply, _) =
        ask(&snapshot, &request("sub.example.com", Rtype::DS, &[]), Transport::Udp).unwrap();
    // Header, question, and the DS record of the parent zone, whose rdata has four octets.
    assert_eq!(reply.len(), 12 + 21 + 12 + 4);
}
