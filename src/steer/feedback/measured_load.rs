//! Measures: what the load reports of one member come to, for the policy that asks.

use std::time::Duration;

use super::equilibrium::LoadSignal;
use crate::{
    load::{LoadReport, LoadSource},
    steer::model::{Capacity, LoadLevel, LoadMeasure, LoadPolicy},
};

/// The least that servers which are down leave of a member: none at all would be for health to say.
const MIN_CAPACITY_LEFT: f64 = 0.02;

/// The reports of one member, put together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct MeasuredLoad {
    /// Connections of all.
    pub connections: Option<f64>,
    /// The most connections of all, less what is down.
    pub limit: Option<f64>,
    /// What is left of the whole, above 0.
    pub capacity_left: f64,
    /// The gauge asked for.
    pub gauge: Option<f64>,
    /// In the mean.
    pub response_time: Option<Duration>,
}

impl MeasuredLoad {
    /// Puts together the reports of one member; `gauge` names the gauge that is asked for. `None`
    /// where there are none.
    pub(super) fn from_reports(
        reports: &[(&LoadReport, &LoadSource)],
        gauge: Option<&str>,
    ) -> Option<Self> {
        if reports.is_empty() {
            return None;
        }
        let count = reports.len() as f64;
        let left_of = |report: &LoadReport, source: &LoadSource| {
            source.capacity_left(report).max(MIN_CAPACITY_LEFT)
        };
        let sum = |of: &dyn Fn(&LoadReport, &LoadSource) -> Option<f64>| {
            reports.iter().map(|(report, source)| of(report, source)).sum::<Option<f64>>()
        };
        let limit = |report: &LoadReport, source: &LoadSource| {
            report.limit.map(|limit| limit * left_of(report, source))
        };
        let response_time = sum(&|report, _| report.response_time.map(|time| time.as_secs_f64()));
        Some(Self {
            connections: sum(&|report, _| report.connections),
            limit: sum(&limit),
            capacity_left: reports
                .iter()
                .map(|(report, source)| left_of(report, source))
                .sum::<f64>()
                / count,
            gauge: sum(&|report, _| report.gauges.get(gauge?).copied()).map(|sum| sum / count),
            response_time: response_time.map(|sum| Duration::from_secs_f64(sum / count)),
        })
    }

    /// What a `load` policy makes of it: the weight that is left, and the demand. `fair_capacity`
    /// stands for a limit that nobody knows; `times_usual` is how slow the member is against
    /// itself.
    pub(super) fn load_signal(
        &self,
        policy: &LoadPolicy,
        fair_capacity: f64,
        times_usual: Option<f64>,
    ) -> Option<(f64, LoadSignal)> {
        match &policy.measure {
            LoadMeasure::Connections => {
                let capacity = self.limit.unwrap_or(fair_capacity * self.capacity_left);
                Some((
                    1.0,
                    LoadSignal::Headroom {
                        load: self.connections?,
                        capacity,
                        is_limit: self.limit.is_some(),
                    },
                ))
            }
            LoadMeasure::ResponseTime => {
                Some((self.capacity_left, LoadSignal::Slowness { times: times_usual? }))
            }
            LoadMeasure::Gauge(_) => Some((
                self.capacity_left,
                LoadSignal::Gauge { level: self.gauge?, soft: policy.soft, hard: policy.hard },
            )),
        }
    }

    /// The level of a pool's load, its target and its most, in one unit.
    pub(super) fn levels(
        &self,
        capacity: &Capacity,
        times_usual: Option<f64>,
    ) -> Option<(f64, f64, f64)> {
        let (level, whole, unit) = match &capacity.measure {
            LoadMeasure::Connections => (self.connections?, self.limit, 1.0),
            // A share is of the usual time, an amount is in milliseconds.
            LoadMeasure::ResponseTime => {
                let secs = self.response_time?.as_secs_f64();
                (secs, times_usual.map(|times| secs / times), 1e-3)
            }
            LoadMeasure::Gauge(_) => (self.gauge?, Some(1.0), 1.0),
        };
        let of = |level: LoadLevel| match level {
            LoadLevel::Amount(amount) => Some(amount * unit),
            LoadLevel::Share(share) => Some(share * whole?),
        };
        Some((level, of(capacity.target)?, of(capacity.max)?))
    }
}
