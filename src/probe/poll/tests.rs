//! Polls of balancers that behave correctly and incorrectly, all on loopback.

use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use rcgen::{CertificateParams, KeyPair};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, UnixListener},
    sync::mpsc,
};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::health::Failure;
use crate::load::{
    HaproxySource, LoadKind, LoadPage, LoadReport, LoadSource, PageHeader, PageHost, ReportError,
    ReportMapping, ShareUnit, TimeUnit,
};
use crate::probe::{
    SchedulerLimits, attempt_timer::AttemptTimer, job::Job, stall_detector::StallDetector,
};

const TIMEOUT: Duration = Duration::from_millis(300);

fn page(address: SocketAddr, path: &str) -> LoadPage {
    LoadPage {
        tls: false,
        host: PageHost::Address(address.ip()),
        port: address.port(),
        path: path.into(),
        headers: Vec::new(),
        verify: true,
        authorities: None,
    }
}

fn source(kind: LoadKind) -> LoadSource {
    LoadSource {
        name: "www".into(),
        kind,
        interval: Duration::from_secs(1),
        timeout: TIMEOUT,
        stale_after: Duration::from_secs(3),
        scales_by_servers: false,
        limit: None,
    }
}

fn mapping<P>(connections: P) -> ReportMapping<P> {
    ReportMapping {
        connections: Some(connections),
        limit: None,
        cpu: None,
        response_time: None,
        servers: None,
        gauges: Vec::new(),
        cpu_unit: ShareUnit::Share,
        response_time_unit: TimeUnit::Seconds,
    }
}

fn prometheus(page: LoadPage) -> LoadKind {
    LoadKind::Prometheus { page, mapping: mapping("x".parse().unwrap()) }
}

fn json(page: LoadPage) -> LoadKind {
    LoadKind::Json { page, mapping: mapping("/x".parse().unwrap()) }
}

/// Polls while the stall detector runs, until there is a result: on a starved machine, not every
/// poll has one.
async fn poll_source(kind: LoadKind) -> Result<LoadReport, PollFailure> {
    poll_key(PollKey { source: Arc::new(source(kind)), target: None }).await
}

async fn poll_key(key: PollKey) -> Result<LoadReport, PollFailure> {
    let detector = StallDetector::new();
    let (key, prepared) = PollJob::default().prepare(vec![key]).pop().unwrap();
    let polling = async {
        loop {
            if let Ok(result) =
                PollJob::run(&key, &prepared, &AttemptTimer::new(&detector, 0)).await
            {
                return result;
            }
        }
    };
    tokio::select! {
        result = polling => result,
        () = detector.run() => unreachable!("the detector runs until dropped"),
    }
}

/// The reply of a balancer: `first` once, then `repeated` until the client stops reading. With
/// `drips`, it pauses after each octet.
#[derive(Debug, Clone, Copy)]
struct BalancerScript {
    first: &'static str,
    repeated: &'static str,
    drips: bool,
}

fn reply_once(first: &'static str) -> BalancerScript {
    BalancerScript { first, repeated: "", drips: false }
}

fn endless(first: &'static str, then: &'static str) -> BalancerScript {
    BalancerScript { first, repeated: then, drips: false }
}

fn drip(first: &'static str) -> BalancerScript {
    BalancerScript { first, repeated: "x", drips: true }
}

/// A balancer that runs one script for every request. Its buffers are small, so that it blocks when
/// a poll does not read.
async fn serve(script: BalancerScript) -> (SocketAddr, Arc<AtomicUsize>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(8 * 1024).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(64).unwrap();
    let (address, written) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&written);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counted = Arc::clone(&counted);
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(script.first.as_bytes()).await;
                while !script.repeated.is_empty() {
                    // A part of the text would be another script.
                    if stream.write_all(script.repeated.as_bytes()).await.is_err() {
                        return;
                    }
                    counted.fetch_add(script.repeated.len(), Relaxed);
                    if script.drips {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            });
        }
    });
    (address, written)
}

