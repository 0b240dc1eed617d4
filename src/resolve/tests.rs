//! Lookups by resolvers that behave correctly and incorrectly, all on loopback.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
};

use super::{lookup::lookup, *};

const A: u16 = 1;
const CNAME: u16 = 5;
const SOA: u16 = 6;
const AAAA: u16 = 28;

/// The reply of a resolver to one query.
#[derive(Debug, Clone, Default)]
struct ScriptedReply {
    rcode: u8,
    is_truncated: bool,
    answers: Vec<Vec<u8>>,
    authorities: Vec<Vec<u8>>,
    is_silent: bool,
    /// The reply has neither recursion nor authority (RA, AA).
    is_lame: bool,
}

#[derive(Debug, Clone, Copy)]
struct ReceivedQuery {
    rtype: u16,
    has_edns: bool,
    is_tcp: bool,
}

fn wire(name: &str) -> Vec<u8> {
    name.parse::<Name>().unwrap().as_wire().to_vec()
}

fn record(owner: &str, rtype: u16, ttl: u32, rdata: &[u8]) -> Vec<u8> {
    let length = (rdata.len() as u16).to_be_bytes();
    [&wire(owner)[..], &rtype.to_be_bytes(), &[0, 1], &ttl.to_be_bytes(), &length, rdata].concat()
}

fn a(owner: &str, ttl: u32, last: u8) -> Vec<u8> {
    record(owner, A, ttl, &[198, 51, 100, last])
}

fn cname(owner: &str, ttl: u32, target: &str) -> Vec<u8> {
    record(owner, CNAME, ttl, &wire(target))
}

fn soa(owner: &str) -> Vec<u8> {
    record(owner, SOA, 60, &[&wire("ns.ex")[..], &wire("h.ex"), &[0; 20]].concat())
}

/// The reply to a query with one question.
fn reply(
    query: &[u8],
    is_tcp: bool,
    respond: &dyn Fn(ReceivedQuery) -> ScriptedReply,
) -> Option<Vec<u8>> {
    let end = 12 + query[12..].iter().position(|&octet| octet == 0).unwrap() + 5;
    let rtype = u16::from_be_bytes([query[end - 4], query[end - 3]]);
    let script = respond(ReceivedQuery { rtype, has_edns: query[11] > 0, is_tcp });
    let count = |records: &[Vec<u8>]| (records.len() as u16).to_be_bytes();
    let flags =
        [0x81 | u8::from(script.is_truncated) << 1, u8::from(!script.is_lame) << 7 | script.rcode];
    let header = [
        &query[..2],
        &flags,
        &[0, 1],
        &count(&script.answers),
        &count(&script.authorities),
        &[0, 0],
    ]
    .concat();
    let message =
        [&header[..], &query[12..end], &script.answers.concat(), &script.authorities.concat()]
            .concat();
    (!script.is_silent).then_some(message)
}

/// A resolver over UDP and TCP, and the number of queries over UDP that it received.
async fn resolver(
    respond: impl Fn(ReceivedQuery) -> ScriptedReply + Send + Sync + Clone + 'static,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let (udp, tcp) = loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            break (udp, tcp);
        }
    };
    let (address, query_count) = (udp.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let (counted, respond_tcp) = (Arc::clone(&query_count), respond.clone());
    tokio::spawn(async move {
        let mut octets = [0; 4096];
        while let Ok((length, from)) = udp.recv_from(&mut octets).await {
            counted.fetch_add(1, Relaxed);
            if let Some(reply) = reply(&octets[..length], false, &respond) {
                udp.send_to(&reply, from).await.unwrap();
            }
        }
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = tcp.accept().await {
            let length = stream.read_u16().await.unwrap();
            let mut query = vec![0; usize::from(length)];
            stream.read_exact(&mut query).await.unwrap();
            if let Some(reply) = reply(&query, true, &respond_tcp) {
                stream
                    .write_all(&[&(reply.len() as u16).to_be_bytes()[..], &reply].concat())
                    .await
                    .unwrap();
            }
        }
    });
    (address, query_count)
}

async fn resolve(servers: &[SocketAddr]) -> AliasReport {
    lookup(&"lb.ex".parse().unwrap(), servers).await
}

fn found(family: &Result<FamilyAddresses, ResolveFailure>) -> Vec<String> {
    family.as_ref().unwrap().addresses.iter().map(IpAddr::to_string).collect()
}

