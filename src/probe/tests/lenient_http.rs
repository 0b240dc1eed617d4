//! HTTP: deviations that a lenient client accepts, and replies that are cut off.

use super::*;

async fn probe_http(script: ServerScript, check: HttpCheck) -> Result<(), Failure> {
    let (address, _) = serve(script).await;
    probe_address(Check::Http(HttpCheck { port: address.port(), ..check }), address).await
}

#[tokio::test]
async fn a_reply_without_its_announced_body_fails() {
    const LENGTH: &str = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunked = |chunks: &str| ServerScript::ReplyAndClose(format!("{CHUNKED}{chunks}").leak());
    for (script, result, why) in [
        (ServerScript::ReplyAndClose(LENGTH), Err(Failure::Closed), "nothing of it"),
        (
            ServerScript::ReplyAndClose(format!("{LENGTH}{}", "x".repeat(60_000)).leak()),
            Err(Failure::Closed),
            "a part of it",
        ),
        (
            ServerScript::ReplyAndClose(format!("{LENGTH}{}", "x".repeat(70_000)).leak()),
            Ok(()),
            "as much of it as is read",
        ),
        (
            ServerScript::Reply(LENGTH),
            Err(Failure::TimedOut(TIMEOUT)),
            "nothing, and the connection stays open",
        ),
        (chunked("5\r\nhello\r\n0\r\n\r\n"), Ok(()), "chunks to their end"),
        (chunked("5;a=b\r\nhello\r\n0\r\nx: y\r\n\r\n"), Ok(()), "with an extension and a trailer"),
        (
            chunked("5\r\nhello\r\n0\r\nx : y\r\n  z\r\n\r\n"),
            Ok(()),
            "with a trailer of an old form",
        ),
        (chunked("5\nhello\n0\n\n"), Ok(()), "with bare line feeds"),
        (chunked("5\r\nhello\r\n"), Err(Failure::Closed), "no last chunk"),
        (chunked("5\r\nhel"), Err(Failure::Closed), "a chunk cut off"),
        (chunked("5\r\nhello\r\n0\r\n"), Err(Failure::Closed), "the end cut off"),
        (chunked("10000000000000000\r\nx"), Err(Failure::BodyFraming), "a chunk of 2^64 octets"),
        (chunked("zz\r\nx"), Err(Failure::BodyFraming), "no number"),
        (chunked("2\r\nxyz\r\n"), Err(Failure::BodyFraming), "a chunk longer than it says"),
    ] {
        assert_eq!(probe_http(script, http(0)).await, result, "{why}");
    }
}

#[tokio::test]
async fn the_end_of_a_body_is_found_by_rfc_9112_section_6_3() {
    for (head, body, result, why) in [
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
            "4\r\nfine\r\n0\r\n\r\n",
            Ok(()),
            "chunks overrule a length",
        ),
        ("Content-Length: 4\r\nContent-Length: 4\r\n", "fine", Ok(()), "the same length twice"),
        ("Content-Length: 4, 4\r\n", "fine", Ok(()), "the same in one field"),
        ("Content-Length: 4, 5\r\n", "fine", Err(Failure::NotHttp), "two lengths"),
        ("Content-Length: +4\r\n", "fine", Err(Failure::NotHttp), "no length"),
        (
            "Content-Length: 18446744073709551615\r\n",
            "fine",
            Err(Failure::NotHttp),
            "more than anything has",
        ),
        ("Transfer-Encoding: gzip\r\n", "fine", Ok(()), "to the end of the connection"),
        ("", "fine", Ok(()), "to the end of the connection without any header"),
    ] {
        let script =
            ServerScript::ReplyAndClose(format!("HTTP/1.1 200 OK\r\n{head}\r\n{body}").leak());
        assert_eq!(probe_http(script, http(0)).await, result, "{why}");
    }
    let head = HttpCheck { method: "HEAD".into(), ..http(0) };
    let announced =
        ServerScript::ReplyAndClose("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
    assert_eq!(probe_http(announced, head).await, Ok(()), "HEAD has no body");
}

