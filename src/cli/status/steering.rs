//! The part of `status` about load reports, steering of pools, and ramps.

use std::fmt::Write;

use crate::{
    cli::text::{MAX_TARGETS, StatusStyle, format_time, ramp_text},
    control::{LoadStatus, PoolStatus, RampStatus, Status},
    number_format::percent,
};

pub(super) fn render(text: &mut String, status: &Status, style: StatusStyle) -> std::fmt::Result {
    loads(text, status, style)?;
    pools(text, status, style)?;
    if !status.ramps.is_empty() {
        writeln!(text, "\n{}", style.strong("in progress"))?;
        status.ramps.iter().try_for_each(|ramp| writeln!(text, "{}", ramp_line(ramp)))?;
    }
    Ok(())
}

/// `fra: receives 40% of its normal traffic, and 0% in 6 m`.
pub(super) fn ramp_line(ramp: &RampStatus) -> String {
    let pool = ramp.pool.as_ref().map(|pool| format!(" of pool {pool}")).unwrap_or_default();
    let prefix = if ramp.kind == "failback" { "clients return to " } else { "" };
    format!("{prefix}{}{pool}: {}", ramp.name, ramp_text(ramp))
}

fn loads(text: &mut String, status: &Status, style: StatusStyle) -> std::fmt::Result {
    if status.loads.is_empty() {
        return Ok(());
    }
    let is_failing =
        |load: &&LoadStatus| load.error.is_some() || load.is_stale || load.disagreement.is_some();
    let (failing, healthy): (Vec<_>, Vec<_>) = status.loads.iter().partition(is_failing);
    let shown = failing.iter().chain(healthy.iter().take(MAX_TARGETS)).copied();
    let name = |load: &LoadStatus| match &load.target {
        Some(target) => format!("{} {target}", load.load),
        None => load.load.clone(),
    };
    let width = shown.clone().map(|load| name(load).chars().count()).fold(4, usize::max);
    writeln!(text, "\n{}", style.strong(&format!("{:<width$}  report", "load")))?;
    for load in shown {
        write!(text, "{:<width$}  {}", name(load), report_text(load))?;
        if load.is_stale {
            write!(text, "  {}", style.bad("report expired"))?;
        }
        let since = load
            .failing_since
            .map(|since| format!(" (since {})", format_time(since)))
            .unwrap_or_default();
        let error = load.error.as_ref().map(|error| format!("{error}{since}"));
        for why in [&error, &load.disagreement].into_iter().flatten() {
            write!(text, "  {}", style.bad(why))?;
        }
        writeln!(text)?;
    }
    let hidden = healthy.len().saturating_sub(MAX_TARGETS);
    if hidden > 0 {
        writeln!(text, "and {hidden} more without problems; `portolan status --json` lists all")?;
    }
    Ok(())
}

/// `120 of 1000 connections, 3 of 4 servers up, 12.5 ms, cpu 35%, 3 s ago`.
fn report_text(load: &LoadStatus) -> String {
    let Some(age) = load.age_secs else { return "none yet".to_owned() };
    let mut parts = Vec::new();
    match (load.connections, load.limit) {
        (Some(now), Some(limit)) => parts.push(format!("{now:.0} of {limit:.0} connections")),
        (Some(now), None) => parts.push(format!("{now:.0} connections")),
        (None, _) => {}
    }
    parts.extend(load.servers.map(|(up, all)| format!("{up} of {all} servers up")));
    parts.extend(load.capacity_left.map(|left| format!("{} of the capacity left", percent(left))));
    parts.extend(load.response_ms.map(|ms| format!("{ms:.1} ms")));
    parts.extend(load.gauges.iter().map(|(name, value)| match name.as_str() {
        "cpu" | "memory" => format!("{name} {}", percent(*value)),
        _ => format!("{name} {value}"),
    }));
    parts.push(format!("{age} s ago"));
    parts.join(", ")
}

fn pools(text: &mut String, status: &Status, style: StatusStyle) -> std::fmt::Result {
    let has_report = |pool: &&PoolStatus| {
        !pool.shares.is_empty() || pool.keep.is_some_and(|keep| keep < 1.0) || pool.holder.is_some()
    };
    let shown: Vec<_> = status.pools.iter().filter(has_report).collect();
    if shown.is_empty() {
        return Ok(());
    }
    let width = shown.iter().map(|pool| pool.name.chars().count()).fold(4, usize::max);
    writeln!(text, "\n{}", style.strong(&format!("{:<width$}  steering", "pool")))?;
    for pool in shown.iter().take(MAX_TARGETS) {
        let mut parts = Vec::new();
        let shares =
            pool.shares.iter().map(|(member, share)| format!("{member} {}", percent(*share)));
        let shares: Vec<String> = shares.collect();
        parts.extend((!shares.is_empty()).then(|| shares.join(", ")));
        parts.extend(pool.keep.filter(|keep| *keep < 1.0).map(|keep| {
            let level = pool
                .level
                .zip(pool.target)
                .map(|(level, target)| format!(", load {level}, target {target}"));
            format!(
                "spills {} to the next choice{}",
                percent(1.0 - keep),
                level.unwrap_or_default()
            )
        }));
        parts.extend(
            pool.holder.as_ref().map(|holder| format!("clients stay with {holder} until failback")),
        );
        parts.extend(
            pool.fallback
                .as_ref()
                .map(|why| style.warn(&format!("configured weights are used: {why}"))),
        );
        writeln!(text, "{:<width$}  {}", pool.name, parts.join("; "))?;
    }
    let hidden = shown.len().saturating_sub(MAX_TARGETS);
    if hidden > 0 {
        writeln!(text, "and {hidden} more; `portolan status --json` lists all")?;
    }
    Ok(())
}
