//! Commands and flags.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;

use crate::{
    config::SourceOptions,
    dns::{Name, Rtype},
};

/// An authoritative DNS server that answers each client with the datacenter that suits it best.
#[derive(Debug, Parser)]
#[command(name = "portolan", version, max_term_width = 100)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Colour in what is printed.
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto)]
    pub color: Colour,
    /// Print one JSON document.
    #[arg(long, global = true)]
    pub json: bool,
    /// The form of `serve`'s log on stderr. PORTOLAN_LOG selects its records (`debug`;
    /// `info,portolan::probe=debug`).
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// When to print in colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// An object a line.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve until SIGTERM; SIGHUP or a change of the files reloads.
    Serve(FileArguments),
    /// Validate everything that `serve` would, and say what it would serve.
    Check(CheckArguments),
    /// Show the answer that a client would get, and why.
    Explain(ExplainArguments),
    /// Show what a change would move: who, how much, from where to where.
    Plan(PlanArguments),
    /// Show where addresses are, as the GeoIP databases have it.
    Locate(LocateArguments),
    /// Take a datacenter (or a region) out of service by editing its state in its zone file.
    Drain(DrainArguments),
    /// Put a datacenter (or a region) back into service.
    Undrain(UndrainArguments),
    /// Give the clients of a failover pool back to its first usable member.
    Failback(FailbackArguments),
    /// Show the state of the running server.
    Status(ServerArguments),
    /// Make the running server read its files now, and say what it applied and what it held.
    Reload(ReloadArguments),
}

/// Where the files are.
#[derive(Debug, Clone, Args)]
pub struct FileArguments {
    /// The configuration file [default: portolan.toml, if there is one].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The directory of the zone files [default: zones].
    #[arg(long, value_name = "DIR")]
    pub zones: Option<PathBuf>,
    /// A GeoIP database; may be given several times [default: geoip/*.mmdb].
    #[arg(long, value_name = "FILE")]
    pub geoip: Vec<PathBuf>,
    /// An address to answer on; may be given several times [default: 127.0.0.1:5300].
    #[arg(long, value_name = "ADDR")]
    pub listen: Vec<SocketAddr>,
}

impl FileArguments {
    /// As the configuration reads it.
    pub fn locations(&self) -> SourceOptions {
        SourceOptions {
            directory: None,
            config: self.config.clone(),
            zones: self.zones.clone(),
            geoip: self.geoip.clone(),
            listen: self.listen.clone(),
        }
    }
}

/// `check`.
#[derive(Debug, Args)]
pub struct CheckArguments {
    /// The directory that holds portolan.toml or zones/, or a zones directory itself [default: the
    /// working directory].
    #[arg(value_name = "DIR", conflicts_with_all = ["config", "zones"])]
    pub directory: Option<PathBuf>,
    /// Exit with code 1 on warnings, too.
    #[arg(long)]
    pub strict: bool,
    #[command(flatten)]
    pub files: FileArguments,
}

impl CheckArguments {
    /// As the configuration reads it.
    ///
    /// # Errors
    /// In words, where there is no such directory.
    pub fn locations(&self) -> Result<SourceOptions, String> {
        let of_flags = self.files.locations();
        let Some(directory) = &self.directory else { return Ok(of_flags) };
        let SourceOptions { directory, zones, .. } = SourceOptions::of_directory(directory)?;
        Ok(SourceOptions { directory, zones, ..of_flags })
    }
}

/// `explain`.
#[derive(Debug, Args)]
pub struct ExplainArguments {
    /// The name asked for.
    pub name: Name,
    /// The type asked for.
    #[arg(default_value = "A")]
    pub rtype: Rtype,
    /// The address that the query comes from: the client's resolver, or the client itself.
    #[arg(long, value_name = "IP")]
    pub client: IpAddr,
    /// The EDNS Client Subnet that the resolver sends along.
    #[arg(long, value_name = "PREFIX", value_parser = parse_prefix)]
    pub subnet: Option<IpNet>,
    /// Ask the running server at this URL or host:port [default: PORTOLAN_SERVER, else the
    /// configured admin address; where none answers, or with --zones or --geoip, the files, with
    /// all monitors unknown].
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    #[command(flatten)]
    pub files: FileArguments,
}