#[tokio::test]
async fn deviations_that_a_recipient_may_accept_are_accepted() {
    let many: String = (0..1500).map(|index| format!("a{index}: \r\n")).collect();
    let tiny = "a:\n".repeat(4000);
    let wide = format!("x-wide: {}\r\n", "y".repeat(15_000));
    for (head, why) in [
        (
            "HTTP/1.1 200 OK\r\nx-folded: one\r\n  two\r\n\tthree\r\n",
            "obsolete line folding (RFC 9112 section 5.2)",
        ),
        ("HTTP/1.1 200 OK\r\nServer : old\r\n", "white space before the colon (section 5.1)"),
        ("HTTP/1.1 200 OK\r\nx bad name: 1\r\nno colon\r\n", "fields that are none"),
        ("HTTP/1.1 200 OK\nServer: old\n", "bare line feeds (section 2.2)"),
        ("HTTP/1.1  200  OK\r\n", "several blanks in the status line (section 4)"),
        ("HTTP/1.2 200 OK\r\n", "a later minor version (section 2.3)"),
        ("HTTP/1.1 200 OK\r\nx: a\rb\0c\r\n", "controls in a value (RFC 9110 section 5.5)"),
        ("HTTP/1.1 200\r\n", "no reason phrase (section 4)"),
        ("HTTP/1.1 200 \r\n", "an empty one"),
        ("HTTP/1.1 200 C'est tr\u{e8}s bien\r\n", "one beyond ASCII"),
        ("HTTP/1.0 200 OK\r\n", "HTTP/1.0"),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n",
            "an interim reply (RFC 9110 section 15.2)",
        ),
        (
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 200 OK\r\n",
            "two of them",
        ),
        ("\r\nHTTP/1.1 200 OK\r\n", "an empty line first"),
        (&*format!("HTTP/1.1 200 OK\r\n{many}").leak(), "1500 fields"),
        (&*format!("HTTP/1.1 200 OK\n{tiny}").leak(), "4000 tiny fields"),
        (&*format!("HTTP/1.1 200 OK\r\n{wide}").leak(), "a field of 15,000 octets"),
    ] {
        let script =
            ServerScript::ReplyAndClose(format!("{head}Content-Length: 4\r\n\r\nfine").leak());
        assert_eq!(
            probe_http(script, HttpCheck { required_text: Some("fine".into()), ..http(0) }).await,
            Ok(()),
            "{why}"
        );
    }
}

#[tokio::test]
async fn a_redirect_may_name_the_port_of_the_connection() {
    let listener = listen(LOOPBACK);
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let away = format!("http://www.example.com:{}/up/", address.port());
        let there = format!("HTTP/1.1 301 Moved\r\nLocation: {away}\r\nContent-Length: 0\r\n\r\n");
        for reply in [&*there, OK] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let octets = stream.read(&mut request).await.unwrap();
            stream.write_all(reply.as_bytes()).await.unwrap();
            if reply == OK {
                return String::from_utf8(request[..octets].to_vec()).unwrap();
            }
        }
        unreachable!("the second reply returns")
    });
    let check = HttpCheck { redirects: 1, ..http(address.port()) };
    assert_eq!(probe_address(Check::Http(check), address).await, Ok(()));
    let request = serving.await.unwrap();
    assert!(request.starts_with("GET /up/ HTTP/1.1\r\nhost: www.example.com\r\n"), "{request}");
}

/// Encoders of HTTP/2 frames (RFC 9113 section 6): no library ends a stream in the middle.
mod frame {
    const END_STREAM: u8 = 1;
    const END_HEADERS: u8 = 4;

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, stream][..], payload].concat()
    }

    pub(super) fn settings() -> Vec<u8> {
        frame(4, 0, 0, &[])
    }

    /// Literal fields without indexing (RFC 7541 section 6.2.2).
    fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
        let text =
            |text: &str| [&[u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat();
        fields
            .iter()
            .flat_map(|(name, value)| [vec![0], text(name), text(value)].concat())
            .collect()
    }

    pub(super) fn head(more: &[(&str, &str)]) -> Vec<u8> {
        frame(1, END_HEADERS, 1, &[fields(&[(":status", "200")]), fields(more)].concat())
    }

    pub(super) fn trailers(trailers: &[(&str, &str)]) -> Vec<u8> {
        frame(1, END_HEADERS | END_STREAM, 1, &fields(trailers))
    }

    pub(super) fn data(octets: &[u8]) -> Vec<u8> {
        frame(0, 0, 1, octets)
    }

    pub(super) fn last_data(octets: &[u8]) -> Vec<u8> {
        frame(0, END_STREAM, 1, octets)
    }

    pub(super) fn reset(reason: h2::Reason) -> Vec<u8> {
        frame(3, 0, 1, &u32::from(reason).to_be_bytes())
    }
}

