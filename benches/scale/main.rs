//! What size costs, measured from outside on the real program, and on gdnsd and Knot where they can
//! do the same.
//!
//! `cargo bench --bench scale [-- NAME...]`, where a name is `records`, `services`, `city`,
//! `geographies`, `flapping`, `pressure`, `clients`, `weighted`, `answers` or `churn`. Each server
//! is started as a process of its own; a table reports when the first answer came, what CPU and
//! memory that took, and the same for edits, drains and dead members, at three sizes and with the
//! growth per tenfold of size. Figures are medians of `PORTOLAN_BENCH_RUNS` (default 3) runs.
//! `PORTOLAN_BENCH_MMDB=FILE` names the database of `city` and `geographies`, for which the one of
//! the project is small. `PORTOLAN_BENCH_PROGRAM=FILE` names a program to measure instead of the
//! one that cargo builds, such as that of another commit.
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
mod pressure;
mod process;
mod records;
mod sampling;
mod services;
mod table;
mod targets;
mod trial;
#[path = "../support/usage.rs"]
mod usage;
mod weighted;

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

/// One thing to serve, as one server wants it.
struct Case<'c> {
    size: usize,
    /// The server's files, in its directory.
    write: &'c dyn Fn(&Path) -> io::Result<()>,
    /// Asked for after the start.
    first: ExpectedAnswer,
    /// What to change in a file, and what is to be asked for then.
    edit: Option<Edit>,
}

/// A file in the directory, what stands there, what is to stand there, and the answer that shows
/// it.
struct Edit {
    file: &'static str,
    old: String,
    new: String,
    then: ExpectedAnswer,
}

/// How often each case is measured.
fn runs() -> usize {
    std::env::var("PORTOLAN_BENCH_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(3)
}

/// Serves the cases with one server and prints what they cost.
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
    let address = free_address()?;
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

/// Edits and waits for the answer that shows it.
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
            // Both are in memory until the new one has taken over: the peak is of both together.
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