/// `plan`.
#[derive(Debug, Args)]
pub struct PlanArguments {
    /// The zones directory as it is in use now, to compare `--zones` with.
    #[arg(long, value_name = "DIR")]
    pub against: PathBuf,
    /// Forbid moving more than this share of the address space, for any service.
    #[arg(long, value_name = "PERCENT", value_parser = parse_percent)]
    pub max_moved: Option<f64>,
    #[command(flatten)]
    pub files: FileArguments,
}

/// `locate`.
#[derive(Debug, Args)]
pub struct LocateArguments {
    /// The addresses.
    #[arg(required = true)]
    pub addresses: Vec<IpAddr>,
    #[command(flatten)]
    pub files: FileArguments,
}

/// Which running server to talk to.
#[derive(Debug, Clone, Args)]
pub struct ServerArguments {
    /// The server's admin address, a URL or host:port [default: that of the configuration, else
    /// http://127.0.0.1:8053].
    #[arg(long, value_name = "URL", env = "PORTOLAN_SERVER", hide_env_values = true)]
    pub server: Option<String>,
    /// The configuration file that names the admin address.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `drain`.
#[derive(Debug, Args)]
pub struct DrainArguments {
    /// A datacenter, or a region for all of its datacenters.
    pub datacenter: String,
    /// For how long; then it is in service again.
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_positive_duration)]
    pub duration: Option<Duration>,
    /// Over how long clients leave, a few at a time, each once; 0s: at once, whatever `drain-over`
    /// says.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub over: Option<Duration>,
    /// Hold a drain that goes on over a time where it is now.
    #[arg(long, conflicts_with_all = ["duration", "over", "reason", "force", "resume"])]
    pub pause: bool,
    /// Let a drain that was held go on.
    #[arg(long, conflicts_with_all = ["duration", "over", "reason", "force"])]
    pub resume: bool,
    /// Reason for the drain, shown with the state: one line of at most 200 octets.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Even if a service is left with nothing usable.
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub remote: ServerArguments,
}

/// `undrain`.
#[derive(Debug, Args)]
pub struct UndrainArguments {
    /// A datacenter, or a region for all of its datacenters.
    pub datacenter: String,
    #[command(flatten)]
    pub remote: ServerArguments,
}

/// `failback`.
#[derive(Debug, Args)]
pub struct FailbackArguments {
    /// The pool.
    pub pool: String,
    #[command(flatten)]
    pub remote: ServerArguments,
}

/// `reload`.
#[derive(Debug, Args)]
pub struct ReloadArguments {
    /// Apply the files even if they remove all zones, or most zones or services.
    #[arg(long)]
    pub accept_removal: bool,
    #[command(flatten)]
    pub remote: ServerArguments,
}

/// A prefix; an address alone is a prefix of all its bits, and host bits are taken as zero, as a
/// resolver sends them.
fn parse_prefix(text: &str) -> Result<IpNet, String> {
    let parsed = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    parsed
        .map(|prefix| prefix.trunc())
        .map_err(|_| "not a prefix; write 192.0.2.0/24 or 2001:db8::/56".to_owned())
}

fn parse_percent(text: &str) -> Result<f64, String> {
    let share = text
        .trim_end_matches('%')
        .parse::<f64>()
        .ok()
        .filter(|share| (0.0..=100.0).contains(share));
    share.ok_or_else(|| "not a share; write 10%".to_owned())
}

/// `2h`, `90m`, `1h30m`, `45s`.
fn parse_positive_duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).and_then(|parsed| {
        if parsed.as_secs() > 0 { Ok(parsed) } else { Err(NOT_A_DURATION.to_owned()) }
    })
}

/// The same, or `0s`.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let parsed = text
        .parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|parsed| Duration::try_from(parsed).ok());
    parsed.ok_or_else(|| NOT_A_DURATION.to_owned())
}

const NOT_A_DURATION: &str = "not a duration; write 2h, 90m or 1h30m";
