//! Probes against listeners that behave well and badly, all on loopback.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::{NonZeroU8, NonZeroUsize},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::mpsc,
};
use tokio_rustls::TlsAcceptor;

use super::{
    Limits, ProbeKey, Prober, Report,
    attempt::{Checker, attempt},
    pulse::Pulse,
};
use crate::{
    health::{Check, Failure, HttpCheck, Monitor, Outcome, StatusRange, TcpCheck},
    steer::ProbeTarget,
};

const TIMEOUT: Duration = Duration::from_millis(300);
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nall fine";

fn monitor(check: Check) -> Monitor {
    Monitor {
        name: "web".into(),
        check,
        interval: Duration::from_secs(1),
        timeout: TIMEOUT,
        rise: NonZeroU8::MIN,
        fall: NonZeroU8::MIN,
    }
}

fn http(port: u16) -> HttpCheck {
    HttpCheck {
        path: "/healthz".into(),
        port,
        host: Some("www.example.com".into()),
        status: vec![StatusRange { first: 200, last: 299 }],
        body: None,
        tls: false,
        verify: true,
        authorities: None,
    }
}

fn https(port: u16, authorities: &Path) -> HttpCheck {
    HttpCheck { tls: true, authorities: Some(authorities.into()), ..http(port) }
}

/// Probes while the pulse beats, until there is an outcome: on a starved machine not every attempt has one.
async fn ask_target(check: Check, target: ProbeTarget) -> Outcome {
    let key = ProbeKey { monitor: Arc::new(monitor(check)), target };
    let pulse = Pulse::new();
    let checker = Arc::new(Checker::new(&key.monitor));
    let asking = async {
        loop {
            if let Some(outcome) = attempt(&checker, &key, &pulse).await {
                return outcome;
            }
        }
    };
    tokio::select! {
        outcome = asking => outcome,
        () = pulse.beat() => unreachable!("a pulse beats until dropped"),
    }
}

async fn ask(check: Check, address: SocketAddr) -> Result<(), Failure> {
    ask_target(check, ProbeTarget::Address(address.ip())).await.result
}

/// A listener with small buffers, so that what a probe does not read cannot be written.
fn listen(address: IpAddr) -> TcpListener {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.unwrap();
    socket.set_send_buffer_size(8 * 1024).unwrap();
    socket.bind(SocketAddr::new(address, 0)).unwrap();
    socket.listen(1024).unwrap()
}

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What a bad server does once it has read the request.
#[derive(Debug, Clone, Copy)]
enum Act {
    Say(&'static str),
    /// Says the first, then the second for as long as it is read.
    Endless(&'static str, &'static str),
    /// The first at once, then an octet at a time.
    Drip(&'static str),
    Hang,
    Close,
    Reset,
}

async fn perform(act: Act, mut stream: impl AsyncRead + AsyncWrite + Unpin, written: &AtomicUsize) {
    let mut request = [0; 4096];
    if stream.read(&mut request).await.is_err() {
        return;
    }
    match act {
        Act::Say(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
            let _ = stream.flush().await;
            let _ = stream.read(&mut request).await;
        }
        Act::Endless(head, more) => {
            let mut next = head;
            while let Ok(octets @ 1..) = stream.write(next.as_bytes()).await {
                written.fetch_add(octets, Relaxed);
                next = more;
            }
        }
        Act::Drip(head) => {
            let _ = stream.write_all(head.as_bytes()).await;
            while stream.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Act::Hang => while !matches!(stream.read(&mut request).await, Ok(0) | Err(_)) {},
        Act::Close | Act::Reset => {}
    }
}

async fn serve(act: Act) -> (SocketAddr, Arc<AtomicUsize>) {
    serve_at(LOOPBACK, act).await
}

async fn serve_at(address: IpAddr, act: Act) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = listen(address);
    let (address, written) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&written);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if matches!(act, Act::Reset) {
                stream.set_zero_linger().unwrap();
            }
            let counted = Arc::clone(&counted);
            tokio::spawn(async move { perform(act, stream, &counted).await });
        }
    });
    (address, written)
}

