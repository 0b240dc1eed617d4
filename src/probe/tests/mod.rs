//! Probes of listeners that behave correctly and incorrectly, all on loopback.

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
    sync::{Semaphore, mpsc},
};
use tokio_rustls::TlsAcceptor;

mod dns;
mod exec;
mod grpc;
mod http;
mod icmp;
mod lenient_http;
mod openssl;
mod prober;
mod scheduler;
mod tls;

use super::{
    NoResult, ProbeKey, ProbeReport, Prober, SchedulerLimits,
    aliases::AliasAddresses,
    attempt_timer::AttemptTimer,
    check::{PreparedCheck, check_target},
    stall_detector::StallDetector,
};
use crate::{
    health::{
        CertificateExpiry, Check, ClientCertificate, DnsCheck, ExecCheck, ExpiryLimit, Failure,
        GrpcCheck, HttpCheck, HttpVersion, Monitor, OnExpiry, Outcome, ProbeNote, StatusRange,
        TcpCheck, TlsCheck, TlsOptions,
    },
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
        ..HttpCheck::default()
    }
}

fn trusting(authorities: &Path) -> TlsOptions {
    TlsOptions { authorities: Some(authorities.into()), ..TlsOptions::default() }
}

fn https(port: u16, authorities: &Path) -> HttpCheck {
    HttpCheck { tls: Some(trusting(authorities)), ..http(port) }
}

/// A prepared check whose probes share `extra_descriptors` beyond the first of each.
fn prepare_check_within(
    key: &ProbeKey,
    aliases: AliasAddresses,
    extra_descriptors: usize,
) -> Arc<PreparedCheck> {
    Arc::new(PreparedCheck::new(&key.monitor, aliases, Arc::new(Semaphore::new(extra_descriptors))))
}

fn prepare_check(key: &ProbeKey) -> Arc<PreparedCheck> {
    prepare_check_within(key, AliasAddresses::default(), 64)
}

/// Probes while the stall detector runs, until there is an outcome: on a starved machine, not every
/// attempt has one.
async fn probe_target(check: Check, target: ProbeTarget) -> Outcome {
    let key = ProbeKey { monitor: Arc::new(monitor(check)), target };
    let detector = StallDetector::new();
    let check = prepare_check(&key);
    // A monitor that cannot work has a fault instead of outcomes.
    if let Some(fault) = check.fault() {
        return Outcome::new(Err(fault.clone()), Duration::ZERO);
    }
    let probing = async {
        loop {
            if let Ok(outcome) = check_target(&check, &key, &AttemptTimer::new(&detector, 0)).await
            {
                return outcome;
            }
        }
    };
    tokio::select! {
        outcome = probing => outcome,
        () = detector.run() => unreachable!("the detector runs until dropped"),
    }
}

async fn probe_address(check: Check, address: SocketAddr) -> Result<(), Failure> {
    probe_target(check, ProbeTarget::Address(address.ip())).await.result
}

/// A listener with small buffers, so that a server blocks when a probe does not read.
fn listen(address: IpAddr) -> TcpListener {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.unwrap();
    socket.set_send_buffer_size(8 * 1024).unwrap();
    socket.bind(SocketAddr::new(address, 0)).unwrap();
    socket.listen(1024).unwrap()
}

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What a server does after it has read the request.
#[derive(Debug, Clone, Copy)]
enum ServerScript {
    Reply(&'static str),
    /// Sends the text and closes the connection.
    ReplyAndClose(&'static str),
    /// Sends the first text, then repeats the second while it is read.
    Endless(&'static str, &'static str),
    /// Sends the text at once, then an octet at a time.
    Drip(&'static str),
    Hang,
    Close,
    Reset,
}

async fn run_script(
    script: ServerScript,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    written: &AtomicUsize,
) {
    let mut request = [0; 4096];
    if stream.read(&mut request).await.is_err() {
        return;
    }
    match script {
        ServerScript::Reply(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
            let _ = stream.flush().await;
            let _ = stream.read(&mut request).await;
        }
        ServerScript::ReplyAndClose(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
        ServerScript::Endless(head, more) => {
            let mut next = head;
            while let Ok(octets @ 1..) = stream.write(next.as_bytes()).await {
                written.fetch_add(octets, Relaxed);
                next = more;
            }
        }
        ServerScript::Drip(head) => {
            let _ = stream.write_all(head.as_bytes()).await;
            while stream.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        ServerScript::Hang => while !matches!(stream.read(&mut request).await, Ok(0) | Err(_)) {},
        ServerScript::Close | ServerScript::Reset => {}
    }
}

async fn serve(script: ServerScript) -> (SocketAddr, Arc<AtomicUsize>) {
    serve_at(LOOPBACK, script).await
}

async fn serve_at(address: IpAddr, script: ServerScript) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = listen(address);
    let (address, written) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&written);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if matches!(script, ServerScript::Reset) {
                stream.set_zero_linger().unwrap();
            }
            let counted = Arc::clone(&counted);
            tokio::spawn(async move { run_script(script, stream, &counted).await });
        }
    });
    (address, written)
}

#[tokio::test]
async fn tcp_passes_where_a_connection_opens_over_ipv4_ipv6_and_a_name() {
    let listener = listen(LOOPBACK);
    let address = listener.local_addr().unwrap();
    let tcp = |address: SocketAddr| Check::Tcp(TcpCheck { port: address.port() });
    assert_eq!(probe_address(tcp(address), address).await, Ok(()));
    let name = ProbeTarget::Host("localhost".parse().unwrap());
    assert_eq!(probe_target(tcp(address), name).await.result, Ok(()));
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return println!("skipped: no IPv6 here");
    }
    let listener = listen("::1".parse().unwrap());
    let address = listener.local_addr().unwrap();
    assert_eq!(probe_address(tcp(address), address).await, Ok(()));
}