/// Polls a balancer that runs `script`.
async fn assert_failure(
    script: BalancerScript,
    kind: fn(LoadPage) -> LoadKind,
    failure: PollFailure,
    why: &str,
) {
    let (address, written) = serve(script).await;
    let start = std::time::Instant::now();
    let result = poll_source(kind(page(address, "/"))).await;
    let is_slow = result == Err(late());
    // A busy machine may not read 4 MiB in time; the timeout ends the poll as well.
    assert!(result == Err(failure) || (is_slow && why == "an endless page"), "{why}: {result:?}");
    assert!(start.elapsed() < 20 * TIMEOUT, "{why}: {:?}", start.elapsed());
    assert!(written.load(Relaxed) < 8 << 20, "{why}: {} written", written.load(Relaxed));
}

fn late() -> PollFailure {
    PollFailure::Balancer(Failure::TimedOut(TIMEOUT))
}

/// Makes a kind of load source from its page.
type LoadKindBuilder = fn(LoadPage) -> LoadKind;

#[tokio::test]
async fn endless_and_slow_pages_end_within_the_timeout_and_the_bounds() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\n\r\n";
    const LINE: &str =
        "y{a=\"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\"} 1\n";
    const SPACES: &str =
        "                                                                                ";
    let of_prometheus =
        |script, failure, why| (script, prometheus as LoadKindBuilder, failure, why);
    let of_json = |script, failure, why| (script, json as LoadKindBuilder, failure, why);
    for (script, kind, failure, why) in [
        of_prometheus(
            endless(HEAD, LINE),
            PollFailure::Report(ReportError::PageTooLong(4 << 20)),
            "an endless page",
        ),
        of_prometheus(
            endless(HEAD, SPACES),
            PollFailure::Report(ReportError::LineTooLong),
            "an endless line",
        ),
        of_json(
            endless(HEAD, SPACES),
            PollFailure::Report(ReportError::PageTooLong(256 << 10)),
            "an endless document",
        ),
        of_prometheus(
            endless("HTTP/1.1 200 OK\r\n", "a: b\r\n"),
            PollFailure::Balancer(Failure::HeadTooLarge),
            "endless headers",
        ),
        of_prometheus(drip("HTTP/1.1 200 OK\r\n\r\nx 1\n"), late(), "an octet at a time"),
        of_prometheus(drip("HTTP/1.1 200 OK\r\nx-y: "), late(), "a head an octet at a time"),
        of_prometheus(
            endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\n\n\r\n"),
            late(),
            "a chunk for each octet",
        ),
    ] {
        assert_failure(script, kind, failure, why).await;
    }
}

#[tokio::test]
async fn invalid_and_truncated_pages_have_their_failures() {
    let status = |got| {
        PollFailure::Balancer(Failure::Status { got, want: vec![page::SUCCESS_STATUS].into() })
    };
    let of_prometheus =
        |script, failure, why| (script, prometheus as LoadKindBuilder, failure, why);
    let of_json = |script, failure, why| (script, json as LoadKindBuilder, failure, why);
    for (script, kind, failure, why) in [
        of_prometheus(
            reply_once(
                "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n",
            ),
            status(302),
            "a redirect is not followed",
        ),
        of_prometheus(
            reply_once("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"),
            status(401),
            "not allowed",
        ),
        of_prometheus(
            reply_once("\u{0}\u{1}\u{2}garbage"),
            PollFailure::Balancer(Failure::NotHttp),
            "garbage",
        ),
        of_prometheus(reply_once(""), PollFailure::Balancer(Failure::Closed), "closed"),
        of_prometheus(
            reply_once("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx 1\n"),
            PollFailure::Balancer(Failure::Closed),
            "cut off in the middle",
        ),
        of_prometheus(
            reply_once("HTTP/1.1 200 OK\r\n\r\nx 1\nx 12"),
            PollFailure::Report(ReportError::Truncated),
            "cut off in a line, which only its end shows",
        ),
        of_prometheus(
            reply_once("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nx 1\n\r\n"),
            PollFailure::Balancer(Failure::Closed),
            "no last chunk",
        ),
        of_prometheus(
            reply_once("HTTP/1.1 200 OK\r\n\r\n<html>x</html>\n"),
            PollFailure::Report(ReportError::Missing("`connections`".into())),
            "an HTML page",
        ),
        of_json(
            reply_once("HTTP/1.1 200 OK\r\n\r\nx 1\n"),
            PollFailure::Report(ReportError::WrongFormat("JSON")),
            "another format",
        ),
        of_json(
            reply_once("HTTP/1.1 200 OK\r\n\r\n{\"x\": \"many\"}"),
            PollFailure::Report(ReportError::NotANumber("`connections`".into())),
            "a string",
        ),
    ] {
        assert_failure(script, kind, failure, why).await;
    }
}