#[tokio::test]
async fn each_behaviour_has_its_outcome_and_ends_by_the_timeout() {
    const LONG_LINE: &str = "x-filler: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy";
    let status = |got| Failure::Status { got, want: vec![StatusRange { first: 200, last: 299 }].into() };
    let late = || Failure::TimedOut(TIMEOUT);
    let body = Some("fine");
    for (act, body, result, why) in [
        (Act::Say(OK), None, Ok(()), "a good reply"),
        (Act::Say(OK), body, Ok(()), "with the wanted text"),
        (Act::Say("HTTP/1.1 204 No Content\r\n\r\n"), None, Ok(()), "the whole range passes"),
        (
            Act::Say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nfi\r\n2\r\nne\r\n"),
            body,
            Ok(()),
            "text over two chunks, found before the end",
        ),
        (Act::Say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong"), body, Err(Failure::Body), "wrong body"),
        (Act::Say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), body, Err(Failure::Body), "empty body"),
        (Act::Say("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"), None, Err(status(500)), "500"),
        (
            Act::Say("HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\n\r\n"),
            None,
            Err(status(302)),
            "a redirect is not followed",
        ),
        (
            Act::Say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nab"),
            body,
            Err(Failure::NotHttp),
            "two lengths",
        ),
        (Act::Say("SSH-2.0-OpenSSH_9.2\r\n"), None, Err(Failure::NotHttp), "garbage"),
        (Act::Say("\0\u{1}\u{2}"), None, Err(Failure::NotHttp), "binary garbage"),
        (Act::Close, None, Err(Failure::Closed), "closed without a reply"),
        (Act::Reset, None, Err(Failure::Closed), "reset"),
        (Act::Hang, None, Err(late()), "never replies"),
        (Act::Drip("HTTP/1.1 200 OK\r\nx: "), None, Err(late()), "an octet at a time"),
        (Act::Drip("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"), body, Err(late()), "a body an octet at a time"),
        (Act::Drip("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"), None, Ok(()), "a body that nobody asked for"),
        (
            Act::Endless("HTTP/1.1 200 OK\r\n\r\n", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
            body,
            Err(Failure::Body),
            "endless body",
        ),
        (Act::Endless("HTTP/1.1 200 OK\r\n", LONG_LINE), None, Err(Failure::LongHead), "endless header"),
        (Act::Endless("HTTP/1.1 200 OK\r\n", "a: b\r\n"), None, Err(Failure::LongHead), "endless headers"),
        (
            Act::Endless("HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n"),
            None,
            Err(late()),
            "endless continues",
        ),
    ] {
        let (address, written) = serve(act).await;
        let check = HttpCheck { body: body.map(Into::into), ..http(address.port()) };
        let outcome = ask_target(Check::Http(check), ProbeTarget::Address(address.ip())).await;
        assert_eq!(outcome.result, result, "{why}");
        assert!(outcome.latency < 2 * TIMEOUT, "{why}: {:?}", outcome.latency);
        if !why.ends_with("continues") {
            // 64 KiB of body and what the buffers of both kernels hold.
            assert!(written.load(Relaxed) < 256 * 1024, "{why}: {} written", written.load(Relaxed));
        }
    }
}

#[tokio::test]
async fn a_closed_port_is_refused_by_both_kinds() {
    let listener = listen(LOOPBACK);
    let address = listener.local_addr().unwrap();
    drop(listener);
    let tcp = Check::Tcp(TcpCheck { port: address.port() });
    assert_eq!(ask(tcp, address).await, Err(Failure::Refused));
    assert_eq!(ask(Check::Http(http(address.port())), address).await, Err(Failure::Refused));
}

#[tokio::test]
async fn tcp_passes_where_a_connection_opens_over_ipv4_ipv6_and_a_name() {
    let listener = listen(LOOPBACK);
    let address = listener.local_addr().unwrap();
    let tcp = |address: SocketAddr| Check::Tcp(TcpCheck { port: address.port() });
    assert_eq!(ask(tcp(address), address).await, Ok(()));
    let name = ProbeTarget::Host("localhost".parse().unwrap());
    assert_eq!(ask_target(tcp(address), name).await.result, Ok(()));
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return println!("skipped: no IPv6 here");
    }
    let listener = listen("::1".parse().unwrap());
    let address = listener.local_addr().unwrap();
    assert_eq!(ask(tcp(address), address).await, Ok(()));
}

