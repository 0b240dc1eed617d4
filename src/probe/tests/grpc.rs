//! gRPC: a real health server, and targets that are no health servers.

use tonic_health::ServingStatus;

use super::*;

fn grpc(port: u16, service: &str) -> Check {
    Check::Grpc(GrpcCheck {
        port,
        service: service.into(),
        host: None,
        tls: None,
        proxy_protocol: None,
    })
}

#[tokio::test]
async fn a_real_health_server_passes_while_its_service_serves() {
    let listener = listen(LOOPBACK);
    let address = listener.local_addr().unwrap();
    let (reporter, health) = tonic_health::server::health_reporter();
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    tokio::spawn(
        tonic::transport::Server::builder().add_service(health).serve_with_incoming(incoming),
    );
    assert_eq!(
        probe_address(grpc(address.port(), ""), address).await,
        Ok(()),
        "the server as such"
    );
    let unknown = Err(Failure::GrpcStatus("NOT_FOUND"));
    assert_eq!(
        probe_address(grpc(address.port(), "web"), address).await,
        unknown,
        "there is no service of that name"
    );
    for (status, result) in [
        (ServingStatus::Serving, Ok(())),
        (ServingStatus::NotServing, Err(Failure::NotServing("NOT_SERVING"))),
        (ServingStatus::Unknown, Err(Failure::NotServing("UNKNOWN"))),
        (ServingStatus::Serving, Ok(())),
    ] {
        reporter.set_service_status("web", status).await;
        assert_eq!(probe_address(grpc(address.port(), "web"), address).await, result, "{status:?}");
    }
}

/// The reply of an HTTP/2 server to each call.
#[derive(Debug, Clone, Copy)]
struct GrpcReply {
    status: u16,
    content_type: &'static str,
    message: &'static [u8],
    times: usize,
    trailer: Option<&'static str>,
}

const GOOD: GrpcReply = GrpcReply {
    status: 200,
    content_type: "application/grpc",
    message: b"\0\0\0\0\x02\x08\x01",
    times: 1,
    trailer: Some("0"),
};

async fn serve_reply(scripted: GrpcReply) -> SocketAddr {
    let listener = listen(LOOPBACK);
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut connection) = h2::server::handshake(stream).await else { continue };
            while let Some(Ok((_, mut reply))) = connection.accept().await {
                let head = hyper::Response::builder()
                    .status(scripted.status)
                    .header("content-type", scripted.content_type);
                let Ok(mut sending) = reply.send_response(head.body(()).unwrap(), false) else {
                    continue;
                };
                for _ in 0..scripted.times {
                    let _ = sending.send_data(scripted.message.into(), false);
                }
                let mut trailers = hyper::HeaderMap::new();
                if let Some(status) = scripted.trailer {
                    trailers.insert("grpc-status", status.parse().unwrap());
                }
                let _ = sending.send_trailers(trailers);
            }
        }
    });
    address
}

#[tokio::test]
async fn a_target_that_is_no_health_server_fails_with_its_cause() {
    for (reply, result, why) in [
        (GOOD, Ok(()), "good"),
        (
            GrpcReply { trailer: Some("12"), ..GOOD },
            Err(Failure::GrpcStatus("UNIMPLEMENTED")),
            "no such call",
        ),
        (
            GrpcReply { trailer: Some("99"), ..GOOD },
            Err(Failure::GrpcStatus("without a name")),
            "no such status",
        ),
        (GrpcReply { trailer: Some("x"), ..GOOD }, Err(Failure::NotGrpc), "a status that is none"),
        (GrpcReply { trailer: None, ..GOOD }, Err(Failure::NotGrpc), "no status"),
        (GrpcReply { content_type: "text/html", ..GOOD }, Err(Failure::NotGrpc), "a web page"),
        (GrpcReply { message: b"ok", ..GOOD }, Err(Failure::NotGrpc), "no message"),
        (GrpcReply { times: 2, ..GOOD }, Err(Failure::NotGrpc), "two messages"),
        (GrpcReply { message: &[0; 1000], times: 20, ..GOOD }, Err(Failure::NotGrpc), "a long one"),
        (
            GrpcReply { message: b"\0\0\0\0\x02\x08\x09", ..GOOD },
            Err(Failure::NotServing("in an unknown state")),
            "a state of a later version",
        ),
    ] {
        let address = serve_reply(reply).await;
        assert_eq!(probe_address(grpc(address.port(), "web"), address).await, result, "{why}");
    }
    let status =
        Failure::Status { got: 503, want: vec![StatusRange { first: 200, last: 200 }].into() };
    let address = serve_reply(GrpcReply { status: 503, ..GOOD }).await;
    assert_eq!(probe_address(grpc(address.port(), "web"), address).await, Err(status));
    for (script, failure) in [
        (
            ServerScript::Reply("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
            Failure::NotHttp2,
        ),
        (ServerScript::Hang, Failure::TimedOut(TIMEOUT)),
        (ServerScript::Reset, Failure::Closed),
    ] {
        let (address, _) = serve(script).await;
        assert_eq!(
            probe_address(grpc(address.port(), ""), address).await,
            Err(failure),
            "{script:?}"
        );
    }
}
