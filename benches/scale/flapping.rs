//! 100,000 services with 300 probed targets: the time from the deciding probe to the answer that
//! shows it, and the latency of queries while targets go down and up continuously.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use super::{
    cores,
    load::{LoadOutcome, LoadPlan},
    peers::Peer,
    process::{ExpectedAnswer, Server, free_address, question},
    targets::{Targets, address, services, turn},
};

const SERVICES: usize = 100_000;
const TARGETS: usize = 300;
/// The number of status changes that are timed.
const TURNS: usize = 20;
/// Queries per second, which take a few percent of a core.
const RATE: u32 = 2_000;
const ROUND: Duration = Duration::from_secs(8);
const ROUNDS: usize = 3;

pub(crate) fn run() -> io::Result<()> {
    cores::move_to_load_core()?;
    let targets = Targets::start(TARGETS)?;
    let directory = tempfile::tempdir()?;
    let directory = directory.path();
    let address = free_address();
    write(directory, targets.port)?;
    Peer::Portolan.prepare(directory, address)?;
    let started = Instant::now();
    let Some(mut server) = Server::start_apart(&mut Peer::Portolan.command(directory), address)?
    else {
        return Ok(());
    };
    server.wait_for(&expected(0, 0))?;
    println!(
        "\nportolan: {SERVICES} services over {TARGETS} targets answer after {:.2?}",
        started.elapsed()
    );
    react(&targets, &mut server)?;
    latency(&targets, address)
}

/// The answer of a service whose first member is a target and whose second is the next target.
fn expected(target: usize, member: usize) -> ExpectedAnswer {
    ExpectedAnswer {
        name: format!("s{target}.x.example"),
        address: address((target + member) % TARGETS),
    }
}

/// Takes one target after the other down, and times the answers.
fn react(targets: &Targets, server: &mut Server) -> io::Result<()> {
    let mut took = Vec::new();
    for turn_number in 0..TURNS {
        let target = turn_number * 7;
        turn(&targets.is_down, target);
        let (_, decided) = targets.answer_changes.recv().map_err(io::Error::other)?;
        server.wait_for(&expected(target, 1))?;
        took.push(decided.elapsed());
    }
    // Takes the targets up again, and waits for each answer.
    for turn_number in 0..TURNS {
        turn(&targets.is_down, turn_number * 7);
    }
    for turn_number in 0..TURNS {
        server.wait_for(&expected(turn_number * 7, 0))?;
    }
    took.sort();
    println!(
        "  from the probe that decides to the changed answer, {TURNS} verdicts of {} services each: median {:.1?}, most {:.1?}",
        SERVICES / TARGETS * 2,
        took[TURNS / 2],
        took[TURNS - 1],
    );
    Ok(())
}

/// Measures latency with steady targets and with flapping targets, alternately.
fn latency(targets: &Targets, address: SocketAddr) -> io::Result<()> {
    let questions: Vec<_> =
        (0..1000).map(|index| question(0, &format!("s{}.x.example", index * 97))).collect();
    let plan = LoadPlan {
        source: Ipv4Addr::LOCALHOST,
        address,
        questions: &questions,
        rate: RATE,
        duration: ROUND,
    };
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let rest = plan.run()?;
        let (is_over, switches) = (AtomicBool::new(false), &targets.is_down);
        let flapping = thread::scope(|scope| {
            scope.spawn(|| flap(switches, &is_over));
            let flapping = plan.run();
            is_over.store(true, Relaxed);
            flapping
        })?;
        let changes = targets.answer_changes.try_iter().count();
        println!("  at rest   {}", shown(&rest));
        println!("  flapping  {}; {changes} probes decided", shown(&flapping));
        ratios.push(
            flapping.latency.value_at_quantile(0.99) as f64
                / rest.latency.value_at_quantile(0.99) as f64,
        );
    }
    ratios.sort_by(f64::total_cmp);
    println!("  p99 flapping / at rest, median of {ROUNDS}: {:.2}", ratios[ROUNDS / 2]);
    Ok(())
}

/// Ten times per second, three targets go down for one second, so that a tenth of them is down at
/// any time.
fn flap(switches: &[AtomicBool], is_over: &AtomicBool) {
    let turned = |step: usize| (0..3).map(move |index| (step * 3 + index) * 7 % TARGETS);
    let mut step = 0;
    while !is_over.load(Relaxed) {
        turned(step).for_each(|target| turn(switches, target));
        if let Some(back) = step.checked_sub(10) {
            turned(back).for_each(|target| turn(switches, target));
        }
        step += 1;
        thread::sleep(Duration::from_millis(100));
    }
    (step.saturating_sub(10)..step).flat_map(turned).for_each(|target| turn(switches, target));
}

pub(crate) fn shown(outcome: &LoadOutcome) -> String {
    let micros = |quantile| outcome.latency.value_at_quantile(quantile) as f64 / 1000.0;
    format!(
        "{} sent, {} lost, p50 {:.0} µs, p99 {:.0} µs, p99.9 {:.0} µs, most {:.0} µs, load late by {:.0} µs",
        outcome.sent,
        outcome.lost,
        micros(0.5),
        micros(0.99),
        micros(0.999),
        outcome.latency.max() as f64 / 1000.0,
        outcome.behind.as_secs_f64() * 1e6
    )
}

fn write(directory: &Path, port: u16) -> io::Result<()> {
    let zones = directory.join("zones");
    fs::create_dir_all(&zones)?;
    let monitor = format!(
        "http = {{ path = \"/\", port = {port} }}\ninterval = \"500ms\"\ntimeout = \"250ms\"\nrise = 1\nfall = 1"
    );
    fs::write(zones.join("services.toml"), services(SERVICES, TARGETS, 30, &monitor))
}
