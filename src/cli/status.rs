//! The text of `status`: what an operator wants to see first, first.

mod steering;

use std::fmt::Write;

pub(super) use steering::ramp_text;

use crate::{
    control::{DatacenterStatus, RemainingAnswer, Status, TargetStatus},
    listing,
};

/// As many targets that are well are shown; the failing ones all are.
const MAX_TARGETS: usize = 20;
/// As many zones are shown.
const MAX_ZONES: usize = 20;
/// As many services are shown of those without a usable member, and of each drained datacenter that
/// is still answered.
const MAX_SERVICES: usize = 20;
/// As many warnings are shown.
const MAX_WARNINGS: usize = 20;
/// As many held files are shown.
const MAX_HELD_FILES: usize = 20;

/// The whole status as text.
pub(super) fn render(status: &Status, is_coloured: bool) -> String {
    let mut text = String::new();
    let paint = StatusStyle { is_coloured };
    // Writing to a string does not fail.
    let _ = headline(&mut text, status, paint)
        .and_then(|()| problems(&mut text, status, paint))
        .and_then(|()| datacenters(&mut text, status, paint))
        .and_then(|()| targets(&mut text, status, paint))
        .and_then(|()| aliases(&mut text, status, paint))
        .and_then(|()| steering::render(&mut text, status, paint))
        .and_then(|()| inventory(&mut text, status));
    text
}

#[derive(Clone, Copy)]
struct StatusStyle {
    is_coloured: bool,
}

impl StatusStyle {
    fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    fn warn(self, text: &str) -> String {
        self.with("33", text)
    }

    fn bad(self, text: &str) -> String {
        self.with("1;31", text)
    }

