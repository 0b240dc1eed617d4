//! Metrics of load reports, of the shares that pools derive from them, and of ramps in progress.
//! Labels are names from the configuration.

use std::fmt;

use super::{labels::by_reason, page::MetricsPage};
use crate::control::{LoadStatus, PoolStatus, RampStatus, Status};

pub(super) fn write(page: &mut MetricsPage<'_>, status: &Status) -> fmt::Result {
    sources(page, &status.loads)?;
    let help = "Polls of load sources that returned no report.";
    page.counter("portolan_load_polls_failed", help, status.failed_polls)?;
    let help = "Due polls of load sources that gave no result, by reason; their pools keep the shares of older reports.";
    page.counters("portolan_load_polls_without_result", help, by_reason(&status.polls.unmade))?;
    let help = "Load sources whose last two or more due polls gave no result because of a fault of this server; their reports become old.";
    page.gauge("portolan_load_sources_unchecked", help, status.polls.unchecked as i64)?;
    let help =
        "Contradictions between load reports and health checks that have lasted for at least 30 s.";
    page.counter("portolan_load_disagreements", help, status.disagreements)?;
    pools(page, &status.pools)?;
    ramps(page, &status.ramps)
}

/// A source that is polled at each address has a sample for each; for other sources `target` is
/// empty.
fn sources(page: &mut MetricsPage<'_>, loads: &[LoadStatus]) -> fmt::Result {
    let labels = |load: &'_ LoadStatus| {
        [("load", load.load.clone()), ("target", load.target.clone().unwrap_or_default())]
    };
    let values = |value: fn(&LoadStatus) -> Option<f64>| {
        loads.iter().filter_map(move |load| Some((labels(load), value(load)?)))
    };
    let is_up =
        |load: &LoadStatus| load.age_secs.is_some() && load.error.is_none() && !load.is_stale;
    let up = loads.iter().map(|load| (labels(load), i64::from(is_up(load))));
    let help =
        "1 while the latest poll of the load source succeeded and its report has not expired.";
    page.gauges("portolan_load_up", help, up)?;
    let help = "Age of the newest report of the load source, in seconds.";
    page.float_gauges(
        "portolan_load_age_seconds",
        help,
        values(|load| load.age_secs.map(|secs| secs as f64)),
    )?;
    page.float_gauges(
        "portolan_load_connections",
        "Connections in the newest report of the load source.",
        values(|load| load.connections),
    )?;
    page.float_gauges(
        "portolan_load_connections_limit",
        "Connection limit in the newest report of the load source.",
        values(|load| load.limit),
    )?;
    let servers_up = values(|load| load.servers.map(|(up, _)| f64::from(up)));
    let help = "Number of servers that are up in the newest report of the load source.";
    page.float_gauges("portolan_load_servers_up", help, servers_up)?;
    let servers = values(|load| load.servers.map(|(_, all)| f64::from(all)));
    let help = "Total number of servers in the newest report of the load source.";
    page.float_gauges("portolan_load_servers", help, servers)?;
    let help = "Response time in the newest report of the load source, in seconds.";
    page.float_gauges(
        "portolan_load_response_seconds",
        help,
        values(|load| load.response_ms.map(|ms| ms / 1e3)),
    )?;
    let disagree = loads.iter().map(|load| (labels(load), i64::from(load.disagreement.is_some())));
    page.gauges(
        "portolan_load_disagrees",
        "1 while the load report and the health checks have contradicted each other for at least 30 s.",
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
        "Share of a load pool's clients that the member receives, 0 to 1, by load, health, drains and slow starts.",
        shares,
    )?;
    let by_load = pools.iter().filter(|pool| !pool.shares.is_empty());
    let configured =
        by_load.map(|pool| ([("pool", &*pool.name)], i64::from(pool.fallback.is_some())));
    page.gauges(
        "portolan_pool_fallback",
        "1 while a load pool uses its configured weights because reports are missing.",
        configured,
    )?;
    let values = |value: fn(&PoolStatus) -> Option<f64>| {
        pools.iter().filter_map(move |pool| Some(([("pool", &*pool.name)], value(pool)?)))
    };
    let help = "Share of its clients that a pool with a capacity keeps, 0 to 1; the rest goes to the next choice.";
    page.float_gauges("portolan_pool_keep", help, values(|pool| pool.keep))?;
    let help =
        "Load of a pool with a capacity at the latest evaluation, in the unit of the capacity.";
    page.float_gauges("portolan_pool_level", help, values(|pool| pool.level))?;
    page.float_gauges(
        "portolan_pool_target",
        "Load that a pool with a capacity should not exceed, in the unit of the capacity.",
        values(|pool| pool.target),
    )?;
    let held = pools
        .iter()
        .filter_map(|pool| Some(([("pool", &*pool.name), ("member", pool.holder.as_deref()?)], 1)));
    page.gauges(
        "portolan_pool_holder",
        "1 while clients of a failover pool stay with the member until failback.",
        held,
    )
}

fn ramps(page: &mut MetricsPage<'_>, ramps: &[RampStatus]) -> fmt::Result {
    let labels = |ramp: &'_ RampStatus| {
        [("name", ramp.name.clone()), ("pool", ramp.pool.clone().unwrap_or_default())]
    };
    let shares = ramps.iter().map(|ramp| (labels(ramp), ramp.at));
    page.float_gauges(
        "portolan_ramp_ratio",
        "Fraction of its normal traffic that the datacenter, endpoint or member receives now, from 0 to 1, during a gradual drain (also while it is paused), slow start or failback; absent otherwise.",
        shares,
    )?;
    page.gauge(
        "portolan_ramps",
        "Gradual drains, slow starts and failbacks in progress.",
        ramps.len() as i64,
    )
}
