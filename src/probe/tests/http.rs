//! HTTP: valid and invalid replies, requests, and redirects.

use super::*;

/// Probes a server that runs `script`, with `body` as the required text.
async fn assert_outcome(
    script: ServerScript,
    body: Option<&str>,
    result: Result<(), Failure>,
    why: &str,
) {
    let (address, written) = serve(script).await;
    let check = HttpCheck { required_text: body.map(Into::into), ..http(address.port()) };
    let outcome = probe_target(Check::Http(check), ProbeTarget::Address(address.ip())).await;
    assert_eq!(outcome.result, result, "{why}");
    assert!(outcome.latency < 2 * TIMEOUT, "{why}: {:?}", outcome.latency);
    if !why.ends_with("continues") {
        // 64 KiB of body, plus what the buffers of both kernels hold.
        assert!(written.load(Relaxed) < 256 * 1024, "{why}: {} written", written.load(Relaxed));
    }
}

/// The failure of a reply whose status is not one of 200 to 299.
fn status(got: u16) -> Failure {
    Failure::Status { got, want: vec![StatusRange { first: 200, last: 299 }].into() }
}

#[tokio::test]
async fn each_reply_has_its_outcome() {
    let body = Some("fine");
    for (script, body, result, why) in [
        (ServerScript::Reply(OK), None, Ok(()), "a good reply"),
        (ServerScript::Reply(OK), body, Ok(()), "with the required text"),
        (
            ServerScript::Reply("HTTP/1.1 204 No Content\r\n\r\n"),
            None,
            Ok(()),
            "the whole range passes",
        ),
        (
            ServerScript::Reply("HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n"),
            None,
            Ok(()),
            "204 has no body, whatever its length field",
        ),
        (
            ServerScript::Reply("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"),
            None,
            Err(status(304)),
            "nor has 304",
        ),
        (
            ServerScript::Reply(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nfi\r\n2\r\nne\r\n",
            ),
            body,
            Ok(()),
            "text over two chunks, found before the end",
        ),
        (
            ServerScript::Reply("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong"),
            body,
            Err(Failure::BodyMismatch),
            "wrong body",
        ),
        (
            ServerScript::Reply("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            body,
            Err(Failure::BodyMismatch),
            "empty body",
        ),
    ] {
        assert_outcome(script, body, result, why).await;
    }
}

#[tokio::test]
async fn invalid_replies_and_closed_connections_fail() {
    let body = Some("fine");
    for (script, body, result, why) in [
        (
            ServerScript::Reply("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"),
            None,
            Err(status(500)),
            "500",
        ),
        (
            ServerScript::Reply("HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\n\r\n"),
            None,
            Err(status(302)),
            "a redirect is not followed",
        ),
        (
            ServerScript::Reply(
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nab",
            ),
            body,
            Err(Failure::NotHttp),
            "two lengths",
        ),
        (ServerScript::Reply("SSH-2.0-OpenSSH_9.2\r\n"), None, Err(Failure::NotHttp), "garbage"),
        (ServerScript::Reply("\0\u{1}\u{2}"), None, Err(Failure::NotHttp), "binary garbage"),
        (ServerScript::Close, None, Err(Failure::Closed), "closed without a reply"),
        (ServerScript::Reset, None, Err(Failure::Closed), "reset"),
    ] {
        assert_outcome(script, body, result, why).await;
    }
}

#[tokio::test]
async fn endless_replies_end_within_the_timeout_and_the_bounds() {
    const LONG_LINE: &str =
        "x-filler: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy";
    let late = || Failure::TimedOut(TIMEOUT);
    let body = Some("fine");
    for (script, body, result, why) in [
        (ServerScript::Hang, None, Err(late()), "never replies"),
        (ServerScript::Drip("HTTP/1.1 200 OK\r\nx: "), None, Err(late()), "an octet at a time"),
        (
            ServerScript::Drip("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"),
            body,
            Err(late()),
            "a body an octet at a time",
        ),
        (
            ServerScript::Drip("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"),
            None,
            Err(late()),
            "a body an octet at a time without a condition",
        ),
        (
            ServerScript::Endless("HTTP/1.1 200 OK\r\n\r\n", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
            None,
            Ok(()),
            "64 KiB of a body arrived, and more follows",
        ),
        (
            ServerScript::Endless("HTTP/1.1 200 OK\r\n\r\n", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
            body,
            Err(Failure::BodyMismatch),
            "endless body",
        ),
        (
            ServerScript::Endless("HTTP/1.1 200 OK\r\n", LONG_LINE),
            None,
            Err(Failure::HeadTooLarge),
            "endless header",
        ),
        (
            ServerScript::Endless("HTTP/1.1 200 OK\r\n", "a: b\r\n"),
            None,
            Err(Failure::HeadTooLarge),
            "endless headers",
        ),
        (
            ServerScript::Endless("HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n"),
            None,
            Err(late()),
            "endless continues",
        ),
    ] {
        assert_outcome(script, body, result, why).await;
    }
}

#[tokio::test]
async fn a_closed_port_is_refused_by_both_kinds() {
    let listener = listen(LOOPBACK);
    let address = listener.local_addr().unwrap();
    drop(listener);
    let tcp = Check::Tcp(TcpCheck { port: address.port() });
    assert_eq!(probe_address(tcp, address).await, Err(Failure::Refused));
    assert_eq!(
        probe_address(Check::Http(http(address.port())), address).await,
        Err(Failure::Refused)
    );
}

#[tokio::test]
async fn the_request_names_the_host_or_else_the_target() {
    async fn request_of(host: Option<&str>) -> (String, u16) {
        let listener = listen(LOOPBACK);
        let address = listener.local_addr().unwrap();
        let check = HttpCheck { host: host.map(Into::into), ..http(address.port()) };
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let octets = stream.read(&mut request).await.unwrap();
            stream.write_all(OK.as_bytes()).await.unwrap();
            String::from_utf8(request[..octets].to_vec()).unwrap()
        };
        let (request, outcome) = tokio::join!(server, probe_address(Check::Http(check), address));
        assert_eq!(outcome, Ok(()));
        (request, address.port())
    }
    let (request, _) = request_of(Some("www.example.com")).await;
    assert!(request.starts_with("GET /healthz HTTP/1.1\r\nhost: www.example.com\r\n"), "{request}");
    assert!(request.contains("connection: close\r\n"), "{request}");
    let (request, port) = request_of(None).await;
    assert!(request.contains(&format!("host: 127.0.0.1:{port}\r\n")), "{request}");
}

#[tokio::test]
async fn load_metrics_of_a_reply_are_part_of_the_outcome() {
    let ask_with = async |value: &str| {
        let reply = format!(
            "HTTP/1.1 200 OK\r\nEndpoint-Load-Metrics: {value}\r\nContent-Length: 0\r\n\r\n"
        );
        let (address, _) = serve(ServerScript::Reply(reply.leak())).await;
        let outcome =
            probe_target(Check::Http(http(address.port())), ProbeTarget::Address(address.ip()))
                .await;
        assert_eq!(outcome.result, Ok(()));
        outcome.load_metrics
    };
    assert_eq!(
        ask_with("TEXT cpu_utilization=0.3").await.as_deref(),
        Some("TEXT cpu_utilization=0.3")
    );
    assert_eq!(ask_with(&"x".repeat(4096)).await.map(|text| text.len()), Some(4096));
    assert_eq!(ask_with(&"x".repeat(4097)).await, None, "too long");
    let (address, _) = serve(ServerScript::Reply(OK)).await;
    let outcome =
        probe_target(Check::Http(http(address.port())), ProbeTarget::Address(address.ip())).await;
    assert_eq!(outcome.load_metrics, None);
}

/// Answers each connection with the next of `replies`, and sends the request to the receiver.
async fn converse(
    replies: &'static [&'static str],
) -> (SocketAddr, tokio::task::JoinHandle<Vec<String>>) {
    let listener = listen(LOOPBACK);
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let mut requests = Vec::new();
        for reply in replies {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let octets = stream.read(&mut request).await.unwrap();
            requests.push(String::from_utf8(request[..octets].to_vec()).unwrap());
            stream.write_all(reply.as_bytes()).await.unwrap();
            // Waits until the other side has read it.
            let _ = stream.read(&mut request).await;
        }
        requests
    });
    (address, serving)
}

