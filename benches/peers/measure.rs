//! One measurement of a server under a workload: first at its maximum rate, then at a fixed rate.

use std::{net::Ipv4Addr, path::Path, time::Duration};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::{
    BenchResult, cpu_usage::Usage, dnsperf, load::LoadPlan, servers::ServerProcess,
    workload::Workload,
};

const WARM_UP: Duration = Duration::from_millis(500);

/// The queries and the load.
pub(crate) struct LoadSpec<'a> {
    pub(crate) workload: Workload,
    /// The messages, and the file of them for dnsperf.
    pub(crate) messages: &'a [Vec<u8>],
    pub(crate) file: &'a Path,
    /// The length of each of the two runs.
    pub(crate) duration: Duration,
    /// The rate of the second run, in queries per second.
    pub(crate) rate: u32,
}

/// The measurement of one server under one workload in one round.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Sample {
    pub(crate) server: String,
    pub(crate) workload: Workload,
    pub(crate) round: u32,
    /// The result at the maximum rate, driven by dnsperf.
    pub(crate) saturated: MaxRateResult,
    /// The result at the fixed rate.
    pub(crate) paced: FixedRateResult,
    pub(crate) resident_kib: u64,
}

/// CPU time per answered query, in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Cost {
    pub(crate) user_us: f64,
    pub(crate) system_us: f64,
}

impl Cost {
    fn of(usage: Usage, queries: u64) -> Self {
        let (user, system) = usage.split();
        let each = |time: Duration| time.as_secs_f64() * 1e6 / queries.max(1) as f64;
        Self { user_us: each(user), system_us: each(system) }
    }

    pub(crate) fn total_us(self) -> f64 {
        self.user_us + self.system_us
    }
}

/// The result of the run at the maximum rate.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct MaxRateResult {
    pub(crate) per_second: f64,
    pub(crate) completed: u64,
    pub(crate) lost: u64,
    pub(crate) cost: Cost,
}

/// The result of the run at a rate that every server supports.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct FixedRateResult {
    pub(crate) sent: u64,
    pub(crate) lost: u64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    /// The longest delay of the generator itself.
    pub(crate) behind_us: f64,
    pub(crate) cost: Cost,
}

impl LoadSpec<'_> {
    /// Measures a server with queries from `source`.
    ///
    /// # Errors
    /// The server has ended, or dnsperf failed.
    pub(crate) fn measure(
        &self,
        label: &str,
        round: u32,
        source: Ipv4Addr,
        server: &ServerProcess,
    ) -> BenchResult<Sample> {
        dnsperf::run(source, server.address, self.file, WARM_UP)?;
        let saturated = self.saturate(source, server)?;
        let paced = self.pace(source, server)?;
        let resident_kib = server.resident_kib()?;
        Ok(Sample {
            server: label.to_owned(),
            workload: self.workload,
            round,
            saturated,
            paced,
            resident_kib,
        })
    }

    fn saturate(&self, source: Ipv4Addr, server: &ServerProcess) -> BenchResult<MaxRateResult> {
        let before = server.usage()?;
        let score = dnsperf::run(source, server.address, self.file, self.duration)?;
        let cost = Cost::of(server.usage()? - before, score.completed);
        Ok(MaxRateResult {
            per_second: score.per_second,
            completed: score.completed,
            lost: score.lost,
            cost,
        })
    }

    fn pace(&self, source: Ipv4Addr, server: &ServerProcess) -> BenchResult<FixedRateResult> {
        let plan = |duration| LoadPlan {
            source,
            address: server.address,
            questions: self.messages,
            rate: self.rate,
            duration,
        };
        plan(WARM_UP).run()?;
        let before = server.usage()?;
        let outcome = plan(self.duration).run()?;
        let cost = Cost::of(server.usage()? - before, outcome.sent - outcome.lost);
        let quantile_us =
            |latency: &Histogram<u64>, quantile| latency.value_at_quantile(quantile) as f64 / 1e3;
        Ok(FixedRateResult {
            sent: outcome.sent,
            lost: outcome.lost,
            p50_us: quantile_us(&outcome.latency, 0.5),
            p99_us: quantile_us(&outcome.latency, 0.99),
            p999_us: quantile_us(&outcome.latency, 0.999),
            behind_us: outcome.behind.as_secs_f64() * 1e6,
            cost,
        })
    }
}
