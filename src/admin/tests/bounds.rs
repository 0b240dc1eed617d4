//! How hostile clients are limited, and that other clients are served at the same time.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;

/// Sends `request` and returns everything that the server sends until it closes.
async fn exchange(site: &AdminTestServer, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(site.address()).await.unwrap();
    // The server may close before it has read everything.
    let _ = stream.write_all(request).await;
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply).await;
    String::from_utf8_lossy(&reply).into_owned()
}

const DRAIN: &str = "POST /api/v1/datacenters/fra/drain HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";

#[tokio::test]
async fn a_body_with_too_large_a_content_length_is_refused_unread() {
    let site = AdminTestServer::start().await;
    let reply =
        exchange(&site, format!("{DRAIN}Content-Length: 1073741824\r\n\r\n").as_bytes()).await;
    assert!(reply.starts_with("HTTP/1.1 413 "), "{reply}");
}

#[tokio::test]
async fn a_body_that_turns_out_too_large_is_refused() {
    let site = AdminTestServer::start().await;
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000)).repeat(5);
    let reply =
        exchange(&site, format!("{DRAIN}Transfer-Encoding: chunked\r\n\r\n{chunk}").as_bytes())
            .await;
    assert!(reply.starts_with("HTTP/1.1 413 "), "{reply}");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let site = AdminTestServer::start().await;
    let long =
        format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: {}", "x".repeat(16 << 10));
    assert!(exchange(&site, long.as_bytes()).await.starts_with("HTTP/1.1 431 "));
    let many = format!("GET /healthz HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(65));
    assert!(exchange(&site, many.as_bytes()).await.starts_with("HTTP/1.1 431 "));
    let uri = format!("GET /{} HTTP/1.1\r\n", "x".repeat(16 << 10));
    assert!(exchange(&site, uri.as_bytes()).await.starts_with("HTTP/1.1 4"));
}

#[tokio::test]
async fn a_request_of_http_1_1_without_exactly_one_host_is_refused() {
    let site = AdminTestServer::start().await;
    for (head, code) in [
        ("GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
        (
            "GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            400,
        ),
        ("GET /healthz HTTP/1.1\r\nHost: a/b\r\nConnection: close\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 200),
        ("GET /healthz HTTP/1.0\r\n\r\n", 200),
    ] {
        let reply = exchange(&site, head.as_bytes()).await;
        assert!(reply.split(' ').nth(1) == Some(&code.to_string()), "{head:?}: {reply}");
    }
}

#[tokio::test]
async fn what_is_not_http_is_refused() {
    let site = AdminTestServer::start().await;
    assert!(
        exchange(&site, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 400 ")
    );
}

#[tokio::test]
async fn a_thousand_slow_connections_do_not_block_other_clients() {
    let site = AdminTestServer::start().await;
    let mut slow = Vec::new();
    for _ in 0..1000 {
        let mut stream = TcpStream::connect(site.address()).await.unwrap();
        // A connection that was evicted already may refuse it.
        let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\n").await;
        slow.push(stream);
    }
    assert_eq!(site.get("/healthz").await.status(), 200);
    let mut closed = 0;
    for mut stream in slow {
        let read = tokio::time::timeout(Duration::from_millis(1), stream.read(&mut [0; 64])).await;
        closed += usize::from(matches!(read, Ok(Ok(0) | Err(_))));
    }
    assert!(closed >= 1000 - 64, "all but 64 connections of one client are evicted: {closed}");
}

#[tokio::test]
async fn a_flood_is_slowed_down_and_others_are_served() {
    let site = AdminTestServer::start().await;
    let flood: Vec<_> = (0..8)
        .map(|_| {
            let address = site.address();
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                let mut reply = [0; 4096];
                loop {
                    stream
                        .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                        .await
                        .unwrap();
                    assert!(stream.read(&mut reply).await.unwrap() > 0);
                }
            })
        })
        .collect();
    let started = std::time::Instant::now();
    for _ in 0..300 {
        assert_eq!(site.get("/healthz").await.status(), 200);
    }
    // 200 requests at once, and then one each millisecond, shared by nine clients.
    assert!(started.elapsed() >= Duration::from_millis(100));
    flood.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn stopping_closes_idle_connections() {
    let site = AdminTestServer::start().await;
    let mut idle = TcpStream::connect(site.address()).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut reply = [0; 4096];
    assert!(idle.read(&mut reply).await.unwrap() > 0);
    let address = site.address();
    site.running.stop().await;
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
