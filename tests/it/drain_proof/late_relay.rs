//! An admin address whose clock is ahead: a relay to a server, in whose status documents the
//! present is later by a fixed time. So a test sees the end of a wait of minutes at once.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
};

use serde_json::Value;

use crate::harness::Server;

/// Starts a relay to a server, and returns its address. It runs until the test program ends.
pub(super) fn start_relay(server: &Server, ahead_secs: i64) -> SocketAddr {
    let upstream = server.admin.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            std::thread::spawn(move || relay(client, upstream, ahead_secs));
        }
    });
    address
}

/// Relays one request and its reply. A client that goes away ends the relay.
fn relay(client: TcpStream, upstream: SocketAddr, ahead_secs: i64) -> Option<()> {
    let mut client = BufReader::new(client);
    let mut request = String::new();
    client.read_line(&mut request).ok()?;
    let (mut headers, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        client.read_line(&mut line).ok()?;
        let name = line.split(':').next()?.to_ascii_lowercase();
        match name.as_str() {
            "\r\n" => break,
            "host" | "connection" => continue,
            "content-length" => length = line.split(':').nth(1)?.trim().parse().ok()?,
            _ => {}
        }
        headers += &line;
    }
    let mut body = vec![0; length];
    client.read_exact(&mut body).ok()?;
    let reply = ask_upstream(&request, &headers, &body, upstream)?;
    let (head, body) = reply.split_once("\r\n\r\n")?;
    let body = if request.contains("/api/v1/status") {
        let mut document: Value = serde_json::from_str(body).ok()?;
        document["now"] = (document["now"].as_i64()? + ahead_secs).into();
        document.to_string()
    } else {
        body.to_owned()
    };
    let (status, headers) = head.split_once("\r\n")?;
    // The connection carries no second request.
    let headers: String = headers
        .lines()
        .filter(|line| !line.to_ascii_lowercase().starts_with("content-length:"))
        .map(|line| format!("{line}\r\n"))
        .collect();
    let head = status.replace("HTTP/1.0", "HTTP/1.1") + "\r\n" + &headers;
    let length = body.len();
    let reply = format!("{head}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    client.get_mut().write_all(reply.as_bytes()).ok()
}

/// The reply of the server. With HTTP/1.0 it ends with the connection and is not chunked.
fn ask_upstream(request: &str, headers: &str, body: &[u8], upstream: SocketAddr) -> Option<String> {
    let mut server = TcpStream::connect(upstream).ok()?;
    let request = request.replace("HTTP/1.1", "HTTP/1.0");
    let head = format!("{request}Host: {upstream}\r\n{headers}\r\n");
    server.write_all(&[head.as_bytes(), body].concat()).ok()?;
    let mut reply = String::new();
    server.read_to_string(&mut reply).ok()?;
    Some(reply)
}