#[tokio::test]
async fn a_name_with_one_family_keeps_it_if_the_other_family_is_nxdomain() {
    let only_a = |query: ReceivedQuery| match query.rtype {
        A => ScriptedReply { answers: vec![a("lb.ex", 60, 8)], ..ScriptedReply::default() },
        _ => ScriptedReply { rcode: 3, ..ScriptedReply::default() },
    };
    let (server, _) = resolver(only_a).await;
    let report = resolve(&[server]).await;
    assert_eq!(
        (found(&report.v4), found(&report.v6)),
        (vec!["198.51.100.8".to_owned()], Vec::new())
    );
    assert_eq!(report.ttl_secs(), Some(60));
    let (server, _) = resolver(|_| ScriptedReply { rcode: 3, ..ScriptedReply::default() }).await;
    let report = resolve(&[server]).await;
    assert_eq!(
        (&report.v4, &report.v6),
        (&Err(ResolveFailure::NoSuchName(server)), &Err(ResolveFailure::NoSuchName(server)))
    );
}

#[tokio::test]
async fn a_chain_is_followed_in_any_order_and_other_records_are_ignored() {
    let address = || a("c.ex", 50, 4);
    let (first, second) = (cname("LB.ex", 40, "b.ex"), cname("b.ex", 30, "C.ex"));
    let orders = [
        vec![first.clone(), second.clone(), address()],
        vec![address(), second.clone(), first.clone()],
        vec![second.clone(), address(), a("other.ex", 1, 9), first.clone()],
    ];
    for answers in orders {
        let respond = move |query: ReceivedQuery| ScriptedReply {
            answers: if query.rtype == A { answers.clone() } else { Vec::new() },
            ..ScriptedReply::default()
        };
        let (server, _) = resolver(respond).await;
        let report = resolve(&[server]).await;
        assert_eq!(
            (found(&report.v4), report.ttl_secs()),
            (vec!["198.51.100.4".to_owned()], Some(30))
        );
    }
    // The chain ends at a name that exists and has no address.
    let dead_end = move |_| ScriptedReply {
        answers: vec![first.clone()],
        authorities: vec![soa("ex")],
        ..ScriptedReply::default()
    };
    let (server, _) = resolver(dead_end).await;
    assert!(found(&resolve(&[server]).await.v4).is_empty());
    let cname_loop = |_| ScriptedReply {
        answers: vec![cname("lb.ex", 1, "b.ex"), cname("b.ex", 1, "lb.ex")],
        ..ScriptedReply::default()
    };
    let (server, _) = resolver(cname_loop).await;
    let failure = resolve(&[server]).await.v4.unwrap_err().to_string();
    assert_eq!(failure, format!("resolver {server} answers with CNAME records that form a loop"));
}

#[tokio::test]
async fn a_resolver_that_fails_on_edns_is_queried_without_it() {
    for (rcode, is_silent) in [(1, false), (4, false), (2, false), (0, true)] {
        let respond = move |query: ReceivedQuery| match query {
            ReceivedQuery { has_edns: true, .. } => {
                ScriptedReply { rcode, is_silent, ..ScriptedReply::default() }
            }
            ReceivedQuery { rtype: AAAA, .. } => ScriptedReply::default(),
            _ => ScriptedReply { answers: vec![a("lb.ex", 60, 1)], ..ScriptedReply::default() },
        };
        let (server, _) = resolver(respond).await;
        assert_eq!(
            found(&resolve(&[server]).await.v4),
            ["198.51.100.1"],
            "code {rcode}, silent: {is_silent}"
        );
    }
}

#[tokio::test]
async fn a_truncated_reply_is_requested_over_tcp() {
    let respond = |query: ReceivedQuery| match query {
        ReceivedQuery { rtype: AAAA, .. } => ScriptedReply::default(),
        ReceivedQuery { is_tcp: false, .. } => ScriptedReply {
            is_truncated: true,
            answers: vec![a("lb.ex", 60, 1)],
            ..ScriptedReply::default()
        },
        _ => ScriptedReply {
            answers: (1..=40).map(|last| a("lb.ex", 60, last)).collect(),
            ..ScriptedReply::default()
        },
    };
    let (server, _) = resolver(respond).await;
    assert_eq!(found(&resolve(&[server]).await.v4).len(), 40);
}

