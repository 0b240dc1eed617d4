//! What balancers report, what pools make of it, and ramps under way. Labels are names of the
//! configuration.

use std::fmt;

use super::{labels::by_reason, page::MetricsPage};
use crate::control::{LoadStatus, PoolStatus, RampStatus, Status};

pub(super) fn write(page: &mut MetricsPage<'_>, status: &Status) -> fmt::Result {
    sources(page, &status.loads)?;
    let help = "Polls of load sources that brought no report.";
    page.counter("portolan_load_polls_failed", help, status.failed_polls)?;
    let help = "Due polls of load sources that gave no result, by reason; their pools keep the shares of old reports.";
    page.counters("portolan_load_polls_without_result", help, by_reason(&status.polls.unmade))?;
    let help = "Load sources whose last two or more due polls gave no result, for a reason in this server.";
    page.gauge("portolan_load_sources_unchecked", help, status.polls.unchecked as i64)?;
    let help = "Lasting disagreements between balancers and our probes that began.";
    page.counter("portolan_load_disagreements", help, status.disagreements)?;
    pools(page, &status.pools)?;
    ramps(page, &status.ramps)
}

/// A source that asks each address by itself is a sample for each; for others `target` is empty.
fn sources(page: &mut MetricsPage<'_>, loads: &[LoadStatus]) -> fmt::Result {
    let labels = |load: &'_ LoadStatus| {
        [("load", load.load.clone()), ("target", load.target.clone().unwrap_or_default())]
    };
    let of = |value: fn(&LoadStatus) -> Option<f64>| {
        loads.iter().filter_map(move |load| Some((labels(load), value(load)?)))
    };
    let is_up =
        |load: &LoadStatus| load.age_secs.is_some() && load.error.is_none() && !load.is_stale;
    let up = loads.iter().map(|load| (labels(load), i64::from(is_up(load))));
    page.gauges("portolan_load_up", "1 while the latest poll brought a report.", up)?;
    let help = "Of the newest report.";
    page.float_gauges(
        "portolan_load_age_seconds",
        help,
        of(|load| load.age_secs.map(|secs| secs as f64)),
    )?;
    page.float_gauges(
        "portolan_load_connections",
        "Connections, as reported.",
        of(|load| load.connections),
    )?;
    page.float_gauges(
        "portolan_load_connections_limit",
        "The most connections.",
        of(|load| load.limit),
    )?;
    let servers_up = of(|load| load.servers.map(|(up, _)| f64::from(up)));
    page.float_gauges("portolan_load_servers_up", "Servers that are up, as reported.", servers_up)?;
    let servers = of(|load| load.servers.map(|(_, all)| f64::from(all)));
    page.float_gauges("portolan_load_servers", "Servers, as reported.", servers)?;
    let help = "How long a request takes, as reported.";
    page.float_gauges(
        "portolan_load_response_seconds",
        help,
        of(|load| load.response_ms.map(|ms| ms / 1e3)),
    )?;
    let disagree = loads.iter().map(|load| (labels(load), i64::from(load.disagreement.is_some())));
    page.gauges(
        "portolan_load_disagrees",
        "1 while it and our probes say different things.",
        disagree,
    )
}

fn pools(page: &mut MetricsPage<'_>, pools: &[PoolStatus]) -> fmt::Result {
    let shares = pools.iter().flat_map(|pool| {
        pool.shares
            .iter()
            .map(|(member, share)| ([("pool", &*pool.name), ("member", &**member)], *share))
    });
    page.float_gauges(
        "portolan_pool_share",
        "Share of a load pool's clients that a member gets, 0 to 1, by load, health and ramps.",
        shares,
    )?;
    let by_load = pools.iter().filter(|pool| !pool.shares.is_empty());
    let configured =
        by_load.map(|pool| ([("pool", &*pool.name)], i64::from(pool.fallback.is_some())));
    page.gauges(
        "portolan_pool_fallback",
        "1 while a load pool's configured weights rule.",
        configured,
    )?;
    let of = |value: fn(&PoolStatus) -> Option<f64>| {
        pools.iter().filter_map(move |pool| Some(([("pool", &*pool.name)], value(pool)?)))
    };
    let help = "What a pool with a capacity keeps of its clients, 0 to 1.";
    page.float_gauges("portolan_pool_keep", help, of(|pool| pool.keep))?;
    page.float_gauges("portolan_pool_level", "Its load at the last look.", of(|pool| pool.level))?;
    page.float_gauges(
        "portolan_pool_target",
        "What that should be at most.",
        of(|pool| pool.target),
    )?;
    let held = pools
        .iter()
        .filter_map(|pool| Some(([("pool", &*pool.name), ("member", pool.holder.as_deref()?)], 1)));
    page.gauges(
        "portolan_pool_holder",
        "1 where clients stay with the member until failback.",
        held,
    )
}

fn ramps(page: &mut MetricsPage<'_>, ramps: &[RampStatus]) -> fmt::Result {
    let labels = |ramp: &'_ RampStatus| {
        [("name", ramp.name.clone()), ("pool", ramp.pool.clone().unwrap_or_default())]
    };
    let at = ramps.iter().map(|ramp| (labels(ramp), ramp.at));
    page.float_gauges(
        "portolan_ramp_part",
        "Part of its share that a datacenter, endpoint or member gets during a drain, slow start or failback.",
        at,
    )?;
    page.gauge(
        "portolan_ramps",
        "Drains, slow starts and failbacks in progress.",
        ramps.len() as i64,
    )
}