#[tokio::test]
async fn a_tcp_probe_leaves_no_port_in_time_wait() {
    let listener = listen(LOOPBACK);
    let address = listener.local_addr().unwrap();
    assert_eq!(ask(Check::Tcp(TcpCheck { port: address.port() }), address).await, Ok(()));
    let (mut stream, _) = listener.accept().await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
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
        let (request, outcome) = tokio::join!(server, ask(Check::Http(check), address));
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
async fn what_a_reply_says_of_load_is_handed_on_with_the_outcome() {
    let ask_with = async |value: &str| {
        let reply = format!("HTTP/1.1 200 OK\r\nEndpoint-Load-Metrics: {value}\r\nContent-Length: 0\r\n\r\n");
        let (address, _) = serve(Act::Say(reply.leak())).await;
        let outcome = ask_target(Check::Http(http(address.port())), ProbeTarget::Address(address.ip())).await;
        assert_eq!(outcome.result, Ok(()));
        outcome.load_metrics
    };
    assert_eq!(ask_with("TEXT cpu_utilization=0.3").await.as_deref(), Some("TEXT cpu_utilization=0.3"));
    assert_eq!(ask_with(&"x".repeat(4096)).await.map(|text| text.len()), Some(4096));
    assert_eq!(ask_with(&"x".repeat(4097)).await, None, "too long");
    let (address, _) = serve(Act::Say(OK)).await;
    let outcome = ask_target(Check::Http(http(address.port())), ProbeTarget::Address(address.ip())).await;
    assert_eq!(outcome.load_metrics, None);
}

#[tokio::test]
async fn a_failure_while_the_process_did_not_run_is_no_outcome() {
    let (address, _) = serve(Act::Hang).await;
    let key = ProbeKey {
        monitor: Arc::new(monitor(Check::Http(http(address.port())))),
        target: ProbeTarget::Address(address.ip()),
    };
    let checker = Arc::new(Checker::new(&key.monitor));
    // A pulse that does not beat is what a stopped process looks like.
    assert_eq!(attempt(&checker, &key, &Pulse::new()).await, None);
}

/// A certificate authority and a server that shows a certificate of it, or of nobody.
struct TlsServer {
    address: SocketAddr,
    authorities: tempfile::NamedTempFile,
}

async fn serve_tls(change: impl Fn(&mut CertificateParams), is_self_signed: bool) -> TlsServer {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.distinguished_name.push(DnType::CommonName, "test authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let mut leaf = CertificateParams::new(vec!["www.example.com".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    change(&mut leaf);
    let key = KeyPair::generate().unwrap();
    let leaf = if is_self_signed { leaf.self_signed(&key) } else { leaf.signed_by(&key, &issuer) }.unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key.into())
        .unwrap();
    let authorities = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(authorities.path(), authority_pem).unwrap();
    let listener = listen(LOOPBACK);
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                perform(Act::Say(OK), stream, &AtomicUsize::new(0)).await;
            }
        }
    });
    TlsServer { address, authorities }
}

#[tokio::test]
async fn certificates_are_judged_by_time_name_and_authority() {
    type Change = fn(&mut CertificateParams);
    let expired: Change = |leaf| leaf.not_after = date_time_ymd(2020, 1, 1);
    let early: Change = |leaf| leaf.not_before = date_time_ymd(2200, 1, 1);
    let other: Change = |leaf| *leaf = CertificateParams::new(vec!["other.example".to_owned()]).unwrap();
    let same: Change = |_| {};
    for (change, is_self_signed, result) in [
        (same, false, Ok(())),
        (expired, false, Err(Failure::CertificateExpired)),
        (early, false, Err(Failure::CertificateNotYetValid)),
        (other, false, Err(Failure::CertificateForOtherName)),
        (same, true, Err(Failure::CertificateUntrusted)),
    ] {
        let server = serve_tls(change, is_self_signed).await;
        let check = https(server.address.port(), server.authorities.path());
        assert_eq!(ask(Check::Http(check.clone()), server.address).await, result);
        let by_address = HttpCheck { host: None, ..check.clone() };
        let is_named = change as usize != other as usize;
        assert_eq!(ask(Check::Http(by_address), server.address).await.is_ok(), result.is_ok() && is_named);
        let unverified = HttpCheck { verify: false, ..check };
        assert_eq!(ask(Check::Http(unverified), server.address).await, Ok(()), "verify = false");
    }
}

#[tokio::test]
async fn what_is_no_tls_fails_the_handshake_and_what_is_no_authority_the_monitor() {
    let (address, _) = serve(Act::Say("HTTP/1.1 400 Bad Request\r\n\r\n")).await;
    let server = serve_tls(|_| {}, false).await;
    let check = https(address.port(), server.authorities.path());
    assert_eq!(ask(Check::Http(check.clone()), address).await, Err(Failure::Tls));
    for contents in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        std::fs::write(server.authorities.path(), contents).unwrap();
        let failure = ask(Check::Http(check.clone()), address).await.unwrap_err();
        assert!(failure.to_string().contains("cannot read the authorities in"), "{failure}");
    }
}

fn key_of(address: SocketAddr, interval_ms: u64) -> ProbeKey {
    let mut monitor = monitor(Check::Tcp(TcpCheck { port: address.port() }));
    monitor.interval = Duration::from_millis(interval_ms);
    monitor.timeout = monitor.interval / 2;
    ProbeKey { monitor: Arc::new(monitor), target: ProbeTarget::Address(address.ip()) }
}

fn start_prober() -> (Prober, mpsc::Receiver<Report>) {
    let (reports, inbox) = mpsc::channel(1024);
    let limits = Limits { in_flight: NonZeroUsize::new(1024).unwrap() };
    (Prober::start(limits, std::time::Instant::now(), reports), inbox)
}

