//! DNS over HTTPS as well-behaved and hostile clients see it. hickory-server's listener is the
//! referee.

use std::time::Duration;

use hickory_proto::op::Message;
use reqwest::{StatusCode, header};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{encrypted::write_certificate, *};
use crate::transport::http3::Http3Handler;

/// A server of `/dns-query` within these limits.
struct HttpsServer {
    streams: StreamListeners,
    counters: Counters,
    address: SocketAddr,
    certificate: Arc<Certificate>,
    folder: tempfile::TempDir,
}

impl HttpsServer {
    fn start(limits: ConnectionLimits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (chain, key) = write_certificate(folder.path());
        let certificate = Certificate::load(&chain, &key).unwrap();
        let listeners = bind_streams(&["127.0.0.1:0".parse().unwrap()]).unwrap();
        let address = listeners[0].local_addr().unwrap();
        let counters = Counters::new();
        let mut streams = StreamListeners::new(&snapshots(), &counters, limits).unwrap();
        let resource = HttpsResource { path: "/dns-query".into(), http1: true };
        let config = certificate.server_config(resource.alpn_protocols()).unwrap();
        streams.serve_https(listeners, config, resource).unwrap();
        Self { streams, counters, address, certificate, folder }
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }

    fn authority(&self) -> Vec<u8> {
        std::fs::read(self.folder.path().join("cert.pem")).unwrap()
    }

    fn client(&self) -> reqwest::ClientBuilder {
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(&self.authority()).unwrap()])
            .resolve("localhost", self.address)
            .timeout(TEST_TIMEOUT)
    }

    /// The TLS configuration of a client that offers this protocol (ALPN).
    fn tls(&self, protocol: &[u8]) -> rustls::ClientConfig {
        use rustls::pki_types::{CertificateDer, pem::PemObject};
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&self.authority()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        config
    }

    /// A TLS connection with HTTP/2 as its protocol, on which nothing is sent yet.
    async fn connect(&self) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let connector = TlsConnector::from(Arc::new(self.tls(b"h2")));
        connector.connect("localhost".try_into().unwrap(), stream).await.unwrap()
    }

    fn connection_events(&self, event: ConnectionEvent) -> u64 {
        self.counters.collect().transport(Transport::Https).connection_events(event)
    }
}

const DNS_MESSAGE: &str = "application/dns-message";

