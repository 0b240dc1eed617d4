//! Reloads every 0.8 s for 20 s: a service answers five of 200 probed endpoints, and each edit
//! gives one of them another weight. Measures how many of the probes due were made, how long
//! `/healthz` takes to reply, and the latency of queries. The server is pinned to core 0, targets
//! and load to core 1.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use super::{
    admin,
    answers::pool,
    cores,
    figures::{Figure, Measured, tabulate},
    load::LoadPlan,
    peers::Peer,
    process::{Server, free_address, question},
    sampling::Sampler,
    targets::Targets,
};

const NAME: &str = "s.x.example";
const FILE: &str = "zones/services.toml";
const ENDPOINTS: [usize; 3] = [50, 100, 200];
const INTERVAL_SECS: u32 = 5;
const LENGTH: Duration = Duration::from_secs(20);
const EDITS_EVERY: Duration = Duration::from_millis(800);
const ASKED_EVERY: Duration = Duration::from_millis(20);
/// Queries per second, a small fraction of the server's capacity.
const RATE: u32 = 2_000;

pub(crate) fn run() -> io::Result<()> {
    cores::move_to_load_core()?;
    tabulate("portolan", "endpoints, reloads every 0.8 s", &ENDPOINTS, measure)
}

/// The addresses of a server.
#[derive(Clone, Copy)]
struct Addresses {
    dns: SocketAddr,
    admin: SocketAddr,
}

fn measure(endpoints: usize) -> Measured {
    let targets = Targets::start(endpoints)?;
    let addresses = Addresses { dns: free_address(), admin: free_address() };
    let directory = tempfile::tempdir()?;
    let directory = directory.path();
    fs::create_dir_all(directory.join("zones"))?;
    let text = format!(
        "[server]\nlisten = [\"{}\"]\nadmin = \"{}\"\nthreads = 1\n",
        addresses.dns, addresses.admin
    );
    fs::write(directory.join("portolan.toml"), text)?;
    let texts = [1, 9].map(|weight| text_of(endpoints, weight, targets.port));
    fs::write(directory.join(FILE), &texts[0])?;
    let Some(server) = Server::start_apart(&mut Peer::Portolan.command(directory), addresses.dns)?
    else {
        return Ok(None);
    };
    Sampler::new(addresses.dns, 1)?.until(NAME, |answer| !answer.addresses.is_empty())?;
    server.settled_mib()?;
    Ok(Some(churned(directory, addresses, &targets, &texts)?))
}

/// The file of the service, in which the first endpoint has this weight.
fn text_of(endpoints: usize, weight: u32, port: u16) -> String {
    let times = format!("interval = \"{INTERVAL_SECS}s\"\ntimeout = \"900ms\"");
    pool(NAME, "5", endpoints, &times, port).replacen(
        "weight = 1 }",
        &format!("weight = {weight} }}"),
        1,
    )
}

fn churned(
    directory: &Path,
    addresses: Addresses,
    targets: &Targets,
    texts: &[String; 2],
) -> io::Result<Vec<Figure>> {
    let questions = [question(0, NAME)];
    let plan = LoadPlan {
        source: Ipv4Addr::LOCALHOST,
        address: addresses.dns,
        questions: &questions,
        rate: RATE,
        duration: LENGTH,
    };
    let (answered, late, began) =
        (targets.answered(), admin::late_probes(addresses.admin)?, Instant::now());
    let is_over = AtomicBool::new(false);
    let (outcome, edits, slowest) = thread::scope(|scope| {
        let edits = scope.spawn(|| edit(&directory.join(FILE), texts, &is_over));
        let slowest = scope.spawn(|| slowest_reply(addresses.admin, &is_over));
        let outcome = plan.run();
        is_over.store(true, Relaxed);
        (outcome, edits.join(), slowest.join())
    });
    let panicked = |_| io::Error::other("a thread panicked");
    let (outcome, edits, slowest) =
        (outcome?, edits.map_err(panicked)??, slowest.map_err(panicked)??);
    let due =
        began.elapsed().as_secs_f64() / f64::from(INTERVAL_SECS) * targets.is_down.len() as f64;
    let micros = |quantile| outcome.latency.value_at_quantile(quantile) as f64 / 1e3;
    Ok([
        ("edits", edits as f64),
        ("probes made / due", (targets.answered() - answered) as f64 / due),
        ("probes late", self::admin::late_probes(addresses.admin)? - late),
        ("slowest /healthz ms", slowest.as_secs_f64() * 1e3),
        ("queries lost", outcome.lost as f64),
        ("query p50 us", micros(0.5)),
        ("query p99 us", micros(0.99)),
    ]
    .map(|(heading, value)| Figure { heading, value: Some(value) })
    .to_vec())
}

fn edit(file: &Path, texts: &[String; 2], is_over: &AtomicBool) -> io::Result<usize> {
    let mut edits = 0;
    while !is_over.load(Relaxed) {
        edits += 1;
        fs::write(file, &texts[edits % 2])?;
        thread::sleep(EDITS_EVERY);
    }
    Ok(edits)
}

fn slowest_reply(admin: SocketAddr, is_over: &AtomicBool) -> io::Result<Duration> {
    let mut slowest = Duration::ZERO;
    while !is_over.load(Relaxed) {
        let began = Instant::now();
        admin::get(admin, "/healthz")?;
        slowest = slowest.max(began.elapsed());
        thread::sleep(ASKED_EVERY);
    }
    Ok(slowest)
}