/// Whether these octets from a client contain the first frame of a request, HEADERS.
fn holds_request(octets: &[u8]) -> bool {
    const PREFACE_OCTETS: usize = 24;
    let mut rest = octets.get(PREFACE_OCTETS..).unwrap_or_default();
    while let [high, middle, low, kind, ..] = *rest {
        if kind == 1 {
            return true;
        }
        rest =
            rest.get(9 + u32::from_be_bytes([0, high, middle, low]) as usize..).unwrap_or_default();
    }
    false
}

/// Answers each HTTP/2 request with these frames. Then closes the connection, or keeps it open.
async fn serve_frames(frames: &[Vec<u8>], then_closes: bool) -> SocketAddr {
    let listener = listen(LOOPBACK);
    let address = listener.local_addr().unwrap();
    let reply = [frame::settings(), frames.concat()].concat();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (mut request, mut octets) = (Vec::new(), [0; 4096]);
            while !holds_request(&request) {
                let read = stream.read(&mut octets).await.unwrap();
                request.extend_from_slice(&octets[..read]);
            }
            let _ = stream.write_all(&reply).await;
            if then_closes {
                let _ = stream.shutdown().await;
            }
            tokio::spawn(async move { while let Ok(1..) = stream.read(&mut octets).await {} });
        }
    });
    address
}

#[tokio::test]
async fn over_http2_a_reply_must_end_its_stream() {
    let late = || Failure::TimedOut(TIMEOUT);
    let length = |length: &str| frame::head(&[("content-length", length)]);
    let head = || frame::head(&[]);
    for (frames, then_closes, result, why) in [
        (vec![head(), frame::last_data(b"fine")], false, Ok(()), "END_STREAM"),
        (vec![length("4"), frame::last_data(b"fine")], true, Ok(()), "with the announced length"),
        (
            vec![length("100"), frame::last_data(b"fine")],
            false,
            Err(Failure::BodyFraming),
            "with another length",
        ),
        (
            vec![head(), frame::data(b"fine"), frame::reset(h2::Reason::INTERNAL_ERROR)],
            false,
            Err(Failure::Closed),
            "RST_STREAM",
        ),
        (
            vec![head(), frame::data(b"fine"), frame::reset(h2::Reason::NO_ERROR)],
            false,
            Err(Failure::Closed),
            "RST_STREAM without an error before the end",
        ),
        (
            vec![head(), frame::data(b"fine")],
            true,
            Err(Failure::Closed),
            "the connection ends before the stream",
        ),
        (vec![head(), frame::data(b"fine")], false, Err(late()), "no END_STREAM"),
    ] {
        let address = serve_frames(&frames, then_closes).await;
        let check = HttpCheck { version: HttpVersion::Two, ..http(address.port()) };
        assert_eq!(probe_address(Check::Http(check), address).await, result, "{why}");
    }
}

#[tokio::test]
async fn a_grpc_reply_must_end_with_its_status() {
    const SERVING: &[u8] = b"\0\0\0\0\x02\x08\x01";
    let late = || Failure::TimedOut(TIMEOUT);
    let status = || frame::trailers(&[("grpc-status", "0")]);
    for (frames, then_closes, result, why) in [
        (vec![frame::data(SERVING), status()], false, Ok(()), "a whole reply"),
        (vec![frame::last_data(SERVING)], false, Err(Failure::NotGrpc), "no status"),
        (
            vec![frame::data(&SERVING[..6]), status()],
            false,
            Err(Failure::NotGrpc),
            "half a message",
        ),
        (
            vec![frame::data(SERVING), frame::reset(h2::Reason::CANCEL)],
            false,
            Err(Failure::Closed),
            "RST_STREAM",
        ),
        (
            vec![frame::data(SERVING)],
            true,
            Err(Failure::Closed),
            "the connection ends before the stream",
        ),
        (vec![frame::data(SERVING)], false, Err(late()), "no end"),
    ] {
        let frames =
            [&[frame::head(&[("content-type", "application/grpc")])][..], &frames].concat();
        let address = serve_frames(&frames, then_closes).await;
        let check = GrpcCheck {
            port: address.port(),
            service: "".into(),
            host: None,
            tls: None,
            proxy_protocol: None,
        };
        assert_eq!(probe_address(Check::Grpc(check), address).await, result, "{why}");
    }
}