#[tokio::test]
async fn each_request_gets_a_reply_or_the_status_that_names_its_mistake() {
    let server = HttpsServer::start(ConnectionLimits::default());
    let mut response = query(1, 1);
    response[2] |= 0x80;
    for client in [server.client().http1_only(), server.client().http2_prior_knowledge()] {
        let client = client.build().unwrap();
        let post = |kind: &str, body: Vec<u8>| {
            client.post(server.url("/dns-query")).header("content-type", kind).body(body)
        };
        let get = |target: &str| client.get(server.url(target));
        for (why, request, expected) in [
            ("POST", post(DNS_MESSAGE, query(1, 1)), 200),
            ("POST of a type in another case", post("Application/DNS-Message", query(1, 1)), 200),
            (
                "POST that accepts anything",
                post(DNS_MESSAGE, query(1, 1)).header("accept", "*/*"),
                200,
            ),
            ("GET", get("/dns-query?dns=AAABAAABAAAAAAAAAXcBeAR0ZXN0AAABAAE"), 200),
            ("GET without a query", get("/dns-query"), 400),
            ("no DNS message", post(DNS_MESSAGE, b"0123456789".to_vec()), 400),
            ("no octets", post(DNS_MESSAGE, Vec::new()), 400),
            ("a response", post(DNS_MESSAGE, response.clone()), 400),
            ("another path", get("/"), 404),
            ("another method", client.delete(server.url("/dns-query")), 405),
            ("too long", post(DNS_MESSAGE, vec![0; 65_536]), 413),
            ("another type", post("text/plain", query(1, 1)), 415),
        ] {
            let answered = request.send().await.unwrap_or_else(|error| panic!("{why}: {error:?}"));
            assert_eq!(answered.status(), StatusCode::from_u16(expected).unwrap(), "{why}");
            let (kind, body) =
                (answered.headers()[header::CONTENT_TYPE].clone(), answered.bytes().await.unwrap());
            match expected {
                200 => assert!(kind == DNS_MESSAGE && Message::from_vec(&body).is_ok(), "{why}"),
                _ => assert!(
                    kind == "text/plain; charset=utf-8" && body.len() > 10,
                    "{why}: {body:?}"
                ),
            }
        }
        let head = client
            .head(server.url("/dns-query?dns=AAABAAABAAAAAAAAAXcBeAR0ZXN0AAABAAE"))
            .send()
            .await
            .unwrap();
        assert_eq!(head.headers()[header::CONTENT_LENGTH], "26");
        assert_eq!(head.headers()[header::CACHE_CONTROL], "max-age=0", "REFUSED is not cached");
        assert!(head.bytes().await.unwrap().is_empty());
        let refused = client.head(server.url("/")).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::NOT_FOUND);
        assert!(refused.bytes().await.unwrap().is_empty(), "RFC 9110 section 9.3.2");
    }
    eventually(&server.counters, |totals| {
        totals.transport(Transport::Https).answered_with(Rcode::REFUSED) == 10
    })
    .await;
    let totals = server.counters.collect();
    let https = totals.transport(Transport::Https);
    assert_eq!((https.received, https.send_errors), (16, 0), "each message has ended: {https:?}");
    let statuses: Vec<_> = https.by_status().map(|(_, count)| count).collect();
    assert_eq!(statuses, [10, 8, 4, 2, 0, 2, 2, 0, 0]);
    server.streams.stop().await;
}

