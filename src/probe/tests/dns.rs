//! DNS: valid and invalid replies over UDP and TCP.

use tokio::net::UdpSocket;

use super::*;

const NAME: &[u8] = b"\x03www\x07example\x03com\0";

fn dns(port: u16) -> DnsCheck {
    DnsCheck {
        port,
        name: NAME.into(),
        rtype: 1,
        required_rdata: vec![[192, 0, 2, 1].into()],
        rcode: 0,
        tcp: false,
        recursion: false,
    }
}

/// A reply to a query, with these flags and an A record per address.
fn reply(query: &[u8], flags: [u8; 2], addresses: &[[u8; 4]]) -> Vec<u8> {
    let question = &query[12..12 + NAME.len() + 4];
    let counts = [0, 1, 0, addresses.len() as u8, 0, 0, 0, 0];
    let mut reply = [&query[..2], &flags, &counts, question].concat();
    for address in addresses {
        reply.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\x1e\0\x04");
        reply.extend(address);
    }
    reply
}

/// Answers each query with the datagrams that `answer` returns for it.
async fn serve_udp(answer: fn(&[u8]) -> Vec<Vec<u8>>) -> SocketAddr {
    let socket = UdpSocket::bind((LOOPBACK, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut query = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut query).await {
            for datagram in answer(&query[..length]) {
                let _ = socket.send_to(&datagram, client).await;
            }
        }
    });
    address
}

const QR: u8 = 0x80;
const TC: u8 = 0x02;
const ONE: [u8; 4] = [192, 0, 2, 1];
const OTHER: [u8; 4] = [192, 0, 2, 99];

#[tokio::test]
async fn a_reply_must_match_the_query_and_contain_the_required_records() {
    let rcode = |got| Failure::Rcode { got, want: "NOERROR" };
    let late = || Err(Failure::TimedOut(TIMEOUT));
    type ScriptedReplies = fn(&[u8]) -> Vec<Vec<u8>>;
    let cases: Vec<(ScriptedReplies, Result<(), Failure>, &str)> = vec![
        (|query| vec![reply(query, [QR, 0], &[ONE])], Ok(()), "good"),
        (|query| vec![reply(query, [QR, 0], &[OTHER, ONE])], Ok(()), "among others"),
        (
            |query| vec![reply(query, [QR, 0], &[OTHER])],
            Err(Failure::MissingRecord),
            "another record",
        ),
        (|query| vec![reply(query, [QR, 0], &[])], Err(Failure::MissingRecord), "no record"),
        (|query| vec![reply(query, [QR | TC, 0], &[])], Err(Failure::TruncatedAnswer), "truncated"),
        (
            |query| vec![reply(query, [QR | TC, 0], &[ONE])],
            Ok(()),
            "truncated behind what is wanted",
        ),
        (|query| vec![reply(query, [QR, 3], &[])], Err(rcode("NXDOMAIN")), "no such name"),
        (
            |query| vec![[&query[..2], &[QR, 5], &[0; 8]].concat()],
            Err(rcode("REFUSED")),
            "an error without question",
        ),
        (|query| vec![reply(query, [0, 0], &[ONE])], late(), "our own query back"),
        (
            |query| {
                let mut spoofed = reply(query, [QR, 0], &[ONE]);
                spoofed[0] ^= 1;
                vec![spoofed; 100]
            },
            late(),
            "another id, often",
        ),
        (
            |query| {
                let mut spoofed = reply(query, [QR, 0], &[OTHER]);
                spoofed[0] ^= 1;
                vec![spoofed, reply(query, [QR, 0], &[ONE])]
            },
            Ok(()),
            "another id, and then ours",
        ),
        (
            |query| {
                let mut other = query.to_vec();
                other[13] ^= 1;
                vec![reply(&other, [QR, 0], &[ONE])]
            },
            late(),
            "another question",
        ),
        (|query| vec![[&query[..2], &b"garbage"[..]].concat()], Err(Failure::NotDns), "no message"),
        (|_| vec![vec![], vec![0]], late(), "next to nothing"),
        (|_| vec![], late(), "nothing"),
    ];
    for (answer, result, why) in cases {
        let address = serve_udp(answer).await;
        assert_eq!(probe_address(Check::Dns(dns(address.port())), address).await, result, "{why}");
    }
    let socket = UdpSocket::bind((LOOPBACK, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    drop(socket);
    assert_eq!(
        probe_address(Check::Dns(dns(address.port())), address).await,
        Err(Failure::Refused),
        "a closed port"
    );
}

#[tokio::test]
async fn a_check_may_require_an_error_code() {
    let address = serve_udp(|query| vec![reply(query, [QR, 5], &[])]).await;
    let check = DnsCheck { required_rdata: Vec::new(), rcode: 5, ..dns(address.port()) };
    assert_eq!(probe_address(Check::Dns(check), address).await, Ok(()));
}

#[tokio::test]
async fn over_tcp_a_reply_is_read_up_to_its_announced_length() {
    type Answer = fn(&[u8]) -> Vec<u8>;
    let framed: Answer = |query| {
        let reply = reply(&query[2..], [QR, 0], &[ONE]);
        [&(reply.len() as u16).to_be_bytes(), &reply[..]].concat()
    };
    let cases: [(Answer, Result<(), Failure>, &str); 5] = [
        (framed, Ok(()), "good"),
        (|_| vec![0xff, 0xff, 0, 0], Err(Failure::Closed), "less than it says"),
        (|_| vec![0, 2, 0, 0], Err(Failure::NotDns), "too short"),
        (|query| [&[0, 12], &query[2..14]].concat(), Err(Failure::NotDns), "our own query back"),
        (|_| vec![], Err(Failure::Closed), "nothing"),
    ];
    for (answer, result, why) in cases {
        let listener = listen(LOOPBACK);
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut query = [0; 512];
                let length = stream.read(&mut query).await.unwrap();
                stream.write_all(&answer(&query[..length])).await.unwrap();
            }
        });
        let check = DnsCheck { tcp: true, ..dns(address.port()) };
        assert_eq!(probe_address(Check::Dns(check), address).await, result, "{why}");
    }
}
