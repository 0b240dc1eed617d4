//! The reports of one member, combined into the values that a policy asks for.

use std::time::Duration;

use super::{equilibrium::LoadSignal, feed_reading::SourcedReport};
use crate::{
    load::{LoadReport, LoadSource},
    steer::model::{Capacity, LoadLevel, LoadMeasure, LoadPolicy},
};

/// The lower bound of the capacity that counts as left while servers of a member are down, as a
/// fraction of its whole capacity. Only a verdict takes a member out of service.
const MIN_CAPACITY_LEFT: f64 = 0.02;

/// The reports of one member, combined. A value that any of them lacks is `None`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct MeasuredLoad {
    /// The sum of connections.
    pub connections: Option<f64>,
    /// The sum of connection limits, each reduced by the servers that are down.
    pub limit: Option<f64>,
    /// The mean fraction of capacity that servers that are down leave, above 0, at most 1.
    pub capacity_left: f64,
    /// The mean of the gauge that the policy names.
    pub gauge: Option<f64>,
    /// The mean response time.
    pub response_time: Option<Duration>,
}

/// The load of a member as a `load` policy sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct WeightedSignal {
    /// The factor by which servers that are down reduce the member's weight, above 0, at most 1.
    pub capacity_left: f64,
    /// The load that the report gives, and how it is measured.
    pub signal: LoadSignal,
}

/// The load of a pool with a capacity, all in the unit of its measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct CapacityLevels {
    /// The present load, in the unit of the measure.
    pub level: f64,
    /// The load above which the pool spills clients.
    pub target: f64,
    /// The load that the pool should never exceed.
    pub max: f64,
}

impl MeasuredLoad {
    /// Combines the reports of one member, as far as `measure` needs them. `None` if there are no
    /// reports.
    pub(super) fn from_reports(
        reports: &[SourcedReport<'_>],
        measure: &LoadMeasure,
    ) -> Option<Self> {
        if reports.is_empty() {
            return None;
        }
        let gauge = match measure {
            LoadMeasure::Gauge(name) => Some(&**name),
            LoadMeasure::Connections | LoadMeasure::ResponseTime => None,
        };
        let count = reports.len() as f64;
        let capacity_left = |report: &LoadReport, source: &LoadSource| {
            source.capacity_left(report).max(MIN_CAPACITY_LEFT)
        };
        let sum = |value: &dyn Fn(&LoadReport, &LoadSource) -> Option<f64>| {
            reports.iter().map(|(report, source)| value(report, source)).sum::<Option<f64>>()
        };
        let limit = |report: &LoadReport, source: &LoadSource| {
            report.limit.map(|limit| limit * capacity_left(report, source))
        };
        let response_time = sum(&|report, _| report.response_time.map(|time| time.as_secs_f64()));
        Some(Self {
            connections: sum(&|report, _| report.connections),
            limit: sum(&limit),
            capacity_left: reports
                .iter()
                .map(|(report, source)| capacity_left(report, source))
                .sum::<f64>()
                / count,
            gauge: sum(&|report, _| report.gauges.get(gauge?).copied()).map(|sum| sum / count),
            response_time: response_time.map(|sum| Duration::from_secs_f64(sum / count)),
        })
    }

    /// The load as a `load` policy sees it; `None` if the reports lack the value that it measures.
    /// `fair_capacity` replaces an unknown limit of connections; `slowdown` is the response time as
    /// a multiple of its baseline.
    pub(super) fn load_signal(
        &self,
        policy: &LoadPolicy,
        fair_capacity: f64,
        slowdown: Option<f64>,
    ) -> Option<WeightedSignal> {
        let capacity_left = self.capacity_left;
        Some(match &policy.measure {
            LoadMeasure::Connections => WeightedSignal {
                // The limit, known or assumed, is reduced already.
                capacity_left: 1.0,
                signal: LoadSignal::Headroom {
                    load: self.connections?,
                    capacity: self.limit.unwrap_or(fair_capacity * capacity_left),
                    is_limit: self.limit.is_some(),
                },
            },
            LoadMeasure::ResponseTime => {
                WeightedSignal { capacity_left, signal: LoadSignal::Slowness { times: slowdown? } }
            }
            LoadMeasure::Gauge(_) => WeightedSignal {
                capacity_left,
                signal: LoadSignal::Gauge {
                    level: self.gauge?,
                    soft: policy.soft,
                    hard: policy.hard,
                },
            },
        })
    }

    /// The load of a pool with this capacity; `None` if the reports lack the value that it
    /// measures. `slowdown` is the response time as a multiple of its baseline.
    pub(super) fn capacity_levels(
        &self,
        capacity: &Capacity,
        slowdown: Option<f64>,
    ) -> Option<CapacityLevels> {
        // A configured share is a fraction of `whole`; a configured amount is multiplied by `unit`.
        let (level, whole, unit) = match &capacity.measure {
            LoadMeasure::Connections => (self.connections?, self.limit, 1.0),
            // Shares are of the baseline; amounts are in milliseconds.
            LoadMeasure::ResponseTime => {
                let secs = self.response_time?.as_secs_f64();
                (secs, slowdown.map(|slowdown| secs / slowdown), 1e-3)
            }
            LoadMeasure::Gauge(_) => (self.gauge?, Some(1.0), 1.0),
        };
        let in_unit = |level: LoadLevel| match level {
            LoadLevel::Amount(amount) => Some(amount * unit),
            LoadLevel::Share(share) => Some(share * whole?),
        };
        Some(CapacityLevels {
            level,
            target: in_unit(capacity.target)?,
            max: in_unit(capacity.max)?,
        })
    }
}