/// Compares with hickory-server's HTTPS listener in front of the same engine.
#[tokio::test]
async fn replies_are_equal_to_those_of_the_referee() {
    let server = HttpsServer::start(ConnectionLimits::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let referee_address = listener.local_addr().unwrap();
    let recorder = server.counters.shared_recorder(Transport::Https);
    let context =
        stream::StreamContext { transport: Transport::Https, snapshots: snapshots(), recorder };
    let mut referee = hickory_server::Server::new(Http3Handler { context });
    let certificate = Arc::clone(&server.certificate);
    referee
        .register_https_listener(listener, TEST_TIMEOUT, certificate, None, "/dns-query".into())
        .unwrap();
    let client = server.client().build().unwrap();
    let with_subnet = b"\0\x07\0\0\0\x01\0\0\0\0\0\x01\x01w\x04test\0\0\x01\0\x01\0\0\x29\x04\xd0\0\0\0\0\0\x0b\0\x08\0\x07\0\x01\x18\0\xc0\0\x02";
    for (why, message) in [
        ("a name", query(7, 2)),
        ("the longest name", query(8, 25)),
        ("EDNS with a client subnet", with_subnet.to_vec()),
    ] {
        let mut replies = Vec::new();
        for port in [server.address.port(), referee_address.port()] {
            let request = client.post(format!("https://localhost:{port}/dns-query"));
            let request = request
                .header("content-type", DNS_MESSAGE)
                .header("accept", DNS_MESSAGE)
                .body(message.clone());
            let answered = request.send().await.unwrap();
            assert_eq!(
                (answered.status(), &answered.headers()[header::CONTENT_TYPE]),
                (StatusCode::OK, &header::HeaderValue::from_static(DNS_MESSAGE))
            );
            replies.push(Message::from_vec(&answered.bytes().await.unwrap()).unwrap());
        }
        assert_eq!(replies[0], replies[1], "{why}");
    }
    referee.shutdown_gracefully().await.unwrap();
    server.streams.stop().await;
}

#[tokio::test]
async fn a_query_over_http3_is_answered_by_the_same_engine() {
    use hickory_proto::op::{DnsRequest, DnsRequestOptions};
    use hickory_server::net::{
        h3::H3ClientStream,
        xfer::{DnsRequestSender, FirstAnswer},
    };
    let mut server = HttpsServer::start(ConnectionLimits::default());
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    server.streams.serve_http3(vec![socket], &server.certificate).unwrap();
    let stream = H3ClientStream::builder().crypto_config(server.tls(b"h3"));
    let mut stream = stream.build(address, "localhost".into(), "/dns-query".into()).await.unwrap();
    let request =
        DnsRequest::new(Message::from_vec(&query(0, 2)).unwrap(), DnsRequestOptions::default());
    let reply = stream.send_message(request).first_answer().await.unwrap();
    assert_eq!(reply.metadata.response_code, hickory_proto::op::ResponseCode::Refused);
    eventually(&server.counters, |totals| {
        totals.transport(Transport::Https).answered_with(Rcode::REFUSED) == 1
    })
    .await;
    server.streams.stop().await;
}

#[tokio::test]
async fn a_connection_that_sends_nothing_after_its_handshake_is_closed() {
    let server = HttpsServer::start(ConnectionLimits {
        first_message_timeout: Duration::from_millis(300),
        ..ConnectionLimits::default()
    });
    let mut silent = server.connect().await;
    let mut sent = Vec::new();
    let _ =
        timeout(TEST_TIMEOUT, silent.read_to_end(&mut sent)).await.expect("closed by the server");
    eventually(&server.counters, |totals| {
        totals.transport(Transport::Https).connection_events(ConnectionEvent::Closed) == 1
    })
    .await;
    assert_eq!(server.connection_events(ConnectionEvent::TimedOut), 1);
    server.streams.stop().await;
}

#[tokio::test]
async fn a_connection_of_the_maximum_age_is_closed_between_requests() {
    let server = HttpsServer::start(ConnectionLimits {
        max_age: Duration::from_millis(500),
        ..ConnectionLimits::default()
    });
    let client = server.client().build().unwrap();
    while server.connection_events(ConnectionEvent::Opened) < 3 {
        let answered = client
            .post(server.url("/dns-query"))
            .header("content-type", DNS_MESSAGE)
            .body(query(1, 1))
            .send();
        assert_eq!(answered.await.unwrap().status(), StatusCode::OK);
    }
    assert_eq!(
        server.connection_events(ConnectionEvent::TimedOut),
        0,
        "requests went on all the time"
    );
    server.streams.stop().await;
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const END_HEADERS: u8 = 4;
const END_STREAM: u8 = 1;

/// A frame of HTTP/2 (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The head of a POST request (RFC 7541), without its body.
fn post_head(stream: u32) -> Vec<u8> {
    let literal =
        |index: &[u8], value: &str| [index, &[value.len() as u8], value.as_bytes()].concat();
    let block = [
        b"\x83\x87".to_vec(),
        literal(b"\x04", "/dns-query"),
        literal(b"\x01", "localhost"),
        literal(b"\x0f\x10", DNS_MESSAGE),
    ];
    frame(HEADERS, END_HEADERS, stream, &block.concat())
}

/// Client streams have odd numbers.
fn streams(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|number| 2 * number + 1)
}

#[tokio::test]
async fn requests_beyond_the_streams_of_a_connection_use_no_memory() {
    let server = HttpsServer::start(ConnectionLimits {
        idle_timeout: Duration::from_millis(500),
        ..ConnectionLimits::default()
    });
    let mut client = server.connect().await;
    client.write_all(PREFACE).await.unwrap();
    client.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    let heads: Vec<u8> = streams(20_000).flat_map(post_head).collect();
    let (mut read, mut write) = tokio::io::split(client);
    let writing = tokio::spawn(async move {
        // The server ends the connection before it has read all.
        let _ = write.write_all(&heads).await;
        write
    });
    let mut max_buffered = 0;
    let mut sent = vec![0; 4096];
    while let Ok(Ok(1..)) = timeout(TEST_TIMEOUT, read.read(&mut sent)).await {
        max_buffered = max_buffered.max(server.streams.buffered_octets());
    }
    let _ = writing.await;
    assert!(max_buffered < 2 << 20, "{max_buffered}");
    eventually(&server.counters, |totals| {
        totals.transport(Transport::Https).connection_events(ConnectionEvent::Closed) == 1
    })
    .await;
    // The tasks of its requests end soon after.
    while server.streams.buffered_octets() > 0 {
        tokio::task::yield_now().await;
    }
    server.streams.stop().await;
}

#[tokio::test]
async fn replies_that_a_client_does_not_read_are_bounded_and_end_its_connection() {
    let server = HttpsServer::start(ConnectionLimits {
        write_timeout: Duration::from_millis(500),
        idle_timeout: Duration::from_secs(600),
        ..ConnectionLimits::default()
    });
    let mut client = server.connect().await;
    client.write_all(PREFACE).await.unwrap();
    // SETTINGS_INITIAL_WINDOW_SIZE = 0: the client accepts no octet of any reply.
    client.write_all(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])).await.unwrap();
    for stream in streams(50) {
        client.write_all(&post_head(stream)).await.unwrap();
        client.write_all(&frame(DATA, END_STREAM, stream, &query(1, 20))).await.unwrap();
    }
    eventually(&server.counters, |totals| totals.transport(Transport::Https).received == 50).await;
    assert!(server.streams.buffered_octets() >= 50 * 200, "unsent replies are counted");
    let mut sent = Vec::new();
    let _ =
        timeout(TEST_TIMEOUT, client.read_to_end(&mut sent)).await.expect("closed by the server");
    eventually(&server.counters, |totals| {
        totals.transport(Transport::Https).connection_events(ConnectionEvent::Closed) == 1
    })
    .await;
    assert_eq!(server.connection_events(ConnectionEvent::TimedOut), 1);
    // The tasks of its requests end soon after.
    while server.streams.buffered_octets() > 0 {
        tokio::task::yield_now().await;
    }
    server.streams.stop().await;
}