#[tokio::test]
async fn a_request_is_sent_as_configured() {
    let (address, requests) = converse(&[OK]).await;
    let check = HttpCheck {
        method: "POST".into(),
        headers: vec![("x-probe".into(), "1".into()), ("user-agent".into(), "checker".into())],
        request_body: Some("{\"deep\":true}".into()),
        ..http(address.port())
    };
    assert_eq!(probe_address(Check::Http(check), address).await, Ok(()));
    let request = &requests.await.unwrap()[0];
    assert!(request.starts_with("POST /healthz HTTP/1.1\r\n"), "{request}");
    for line in ["x-probe: 1", "user-agent: checker", "content-length: 13", "host: www.example.com"]
    {
        assert!(request.contains(&format!("{line}\r\n")), "{line}: {request}");
    }
    assert!(request.ends_with("\r\n\r\n{\"deep\":true}"), "{request}");
}

#[tokio::test]
async fn redirects_are_followed_within_the_origin_and_up_to_the_limit() {
    const THERE: &str = "HTTP/1.1 302 Found\r\nLocation: /ready\r\nContent-Length: 0\r\n\r\n";
    const SAME: &str =
        "HTTP/1.1 301 Moved\r\nLocation: http://www.example.com/ready\r\nContent-Length: 0\r\n\r\n";
    const AWAY: &str = "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest/\r\nContent-Length: 0\r\n\r\n";
    const LOOPBACK_URL: &str =
        "HTTP/1.1 307 Away\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n";
    const SECURED: &str =
        "HTTP/1.1 308 Up\r\nLocation: https://www.example.com/\r\nContent-Length: 0\r\n\r\n";
    let status =
        |got| Failure::Status { got, want: vec![StatusRange { first: 200, last: 299 }].into() };
    for (replies, redirects, result, why) in [
        (&[THERE, OK][..], 1, Ok(()), "one is followed"),
        (&[SAME, THERE, OK], 2, Ok(()), "two are"),
        (&[THERE], 0, Err(status(302)), "none is"),
        (&[THERE, THERE], 1, Err(status(302)), "the second of one is not"),
        (&[THERE, THERE, THERE], 2, Err(status(302)), "a loop ends"),
        (&[AWAY], 3, Err(Failure::Redirect), "to where clouds keep secrets"),
        (&[LOOPBACK_URL], 3, Err(Failure::Redirect), "to loopback"),
        (&[SECURED], 3, Err(Failure::Redirect), "to another scheme"),
    ] {
        let (address, requests) = converse(replies.to_vec().leak()).await;
        let check = HttpCheck { redirects, ..http(address.port()) };
        assert_eq!(probe_address(Check::Http(check), address).await, result, "{why}");
        let requests = requests.await.unwrap();
        assert_eq!(requests.len(), replies.len(), "{why}");
        let is_ready = |request: &String| {
            request.starts_with("GET /ready HTTP/1.1\r\nhost: www.example.com\r\n")
        };
        assert!(requests.iter().skip(1).all(is_ready), "{why}: {requests:?}");
    }
}

