//! Headers, EDNS and limits: RFC 1035, 6891, 7871, 7873, 8906, 8945.

use super::{OPT, ask, lookup::EXAMPLE, request, shown, snapshot, zone};
use crate::{
    dns::{CookieKeys, Rcode, Rtype},
    engine::{IgnoreReason, Transport},
    snapshot::{ServerIdentity, Snapshot},
    zone::Zones,
};

const KEYS: CookieKeys =
    CookieKeys { current: [7; 16], next: [8; 16], previous: None, rotated_secs: 0 };

fn example() -> Snapshot {
    snapshot(&[("example.com.", EXAMPLE)])
}

/// An OPT record with options.
fn opt(options: &[u8]) -> Vec<u8> {
    [&OPT[..9], &(options.len() as u16).to_be_bytes(), options].concat()
}

fn rcode(message: &[u8]) -> Rcode {
    ask(&example(), message, Transport::Udp).unwrap().1.rcode
}

#[test]
fn a_message_that_is_not_a_query_gets_no_reply() {
    assert_eq!(ask(&example(), &[0; 11], Transport::Udp).unwrap_err(), IgnoreReason::Short);
    let mut response = request("example.com", Rtype::A, &[]);
    response[2] |= 0x80;
    assert_eq!(ask(&example(), &response, Transport::Udp).unwrap_err(), IgnoreReason::Response);
}