    fn strong(self, text: &str) -> String {
        self.with("1", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.is_coloured { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

fn headline(text: &mut String, status: &Status, paint: StatusStyle) -> std::fmt::Result {
    let is_refused = !status.configuration.errors.is_empty();
    let word = if !status.is_listening {
        paint.bad("starting: DNS queries are not answered before the first round of health checks")
    } else if is_refused
        || status.checker.doubt == "suspecting"
        || status.checker.checks.unchecked > 0
    {
        paint.bad("serving, but someone must act")
    } else if !status.concerns.is_empty()
        || status.targets.iter().any(|target| target.verdict == "down")
    {
        paint.warn("serving, with failures")
    } else {
        paint.good("serving")
    };
    writeln!(
        text,
        "portolan {}: {word}; generation {}, up {}",
        status.version,
        status.generation,
        format_duration(status.now - status.started)
    )
}

/// Files that are not in use as they are.
fn held_files(text: &mut String, status: &Status, paint: StatusStyle) -> std::fmt::Result {
    if let Some(removal) = &status.configuration.removal {
        writeln!(text, "\n{} {removal}", paint.bad("a removal waits for an operator:"))?;
    }
    if status.held.is_empty() {
        return Ok(());
    }
    writeln!(text, "\n{}", paint.bad("files that are not in use as they are"))?;
    for file in status.held.iter().take(MAX_HELD_FILES) {
        writeln!(text, "  {} since {}: {}", file.file, format_time(file.since), file.in_use())?;
        // A removal that waits is written once, above.
        let mut errors = file
            .errors
            .iter()
            .filter(|error| Some(*error) != status.configuration.removal.as_ref());
        errors.try_for_each(|error| writeln!(text, "    {error}"))?;
    }
    match status.held.len().checked_sub(MAX_HELD_FILES) {
        None | Some(0) => Ok(()),
        Some(more) => writeln!(text, "  and {more} more; --json lists all"),
    }
}

fn problems(text: &mut String, status: &Status, paint: StatusStyle) -> std::fmt::Result {
    let configuration = &status.configuration;
    held_files(text, status, paint)?;
    if let Some(refused) = configuration.refused.filter(|_| status.held.is_empty()) {
        let heading = format!(
            "the newest files are refused since {}; the ones before stay in use:",
            format_time(refused)
        );
        writeln!(text, "\n{}", paint.bad(&heading))?;
        configuration.errors.iter().try_for_each(|error| writeln!(text, "  {error}"))?;
    }
    if let Some(why) = &status.unsaved {
        writeln!(
            text,
            "\n{} {why}",
            paint.bad("state is not saved, and a restart would begin without it:")
        )?;
    }
    for database in status
        .databases
        .iter()
        .filter_map(|database| Some((&database.path, database.error.as_ref()?)))
    {
        writeln!(
            text,
            "\n{} {}: {}",
            paint.bad("GeoIP database refused:"),
            database.0,
            database.1
        )?;
    }
    let unchecked = [status.checker.checks.targets_concern(), status.polls.loads_concern()];
    unchecked.iter().flatten().try_for_each(|why| writeln!(text, "\n{}", paint.bad(why)))?;
    for concern in
        status.certificates.iter().filter_map(|certificate| certificate.concern(status.now))
    {
        writeln!(
            text,
            "\n{}",
            if concern.is_grave { paint.bad(&concern.text) } else { paint.warn(&concern.text) }
        )?;
    }
    if status.checker.doubt == "suspecting" {
        let why = "most targets fail at once: verdicts are frozen, for the fault may be this server's own network";
        writeln!(text, "\n{}", paint.bad(why))?;
    }
    if !status.monitor_faults.is_empty() {
        writeln!(
            text,
            "\n{}",
            paint.bad("monitors that judge nothing; their targets keep their status")
        )?;
        status
            .monitor_faults
            .iter()
            .try_for_each(|fault| writeln!(text, "  {}: {}", fault.monitor, fault.error))?;
    }
    if !status.distressed.is_empty() {
        let is_recovering = status.distressed.iter().any(|service| service.is_recovering);
        let heading = if is_recovering {
            "no usable member, or too few yet after an outage, for"
        } else {
            "no usable member for"
        };
        writeln!(text, "\n{}", paint.bad(heading))?;
        for service in status.distressed.iter().take(MAX_SERVICES) {
            writeln!(text, "  {}: answered with {}", service.subject(), service.plight)?;
        }
        let hidden = status.distressed_count.saturating_sub(MAX_SERVICES);
        write_hidden_count(text, hidden, "names and types")?;
    }
    if !configuration.warnings.is_empty() {
        writeln!(text, "\n{}", paint.warn("warnings"))?;
        configuration
            .warnings
            .iter()
            .take(MAX_WARNINGS)
            .try_for_each(|warning| writeln!(text, "  {warning}"))?;
        write_hidden_count(
            text,
            configuration.warnings.len().saturating_sub(MAX_WARNINGS),
            "warnings",
        )?;
    }
    Ok(())
}

fn datacenters(text: &mut String, status: &Status, paint: StatusStyle) -> std::fmt::Result {
    if status.datacenters.is_empty() {
        return Ok(());
    }
    let width = |of: fn(&DatacenterStatus) -> usize, least: usize| {
        status.datacenters.iter().map(of).fold(least, usize::max)
    };
    let name = width(|datacenter| datacenter.name.chars().count(), 10);
    let region =
        width(|datacenter| datacenter.region.as_deref().unwrap_or_default().chars().count(), 6);
    let header = format!(
        "{:<name$}  {:<region$}  {:<8}  {:>8}  health",
        "datacenter", "region", "state", "services"
    );
    writeln!(text, "\n{}", paint.strong(&header))?;
    for datacenter in &status.datacenters {
        let shown = format!("{:<8}", datacenter.state);
        let state = match datacenter.state.as_str() {
            "active" => paint.good(&shown),
            _ => paint.warn(&shown),
        };
        write!(
            text,
            "{:<name$}  {:<region$}  {state}  {:>8}  {}",
            datacenter.name,
            datacenter.region.as_deref().unwrap_or("-"),
            datacenter.services,
            health_summary(datacenter, paint)
        )?;
        if datacenter.state != "active" {
            let reason = datacenter
                .reason
                .as_deref()
                .map(|reason| format!("  {reason:?}"))
                .unwrap_or_default();
            let until = datacenter
                .until
                .map(|until| format!("  until {}", format_time(until)))
                .unwrap_or_default();
            write!(text, "{reason}{until}")?;
        }
        if let Some(drain) = datacenter.drain {
            let expires = expiry_text(drain.expires - status.now);
            write!(
                text,
                "  effective since {}, last cached answer {expires}",
                format_time(drain.effective)
            )?;
        }
        writeln!(text)?;
        still_answered(text, &StillAnsweredList::of(datacenter), paint)?;
    }
    Ok(())
}

/// `expires in 25 s`, `expired 4 m ago`.
fn expiry_text(secs: i64) -> String {
    let verb = if secs > 0 { "expires" } else { "expired" };
    format!("{verb} {}", format_relative_time(secs))
}

/// A drained datacenter's services that are still answered from it.
pub(super) struct StillAnsweredList<'a> {
    datacenter: &'a str,
    state: &'a str,
    list: &'a [RemainingAnswer],
    count: usize,
}

impl<'a> StillAnsweredList<'a> {
    fn of(datacenter: &'a DatacenterStatus) -> Self {
        let DatacenterStatus { name, state, still_answered, still_answered_count, .. } = datacenter;
        Self { datacenter: name, state, list: still_answered, count: *still_answered_count }
    }
}

fn still_answered(
    text: &mut String,
    still: &StillAnsweredList<'_>,
    paint: StatusStyle,
) -> std::fmt::Result {
    if still.count == 0 {
        return Ok(());
    }
    let (name, state, plural) =
        (still.datacenter, still.state, if still.count == 1 { "" } else { "s" });
    let heading = format!(
        "  {name} is {state}, but {} name{plural} and type{plural} are still answered from it:",
        still.count
    );
    writeln!(text, "{}", paint.warn(&heading))?;
    for RemainingAnswer { service, rtype, why } in still.list.iter().take(MAX_SERVICES) {
        writeln!(text, "    {service} {rtype}: {why}")?;
    }
    write_hidden_count(text, still.count.saturating_sub(MAX_SERVICES), "names and types")
}

/// Says what a list leaves out, and the command that prints all of it.
fn write_hidden_count(text: &mut String, hidden: usize, what: &str) -> std::fmt::Result {
    if hidden == 0 {
        return Ok(());
    }
    writeln!(text, "    and {hidden} more {what}; `portolan status --json` lists all")
}

/// `all 4 targets up`, `1 of 4 targets down`: health, whatever the state.
fn health_summary(datacenter: &DatacenterStatus, paint: StatusStyle) -> String {
    let DatacenterStatus { up, down, unknown, .. } = datacenter;
    let all = up + down + unknown;
    let targets = if all == 1 { "target" } else { "targets" };
    let unjudged = if *unknown > 0 { format!(", {unknown} unknown") } else { String::new() };
    match (*up, *down) {
        _ if all == 0 => "not probed".to_owned(),
        (_, 0) if *unknown == 0 => format!("all {all} {targets} up"),
        (up, 0) => format!("{up} of {all} {targets} up{unjudged}"),
        (_, down) if down == all => paint.bad(&format!("all {all} {targets} down")),
        (_, down) => format!("{}{unjudged}", paint.bad(&format!("{down} of {all} {targets} down"))),
    }
}

fn targets(text: &mut String, status: &Status, paint: StatusStyle) -> std::fmt::Result {
    if status.targets.is_empty() {
        return Ok(());
    }
    let (failing, well): (Vec<_>, Vec<_>) = status
        .targets
        .iter()
        .partition(|target| target.verdict == "down" || target.flips_in_secs.is_some());
    let shown = failing.iter().chain(well.iter().take(MAX_TARGETS)).copied();
    let monitor = shown.clone().map(|target| target.monitor.chars().count()).fold(7, usize::max);
    let address = shown.clone().map(|target| target.target.chars().count()).fold(6, usize::max);
    let places =
        |target: &TargetStatus| match (target.datacenters.is_empty(), target.part_of.is_empty()) {
            (false, _) => target.datacenters.join(","),
            (true, false) => format!("part of {}", target.part_of.join(",")),
            (true, true) => "-".to_owned(),
        };
    let place = shown.clone().map(|target| places(target).chars().count()).fold(10, usize::max);
    let header = format!(
        "{:<monitor$}  {:<address$}  {:<place$}  {:<8}  last probe",
        "monitor", "target", "datacenter", "verdict"
    );
    writeln!(text, "\n{}", paint.strong(&header))?;
    for target in shown {
        let word = format!("{:<8}", target.verdict);
        let verdict = match target.verdict.as_str() {
            "up" => paint.good(&word),
            "down" => paint.bad(&word),
            _ => word,
        };
        let last = target.last.as_deref().unwrap_or("none yet");
        let latency = target.latency_ms.map(|ms| format!(" ({ms} ms)")).unwrap_or_default();
        let since = target.since.map(|since| {
            format!(", {} for {}", target.verdict, format_duration(status.now - since))
        });
        // Without a verdict there is none that could change; it counts as up after a while.
        let flips = target.flips_in_secs.filter(|_| target.verdict != "unknown");
        let flips = flips.map(|secs| format!(", may flip in {secs} s")).unwrap_or_default();
        let since = since.unwrap_or_default();
        writeln!(
            text,
            "{:<monitor$}  {:<address$}  {:<place$}  {verdict}  {last}{latency}{since}{flips}",
            target.monitor,
            target.target,
            places(target)
        )?;
    }
    let hidden = well.len().saturating_sub(MAX_TARGETS);
    if hidden > 0 {
        writeln!(text, "and {hidden} more that are well; --json lists all")?;
    }
    Ok(())
}

fn aliases(text: &mut String, status: &Status, paint: StatusStyle) -> std::fmt::Result {
    if status.aliases.is_empty() {
        return Ok(());
    }
    let (failing, well): (Vec<_>, Vec<_>) =
        status.aliases.iter().partition(|alias| alias.error.is_some());
    let shown = failing.iter().chain(well.iter().take(MAX_TARGETS)).copied();
    let name = shown.clone().map(|alias| alias.name.chars().count()).fold(5, usize::max);
    writeln!(text, "\n{}", paint.strong(&format!("{:<name$}  addresses", "alias")))?;
    for alias in shown {
        let addresses = if alias.addresses.is_empty() {
            "none yet".to_owned()
        } else {
            alias.addresses.join(", ")
        };
        let resolved = alias
            .resolved
            .map(|at| format!(", resolved {}", format_relative_time(at - status.now)))
            .unwrap_or_default();
        let error =
            alias.error.as_ref().map(|why| format!("  {}", paint.bad(why))).unwrap_or_default();
        writeln!(text, "{:<name$}  {addresses}{resolved}{error}", alias.name)?;
    }
    let hidden = well.len().saturating_sub(MAX_TARGETS);
    if hidden > 0 {
        writeln!(text, "and {hidden} more that are well; --json lists all")?;
    }
    Ok(())
}

fn inventory(text: &mut String, status: &Status) -> std::fmt::Result {
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    let (services, zones) = (status.services, status.zones.len());
    writeln!(text, "\n{services} service{} in {zones} zone{}", plural(services), plural(zones))?;
    for zone in status.zones.iter().take(MAX_ZONES) {
        let (records, services) =
            (listing::counted(zone.records, "record"), listing::counted(zone.services, "service"));
        writeln!(text, "  {}: {records}, {services}, serial {}", zone.name, zone.serial)?;
    }
    if status.zones.len() > MAX_ZONES {
        writeln!(text, "  and {} more; --json lists all", status.zones.len() - MAX_ZONES)?;
    }
    for database in &status.databases {
        let built = i64::try_from(database.built).map(format_time).unwrap_or_default();
        writeln!(
            text,
            "GeoIP {}: {}, {} networks, built {built}",
            database.path, database.kind, database.networks
        )?;
    }
    for certificate in &status.certificates {
        writeln!(
            text,
            "certificate {} {}",
            certificate.certificate,
            certificate.expiry(status.now)
        )?;
    }
    Ok(())
}

/// `2026-12-01 06:00:00 UTC`.
pub(super) fn format_time(secs: i64) -> String {
    match jiff::Timestamp::from_second(secs) {
        Ok(moment) => moment.strftime("%F %T UTC").to_string(),
        Err(_) => format!("{secs} s after 1970"),
    }
}

/// `in 25 s`, `4 m ago`.
pub(super) fn format_relative_time(secs: i64) -> String {
    match secs {
        0 => "now".to_owned(),
        1.. => format!("in {}", format_duration(secs)),
        _ => format!("{} ago", format_duration(-secs)),
    }
}

/// `45 s`, `12 m 3 s`, `5 h 10 m`, `3 d 4 h`.
fn format_duration(secs: i64) -> String {
    match secs {
        ..60 => format!("{secs} s"),
        60..3600 => format!("{} m {} s", secs / 60, secs % 60),
        3600..86_400 => format!("{} h {} m", secs / 3600, secs / 60 % 60),
        _ => format!("{} d {} h", secs / 86_400, secs / 3600 % 24),
    }
}