#[tokio::test]
async fn a_report_is_read_however_the_body_is_framed() {
    for (reply, why) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"x\": 12}", "a length"),
        ("HTTP/1.1 200 OK\r\n\r\n{\"x\": 12}", "until the end"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{\"x\"\r\n5\r\n: 12}\r\n0\r\n\r\n",
            "chunks",
        ),
        ("HTTP/1.0 203 Fine\r\n\r\n{\"x\": 12}", "an old server"),
    ] {
        let (address, _) = serve(reply_once(reply)).await;
        let report = poll_source(json(page(address, "/"))).await;
        assert_eq!(report.map(|report| report.connections), Ok(Some(12.0)), "{why}");
    }
}

#[tokio::test]
async fn a_closed_port_and_a_missing_socket_have_their_failures() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    assert_eq!(
        poll_source(json(page(address, "/"))).await,
        Err(PollFailure::Balancer(Failure::Refused))
    );
    let path = std::path::Path::new("/nonexistent/haproxy.sock");
    let missing = LoadKind::Haproxy(HaproxySource::Socket { path: path.into(), proxy: None });
    let failure = poll_source(missing).await.unwrap_err().to_string();
    assert_eq!(
        failure,
        "the load source cannot work: there is no socket /nonexistent/haproxy.sock"
    );
}

#[tokio::test]
async fn a_request_has_the_configured_headers_and_the_address_of_the_endpoint() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut page = page(address, "/of/{address}?a=b");
    page.host = PageHost::Attached;
    page.headers = vec![PageHeader { name: "authorization".into(), value: "Basic eDp5".into() }];
    let source = Arc::new(source(json(page)));
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let octets = stream.read(&mut request).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{\"x\": 1}").await.unwrap();
        String::from_utf8(request[..octets].to_vec()).unwrap()
    };
    let (request, report) =
        tokio::join!(server, poll_key(PollKey::new(Arc::clone(&source), address.ip())));
    assert_eq!(report.unwrap().connections, Some(1.0));
    assert!(request.starts_with("GET /of/127.0.0.1?a=b HTTP/1.1\r\n"), "{request}");
    for header in [
        format!("host: {address}\r\n"),
        "authorization: Basic eDp5\r\n".into(),
        "connection: close".into(),
    ] {
        assert!(request.contains(&header), "{header} in {request}");
    }
    let without_address = poll_key(PollKey { source, target: None }).await.unwrap_err();
    assert_eq!(
        without_address.to_string(),
        "the load source cannot work: its url needs the address of an endpoint"
    );
}

#[tokio::test]
async fn over_tls_the_certificate_is_verified() {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_no_client_auth()
    .with_single_cert(vec![certificate.der().clone()], key.into())
    .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{\"x\": 1}")
                    .await;
                let _ = stream.shutdown().await;
            }
        }
    });
    let authorities = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(authorities.path(), certificate.pem()).unwrap();
    let secured = LoadPage { tls: true, ..page(address, "/") };
    let trusted = LoadPage { authorities: Some(authorities.path().into()), ..secured.clone() };
    assert_eq!(poll_source(json(trusted.clone())).await.unwrap().connections, Some(1.0));
    assert_eq!(
        poll_source(json(LoadPage { verify: false, ..secured.clone() })).await.unwrap().connections,
        Some(1.0)
    );
    assert_eq!(
        poll_source(json(secured)).await,
        Err(PollFailure::Balancer(Failure::CertificateUntrusted))
    );
    std::fs::write(authorities.path(), "").unwrap();
    let failure = poll_source(json(trusted)).await.unwrap_err().to_string();
    assert!(
        failure.starts_with("the load source cannot work: cannot read the authorities in"),
        "{failure}"
    );
}

