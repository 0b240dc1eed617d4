//! Commands and flags.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;

use super::durations::parse_duration;
use super::override_args::{
    DrainArguments, ForcedHealthArguments, RuleArguments, StateArguments, UndrainArguments,
    WeightArguments,
};
pub(super) use super::server_args::ServerArguments;
use crate::{
    config::SourceOptions,
    dns::{Name, Rtype},
};

/// An authoritative DNS server that answers each client with the datacenter that suits it best.
#[derive(Debug, Parser)]
#[command(
    name = "portolan",
    version,
    max_term_width = 100,
    after_help = "Examples:\n  portolan check\n  portolan serve\n  portolan explain www.example.com --client 192.0.2.1"
)]
pub struct Arguments {
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
    /// When to colour the output.
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto)]
    pub color: Colour,
    /// Print one JSON document instead of text.
    #[arg(long, global = true)]
    pub json: bool,
    /// The format of the log that `serve` writes to stderr. The environment variable PORTOLAN_LOG
    /// selects its records (`debug`; `info,portolan::probe=debug`).
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// When to print in colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// Colour on a terminal, unless NO_COLOR is set.
    Auto,
    /// Colour the output in every case.
    Always,
    /// Do not colour the output.
    Never,
}

/// The format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line of text per record.
    Text,
    /// One JSON object per line.
    Json,
}

/// A command and its arguments.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server until SIGTERM. It reloads its files on SIGHUP and when they change.
    #[command(
        after_help = "Example:\n  portolan serve --config /etc/portolan/portolan.toml --zones /etc/portolan/zones"
    )]
    Serve(FileArguments),
    /// Validate all files as `serve` would, and show what it would serve.
    #[command(after_help = "Example:\n  portolan check --strict /etc/portolan")]
    Check(CheckArguments),
    /// Show the answer that a client would get, and the reason for it.
    #[command(
        after_help = "Example:\n  portolan explain www.example.com AAAA --client 192.0.2.1 --subnet 203.0.113.0/24"
    )]
    Explain(ExplainArguments),
    /// Show which clients a change would move, how many and from where to where: edited files, a
    /// drain, an outage or another GeoIP database, compared with the running server.
    #[command(
        after_help = "Examples:\n  portolan plan --zones zones.new --max-moved 10%\n  portolan plan --drain fra --n-1\n  portolan plan --geoip new-city.mmdb --map moved.svg"
    )]
    Plan(PlanArguments),
    /// Show the locations of addresses in the GeoIP databases.
    #[command(after_help = "Example:\n  portolan locate 192.0.2.1 2001:db8::1")]
    Locate(LocateArguments),
    /// Drain datacenters, regions, pools or members: move their clients away.
    #[command(
        after_help = "Examples:\n  portolan drain fra --for 2h --over 10m --reason \"kernel upgrade\"\n  portolan drain web/web-1 \
                      service:www.example.com/192.0.2.1 --server gslb1 --server gslb2\n  portolan drain fra --pause"
    )]
    Drain(DrainArguments),
    /// End a drain: what the files say is in force again.
    #[command(after_help = "Example:\n  portolan undrain fra --over 30m")]
    Undrain(UndrainArguments),
    /// Take datacenters, regions, pools or members out of service: no clients, no health checks.
    #[command(after_help = "Example:\n  portolan disable fra --until 2026-12-01T06:00:00Z")]
    Disable(StateArguments),
    /// Put datacenters, regions, pools or members into service, whatever the files say.
    #[command(after_help = "Example:\n  portolan enable fra --over 30m")]
    Enable(StateArguments),
    /// Use datacenters, regions, pools or members only when nothing else is usable.
    #[command(after_help = "Example:\n  portolan standby fra --reason \"link is slow\"")]
    Standby(StateArguments),
    /// Treat members as up or as down, whatever their health checks say.
    #[command(
        after_help = "Examples:\n  portolan force down web/web-1 --for 1h\n  portolan force none web/web-1"
    )]
    Force(ForcedHealthArguments),
    /// Give a member of a pool another weight.
    #[command(
        after_help = "Examples:\n  portolan weight web/web-1 5 --reason canary\n  portolan weight web/web-1 none"
    )]
    Weight(WeightArguments),
    /// Let the clients of a failover pool return to its first usable member.
    #[command(after_help = "Example:\n  portolan failback www")]
    Failback(FailbackArguments),
    /// Show the state of the running server: what is wrong first.
    #[command(
        after_help = "Examples:\n  portolan status\n  portolan status services --failing\n  portolan status www.example.com --server gslb1:8053"
    )]
    Status(StatusArguments),
    /// Show what changed on the running server, when, by whose action and why.
    #[command(
        after_help = "Examples:\n  portolan log --since 1h\n  portolan log --subject fra --follow"
    )]
    Log(LogArguments),
    /// Make the running server read its files now, and show which it applied and which it refused.
    #[command(after_help = "Example:\n  portolan reload")]
    Reload(ReloadArguments),
}

