//! The arguments of the commands that set overrides: `drain`, `undrain`, `disable`, `enable`,
//! `standby`, `force` and `weight`.

use std::time::Duration;

use clap::{Args, ValueEnum, builder::PossibleValuesParser};

use super::{
    durations::{parse_duration, parse_positive_duration},
    server_args::ServerArguments,
};
use crate::steer::SafetyRule;

/// When an override holds, and why.
#[derive(Debug, Clone, Default, Args)]
pub struct OverrideArguments {
    /// How long it lasts; then what the files say is in force again [default: until an operator
    /// ends it].
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_positive_duration)]
    pub duration: Option<Duration>,
    /// When it ends, as RFC 3339 has it: 2026-12-01T06:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = parse_time, conflicts_with = "duration")]
    pub until: Option<String>,
    /// When it starts, as RFC 3339 has it [default: at once].
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub at: Option<String>,
    /// The reason, shown with the state: one line of at most 200 octets.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Go ahead although this rule forbids it; may be repeated, and needs --reason.
    #[arg(long = "override", value_name = "RULE", requires = "reason",
          value_parser = PossibleValuesParser::new(SafetyRule::ALL.map(SafetyRule::as_str)))]
    pub rules: Vec<String>,
    /// Go ahead even if a service is left without a usable member.
    #[arg(long)]
    pub force: bool,
}

/// The rules that a command goes around.
#[derive(Debug, Clone, Default, Args)]
pub struct RuleArguments {
    /// The reason, kept in the journal: one line of at most 200 octets.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Go ahead although this rule forbids it; may be repeated, and needs --reason.
    #[arg(long = "override", value_name = "RULE", requires = "reason",
          value_parser = PossibleValuesParser::new(SafetyRule::ALL.map(SafetyRule::as_str)))]
    pub rules: Vec<String>,
}

/// The arguments of `drain`.
#[derive(Debug, Args)]
pub struct DrainArguments {
    /// Datacenters, regions, pools, POOL/MEMBER, service:NAME/MEMBER.
    #[arg(required = true, value_name = "SUBJECT")]
    pub subjects: Vec<String>,
    /// The time over which clients leave gradually, each of them once; 0s moves all at once
    /// [default: `drain-over` of the datacenter or member].
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub over: Option<Duration>,
    /// Pause a gradual drain: the clients that have moved stay away, and no more leave.
    #[arg(long, conflicts_with_all = ["duration", "until", "at", "over", "reason", "force", "resume"])]
    pub pause: bool,
    /// Resume a paused drain.
    #[arg(long, conflicts_with_all = ["duration", "until", "at", "over", "reason"])]
    pub resume: bool,
    /// Edit the file of the datacenter instead of setting an override.
    #[arg(long, conflicts_with_all = ["until", "at"])]
    pub edit: bool,
    /// Show which clients the drain would move, and where, as `plan --drain` does; change nothing.
    #[arg(long, conflicts_with_all = ["pause", "resume", "edit", "watch", "at", "over", "duration", "until"])]
    pub dry_run: bool,
    /// Follow the drain until no client is left: the last cached answer has expired, and the load
    /// reports of what was drained show no sessions. Exits with code 4 if they still do one TTL and
    /// at least a minute later.
    #[arg(long, conflicts_with_all = ["pause", "at"])]
    pub watch: bool,
    #[command(flatten)]
    pub options: OverrideArguments,
    #[command(flatten)]
    pub remote: ServerArguments,
}

/// The arguments of `undrain`.
#[derive(Debug, Args)]
pub struct UndrainArguments {
    /// Datacenters, regions, pools, POOL/MEMBER, service:NAME/MEMBER.
    #[arg(required = true, value_name = "SUBJECT")]
    pub subjects: Vec<String>,
    /// The time over which clients return gradually [default: `slow-start` of the datacenter or
    /// member].
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub over: Option<Duration>,
    /// End a drain that is in the file of the datacenter as well, by an edit of the file.
    #[arg(long, conflicts_with = "over")]
    pub edit: bool,
    #[command(flatten)]
    pub rules: RuleArguments,
    #[command(flatten)]
    pub remote: ServerArguments,
}

/// The arguments of `disable`, `enable` and `standby`.
#[derive(Debug, Args)]
pub struct StateArguments {
    /// Datacenters, regions, pools, POOL/MEMBER, service:NAME/MEMBER.
    #[arg(required = true, value_name = "SUBJECT")]
    pub subjects: Vec<String>,
    /// The time over which clients return gradually, for `enable` [default: `slow-start` of the
    /// datacenter or member].
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub over: Option<Duration>,
    #[command(flatten)]
    pub options: OverrideArguments,
    #[command(flatten)]
    pub remote: ServerArguments,
}

/// The health that `force` sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ForcedHealth {
    /// Usable whatever the health checks say.
    Up,
    /// Not usable whatever the health checks say.
    Down,
    /// What the files and the health checks say.
    None,
}

/// The arguments of `force`.
#[derive(Debug, Args)]
pub struct ForcedHealthArguments {
    /// The health that the members count as having.
    pub health: ForcedHealth,
    /// Datacenters, regions, pools, POOL/MEMBER, service:NAME/MEMBER.
    #[arg(required = true, value_name = "SUBJECT")]
    pub subjects: Vec<String>,
    #[command(flatten)]
    pub options: OverrideArguments,
    #[command(flatten)]
    pub remote: ServerArguments,
}

/// The arguments of `weight`.
#[derive(Debug, Args)]
pub struct WeightArguments {
    /// The member: POOL/MEMBER or service:NAME/MEMBER.
    pub subject: String,
    /// The weight, from 0 to 65535; `none` for what the file says.
    #[arg(value_parser = parse_weight)]
    pub weight: MemberWeight,
    #[command(flatten)]
    pub options: OverrideArguments,
    #[command(flatten)]
    pub remote: ServerArguments,
}

/// The weight that `weight` sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberWeight {
    /// What the file says.
    OfFile,
    /// This weight, whatever the file says.
    Is(u16),
}

fn parse_weight(text: &str) -> Result<MemberWeight, String> {
    match text {
        "none" => Ok(MemberWeight::OfFile),
        _ => text
            .parse()
            .map(MemberWeight::Is)
            .map_err(|_| "not a weight; write 0 to 65535, or none".to_owned()),
    }
}

/// Checks a time, which the server reads again.
fn parse_time(text: &str) -> Result<String, String> {
    let time = text.parse::<jiff::Timestamp>();
    time.map(|_| text.to_owned())
        .map_err(|_| "not a time of RFC 3339; write 2026-12-01T06:00:00Z".to_owned())
}