#[tokio::test]
async fn the_next_resolver_is_queried_and_a_failure_names_the_fault_of_each() {
    let (bad, query_count) =
        resolver(|_| ScriptedReply { rcode: 5, ..ScriptedReply::default() }).await;
    let (broken, _) = resolver(|_| ScriptedReply { rcode: 2, ..ScriptedReply::default() }).await;
    let (good, _) = resolver(|_| ScriptedReply {
        answers: vec![a("lb.ex", 60, 1)],
        ..ScriptedReply::default()
    })
    .await;
    assert_eq!(found(&resolve(&[bad, broken, good]).await.v4), ["198.51.100.1"]);
    assert_eq!(query_count.load(Relaxed), 2, "once for each family");
    let failure = resolve(&[bad, broken]).await.v4.unwrap_err().to_string();
    assert_eq!(
        failure,
        format!("resolver {bad} answers REFUSED, resolver {broken} answers SERVFAIL")
    );
}

fn ns(owner: &str) -> Vec<u8> {
    record(owner, 2, 60, &wire("ns.elsewhere.ex"))
}

#[tokio::test]
async fn a_resolver_that_does_not_resolve_is_skipped() {
    let referral = || ScriptedReply { authorities: vec![ns("ex")], ..ScriptedReply::default() };
    for (respond, why) in [
        (referral(), "a referral"),
        (ScriptedReply { is_lame: true, ..referral() }, "a referral without recursion"),
        (
            ScriptedReply { is_lame: true, ..ScriptedReply::default() },
            "an empty reply without recursion",
        ),
    ] {
        let (lame, _) = resolver(move |_| respond.clone()).await;
        let (good, _) = resolver(|_| ScriptedReply {
            answers: vec![a("lb.ex", 60, 1)],
            ..ScriptedReply::default()
        })
        .await;
        let report = resolve(&[lame, good]).await;
        assert_eq!(found(&report.v4), ["198.51.100.1"], "{why}");
        let reason = resolve(&[lame]).await.reason();
        let expected = format!(
            "resolver {lame} does not resolve the name: it refers to other servers, or its answer is empty"
        );
        assert_eq!(reason, expected, "{why}");
    }
}

#[tokio::test]
async fn each_fault_is_reported_with_its_resolver() {
    let cnames = |count: u32| {
        (0..count).map(|index| cname(&nth_name(index), 60, &nth_name(index + 1))).collect()
    };
    fn nth_name(index: u32) -> String {
        if index == 0 { "lb.ex".to_owned() } else { format!("c{index}.ex") }
    }
    let loopback = record("lb.ex", A, 60, &[127, 0, 0, 1]);
    for (answers, authorities, expected) in [
        (vec![], vec![soa("ex")], "resolver R answers that the name has no address (NODATA)"),
        (vec![], vec![], "resolver R answers without any record"),
        (vec![a("other.ex", 60, 9)], vec![], "resolver R answers with records of other names only"),
        (
            cnames(1),
            vec![soa("ex")],
            "resolver R answers with a CNAME record to a name that has no address",
        ),
        (
            cnames(20),
            vec![],
            "resolver R answers with a chain of more than 16 CNAME records, which is too long",
        ),
        (
            vec![loopback],
            vec![],
            "A: resolver R answers 127.0.0.1, which no client can connect to; AAAA: resolver R answers that the name has no \
             address (NODATA)",
        ),
    ] {
        let respond = move |_| ScriptedReply {
            answers: answers.clone(),
            authorities: authorities.clone(),
            ..ScriptedReply::default()
        };
        let (server, _) = resolver(respond).await;
        let report = resolve(&[server]).await;
        assert_eq!(report.reason(), expected.replace("resolver R", &format!("resolver {server}")));
        assert_eq!(report.ttl_secs(), None);
    }
}

#[tokio::test]
async fn a_single_failing_family_is_named() {
    let respond = |query: ReceivedQuery| match query.rtype {
        A => ScriptedReply { answers: vec![a("lb.ex", 60, 8)], ..ScriptedReply::default() },
        _ => ScriptedReply { rcode: 2, ..ScriptedReply::default() },
    };
    let (server, _) = resolver(respond).await;
    assert_eq!(
        resolve(&[server]).await.reason(),
        format!("AAAA: resolver {server} answers SERVFAIL")
    );
}

#[tokio::test]
async fn a_truncated_reply_without_tcp_is_reported() {
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server = udp.local_addr().unwrap();
    tokio::spawn(async move {
        let mut octets = [0; 4096];
        while let Ok((length, from)) = udp.recv_from(&mut octets).await {
            let respond = |_| ScriptedReply { is_truncated: true, ..ScriptedReply::default() };
            udp.send_to(&reply(&octets[..length], false, &respond).unwrap(), from).await.unwrap();
        }
    });
    let expected = format!(
        "resolver {server} answers that its reply does not fit into UDP, and cannot be queried over TCP: connection refused"
    );
    assert_eq!(resolve(&[server]).await.reason(), expected);
}
