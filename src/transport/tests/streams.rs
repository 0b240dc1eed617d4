//! Connections over TCP: replies, timeouts, eviction and the stop.

use tokio::net::TcpSocket;

use super::*;

#[tokio::test]
async fn pipelined_queries_are_answered_in_order() {
    let server = serve_streams("127.0.0.1:0", ConnectionLimits::default());
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let queries: Vec<u8> = (0..300).flat_map(|id| framed(&query(id, 20))).collect();
    let (mut reading, mut writing) = stream.split();
    let write = async { writing.write_all(&queries).await.unwrap() };
    let read = async {
        for id in 0..300 {
            let mut reply = vec![0; reading.read_u16().await.unwrap().into()];
            reading.read_exact(&mut reply).await.unwrap();
            assert!(is_refusal_of(&reply, id));
        }
    };
    timeout(TEST_TIMEOUT, async { tokio::join!(write, read) }).await.unwrap();
    let totals =
        eventually(&server.counters, |totals| totals.transport(Transport::Tcp).finished() == 300)
            .await;
    assert_eq!(totals.transport(Transport::Tcp).answered_with(Rcode::REFUSED), 300);
    server.streams.stop().await;
}

#[tokio::test]
async fn a_query_that_arrives_octet_by_octet_is_answered() {
    let server = serve_streams("127.0.0.1:0", ConnectionLimits::default());
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for octet in framed(&query(3, 1)) {
        stream.write_all(&[octet]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert!(is_refusal_of(&read_reply(&mut stream).await, 3));
    server.streams.stop().await;
}

#[tokio::test]
async fn messages_without_an_answer_do_not_end_the_connection() {
    let server = serve_streams("127.0.0.1:0", ConnectionLimits::default());
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream
        .write_all(&[framed(&[]), framed(b"short"), framed(&query(4, 1))].concat())
        .await
        .unwrap();
    assert!(is_refusal_of(&read_reply(&mut stream).await, 4));
    let totals =
        eventually(&server.counters, |totals| totals.transport(Transport::Tcp).finished() == 3)
            .await;
    assert_eq!(
        totals
            .transport(Transport::Tcp)
            .no_replies_for(NoReplyReason::Ignored(IgnoreReason::Short)),
        2
    );
    server.streams.stop().await;
}

#[tokio::test]
async fn a_long_message_is_read_whole() {
    let server = serve_streams("127.0.0.1:0", ConnectionLimits::default());
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let mut long = query(5, 1);
    long.resize(65535, 0);
    stream.write_all(&framed(&long)).await.unwrap();
    assert_eq!(read_reply(&mut stream).await[..2], [0, 5]);
    server.streams.stop().await;
}

#[tokio::test]
async fn tcp_answers_over_ipv6() {
    if UdpSocket::bind("[::1]:0").is_err() {
        println!("skipped: this host has no IPv6");
        return;
    }
    let server = serve_streams("[::1]:0", ConnectionLimits::default());
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&framed(&query(6, 1))).await.unwrap();
    assert!(is_refusal_of(&read_reply(&mut stream).await, 6));
    server.streams.stop().await;
}

#[tokio::test]
async fn a_client_that_sends_nothing_is_closed_after_the_first_message_timeout() {
    let limits = ConnectionLimits {
        first_message_timeout: Duration::from_millis(30),
        ..ConnectionLimits::default()
    };
    let server = serve_streams("127.0.0.1:0", limits);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(read_to_close(&mut stream).await, 0);
    eventually(&server.counters, |totals| {
        totals.transport(Transport::Tcp).connection_events(ConnectionEvent::TimedOut) == 1
    })
    .await;
    server.streams.stop().await;
}

#[tokio::test]
async fn a_client_that_sends_no_more_is_closed_after_the_idle_timeout() {
    let limits = ConnectionLimits {
        first_message_timeout: TEST_TIMEOUT * 9,
        idle_timeout: Duration::from_millis(30),
        ..ConnectionLimits::default()
    };
    let server = serve_streams("127.0.0.1:0", limits);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&framed(&query(7, 1))).await.unwrap();
    assert!(is_refusal_of(&read_reply(&mut stream).await, 7));
    assert_eq!(read_to_close(&mut stream).await, 0);
    server.streams.stop().await;
}