#[tokio::test]
async fn an_alias_is_probed_at_its_resolved_addresses() {
    let listener = listen(LOOPBACK);
    let check = Check::Tcp(TcpCheck { port: listener.local_addr().unwrap().port() });
    let (aliases, alias): (_, crate::dns::Name) =
        (AliasAddresses::default(), "lb.invalid".parse().unwrap());
    aliases.set_aliases(std::slice::from_ref(&alias));
    aliases.set_addresses(&alias, vec![LOOPBACK]);
    let key =
        ProbeKey { monitor: Arc::new(monitor(check)), target: ProbeTarget::Host(alias.clone()) };
    let (check, detector) = (prepare_check_within(&key, aliases.clone(), 64), StallDetector::new());
    let timer = AttemptTimer::new(&detector, 0);
    let outcome = check_target(&check, &key, &timer).await.unwrap();
    assert_eq!(outcome.result, Ok(()), "the system's resolver knows no such name");
    aliases.set_addresses(&alias, Vec::new());
    let unresolved = check_target(&check, &key, &timer).await;
    assert_eq!(unresolved, Err(NoResult::Alias), "no result for an alias without addresses");
}

#[tokio::test]
async fn the_addresses_of_a_name_are_probed_one_after_the_other_where_descriptors_are_short() {
    let listener = listen(LOOPBACK);
    let check = Check::Tcp(TcpCheck { port: listener.local_addr().unwrap().port() });
    let (aliases, alias): (_, crate::dns::Name) =
        (AliasAddresses::default(), "lb.invalid".parse().unwrap());
    aliases.set_aliases(std::slice::from_ref(&alias));
    // The first four addresses have no listener.
    let addresses =
        [9, 8, 7, 6].map(|last| IpAddr::from([127, 0, 0, last])).into_iter().chain([LOOPBACK]);
    aliases.set_addresses(&alias, addresses.collect());
    let key = ProbeKey { monitor: Arc::new(monitor(check)), target: ProbeTarget::Host(alias) };
    for extra_descriptors in [0, 1, 64] {
        let (check, detector) =
            (prepare_check_within(&key, aliases.clone(), extra_descriptors), StallDetector::new());
        let outcome = check_target(&check, &key, &AttemptTimer::new(&detector, 0)).await.unwrap();
        assert_eq!(outcome.result, Ok(()), "{extra_descriptors} descriptors beyond one");
    }
}

#[tokio::test]
async fn a_tcp_probe_leaves_no_port_in_time_wait() {
    let listener = listen(LOOPBACK);
    let address = listener.local_addr().unwrap();
    assert_eq!(probe_address(Check::Tcp(TcpCheck { port: address.port() }), address).await, Ok(()));
    let (mut stream, _) = listener.accept().await.unwrap();
    assert_eq!(
        stream.read(&mut [0]).await.unwrap_err().kind(),
        std::io::ErrorKind::ConnectionReset
    );
}

#[tokio::test]
async fn a_failure_while_the_process_did_not_run_gives_no_outcome() {
    let (address, _) = serve(ServerScript::Hang).await;
    let key = ProbeKey {
        monitor: Arc::new(monitor(Check::Http(http(address.port())))),
        target: ProbeTarget::Address(address.ip()),
    };
    let check = prepare_check(&key);
    // A detector without ticks is what a suspended process looks like.
    let detector = StallDetector::new();
    for starved_before in 0..2 {
        let timer = AttemptTimer::new(&detector, starved_before);
        assert_eq!(check_target(&check, &key, &timer).await, Err(NoResult::Starved));
    }
    let outcome = check_target(&check, &key, &AttemptTimer::new(&detector, 2)).await;
    assert_eq!(
        outcome.unwrap().result,
        Err(Failure::TimedOut(TIMEOUT)),
        "a lasting stall keeps no dead target"
    );
}

#[tokio::test]
async fn a_reply_of_the_target_counts_however_little_the_process_ran() {
    let (address, _) =
        serve(ServerScript::Reply("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"))
            .await;
    let key = ProbeKey {
        monitor: Arc::new(monitor(Check::Http(http(address.port())))),
        target: ProbeTarget::Address(address.ip()),
    };
    let check = prepare_check(&key);
    let detector = StallDetector::new();
    let timer = AttemptTimer::new(&detector, 0);
    let (probing, blocking) = (check_target(&check, &key, &timer), async {
        tokio::task::yield_now().await;
        std::thread::sleep(TIMEOUT);
    });
    let (outcome, ()) = tokio::join!(probing, blocking);
    assert!(detector.stalled_until(tokio::time::Instant::now()) > TIMEOUT / 4);
    assert!(matches!(outcome.unwrap().result, Err(Failure::Status { got: 503, .. })));
}

#[test]
fn a_lack_of_descriptors_is_no_failure_of_the_target() {
    use super::result::ProbeError;
    for code in [libc::EMFILE, libc::ENFILE, libc::EADDRNOTAVAIL] {
        assert!(
            matches!(
                ProbeError::from(std::io::Error::from_raw_os_error(code)),
                ProbeError::Local(..)
            ),
            "{code}"
        );
    }
    let unreachable = ProbeError::from(std::io::Error::from_raw_os_error(libc::ENETUNREACH));
    assert!(matches!(unreachable, ProbeError::Target(Failure::Unreachable)));
}
