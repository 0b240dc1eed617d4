//! Messages without octets: a length of 0 that nothing follows (RFC 1035 section 4.2.2).

use super::*;

const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn a_message_without_octets_does_not_extend_the_time_for_the_first_query() {
    let first_message_timeout = Duration::from_millis(200);
    let TcpServer { streams, counters, address } = serve_streams(
        "127.0.0.1:0",
        ConnectionLimits {
            first_message_timeout,
            idle_timeout: LONG,
            ..ConnectionLimits::default()
        },
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&[0, 0]).await.unwrap();
    read_to_close(&mut stream).await;
    eventually(&counters, |totals| {
        totals.transport(Transport::Tcp).connection_events(ConnectionEvent::TimedOut) == 1
    })
    .await;
    streams.stop().await;
}

#[tokio::test]
async fn a_connection_that_sends_more_than_eight_messages_without_octets_is_closed() {
    let TcpServer { streams, counters, address } = serve_streams(
        "127.0.0.1:0",
        ConnectionLimits {
            first_message_timeout: LONG,
            idle_timeout: LONG,
            ..ConnectionLimits::default()
        },
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&[0; 2 * 8]).await.unwrap();
    stream.write_all(&framed(&query(1, 1))).await.unwrap();
    let mut length = [0; 2];
    timeout(TEST_TIMEOUT, stream.read_exact(&mut length)).await.unwrap().unwrap();
    assert_ne!(length, [0, 0], "eight are tolerated: the query behind them is answered");
    let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut reply).await.unwrap();
    stream.write_all(&[0; 2]).await.unwrap();
    read_to_close(&mut stream).await;
    eventually(&counters, |totals| totals.transport(Transport::Tcp).received == 10).await;
    streams.stop().await;
}