/// The files that a command reads.
#[derive(Debug, Clone, Default, Args)]
pub struct FileArguments {
    /// The configuration file [default: portolan.toml, if there is one].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The directory of the zone files [default: zones].
    #[arg(long, value_name = "DIR")]
    pub zones: Option<PathBuf>,
    /// A GeoIP database; may be repeated [default: geoip/*.mmdb].
    #[arg(long, value_name = "FILE")]
    pub geoip: Vec<PathBuf>,
    /// An address and port on which queries are answered; may be repeated [default:
    /// 127.0.0.1:5300].
    #[arg(long, value_name = "ADDR")]
    pub listen: Vec<SocketAddr>,
}

impl FileArguments {
    /// The options as the configuration reads them.
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

/// The arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArguments {
    /// The directory that contains portolan.toml or zones/, or a zones directory itself [default:
    /// the working directory].
    #[arg(value_name = "DIR", conflicts_with_all = ["config", "zones"])]
    pub directory: Option<PathBuf>,
    /// Exit with code 1 on warnings as well.
    #[arg(long)]
    pub strict: bool,
    #[command(flatten)]
    pub files: FileArguments,
}

impl ExplainArguments {
    /// The servers to ask.
    pub fn remote(&self) -> ServerArguments {
        ServerArguments {
            server: self.server.clone(),
            ca: self.ca.clone(),
            config: self.files.config.clone(),
        }
    }
}

impl CheckArguments {
    /// The options as the configuration reads them.
    ///
    /// # Errors
    /// A text, if the directory does not exist.
    pub fn locations(&self) -> Result<SourceOptions, String> {
        let flags = self.files.locations();
        let Some(directory) = &self.directory else { return Ok(flags) };
        let SourceOptions { directory, zones, .. } = SourceOptions::of_directory(directory)?;
        Ok(SourceOptions { directory, zones, ..flags })
    }
}

/// The arguments of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArguments {
    /// The name of the query.
    pub name: Name,
    /// The record type of the query.
    #[arg(default_value = "A")]
    pub rtype: Rtype,
    /// The source address of the query: that of the client's resolver, or of the client itself.
    #[arg(long, value_name = "IP")]
    pub client: IpAddr,
    /// The EDNS Client Subnet that the resolver sends with the query.
    #[arg(long, value_name = "PREFIX", value_parser = parse_prefix)]
    pub subnet: Option<IpNet>,
    /// Show the answer as it was at this time: a duration before now (`1h`), or a moment in UTC
    /// (`2026-12-01T06:00:00Z`). The running server has the history.
    #[arg(long, value_name = "TIME", value_parser = parse_past, conflicts_with_all = ["zones", "geoip"])]
    pub at: Option<i64>,
    /// Ask the running server at this URL or host:port; may be repeated [default: PORTOLAN_SERVER,
    /// else the configured admin address]. Without --server, the files are read instead if no
    /// server answers there, or if --zones or --geoip is given; the health of all targets is then
    /// unknown.
    #[arg(long, value_name = "URL")]
    pub server: Vec<String>,
    /// A PEM file of CA certificates for https:// servers [default: those of the system].
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    #[command(flatten)]
    pub files: FileArguments,
}

/// The arguments of `plan`.
#[derive(Debug, Default, Args)]
pub struct PlanArguments {
    /// What the files are compared with: a directory of zone files, or a running server by its URL
    /// or host:port [default: the running server of --server].
    #[arg(long, value_name = "DIR|URL")]
    pub against: Option<String>,
    /// The running server that the files are compared with, a URL or host:port [default:
    /// PORTOLAN_SERVER, else the configured admin address].
    #[arg(long, value_name = "URL", conflicts_with = "against")]
    pub server: Option<String>,
    /// A PEM file of CA certificates for https:// servers [default: those of the system].
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Assume that this is drained: a datacenter, a region, a pool, POOL/MEMBER or
    /// service:NAME/MEMBER; may be repeated. Without --zones the change is this alone: no files
    /// are read.
    #[arg(long, value_name = "SUBJECT")]
    pub drain: Vec<String>,
    /// Assume that the targets of this are down; the same subjects as of --drain.
    #[arg(long, value_name = "SUBJECT")]
    pub down: Vec<String>,
    /// Show, for each datacenter, what happens if it goes down after the change, the worst first.
    #[arg(long = "n-1")]
    pub outages: bool,
    /// The demand of all services together, in the unit of the datacenters' `capacity`, such as
    /// queries per second.
    #[arg(long, value_name = "NUMBER", value_parser = parse_demand)]
    pub demand: Option<f64>,
    /// Exit with code 3 if more than this share of the clients moves, for any service.
    #[arg(long, value_name = "PERCENT", value_parser = parse_percent)]
    pub max_moved: Option<f64>,
    /// Draw the clients and their datacenters before and after the change into this SVG file.
    #[arg(long, value_name = "FILE.svg")]
    pub map: Option<PathBuf>,
    #[command(flatten)]
    pub files: FileArguments,
}

