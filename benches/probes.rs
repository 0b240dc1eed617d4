//! The cost of 10,000 targets at an interval of 5 s: late rounds, and CPU and memory of the prober
//! alone.
//!
//! `cargo bench --bench probes [-- tcp|http|https|hang]` starts itself a second time as the
//! targets: one listener for each kind, for 10,000 addresses of 127.0.0.0/8. Each kind is measured
//! once for half a minute, without criterion.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

#[path = "support/usage.rs"]
mod usage;

use std::{
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr},
    num::{NonZeroU8, NonZeroUsize},
    process::{Child, Command, Stdio, id},
    sync::Arc,
    time::{Duration, Instant},
};

use portolan::{
    health::{
        Check, HttpCheck, InitialVerdict, Ledger, LedgerTarget, Monitor, TcpCheck, TlsOptions,
    },
    probe::{ProbeKey, Prober, SchedulerLimits},
    steer::ProbeTarget,
};
use rcgen::{CertificateParams, KeyPair};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
};
use tokio_rustls::TlsAcceptor;
use usage::{cpu_times, memory_kib};

const TARGETS: u32 = 10_000;
const WARM_UP: Duration = Duration::from_secs(6);
const MEASURED: Duration = Duration::from_secs(20);

type BenchResult<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> BenchResult<()> {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    if let Some(kind) = arguments.iter().find_map(|argument| argument.strip_prefix("serve=")) {
        return runtime.block_on(serve(kind));
    }
    for kind in ["tcp", "http", "https", "hang"] {
        if arguments.is_empty() || arguments.iter().any(|argument| argument == kind) {
            runtime.block_on(measure(kind))?;
        }
    }
    Ok(())
}

/// The process of the targets. It is killed when dropped.
struct Targets(Child);

impl Drop for Targets {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

async fn measure(kind: &str) -> BenchResult<()> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg(format!("serve={kind}"))
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    let _targets = Targets(child);
    let monitor = Arc::new(monitor(kind, line.trim().parse()?));
    let keys: Vec<_> = (0..TARGETS).map(|index| key(&monitor, index)).collect();

    let idle_kib = memory_kib(id(), "VmRSS:")?;
    let (reports, mut inbox) = mpsc::channel(4096);
    let limits = SchedulerLimits {
        in_flight: NonZeroUsize::new(8192).ok_or("no limit")?,
        extra_descriptors: 0,
    };
    let epoch = Instant::now();
    let prober = Prober::start(limits, epoch, reports);
    let mut ledger = Ledger::new(false);
    let target = |key: &ProbeKey| LedgerTarget {
        key: key.clone(),
        monitor: Arc::clone(&key.monitor),
        start: InitialVerdict::Unknown,
    };
    ledger.set_targets(keys.iter().map(target), epoch.elapsed());
    prober.set_keys(keys).await;
    let feed = tokio::spawn(async move {
        while let Some(report) = inbox.recv().await {
            ledger.record(&report.key, report.outcome, report.ended_at);
        }
    });

    tokio::time::sleep(WARM_UP).await;
    let (before, cpu, start) = (prober.read_counts(), cpu_times(id())?, Instant::now());
    let mut in_flight = 0;
    while start.elapsed() < MEASURED {
        tokio::time::sleep(Duration::from_millis(50)).await;
        in_flight = prober.read_counts().in_flight.max(in_flight);
    }
    let (after, secs) = (prober.read_counts(), start.elapsed().as_secs_f64());
    let used = cpu_times(id())?.iter().sum::<Duration>() - cpu.iter().sum::<Duration>();
    println!(
        "{kind:5} {:.0} probes/s ({} passed, {} failed, {} discarded), late {}, left out {}, in flight {in_flight}, \
         CPU {:.1} % of a core, RSS {:.1} MiB (idle {:.1}, peak {:.1})",
        (after.started - before.started) as f64 / secs,
        after.passed - before.passed,
        after.failed - before.failed,
        after.discarded - before.discarded,
        after.started_late,
        after.skipped,
        used.as_secs_f64() / secs * 100.0,
        memory_kib(id(), "VmRSS:")? as f64 / 1024.0,
        idle_kib as f64 / 1024.0,
        memory_kib(id(), "VmHWM:")? as f64 / 1024.0,
    );
    drop(prober);
    feed.abort();
    Ok(())
}

fn monitor(kind: &str, port: u16) -> Monitor {
    let check = match kind {
        "tcp" => Check::Tcp(TcpCheck { port }),
        _ => Check::Http(HttpCheck {
            path: "/healthz".into(),
            port,
            host: Some("www.example.com".into()),
            required_text: Some("ok".into()),
            tls: (kind == "https").then(|| TlsOptions { verify: false, ..TlsOptions::default() }),
            ..HttpCheck::default()
        }),
    };
    Monitor {
        name: kind.into(),
        check,
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(2),
        rise: NonZeroU8::MIN,
        fall: NonZeroU8::MIN,
    }
}

fn key(monitor: &Arc<Monitor>, index: u32) -> ProbeKey {
    let address = Ipv4Addr::from(0x7f01_0001 + index);
    ProbeKey { monitor: Arc::clone(monitor), target: ProbeTarget::Address(address.into()) }
}

async fn serve(kind: &str) -> BenchResult<()> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([0, 0, 0, 0], 0)))?;
    let listener = socket.listen(8192)?;
    println!("{}", listener.local_addr()?.port());
    let acceptor = if kind == "https" { Some(acceptor()?) } else { None };
    let is_mute = kind == "hang";
    loop {
        let (stream, _) = listener.accept().await?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            match acceptor {
                None => reply(stream, is_mute).await,
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        reply(stream, is_mute).await;
                    }
                }
            }
        });
    }
}

fn acceptor() -> BenchResult<TlsAcceptor> {
    let key = KeyPair::generate()?;
    let certificate =
        CertificateParams::new(vec!["www.example.com".to_owned()])?.self_signed(&key)?;
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()?
    .with_no_client_auth()
    .with_single_cert(vec![certificate.der().clone()], key.into())?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn reply(mut stream: impl AsyncRead + AsyncWrite + Unpin, is_mute: bool) {
    let mut request = [0; 1024];
    while let Ok(1..) = stream.read(&mut request).await {
        if !is_mute
            && stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.is_err()
        {
            return;
        }
    }
}
