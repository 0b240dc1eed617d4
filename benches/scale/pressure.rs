//! The latency of queries while the control side is fully busy: continuous reloads of everything,
//! 10,000 probed targets, metrics scraped. It is compared with the same queries while only the
//! probes run, and with a bare echo, alternately: the latency of the echo is that of the machine.

use std::{
    fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use super::{
    cores,
    flapping::shown,
    load::LoadPlan,
    peers::Peer,
    process::{ExpectedAnswer, Server, free_address, question},
    targets::{address, services},
};

const SERVICES: usize = 20_000;
const TARGETS: usize = 10_000;
const ROUND: Duration = Duration::from_secs(10);
const ROUNDS: usize = 3;
/// Queries per second: `PORTOLAN_BENCH_RATE`, or about half of what one slow core can answer while
/// the control side runs.
const RATE: u32 = 40_000;
const FILE: &str = "zones/services.toml";
const EDITS: usize = 5;
const EDITS_EVERY: Duration = Duration::from_secs(2);
const SCRAPES_EVERY: Duration = Duration::from_millis(200);

pub(crate) fn run() -> io::Result<()> {
    cores::move_to_load_core()?;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let port = listener.local_addr()?.port();
    // The thread ends with the process.
    thread::spawn(move || listener.incoming().for_each(drop));
    let directory = tempfile::tempdir()?;
    let directory = directory.path();
    let (dns, admin) = (free_address(), free_address());
    fs::create_dir_all(directory.join("zones"))?;
    write(&directory.join(FILE), 30, port)?;
    let text = format!("[server]\nlisten = [\"{dns}\"]\nadmin = \"{admin}\"\nthreads = 1\n");
    fs::write(directory.join("portolan.toml"), text)?;
    let Some(mut server) = Server::start_apart(&mut Peer::Portolan.command(directory), dns)? else {
        return Ok(());
    };
    server.wait_for(&ExpectedAnswer { name: "s0.x.example".to_owned(), address: address(0) })?;
    println!("\nportolan: {SERVICES} services over {TARGETS} targets");
    latency(directory, (dns, admin), port)
}

fn latency(directory: &Path, (dns, admin): (SocketAddr, SocketAddr), port: u16) -> io::Result<()> {
    let rate = std::env::var("PORTOLAN_BENCH_RATE")
        .ok()
        .and_then(|rate| rate.parse().ok())
        .unwrap_or(RATE);
    let questions: Vec<_> =
        (0..1000).map(|index| question(0, &format!("s{}.x.example", index * 17))).collect();
    let plan = LoadPlan {
        source: Ipv4Addr::LOCALHOST,
        address: dns,
        questions: &questions,
        rate,
        duration: ROUND,
    };
    let address = free_address();
    let mut echo = Command::new(std::env::current_exe()?);
    let Some(mut echo) = Server::start_apart(echo.args(["echo", &address.to_string()]), address)?
    else {
        return Ok(());
    };
    echo.wait_for_reply()?;
    let echo_plan = LoadPlan { address, ..plan };
    for _ in 0..ROUNDS {
        println!("  bare echo       {}", shown(&echo_plan.run()?));
        println!("  at rest         {}", shown(&plan.run()?));
        prepare(directory, port)?;
        let is_over = AtomicBool::new(false);
        let (outcome, edits) = thread::scope(|scope| {
            let edits = scope.spawn(|| edit(directory, &is_over));
            scope.spawn(|| scrape(admin, &is_over));
            let outcome = plan.run();
            is_over.store(true, Relaxed);
            (outcome, edits.join())
        });
        let edits = edits.map_err(|_| io::Error::other("the editor panicked"))??;
        println!("  under pressure  {}; {edits} edits of everything", shown(&outcome?));
    }
    Ok(())
}

/// Replaces the file of the services every two seconds by one with other TTLs, so that every
/// service changes.
fn edit(directory: &Path, is_over: &AtomicBool) -> io::Result<usize> {
    let mut edits = 0;
    let mut due = Instant::now();
    while !is_over.load(Relaxed) {
        if Instant::now() >= due && edits < EDITS {
            fs::rename(directory.join(edits.to_string()), directory.join(FILE))?;
            edits += 1;
            due += EDITS_EVERY;
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(edits)
}

fn scrape(admin: SocketAddr, is_over: &AtomicBool) {
    while !is_over.load(Relaxed) {
        let page = TcpStream::connect(admin).and_then(|mut stream| {
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
            stream.read_to_end(&mut Vec::new())
        });
        if page.is_err() {
            println!("  a scrape failed");
        }
        thread::sleep(SCRAPES_EVERY);
    }
}

/// Writes the files before the run: writing them during it would take CPU from the load's core.
fn prepare(directory: &Path, port: u16) -> io::Result<()> {
    (0..EDITS).try_for_each(|edit| write(&directory.join(edit.to_string()), 31 - edit % 2, port))
}

fn write(file: &Path, ttl_secs: usize, port: u16) -> io::Result<()> {
    let monitor = format!("tcp = {{ port = {port} }}");
    fs::write(file, services(SERVICES, TARGETS, ttl_secs, &monitor))
}
