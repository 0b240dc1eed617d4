//! portolan and its peers on the same wire: gdnsd, Knot DNS, PowerDNS, BIND, and a bare echo as the
//! lower bound.
//!
//! `cargo bench --bench peers` starts each of them as a plain process on a loopback port, with the
//! same zones and the same GeoIP database, checks that all give the same answers, and then measures
//! them in turn, round after round. `benches/README.md` describes the requirements, the figures and
//! the configuration of each server.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its output is its purpose")]

mod agreement;
#[path = "../support/cores.rs"]
mod cores;
mod cpu_usage;
mod dnsperf;
#[path = "../support/echo.rs"]
mod echo;
#[path = "../support/load.rs"]
mod load;
mod measure;
mod options;
mod plot;
#[path = "../../tests/support/ports.rs"]
mod ports;
mod report;
mod servers;
mod sources;
mod started_peers;
mod statistics;
#[path = "../support/usage.rs"]
mod usage;
#[path = "../../tests/support/wire.rs"]
mod wire;
mod workload;
mod zone;

use std::{collections::HashMap, net::Ipv4Addr, path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;

use crate::{
    agreement::{ComparedServer, ReplyTraits},
    measure::{LoadSpec, Sample},
    options::Options,
    report::{Cell, Figures, Machine, Report, Server, Settings},
    servers::WorkloadSupport,
    sources::Sources,
    started_peers::StartedPeer,
    workload::{Question, Workload},
};

type BenchResult<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> BenchResult<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [echo, address] = &arguments[..]
        && echo == "echo"
    {
        return Ok(echo::serve(address)?);
    }
    let options = Options::parse();
    cores::move_to_load_core()?;
    let site = tempfile::tempdir()?;
    let clients = workload::clients(&options.database)?;
    let tasks: Vec<PreparedWorkload> = options
        .workloads()
        .into_iter()
        .map(|workload| PreparedWorkload::new(workload, &clients, &site))
        .collect::<BenchResult<_>>()?;
    let sources = Sources::new(&options.database, &clients, site.path())?;
    let peers = started_peers::start_all(&options, &sources, site.path())?;
    let traits = agree(&tasks, &peers, &sources)?;
    let source = sources.of(clients[0]);
    let samples = measure(&options, &tasks, &peers, source)?;
    let report = summarise(&options, &peers, traits, samples)?;
    println!("{}", report.markdown());
    if let Some(directory) = options.output() {
        report.write(&directory)?;
        println!("written to {}", directory.display());
    }
    Ok(())
}

/// A workload with its queries in each form that the tools need.
struct PreparedWorkload {
    workload: Workload,
    questions: Vec<Question>,
    messages: Vec<Vec<u8>>,
    file: PathBuf,
}

impl PreparedWorkload {
    fn new(
        workload: Workload,
        clients: &[Ipv4Addr],
        site: &tempfile::TempDir,
    ) -> BenchResult<Self> {
        let questions = workload.questions(clients);
        let messages: Vec<_> = questions.iter().map(Question::message).collect();
        let file = site.path().join(workload.name());
        workload::write(&file, &messages)?;
        Ok(Self { workload, questions, messages, file })
    }
}

/// Reply traits by workload and label.
type TraitsByServer = HashMap<(&'static str, String), ReplyTraits>;

/// Checks that all servers that support a workload give the same answers.
fn agree(
    tasks: &[PreparedWorkload],
    peers: &[StartedPeer],
    sources: &Sources,
) -> BenchResult<TraitsByServer> {
    let mut traits = TraitsByServer::new();
    for task in tasks {
        let servers: Vec<ComparedServer<'_>> =
            peers.iter().filter_map(|peer| peer.compared(task.workload, sources)).collect();
        let found = agreement::compare(task.workload, &task.questions, &servers)?;
        println!("{}: {} servers agree", task.workload, servers.len());
        let key = |server: &ComparedServer<'_>| (task.workload.name(), server.label.to_owned());
        traits.extend(servers.iter().map(key).zip(found));
    }
    Ok(traits)
}

/// Measures every server in turn under each workload, round after round, so that a temporary
/// disturbance affects all of them.
fn measure(
    options: &Options,
    tasks: &[PreparedWorkload],
    peers: &[StartedPeer],
    client_source: Ipv4Addr,
) -> BenchResult<Vec<Sample>> {
    let mut samples = Vec::new();
    for round in 1..=options.rounds {
        println!("round {round} of {}", options.rounds);
        for task in tasks {
            let drive = LoadSpec {
                workload: task.workload,
                messages: &task.messages,
                file: &task.file,
                duration: Duration::from_secs_f64(options.seconds),
                rate: options.rate,
            };
            // Each round begins with another server.
            for peer in peers.iter().cycle().skip(round as usize).take(peers.len()) {
                let source = match peer.support(task.workload) {
                    WorkloadSupport::Whole | WorkloadSupport::Echo => Ipv4Addr::LOCALHOST,
                    WorkloadSupport::SourceAddress => client_source,
                    WorkloadSupport::Cannot => continue,
                };
                samples.push(drive.measure(peer.label(), round, source, &peer.server)?);
            }
        }
    }
    Ok(samples)
}

/// Computes medians and spreads, and adds notes.
fn summarise(
    options: &Options,
    peers: &[StartedPeer],
    traits: TraitsByServer,
    samples: Vec<Sample>,
) -> BenchResult<Report> {
    let mut cells = Vec::new();
    for workload in options.workloads() {
        for peer in peers {
            let is_own =
                |sample: &&Sample| sample.workload == workload && sample.server == peer.label();
            let own_samples: Vec<&Sample> = samples.iter().filter(is_own).collect();
            cells.push(Cell {
                workload,
                server: peer.label().to_owned(),
                support: peer.support(workload),
                reply_traits: traits.get(&(workload.name(), peer.label().to_owned())).copied(),
                figures: Figures::of(&own_samples),
            });
        }
    }
    let server = |peer: &StartedPeer| -> BenchResult<Server> {
        let resident_mib = peer.server.resident_kib()? as f64 / 1024.0;
        Ok(Server { label: peer.label().to_owned(), version: peer.version.clone(), resident_mib })
    };
    let database = options.database.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Report {
        machine: Machine::here(),
        settings: Settings {
            rounds: options.rounds,
            seconds: options.seconds,
            rate: options.rate,
            database,
        },
        servers: peers.iter().map(server).collect::<BenchResult<_>>()?,
        cells,
        samples,
    })
}