#[tokio::test]
async fn a_body_is_matched_by_text_and_pattern() {
    const READY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nready: yes\r\n";
    for (body, regex, result) in [
        (None, Some(r"^ready: (yes|true)\s*$"), Ok(())),
        (None, Some("^yes"), Err(Failure::BodyPatternMismatch)),
        (Some("ready"), Some("yes"), Ok(())),
        (Some("no"), Some("yes"), Err(Failure::BodyMismatch)),
    ] {
        let (address, _) = serve(ServerScript::Reply(READY)).await;
        let check = HttpCheck {
            required_text: body.map(Into::into),
            required_pattern: regex.map(Into::into),
            ..http(address.port())
        };
        assert_eq!(probe_address(Check::Http(check), address).await, result, "{body:?} {regex:?}");
    }
    // Backtracking would never finish with this pattern on an endless body.
    let (address, written) =
        serve(ServerScript::Endless("HTTP/1.1 200 OK\r\n\r\n", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"))
            .await;
    let check = HttpCheck { required_pattern: Some("(a*)*b".into()), ..http(address.port()) };
    assert_eq!(probe_address(Check::Http(check), address).await, Err(Failure::BodyPatternMismatch));
    assert!(written.load(Relaxed) < 256 * 1024);
}

/// An HTTP/2 server that answers each expected request with `body`, `times` times.
async fn serve_http2(body: &'static str, times: usize) -> SocketAddr {
    let listener = listen(LOOPBACK);
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer_http2(stream, body, times));
        }
    });
    address
}

pub(super) async fn answer_http2(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    body: &'static str,
    times: usize,
) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut reply))) = connection.accept().await {
        let is_expected =
            request.uri().authority().is_some_and(|authority| authority == "www.example.com")
                && request.uri().path() == "/healthz"
                && !request.headers().contains_key("host");
        let status = if is_expected { 200 } else { 400 };
        let head =
            hyper::Response::builder().status(status).header("endpoint-load-metrics", "TEXT a=1");
        let Ok(mut sending) = reply.send_response(head.body(()).unwrap(), false) else { return };
        for _ in 0..times {
            let _ = sending.send_data(body.into(), false);
        }
        let _ = sending.send_data("".into(), true);
    }
}

#[tokio::test]
async fn http2_works_with_prior_knowledge_and_by_alpn() {
    let address = serve_http2("all fine", 1).await;
    let check = HttpCheck {
        version: HttpVersion::Two,
        required_text: Some("fine".into()),
        ..http(address.port())
    };
    let outcome =
        probe_target(Check::Http(check.clone()), ProbeTarget::Address(address.ip())).await;
    assert_eq!((outcome.result, outcome.load_metrics.as_deref()), (Ok(()), Some("TEXT a=1")));
    let other = HttpCheck { required_text: Some("text".into()), ..check.clone() };
    assert_eq!(probe_address(Check::Http(other), address).await, Err(Failure::BodyMismatch));
    let address = serve_http2("x".repeat(4096).leak(), 128).await;
    let check = HttpCheck { port: address.port(), ..check };
    assert_eq!(
        probe_address(Check::Http(check.clone()), address).await,
        Err(Failure::BodyMismatch),
        "half a MiB"
    );
    for (script, failure) in [
        (
            ServerScript::Reply("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
            Failure::NotHttp2,
        ),
        (ServerScript::Close, Failure::Closed),
        (ServerScript::Reset, Failure::Closed),
        (ServerScript::Hang, Failure::TimedOut(TIMEOUT)),
        (
            ServerScript::Endless("\0\0\0\u{4}\0\0\0\0\0", "\0\0\0\u{4}\0\0\0\0\0"),
            Failure::NotHttp2,
        ),
    ] {
        let (address, _) = serve(script).await;
        let check = HttpCheck { port: address.port(), ..check.clone() };
        assert_eq!(probe_address(Check::Http(check), address).await, Err(failure), "{script:?}");
    }
}