#[tokio::test]
async fn a_socket_is_read_to_its_end_and_an_endless_one_to_its_bound() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("haproxy.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let kind = || {
        LoadKind::Haproxy(HaproxySource::Socket {
            path: path.clone().into(),
            proxy: Some("www".into()),
        })
    };
    let good = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let octets = stream.read(&mut request).await.unwrap();
        let statistics = "# pxname,svname,scur,status,weight\nwww,a,3,UP,50\nwww,BACKEND,3,UP,50\n\n1\n\
                          # be_id be_name srv_id srv_name srv_uweight srv_iweight\n4 www 1 a 50 100\n\n";
        stream.write_all(statistics.as_bytes()).await.unwrap();
        String::from_utf8(request[..octets].to_vec()).unwrap()
    };
    let (request, report) = tokio::join!(good, poll_source(kind()));
    assert_eq!(request, "show stat;show servers state\n");
    assert_eq!(report.unwrap().capacity_share, Some(0.5));
    for cut in [
        "# pxname,svname,scur,status,weight\nwww,a,3,UP,50\nwww,BACKEND,3,UP,50\n",
        "# pxname,svname,scur,status,weight\nwww,a,3,UP,50\nwww,BACKEND,3,UP,50\n\n",
        "# pxname,svname,scur,status,weight\nwww,BACKEND,3,UP,50\n\n1\n# be_name srv_name srv_iweight\nwww a 1",
    ] {
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            stream.write_all(cut.as_bytes()).await.unwrap();
        };
        let ((), report) = tokio::join!(server, poll_source(kind()));
        assert_eq!(report, Err(PollFailure::Report(ReportError::Truncated)), "{cut}");
    }
    let endless = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let piece = [b'x'; 4096];
        while stream.write_all(&piece).await.is_ok() {}
    };
    let (_, report) = tokio::join!(endless, poll_source(kind()));
    assert_eq!(report, Err(PollFailure::Report(ReportError::LineTooLong)));
}

#[tokio::test]
async fn each_source_is_polled_once_per_interval_and_keeps_its_history() {
    // Weights fall from one page to the next: without a history, each page would seem complete.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for weight in [100, 50, 25].into_iter().chain(std::iter::repeat(10)) {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let _ = stream.read(&mut [0; 4096]).await;
            let page = format!(
                "# pxname,svname,scur,status,weight\nwww,a,3,UP,{weight}\nwww,BACKEND,3,UP,{weight}\n"
            );
            let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n\r\n{page}").as_bytes()).await;
        }
    });
    let mut haproxy = source(LoadKind::Haproxy(HaproxySource::Page {
        page: page(address, "/;csv"),
        proxy: None,
    }));
    (haproxy.interval, haproxy.timeout) = (3 * TIMEOUT, 2 * TIMEOUT);
    let orca = PollKey { source: Arc::new(source(LoadKind::Orca)), target: None };
    let key = PollKey { source: Arc::new(haproxy), target: None };
    let (reports, mut inbox) = mpsc::channel(16);
    let limits =
        SchedulerLimits { in_flight: NonZeroUsize::new(16).unwrap(), extra_descriptors: 64 };
    let poller = Poller::start(limits, std::time::Instant::now(), reports);
    poller.set_keys(vec![key.clone(), orca.clone()]).await;
    poller.wait_for_first_round().await;
    let mut shares = Vec::new();
    while shares.len() < 3 {
        let reading = inbox.recv().await.unwrap();
        assert_eq!(reading.key, key);
        shares.extend(reading.result.unwrap().capacity_share);
        // The history stays when the keys change.
        poller.set_keys(vec![orca.clone(), key.clone()]).await;
    }
    assert_eq!(shares, [1.0, 0.5, 0.25]);
    assert!(poller.read_counts().passed >= 3);
}