#[test]
fn a_query_that_cannot_be_answered_gets_the_code_that_says_why() {
    let base = request("www.example.com", Rtype::A, OPT);
    let with = |offset: usize, value: u8| {
        let mut message = base.clone();
        message[offset] = value;
        message
    };
    let class = 12 + 17 + 3;
    let query = |rtype| request("www.example.com", rtype, &[]);
    let cookie_alone = |cookie: &[u8]| {
        let header = &[0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1][..];
        [header, &opt(&[&[0, 10, 0, cookie.len() as u8], cookie].concat())].concat()
    };
    for (why, message, expected) in [
        ("RFC 8906 3.1.4 unknown opcode", with(2, 15 << 3), Rcode::NOTIMP),
        ("NOTIFY", with(2, 4 << 3), Rcode::NOTIMP),
        ("UPDATE", with(2, 5 << 3), Rcode::NOTIMP),
        (
            "a header alone, unknown opcode",
            vec![0, 1, 0x78, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            Rcode::NOTIMP,
        ),
        ("a header alone", vec![0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], Rcode::FORMERR),
        ("no question", with(5, 0), Rcode::FORMERR),
        ("RFC 7873 5.4 no question but for a cookie", cookie_alone(&[7; 8]), Rcode::NOERROR),
        ("RFC 7873 5.4 with a server cookie", cookie_alone(&[7; 24]), Rcode::NOERROR),
        ("a malformed cookie alone", cookie_alone(&[7; 9]), Rcode::FORMERR),
        ("two questions", with(5, 2), Rcode::FORMERR),
        ("an answer in a query", with(7, 1), Rcode::FORMERR),
        ("an authority record in a query", with(9, 1), Rcode::FORMERR),
        ("more additional records than there are", with(11, 2), Rcode::FORMERR),
        ("octets after the last record", [&base[..], b"x"].concat(), Rcode::FORMERR),
        ("a pointer in the question", with(12, 0xc0), Rcode::FORMERR),
        (
            "RFC 6891 6.1.1 two OPT",
            request("www.example.com", Rtype::A, &[OPT, OPT].concat()),
            Rcode::FORMERR,
        ),
        ("CHAOS", with(class, 3), Rcode::REFUSED),
        ("class ANY", with(class, 255), Rcode::REFUSED),
        ("AXFR", query(Rtype::AXFR), Rcode::REFUSED),
        ("IXFR", query(Rtype::IXFR), Rcode::REFUSED),
        ("a type that no zone holds", query(Rtype::MAILB), Rcode::NOERROR),
        ("OPT as a question", query(Rtype::OPT), Rcode::NOERROR),
        (
            "RFC 7871 7.1.2 host bits",
            request("www.example.com", Rtype::A, &opt(b"\0\x08\0\x07\0\x01\x17\0\xc0\0\x01")),
            Rcode::FORMERR,
        ),
        (
            "RFC 7873 5.2.2 length",
            request("www.example.com", Rtype::A, &opt(b"\0\x0a\0\x01x")),
            Rcode::FORMERR,
        ),
        (
            "an unknown option",
            request("www.example.com", Rtype::A, &opt(b"\xff\0\0\x01x")),
            Rcode::NOERROR,
        ),
    ] {
        assert_eq!(rcode(&message), expected, "{why}");
    }
}

#[test]
fn the_question_is_returned_with_its_case() {
    let mut message = request("www.example.com", Rtype::A, &[]);
    message[13..16].copy_from_slice(b"wWw");
    let (reply, _) = ask(&example(), &message, Transport::Udp).unwrap();
    assert_eq!(reply[12..33], message[12..]);
}

#[test]
fn flags_are_copied_set_and_cleared_as_the_rfcs_require() {
    let flags = |second: u8, third: u8| {
        let mut message = request("www.example.com", Rtype::A, &[]);
        (message[2], message[3]) = (second, third);
        let (reply, _) = ask(&example(), &message, Transport::Udp).unwrap();
        (reply[2], reply[3])
    };
    assert_eq!(flags(0, 0), (0x84, 0), "QR and AA");
    assert_eq!(flags(0x01, 0x10), (0x85, 0), "RD is copied, CD is not");
    assert_eq!(flags(0x06, 0xe0), (0x84, 0), "AA, TC, RA, Z, AD of a query are ignored");
    assert_eq!(flags(0x7f, 0xff), (0xf8, 4), "an unknown opcode is copied, nothing else");
}

#[test]
fn opt_is_answered_with_opt() {
    let ask_with = |opt: &[u8]| {
        ask(&example(), &request("www.example.com", Rtype::A, opt), Transport::Udp).unwrap()
    };
    let (reply, _) = ask_with(b"\0\0\x29\x10\0\0\0\x80\0\0\0");
    assert!(reply.ends_with(b"\0\0\x29\x04\xd0\0\0\x80\0\0\0"), "DO is copied: {reply:?}");
    let (reply, _) = ask_with(b"\0\0\x29\x10\0\0\0\x7f\xff\0\0");
    assert!(reply.ends_with(b"\0\0\x29\x04\xd0\0\0\0\0\0\0"), "unknown flags are not: {reply:?}");
    let (reply, labels) = ask_with(b"\0\0\x29\x10\0\0\x01\0\0\0\0");
    assert!(reply.ends_with(b"\0\0\x29\x04\xd0\x01\0\0\0\0\0"), "BADVERS: {reply:?}");
    assert_eq!((labels.rcode, &reply[6..12]), (Rcode::BADVERS, &[0, 0, 0, 0, 0, 1][..]));
}

#[test]
fn options_are_answered_only_if_the_query_has_them() {
    let identity = ServerIdentity { nsid: (*b"fra-1").into(), cookie_keys: Some(KEYS) }.into();
    let snapshot = Snapshot { identity, ..example() };
    let ask_with = |options: &[u8]| {
        ask(&snapshot, &request("www.example.com", Rtype::A, &opt(options)), Transport::Udp)
            .unwrap()
            .0
    };
    assert!(ask_with(b"\0\x03\0\0").ends_with(b"\0\x09\0\x03\0\x05fra-1"), "RFC 5001");
    assert!(ask_with(b"").ends_with(b"\0\0"), "no identifier without a request for it");
    let reply = ask_with(b"\0\x0a\0\x08abcdefgh");
    assert_eq!(
        reply[reply.len() - 28..reply.len() - 12],
        *b"\0\x0a\0\x18abcdefgh\x01\0\0\0",
        "RFC 9018"
    );
    let reply = ask_with(b"\0\x08\0\x07\0\x01\x18\0\xc0\0\x02");
    assert!(
        reply.ends_with(b"\0\x08\0\x07\0\x01\x18\0\xc0\0\x02"),
        "RFC 7871: static records have scope 0"
    );
}

#[test]
fn a_server_without_cookie_keys_sends_no_cookie() {
    let message = request("www.example.com", Rtype::A, &opt(b"\0\x0a\0\x08abcdefgh"));
    let (reply, labels) = ask(&example(), &message, Transport::Udp).unwrap();
    assert_eq!(labels.rcode, Rcode::NOERROR);
    assert!(reply.ends_with(b"\0\0\x29\x04\xd0\0\0\0\0\0\0"), "{reply:?}");
}

#[test]
fn a_zone_without_client_subnet_does_not_echo_it() {
    let mut zone = zone("example.com.", EXAMPLE);
    zone.client_subnet = false;
    let snapshot =
        Snapshot { zones: Zones::build(vec![zone.into()], &[]).into(), ..Snapshot::default() };
    let message = request("www.example.com", Rtype::A, &opt(b"\0\x08\0\x07\0\x01\x18\0\xc0\0\x02"));
    let (reply, _) = ask(&snapshot, &message, Transport::Udp).unwrap();
    assert!(reply.ends_with(b"\0\0\x29\x04\xd0\0\0\0\0\0\0"));
}

#[test]
fn a_signed_query_gets_badkey() {
    let tsig =
        b"\x03key\0\0\xfa\0\xff\0\0\0\0\0\x1a\x03alg\0\0\0\x01\x02\x03\x04\x01\x2c\0\x04mac!\x12\x34\0\0\0\0\0\0";
    let tsig = [&tsig[..13], &[0, 25], &tsig[15..15 + 25]].concat();
    let (reply, labels) =
        ask(&example(), &request("www.example.com", Rtype::A, &tsig), Transport::Udp).unwrap();
    assert_eq!(labels.rcode, Rcode::NOTAUTH);
    assert!(
        reply.ends_with(b"\0\x15\x03alg\0\0\0\x01\x02\x03\x04\x01\x2c\0\0\x12\x34\0\x11\0\0"),
        "{reply:?}"
    );
}

#[test]
fn a_reply_that_does_not_fit_a_datagram_is_truncated_to_the_question() {
    let lines: String =
        (0..60).map(|number| format!("big.example.com. 5 A @192.0.2.{number}\n")).collect();
    let snapshot = snapshot(&[("example.com.", &lines)]);
    let question = 12 + 21;
    for (opt, transport, length) in [
        (&b""[..], Transport::Udp, question),
        (b"\0\0\x29\x02\0\0\0\0\0\0\0", Transport::Udp, question + 11),
        (b"\0\0\x29\xff\xff\0\0\0\0\0\0", Transport::Udp, question + 60 * 16 + 11),
        (b"", Transport::Tcp, question + 60 * 16),
    ] {
        let (reply, labels) =
            ask(&snapshot, &request("big.example.com", Rtype::A, opt), transport).unwrap();
        assert_eq!(
            (reply.len(), labels.truncated),
            (length, length < 500),
            "{opt:?} {transport:?}"
        );
        assert_eq!(shown(&reply).contains("tc"), labels.truncated);
    }
}

#[test]
fn additional_records_never_truncate_the_answer() {
    let lines: String = (0..40)
        .map(|number| {
            format!("example.com. 5 MX #1 m{number}.example.com.\nm{number}.example.com. 5 A @192.0.2.{number}\n")
        })
        .collect();
    let snapshot = snapshot(&[("example.com.", &lines)]);
    let (reply, labels) =
        ask(&snapshot, &request("example.com", Rtype::MX, OPT), Transport::Udp).unwrap();
    let counts =
        [u16::from_be_bytes([reply[6], reply[7]]), u16::from_be_bytes([reply[10], reply[11]])];
    assert!(reply.len() <= 1232 && !labels.truncated && counts[0] == 40, "{counts:?}");
    assert!(counts[1] > 1 && counts[1] < 40);
}

#[test]
fn in_domain_glue_is_complete_or_the_reply_is_truncated() {
    let lines: String = (0..20)
        .map(|number| {
            format!(
                "sub.example.com. 5 NS n{number}.sub.example.com.\nn{number}.sub.example.com. 5 A @192.0.2.{number}\n"
            )
        })
        .collect();
    let snapshot = snapshot(&[("example.com.", &lines)]);
    let question = request("www.sub.example.com", Rtype::A, &[]);
    assert!(ask(&snapshot, &question, Transport::Udp).unwrap().1.truncated, "RFC 9471 section 3.1");
    let (reply, labels) = ask(&snapshot, &question, Transport::Tcp).unwrap();
    assert_eq!((labels.truncated, reply[9], reply[11]), (false, 20, 20));
}

#[test]
fn any_gets_at_most_512_octets_if_the_source_may_be_forged() {
    let long = "x".repeat(200);
    let addresses: String =
        (1..=40).map(|host| format!("many.example.com. 60 A @192.0.2.{host}\n")).collect();
    let zone = format!(
        "{addresses}many.example.com. 60 TXT {long} {long} {long}\nbig.example.com. 60 TXT {long} {long} {long}\n\
         few.example.com. 60 TXT {long} {long} {long}\nfew.example.com. 60 A @192.0.2.1"
    );
    let identity = ServerIdentity { cookie_keys: Some(KEYS), ..ServerIdentity::default() }.into();
    let snapshot = Snapshot { identity, ..super::snapshot(&[("example.com.", &zone)]) };
    let client = [1, 2, 3, 4, 5, 6, 7, 8];
    let server = |source: [u8; 4]| KEYS.server_cookie(client, source.into(), 0);
    let cookie =
        |server: &[u8]| opt(&[&[0, 10, 0, 8 + server.len() as u8][..], &client, server].concat());
    let (valid, foreign) = (cookie(&server([192, 0, 2, 99])), cookie(&server([192, 0, 2, 98])));
    for (why, name, options, transport, expected) in [
        ("the smallest fits", "few", OPT, Transport::Udp, Some(1)),
        ("no EDNS", "big", &[][..], Transport::Udp, None),
        ("EDNS alone", "big", OPT, Transport::Udp, None),
        ("neither RRset fits", "many", OPT, Transport::Udp, None),
        ("a client cookie alone", "big", &cookie(&[]), Transport::Udp, None),
        ("the cookie of another client", "big", &foreign, Transport::Udp, None),
        ("a cookie of this server", "big", &valid, Transport::Udp, Some(1)),
        ("TCP", "many", OPT, Transport::Tcp, Some(1)),
    ] {
        let message = request(&format!("{name}.example.com"), Rtype::ANY, options);
        let (reply, labels) = ask(&snapshot, &message, transport).unwrap();
        let answers = u16::from_be_bytes([reply[6], reply[7]]);
        assert_eq!((!labels.truncated).then_some(answers), expected, "{why}");
        assert!(expected.is_some() || reply.len() <= 512, "{why}: {} octets", reply.len());
    }
}
