//! From samples to cells, and from cells to JSON and Markdown.

use std::{fmt::Write, fs, io, path::Path};

use serde::Serialize;

use crate::{
    agreement::ReplyTraits, measure::Sample, plot, servers::WorkloadSupport,
    statistics::MedianRange, workload::Workload,
};

/// The generator's delay above which the machine counts as busy.
const TOO_LATE_US: f64 = 1000.0;

/// The result of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) settings: Settings,
    pub(crate) servers: Vec<Server>,
    pub(crate) cells: Vec<Cell>,
    pub(crate) samples: Vec<Sample>,
}

/// The machine that the benchmark ran on.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) date: String,
}

/// The settings of the benchmark run.
#[derive(Debug, Serialize)]
pub(crate) struct Settings {
    pub(crate) rounds: u32,
    pub(crate) seconds: f64,
    pub(crate) rate: u32,
    pub(crate) database: String,
}

/// A server that was measured, with its version.
#[derive(Debug, Serialize)]
pub(crate) struct Server {
    pub(crate) label: String,
    pub(crate) version: String,
    /// Resident memory after the last round, with both zones and the database loaded.
    pub(crate) resident_mib: f64,
}

/// One server under one workload, over all rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Cell {
    pub(crate) workload: Workload,
    pub(crate) server: String,
    #[serde(rename = "reach")]
    pub(crate) support: WorkloadSupport,
    #[serde(rename = "manner")]
    pub(crate) reply_traits: Option<ReplyTraits>,
    pub(crate) figures: Option<Figures>,
}

/// Medians and spreads; times in microseconds, CPU times per answered query.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    pub(crate) per_second: MedianRange,
    pub(crate) lost: u64,
    pub(crate) cost: MedianRange,
    pub(crate) user: MedianRange,
    pub(crate) system: MedianRange,
    pub(crate) paced_cost: MedianRange,
    pub(crate) paced_lost: u64,
    pub(crate) p50: MedianRange,
    pub(crate) p99: MedianRange,
    pub(crate) p999: MedianRange,
    pub(crate) behind: MedianRange,
}

impl Figures {
    /// Summarises samples; `None` without a sample.
    pub(crate) fn of(samples: &[&Sample]) -> Option<Self> {
        let spread = |figure: fn(&Sample) -> f64| {
            MedianRange::of(samples.iter().map(|sample| figure(sample)))
        };
        Some(Self {
            per_second: spread(|sample| sample.saturated.per_second)?,
            lost: samples.iter().map(|sample| sample.saturated.lost).sum(),
            cost: spread(|sample| sample.saturated.cost.total_us())?,
            user: spread(|sample| sample.saturated.cost.user_us)?,
            system: spread(|sample| sample.saturated.cost.system_us)?,
            paced_cost: spread(|sample| sample.paced.cost.total_us())?,
            paced_lost: samples.iter().map(|sample| sample.paced.lost).sum(),
            p50: spread(|sample| sample.paced.p50_us)?,
            p99: spread(|sample| sample.paced.p99_us)?,
            p999: spread(|sample| sample.paced.p999_us)?,
            behind: spread(|sample| sample.paced.behind_us)?,
        })
    }
}

impl Machine {
    /// Reads the properties of this machine.
    pub(crate) fn here() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let processors = read("/proc/cpuinfo");
        let model =
            processors.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
        Self {
            processor: model.trim_start_matches([' ', '\t', ':']).to_owned(),
            // The thread's own affinity does not count: it was moved to one core.
            cores: processors.lines().filter(|line| line.starts_with("processor")).count(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
        }
    }
}

impl Report {
    /// Writes `peers.json`, `peers.md` and `peers.svg`.
    ///
    /// # Errors
    /// The directory or a file in it cannot be written.
    pub(crate) fn write(&self, directory: &Path) -> io::Result<()> {
        fs::create_dir_all(directory)?;
        fs::write(directory.join("peers.json"), serde_json::to_string_pretty(self)? + "\n")?;
        fs::write(directory.join("peers.md"), self.markdown())?;
        fs::write(directory.join("peers.svg"), plot::draw(self))
    }

    /// The cells of a workload, in the order of the servers.
    pub(crate) fn cells_of(&self, workload: Workload) -> impl Iterator<Item = &Cell> {
        self.cells.iter().filter(move |cell| cell.workload == workload)
    }

    /// The workloads that were measured.
    pub(crate) fn workloads(&self) -> impl Iterator<Item = Workload> {
        Workload::ALL.into_iter().filter(|&workload| self.cells_of(workload).next().is_some())
    }

    /// The report as Markdown tables.
    pub(crate) fn markdown(&self) -> String {
        let (machine, settings) = (&self.machine, &self.settings);
        let mut text = format!(
            "# portolan beside its peers\n\nMade by `cargo bench --bench peers` on {}: {}, {} cores, Linux {}. \
             Rounds: {}; runs of {} s; latency at {} queries/s; database `{}`. \
             How it is measured and how to read it: [benches/README.md](../README.md).\n\n![plot](peers.svg)\n",
            machine.date,
            machine.processor,
            machine.cores,
            machine.kernel,
            settings.rounds,
            settings.seconds,
            settings.rate,
            settings.database,
        );
        self.warning(&mut text);
        self.servers_table(&mut text);
        for workload in self.workloads() {
            let _ = write!(text, "\n## {}\n\n", workload.title());
            self.throughput_table(workload, &mut text);
            text.push('\n');
            self.latency_table(workload, &mut text);
        }
        self.notes(&mut text);
        text
    }