#[tokio::test]
async fn each_target_is_reported_once_per_interval_and_the_first_round_can_be_awaited() {
    let (up, down) = (listen(LOOPBACK), listen(LOOPBACK));
    let (up_key, down_key) = (key_of(up.local_addr().unwrap(), 100), key_of(down.local_addr().unwrap(), 100));
    drop(down);
    let (prober, mut inbox) = start_prober();
    prober.first_round().await;
    prober.set(vec![up_key.clone(), down_key.clone(), up_key.clone()]).await;
    prober.first_round().await;
    assert!(prober.tally().passed + prober.tally().failed >= 2);
    let (mut ups, mut downs) = (Vec::new(), Vec::new());
    while ups.len() < 6 || downs.len() < 6 {
        let report = inbox.recv().await.unwrap();
        let (seen, is_up) = if report.key == up_key { (&mut ups, true) } else { (&mut downs, false) };
        assert_eq!(report.outcome.is_pass(), is_up);
        seen.push(report.at);
    }
    assert!(ups.len().abs_diff(downs.len()) <= 2, "{} {}", ups.len(), downs.len());
    assert!(ups.is_sorted());
}

#[tokio::test]
async fn a_target_that_is_gone_is_not_probed_and_one_that_stays_keeps_its_time() {
    let (stays, goes) = (listen(LOOPBACK), listen(LOOPBACK));
    let (stays_key, goes_key) = (key_of(stays.local_addr().unwrap(), 200), key_of(goes.local_addr().unwrap(), 200));
    let (prober, mut inbox) = start_prober();
    prober.set(vec![stays_key.clone(), goes_key]).await;
    prober.first_round().await;
    // Were the time not kept, each set would start a new round at once.
    for _ in 0..50 {
        prober.set(vec![stays_key.clone()]).await;
    }
    while inbox.try_recv().is_ok() {}
    let mut last = inbox.recv().await.unwrap().at;
    for _ in 0..3 {
        let report = inbox.recv().await.unwrap();
        assert_eq!(report.key, stays_key);
        assert!(report.at - last >= Duration::from_millis(100), "{:?}", report.at - last);
        last = report.at;
    }
}

#[tokio::test]
async fn targets_that_hang_do_not_hold_up_the_others() {
    const EVERY_LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let good = listen(EVERY_LOOPBACK);
    let (hanging, _) = serve_at(EVERY_LOOPBACK, Act::Hang).await;
    let good_address = good.local_addr().unwrap();
    let mut hang = monitor(Check::Http(http(hanging.port())));
    hang.interval = Duration::from_millis(400);
    let hang = Arc::new(hang);
    let good = Arc::clone(&key_of(good_address, 400).monitor);
    let keys: Vec<_> = (1..=50)
        .flat_map(|host| [(&good, host), (&hang, 100 + host)])
        .map(|(monitor, host)| ProbeKey {
            monitor: Arc::clone(monitor),
            target: ProbeTarget::Address(Ipv4Addr::new(127, 0, 0, host).into()),
        })
        .collect();
    let (prober, mut inbox) = start_prober();
    prober.set(keys).await;
    let (mut passes, mut timeouts) = (0, 0);
    while timeouts < 100 {
        match inbox.recv().await.unwrap().outcome.result {
            Ok(()) => passes += 1,
            Err(Failure::TimedOut(_)) => timeouts += 1,
            Err(failure) => panic!("{failure}"),
        }
    }
    assert!(passes + 50 >= timeouts, "{passes} passes while {timeouts} timeouts");
}

#[tokio::test]
async fn a_report_that_nobody_takes_stops_only_its_own_target() {
    let listener = listen(LOOPBACK);
    let key = key_of(listener.local_addr().unwrap(), 50);
    let (reports, mut inbox) = mpsc::channel(1);
    let limits = Limits { in_flight: NonZeroUsize::new(8).unwrap() };
    let prober = Prober::start(limits, std::time::Instant::now(), reports);
    prober.set(vec![key]).await;
    while prober.tally().skipped < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(prober.tally().in_flight, 1);
    assert!(inbox.recv().await.unwrap().outcome.is_pass());
    drop(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap());
    assert!(inbox.recv().await.unwrap().outcome.is_pass());
}

#[test]
fn a_want_of_files_is_not_the_targets_fault() {
    use super::attempt::Trouble;
    for code in [libc::EMFILE, libc::ENFILE, libc::EADDRNOTAVAIL] {
        assert!(matches!(Trouble::from(std::io::Error::from_raw_os_error(code)), Trouble::Ours(_)), "{code}");
    }
    let unreachable = Trouble::from(std::io::Error::from_raw_os_error(libc::ENETUNREACH));
    assert!(matches!(unreachable, Trouble::Target(Failure::Unreachable)));
}