#[tokio::test]
async fn octets_that_arrive_slowly_do_not_extend_the_timeout() {
    let limits = ConnectionLimits {
        first_message_timeout: Duration::from_millis(60),
        ..ConnectionLimits::default()
    };
    let server = serve_streams("127.0.0.1:0", limits);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let started = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    stream.write_all(&[0xff, 0xff]).await.unwrap();
    while stream.write_all(&[0]).await.is_ok() {
        assert!(started.elapsed() < TEST_TIMEOUT, "the connection is not closed");
        ticks.tick().await;
    }
    server.streams.stop().await;
}

#[tokio::test]
async fn a_client_that_never_reads_is_closed() {
    let limits = ConnectionLimits {
        write_timeout: Duration::from_millis(100),
        ..ConnectionLimits::default()
    };
    let server = serve_streams("127.0.0.1:0", limits);
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(server.address).await.unwrap();
    let queries: Vec<u8> = (0..200).flat_map(|id| framed(&query(id, 24))).collect();
    let writing = async { while stream.write_all(&queries).await.is_ok() {} };
    timeout(TEST_TIMEOUT, writing).await.expect("the connection is not closed");
    let totals = eventually(&server.counters, |totals| {
        let tcp = totals.transport(Transport::Tcp);
        tcp.connection_events(ConnectionEvent::Closed) == 1 && tcp.received == tcp.finished()
    })
    .await;
    assert_eq!(totals.transport(Transport::Tcp).connection_events(ConnectionEvent::TimedOut), 1);
    assert!(totals.transport(Transport::Tcp).send_errors > 0);
    server.streams.stop().await;
}

#[tokio::test]
async fn for_a_long_message_an_older_connection_without_progress_is_evicted() {
    let limits = ConnectionLimits { buffered_octets: 100_000, ..ConnectionLimits::default() };
    let server = serve_streams("127.0.0.1:0", limits);
    let mut half = framed(&[0; 65535]);
    half.truncate(60_000);
    let mut first = TcpStream::connect(server.address).await.unwrap();
    first.write_all(&half).await.unwrap();
    while server.streams.buffered_octets() < 60_000 {
        tokio::task::yield_now().await;
    }
    let mut second = TcpStream::connect(server.address).await.unwrap();
    second.write_all(&framed(&[0; 65535])).await.unwrap();
    second.write_all(&framed(&query(8, 1))).await.unwrap();
    // The first has made no progress for longer: it is evicted, and the second has room for its
    // message.
    read_to_close(&mut first).await;
    let received = |totals: &Totals| totals.transport(Transport::Tcp).received == 2;
    let totals = eventually(&server.counters, received).await;
    assert_eq!(totals.transport(Transport::Tcp).connection_events(ConnectionEvent::Closed), 1);
    server.streams.stop().await;
}

#[tokio::test]
async fn a_flood_of_connections_is_bounded_and_a_new_client_is_served() {
    let limits = ConnectionLimits {
        connections: 10,
        connections_per_client: 10,
        ..ConnectionLimits::default()
    };
    let server = serve_streams("127.0.0.1:0", limits);
    let mut idle = Vec::new();
    for opened in 1..=60_u64 {
        idle.push(TcpStream::connect(server.address).await.unwrap());
        let totals = eventually(&server.counters, |totals| {
            totals.transport(Transport::Tcp).connection_events(ConnectionEvent::Opened) == opened
        });
        totals.await;
        assert!(server.streams.connection_count() <= 10);
    }
    let mut new_client = TcpStream::connect(server.address).await.unwrap();
    new_client.write_all(&framed(&query(9, 1))).await.unwrap();
    assert!(is_refusal_of(&read_reply(&mut new_client).await, 9));
    let totals = eventually(&server.counters, |totals| {
        totals.transport(Transport::Tcp).connection_events(ConnectionEvent::Closed) == 52
    })
    .await;
    assert_eq!(totals.transport(Transport::Tcp).connection_events(ConnectionEvent::Evicted), 52);
    server.streams.stop().await;
}

#[tokio::test]
async fn stopping_writes_outstanding_replies_and_closes() {
    let server = serve_streams("127.0.0.1:0", ConnectionLimits::default());
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&framed(&query(10, 1))).await.unwrap();
    eventually(&server.counters, |totals| totals.transport(Transport::Tcp).received == 1).await;
    timeout(TEST_TIMEOUT, server.streams.stop()).await.expect("stopping takes too long");
    assert!(is_refusal_of(&read_reply(&mut stream).await, 10));
    assert_eq!(read_to_close(&mut stream).await, 0);
    assert_eq!(read_to_close(&mut idle).await, 0);
    assert!(TcpStream::connect(server.address).await.is_err(), "the listener is still open");
}