    /// Adds a warning if the machine was busy.
    fn warning(&self, text: &mut String) {
        let late =
            self.samples.iter().filter(|sample| sample.paced.behind_us > TOO_LATE_US).count();
        if late > 0 {
            let _ = write!(
                text,
                "\n**The machine was busy**: in {late} of {} runs the generator of the fixed rate was itself late by more than a \
                 millisecond. p99 and above, and losses, mostly show that delay.
",
                self.samples.len()
            );
        }
    }

    fn servers_table(&self, text: &mut String) {
        text.push_str("\n| server | version | resident memory, MiB |\n|---|---|---:|\n");
        for Server { label, version, resident_mib } in &self.servers {
            let _ = writeln!(text, "| {label} | {version} | {resident_mib:.1} |");
        }
    }

    fn throughput_table(&self, workload: Workload, text: &mut String) {
        let cost = |label: &str| {
            let mut cells = self.cells_of(workload).filter(|cell| cell.server == label);
            cells.find_map(|cell| cell.figures.as_ref()).map(|figures| figures.cost.median)
        };
        let (gdnsd, echo) = (cost("gdnsd"), cost("echo"));
        let ratio = |mine: f64, other: Option<f64>| {
            other.map_or_else(|| "–".to_owned(), |other| format!("{:.2}", mine / other))
        };
        text.push_str(
            "| as fast as it goes | CPU µs/query | user | system | CPU ÷ gdnsd | CPU ÷ echo | queries/s | lost |\n\
             |---|---:|---:|---:|---:|---:|---:|---:|\n",
        );
        for cell in self.cells_of(workload) {
            let _ = match &cell.figures {
                None => writeln!(text, "| {} | cannot | | | | | | |", cell.server),
                Some(figures) => writeln!(
                    text,
                    "| {}{} | {} | {:.2} | {:.2} | {} | {} | {} | {} |",
                    cell.server,
                    cell.mark(),
                    format_range(figures.cost, 2),
                    figures.user.median,
                    figures.system.median,
                    ratio(figures.cost.median, gdnsd),
                    ratio(figures.cost.median, echo),
                    format_range(figures.per_second, 0),
                    figures.lost,
                ),
            };
        }
    }

    fn latency_table(&self, workload: Workload, text: &mut String) {
        let _ = write!(
            text,
            "| at {} queries/s | p50 µs | p99 µs | p99.9 µs | lost | CPU µs/query | generator late by µs |\n\
             |---|---:|---:|---:|---:|---:|---:|\n",
            self.settings.rate
        );
        for cell in self.cells_of(workload) {
            let Some(figures) = &cell.figures else { continue };
            let _ = writeln!(
                text,
                "| {}{} | {} | {} | {} | {} | {} | {:.0} |",
                cell.server,
                cell.mark(),
                format_range(figures.p50, 0),
                format_range(figures.p99, 0),
                format_range(figures.p999, 0),
                figures.paced_lost,
                format_range(figures.paced_cost, 2),
                figures.behind.median,
            );
        }
    }

    fn notes(&self, text: &mut String) {
        text.push_str(
            "\n## Replies\n\n| workload | server | median octets | median ECS scope |\n|---|---|---:|---:|\n",
        );
        for cell in &self.cells {
            let Some(ReplyTraits { scope, octets }) = cell.reply_traits else { continue };
            let scope = scope.map_or_else(|| "–".to_owned(), |scope| format!("{scope:.0}"));
            let _ =
                writeln!(text, "| {} | {} | {octets:.0} | {scope} |", cell.workload, cell.server);
        }
        text.push_str(
            "\nFigures are medians over the rounds, with the least and the most in parentheses. CPU is all that the server's \
             threads used, divided by the queries answered. All servers gave the same answers, but for:\n\n\
             - echo, which sends each question back: the lower bound;\n",
        );
        if self.cells.iter().any(|cell| cell.support == WorkloadSupport::SourceAddress) {
            text.push_str(
                "- ¹ no ECS: its views use the source address of a query and ignore the client subnet. Asked from an \
                 address with the client's record in the database, it gave the same answers; measured, it was sent the same \
                 queries, all of them from one such address.\n",
            );
        }
    }
}

impl Cell {
    fn mark(&self) -> &'static str {
        if self.support == WorkloadSupport::SourceAddress { " ¹" } else { "" }
    }
}

/// Median, minimum and maximum as text: `12.3 (11.9–14.0)`.
fn format_range(spread: MedianRange, digits: usize) -> String {
    let MedianRange { median, least, most } = spread;
    format!("{median:.digits$} ({least:.digits$}–{most:.digits$})")
}