#[tokio::test]
async fn an_https_connection_is_evicted_like_any_other() {
    let server = HttpsServer::start(ConnectionLimits {
        connections_per_client: 2,
        ..ConnectionLimits::default()
    });
    let mut oldest = server.connect().await;
    let _others = [server.connect().await, server.connect().await];
    let mut sent = Vec::new();
    let _ =
        timeout(TEST_TIMEOUT, oldest.read_to_end(&mut sent)).await.expect("closed by the server");
    eventually(&server.counters, |totals| {
        totals.transport(Transport::Https).connection_events(ConnectionEvent::Evicted) == 1
    })
    .await;
    server.streams.stop().await;
}

#[tokio::test]
async fn a_hello_that_claims_more_than_any_client_needs_is_refused_and_a_partial_one_is_counted() {
    let server = HttpsServer::start(ConnectionLimits::default());
    // A record of handshake messages, of which the first is a hello of 65,000 octets.
    let record = |octets: u16| {
        let length = octets.to_be_bytes();
        [&[22, 3, 1, length[0], length[1]][..], &vec![0; usize::from(octets)]].concat()
    };
    let mut hello = record(10_000);
    hello[5..9].copy_from_slice(&[1, 0, 0xfd, 0xe8]);
    let mut partial = TcpStream::connect(server.address).await.unwrap();
    partial.write_all(&hello).await.unwrap();
    let started = Instant::now();
    while server.streams.buffered_octets() < 10_000 {
        assert!(started.elapsed() < TEST_TIMEOUT, "{}", server.streams.buffered_octets());
        tokio::task::yield_now().await;
    }
    partial.write_all(&record(10_000)).await.unwrap();
    read_to_close(&mut partial).await;
    eventually(&server.counters, |totals| {
        totals.transport(Transport::Https).connection_events(ConnectionEvent::HandshakeFailed) == 1
    })
    .await;
    assert_eq!(server.streams.buffered_octets(), 0);
    server.streams.stop().await;
}
