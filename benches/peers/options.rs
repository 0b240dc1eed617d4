//! The command line: `cargo bench --bench peers -- OPTIONS`.

use std::{io, path::PathBuf};

use clap::Parser;

use crate::workload::Workload;

/// Measures portolan beside its peers on the same wire.
#[derive(Debug, Parser)]
#[command(name = "peers", bin_name = "cargo bench --bench peers --", version)]
pub(crate) struct Options {
    /// How often each server is measured under each workload.
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: u32,
    /// Length of each measured run; there are two for each server, workload and round.
    #[arg(long, default_value_t = 5.0)]
    pub(crate) seconds: f64,
    /// Queries per second at which latency is measured: below what the slowest server can do.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) rate: u32,
    /// These servers only: portolan, gdnsd, knot, powerdns, bind, echo, or labels given by
    /// --portolan.
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Measure only these workloads.
    #[arg(long, value_delimiter = ',')]
    pub(crate) workload: Vec<Workload>,
    /// A portolan to measure, as PATH or LABEL=PATH; may be repeated.  [default: the one that cargo
    /// has just built]
    #[arg(long, value_name = "[LABEL=]PATH", value_parser = labelled)]
    pub(crate) portolan: Vec<(String, PathBuf)>,
    /// A GeoIP database of MaxMind's form, with continents.
    #[arg(long, value_parser = absolute, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/geoip/world-country.mmdb"))]
    pub(crate) database: PathBuf,
    /// Where the report is written.  [default: benches/results for a run of everything; else it is
    /// only printed]
    #[arg(long)]
    pub(crate) output: Option<PathBuf>,
    /// The flag that `cargo bench` always passes.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    /// The workloads to measure.
    pub(crate) fn workloads(&self) -> Vec<Workload> {
        if self.workload.is_empty() { Workload::ALL.to_vec() } else { self.workload.clone() }
    }

    /// The portolan programs to measure, with their labels.
    pub(crate) fn portolans(&self) -> Vec<(String, PathBuf)> {
        if self.portolan.is_empty() {
            return vec![("portolan".to_owned(), env!("CARGO_BIN_EXE_portolan").into())];
        }
        self.portolan.clone()
    }

    /// Whether a server is selected, by its kind or its label.
    pub(crate) fn selects(&self, kind: &str, label: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == kind || only == label)
    }

    /// The directory for the report, if one is written.
    pub(crate) fn output(&self) -> Option<PathBuf> {
        let is_whole = self.only.is_empty() && self.workload.is_empty() && self.portolan.is_empty();
        let results = || concat!(env!("CARGO_MANIFEST_DIR"), "/benches/results").into();
        self.output.clone().or_else(|| is_whole.then(results))
    }
}

/// An absolute path, since the servers run in other directories.
fn absolute(path: &str) -> io::Result<PathBuf> {
    std::path::absolute(path)
}

fn labelled(text: &str) -> io::Result<(String, PathBuf)> {
    let (label, path) = text.split_once('=').unwrap_or(("portolan", text));
    Ok((label.to_owned(), absolute(path)?))
}
