//! The cost of 1,000 load sources at an interval of 5 s: CPU and memory of the poller alone, and
//! late rounds.
//!
//! `cargo bench --bench loads [-- nginx|haproxy|prometheus|json]` starts itself a second time as
//! the balancers: one listener for 1,000 addresses of 127.0.0.0/8. The HAProxy page has 100
//! servers; the Prometheus page has 1,000 series of 80 octets. Each kind is measured once for half
//! a minute, without criterion.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

#[path = "support/usage.rs"]
mod usage;

use std::{
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    process::{Child, Command, Stdio, id},
    sync::Arc,
    time::{Duration, Instant},
};

use portolan::{
    load::{
        HaproxySource, LoadKind, LoadPage, LoadSource, PageHost, ReportMapping, ShareUnit, TimeUnit,
    },
    probe::{PollKey, Poller, SchedulerLimits},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};
use usage::{cpu_times, memory_kib};

const SOURCES: u32 = 1_000;
const WARM_UP: Duration = Duration::from_secs(6);
const MEASURED: Duration = Duration::from_secs(20);
const KINDS: [&str; 4] = ["nginx", "haproxy", "prometheus", "json"];

type BenchResult<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> BenchResult<()> {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    if let Some(kind) = arguments.iter().find_map(|argument| argument.strip_prefix("serve=")) {
        return runtime.block_on(serve(kind));
    }
    for kind in KINDS {
        if arguments.is_empty() || arguments.iter().any(|argument| argument == kind) {
            runtime.block_on(measure(kind))?;
        }
    }
    Ok(())
}

/// The process of the balancers. It is killed when dropped.
struct Balancers(Child);

impl Drop for Balancers {
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
    let _balancers = Balancers(child);
    let source = Arc::new(source(kind, line.trim().parse()?)?);
    let keys: Vec<_> = (0..SOURCES)
        .map(|index| PollKey::new(Arc::clone(&source), Ipv4Addr::from(0x7f01_0001 + index).into()))
        .collect();

    let (readings, mut inbox) = mpsc::channel(4096);
    let limits = SchedulerLimits {
        in_flight: NonZeroUsize::new(512).ok_or("no limit")?,
        extra_descriptors: 0,
    };
    let poller = Poller::start(limits, Instant::now(), readings);
    poller.set_keys(keys).await;
    let feed = tokio::spawn(async move {
        let mut failure = None;
        while let Some(reading) = inbox.recv().await {
            failure = failure.or(reading.result.err());
        }
        failure
    });

    tokio::time::sleep(WARM_UP).await;
    let (before, cpu, start) = (poller.read_counts(), cpu_times(id())?, Instant::now());
    tokio::time::sleep(MEASURED).await;
    let (after, secs) = (poller.read_counts(), start.elapsed().as_secs_f64());
    let used = cpu_times(id())?.iter().sum::<Duration>() - cpu.iter().sum::<Duration>();
    println!(
        "{kind:10} page of {} octets: {:.0} polls/s ({} reports, {} failures, {} discarded), late {}, left out {}, \
         CPU {:.1} % of a core, RSS {:.1} MiB",
        body(kind).len(),
        (after.started - before.started) as f64 / secs,
        after.passed - before.passed,
        after.failed - before.failed,
        after.discarded - before.discarded,
        after.started_late,
        after.skipped,
        used.as_secs_f64() / secs * 100.0,
        memory_kib(id(), "VmRSS:")? as f64 / 1024.0,
    );
    drop(poller);
    if let Some(failure) = feed.await? {
        println!("           the first failure: {failure}");
    }
    Ok(())
}

fn source(kind: &str, port: u16) -> BenchResult<LoadSource> {
    let page = LoadPage {
        tls: false,
        host: PageHost::Attached,
        port,
        path: "/stats;csv".into(),
        headers: Vec::new(),
        verify: true,
        authorities: None,
    };
    let kind = match kind {
        "nginx" => LoadKind::Nginx(page),
        "haproxy" => LoadKind::Haproxy(HaproxySource::Page { page, proxy: Some("www".into()) }),
        "prometheus" => {
            let selector = |text: &str| text.parse().map_err(|error| format!("{text}: {error}"));
            let connections =
                selector("bench_current_sessions{proxy=\"www\",server!=\"server-7\"}")?;
            LoadKind::Prometheus { page, mapping: mapping(connections) }
        }
        _ => LoadKind::Json {
            page,
            mapping: mapping("/stats/active".parse().map_err(|error| format!("{error}"))?),
        },
    };
    Ok(LoadSource {
        name: "bench".into(),
        kind,
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(2),
        stale_after: Duration::from_secs(15),
        scales_by_servers: false,
        limit: None,
    })
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

/// The page that a balancer of this kind serves.
fn body(kind: &str) -> String {
    match kind {
        "nginx" => "Active connections: 291 \nserver accepts handled requests\n 16630948 16630948 31070465 \n\
                    Reading: 6 Writing: 179 Waiting: 106 \n"
            .to_owned(),
        "haproxy" => {
            // The rows are as wide as those of HAProxy 2.6.
            let (padding, between) = (",0".repeat(30), ",0".repeat(50));
            let servers =
                (0..100).map(|index| format!("www,server-{index},0,3,30,9,UP,100,0,2{between},12{padding}\n"));
            format!(
                "# pxname,svname,qcur,scur,slim,stot,status,weight,bck,type{},rtime{}\n{}www,BACKEND,4,300,20,50,UP,100,0,1{between},12{padding}\n",
                ",x".repeat(50),
                ",x".repeat(30),
                servers.collect::<String>(),
            )
        }
        "prometheus" => (0..1_000)
            .map(|index| match index % 10 {
                0 => format!("bench_current_sessions{{proxy=\"www\",server=\"server-{index}\"}} {index}\n"),
                _ => format!(
                    "bench_other_{index}_total{{proxy=\"www\",server=\"server-{index}\",code=\"2xx\"}} 123456789\n"
                ),
            })
            .collect(),
        _ => "{\"stats\": {\"active\": 120, \"max\": 1000}, \"cpu\": 0.35, \"latency_ms\": 12.5}".to_owned(),
    }
}

async fn serve(kind: &str) -> BenchResult<()> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([0, 0, 0, 0], 0)))?;
    let listener = socket.listen(8192)?;
    println!("{}", listener.local_addr()?.port());
    let body = body(kind);
    let reply: Arc<str> =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into();
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(answer(stream, Arc::clone(&reply)));
    }
}

async fn answer(mut stream: TcpStream, reply: Arc<str>) {
    let mut request = [0; 1024];
    while let Ok(1..) = stream.read(&mut request).await {
        if stream.write_all(reply.as_bytes()).await.is_err() {
            return;
        }
    }
}
