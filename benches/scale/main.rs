//! The cost of size, measured from outside on the real program, and on gdnsd and Knot where they
//! support the same.
//!
//! `cargo bench --bench scale [-- NAME...]`, where a name is `records`, `services`, `city`,
//! `geographies`, `flapping`, `pressure`, `clients`, `weighted`, `answers` or `churn`. Each server
//! is started as its own process. A table reports the time of the first answer, the CPU and memory
//! until then, and the same for edits, drains and dead members, at three sizes, with the growth per
//! tenfold size. Figures are medians of `PORTOLAN_BENCH_RUNS` (default 3) runs.
//! `PORTOLAN_BENCH_MMDB=FILE` names the database of `city` and `geographies`, for which the one in
//! this repository is small. `PORTOLAN_BENCH_PROGRAM=FILE` names another program to measure than
//! the one that cargo builds, such as that of another commit.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::{fs, io, path::Path, process::Command, time::Instant};

use peers::Peer;
use process::{ExpectedAnswer, ResourceUsage, Server, free_address};
use table::Row;

mod admin;
mod answers;
mod churn;
mod clients;
#[path = "../support/cores.rs"]
mod cores;
#[path = "../support/echo.rs"]
mod echo;
mod figures;
mod flapping;
mod fleet;
mod geography;
#[path = "../support/load.rs"]
mod load;
mod peers;
#[path = "../../tests/support/ports.rs"]
mod ports;
mod pressure;
mod process;
#[path = "../../tests/support/programs.rs"]
mod programs;
mod records;
mod sampling;
mod services;
mod table;
mod targets;
mod trial;
#[path = "../support/usage.rs"]
mod usage;
mod weighted;
#[path = "../../tests/support/wire.rs"]
mod wire;

fn main() -> io::Result<()> {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [echo, address] = &arguments[..]
        && echo == "echo"
    {
        return echo::serve(address);
    }
    let is_wanted =
        |name: &str| arguments.is_empty() || arguments.iter().any(|argument| argument == name);
    for (name, run) in [
        ("records", records::run as fn() -> io::Result<()>),
        ("services", services::run),
        ("city", geography::datacenters),
        ("geographies", geography::geographies),
        ("flapping", flapping::run),
        ("pressure", pressure::run),
        ("clients", clients::run),
        ("weighted", weighted::run),
        ("answers", answers::run),
        ("churn", churn::run),
    ] {
        if is_wanted(name) {
            println!("\n== {name}");
            run()?;
        }
    }
    Ok(())
}

/// One configuration to serve, in the form of one server.
struct Case<'c> {
    size: usize,
    /// Writes the server's files into its directory.
    write: &'c dyn Fn(&Path) -> io::Result<()>,
    /// The query after the start, with its expected answer.
    first: ExpectedAnswer,
    /// The edit of a file, and the query that shows it.
    edit: Option<Edit>,
}

/// A file, the text to replace in it, the new text, and the answer that shows the edit.
struct Edit {
    file: &'static str,
    old: String,
    new: String,
    then: ExpectedAnswer,
}

/// The number of runs of each case.
fn runs() -> usize {
    std::env::var("PORTOLAN_BENCH_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(3)
}

/// Serves the cases with one server and prints their cost.
fn measure(peer: Peer, what: &str, cases: &[Case<'_>]) -> io::Result<()> {
    let mut rows = Vec::new();
    for case in cases {
        let found: io::Result<Vec<_>> = (0..runs()).map(|_| once(peer, case)).collect();
        match found {
            Ok(found) if found.iter().any(Option::is_none) => {
                println!("\n{}: not installed, skipped", peer.name());
                return Ok(());
            }
            Ok(found) => {
                rows.extend(table::median(&found.into_iter().flatten().collect::<Vec<_>>()))
            }
            // Larger cases would take even longer.
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                println!("\n{}, {} {what}: {error}", peer.name(), case.size);
                break;
            }
            Err(error) => return Err(error),
        }
    }
    table::print(peer.name(), what, &rows);
    Ok(())
}

fn once(peer: Peer, case: &Case<'_>) -> io::Result<Option<Row>> {
    let directory = tempfile::tempdir()?;
    let directory = directory.path();
    let address = free_address();
    (case.write)(directory)?;
    peer.prepare(directory, address)?;
    let began = Instant::now();
    let Some(mut server) = Server::start(&mut peer.command(directory), address)? else {
        return Ok(None);
    };
    let start = server.figures(&case.first, began, 0.0)?;
    let settled_mib = server.settled_mib()?;
    let edit = match &case.edit {
        Some(edit) => Some(edited(peer, directory, &mut server, edit)?),
        None => None,
    };
    Ok(Some(Row { size: case.size, start, settled_mib, edit }))
}

/// Edits the file and waits for the answer that shows the edit.
fn edited(
    peer: Peer,
    directory: &Path,
    server: &mut Server,
    edit: &Edit,
) -> io::Result<ResourceUsage> {
    let path = directory.join(edit.file);
    let text = fs::read_to_string(&path)?;
    assert!(text.contains(&edit.old), "{} has no {:?}", path.display(), edit.old);
    let text = text.replacen(&edit.old, &edit.new, 1);
    server.forget_peak()?;
    let cpu_before = server.cpu_secs()?;
    fs::write(&path, text)?;
    let since = Instant::now();
    match peer.take_up(directory) {
        None => server.figures(&edit.then, since, cpu_before),
        Some(mut command) if peer.is_replaced() => {
            let Some(mut next) = Server::start(&mut command, server.address()?)? else {
                return Ok(ResourceUsage::default());
            };
            // Both processes are in memory until the new one has taken over, so the peak is their
            // sum.
            let old_mib = server.resident_mib()?;
            let figures = next.figures(&edit.then, since, 0.0)?;
            std::mem::swap(server, &mut next);
            Ok(ResourceUsage { peak_mib: figures.peak_mib + old_mib, ..figures })
        }
        Some(mut command) => {
            Command::output(&mut command)?;
            server.figures(&edit.then, since, cpu_before)
        }
    }
}