/// The arguments of `locate`.
#[derive(Debug, Args)]
pub struct LocateArguments {
    /// The addresses to look up.
    #[arg(required = true)]
    pub addresses: Vec<IpAddr>,
    #[command(flatten)]
    pub files: FileArguments,
}

/// The arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArguments {
    /// What to show: `services`, `datacenters`, `targets`, `overrides` (what operators set
    /// over the files), `held` (files that are not in use as they are), or the NAME of a service,
    /// pool, member, datacenter, region or target [default: what is wrong, then a summary].
    #[arg(value_name = "VIEW|NAME")]
    pub view: Option<String>,
    /// Show only what is wrong, all of it.
    #[arg(long)]
    pub failing: bool,
    /// Draw the report again each second, on a terminal.
    #[arg(long, conflicts_with = "exit_code")]
    pub watch: bool,
    /// Exit with code 4 if an operator must act: if the server has concerns, as `/readyz` lists
    /// them.
    #[arg(long)]
    pub exit_code: bool,
    #[command(flatten)]
    pub remote: ServerArguments,
}

/// The arguments of `failback`.
#[derive(Debug, Args)]
pub struct FailbackArguments {
    /// The name of the pool.
    pub pool: String,
    #[command(flatten)]
    pub rules: RuleArguments,
    #[command(flatten)]
    pub remote: ServerArguments,
}

/// The arguments of `log`.
#[derive(Debug, Args)]
pub struct LogArguments {
    /// Show all events since this time: a duration before now, or a moment in UTC [default: the
    /// latest 100 events].
    #[arg(long, value_name = "TIME", value_parser = parse_past)]
    pub since: Option<i64>,
    /// Show no events after this time, which is written like that of --since.
    #[arg(long, value_name = "TIME", value_parser = parse_past, conflicts_with = "follow")]
    pub until: Option<i64>,
    /// Show the events of this datacenter, pool, member, target, alias or file.
    #[arg(long, value_name = "NAME")]
    pub subject: Option<String>,
    /// Show the events of this kind: state, command, health, configuration and so on.
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
    /// Show each new event as it happens, until interrupted.
    #[arg(long)]
    pub follow: bool,
    #[command(flatten)]
    pub remote: ServerArguments,
}

/// The arguments of `reload`.
#[derive(Debug, Args)]
pub struct ReloadArguments {
    /// Apply the files even if they remove most or all zones, or most services.
    #[arg(long)]
    pub accept_removal: bool,
    #[command(flatten)]
    pub rules: RuleArguments,
    #[command(flatten)]
    pub remote: ServerArguments,
}

/// Parses a prefix. An address alone is a prefix of full length; host bits are set to zero, as
/// resolvers send them.
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
    share.ok_or_else(|| "not a percentage; write 10%".to_owned())
}

/// Parses a time in the past, in milliseconds since 1970: a duration before now (`1h`), or a moment
/// (`2026-12-01T06:00:00Z`, `2026-12-01 06:00:00 UTC`).
fn parse_past(text: &str) -> Result<i64, String> {
    if let Ok(ago) = parse_duration(text) {
        let ago_ms = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
        return Ok(jiff::Timestamp::now().as_millisecond().saturating_sub(ago_ms).max(0));
    }
    let utc = text.trim_end_matches(" UTC").replacen(' ', "T", 1);
    let zoned = if utc.ends_with('Z') || utc.contains('+') { utc } else { format!("{utc}Z") };
    let moment: Result<jiff::Timestamp, _> = zoned.parse();
    moment
        .map(jiff::Timestamp::as_millisecond)
        .map_err(|_| "not a time; write 1h for an hour ago, or 2026-12-01T06:00:00Z".to_owned())
}

fn parse_demand(text: &str) -> Result<f64, String> {
    let demand = text.parse::<f64>().ok().filter(|demand| demand.is_finite() && *demand > 0.0);
    demand.ok_or_else(|| "not a number above 0; write 12000".to_owned())
}
