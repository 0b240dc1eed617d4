//! The load report of a balancer, in the same units for all formats.

use std::{collections::BTreeMap, time::Duration};

use super::{Quantity, ReportError};

/// The load of a balancer at one moment. A value that it does not report is `None`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LoadReport {
    /// The present number of connections or sessions.
    pub connections: Option<f64>,
    /// The maximum number of connections that it can take, at least 1.
    pub limit: Option<f64>,
    /// The servers behind the balancer.
    pub servers: Option<ServerCount>,
    /// The share of the capacity that remains, from 0 to 1: the effective weights of usable servers
    /// divided by the configured weights of all.
    pub capacity_share: Option<f64>,
    /// The response time of a request.
    pub response_time: Option<Duration>,
    /// Other numbers by name: `cpu` and `memory` as shares of the capacity, where 1 is all of it;
    /// `queue`; and the names that the source configures or reports.
    pub gauges: BTreeMap<Box<str>, f64>,
}

/// The number of servers behind a balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerCount {
    /// Servers that take requests.
    pub up: u32,
    /// All servers, at least `up`.
    pub total: u32,
}

/// More connections than any machine can have.
const MAX_CONNECTIONS: f64 = 1e12;
const MAX_RESPONSE_TIME: Duration = Duration::from_secs(3600);
/// The highest plausible load of a CPU or of memory, as a multiple of its capacity.
const MAX_LOAD_SHARE: f64 = 100.0;
/// The maximum number of gauges in a report.
pub(super) const MAX_GAUGES: usize = 64;
/// The longest name of a gauge, in octets.
pub(super) const MAX_GAUGE_NAME_OCTETS: usize = 128;

impl LoadReport {
    /// Checks that every number is possible.
    ///
    /// # Errors
    /// The first number that is not.
    pub fn check(&self) -> Result<(), ReportError> {
        check_range(Quantity::Connections, self.connections, MAX_CONNECTIONS)?;
        check_range(Quantity::Limit, self.limit, MAX_CONNECTIONS)?;
        match self.limit {
            Some(0.0) => return Err(ReportError::Implausible(Quantity::Limit, "is zero")),
            Some(limit) if limit < 1.0 => {
                return Err(ReportError::Implausible(Quantity::Limit, "is less than one"));
            }
            _ => {}
        }
        if self.servers.is_some_and(|servers| servers.up > servers.total) {
            return Err(MORE_UP_THAN_TOTAL);
        }
        check_range(Quantity::CapacityShare, self.capacity_share, 1.0)?;
        if self.response_time.is_some_and(|time| time > MAX_RESPONSE_TIME) {
            return Err(ReportError::Implausible(Quantity::ResponseTime, IMPLAUSIBLE));
        }
        for (name, &value) in &self.gauges {
            match &**name {
                "cpu" => check_range(Quantity::Cpu, Some(value), MAX_LOAD_SHARE)?,
                "memory" => check_range(Quantity::Memory, Some(value), MAX_LOAD_SHARE)?,
                _ if !value.is_finite() => {
                    return Err(ReportError::Implausible(Quantity::Gauge, NOT_FINITE));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl ServerCount {
    /// The servers by two numbers of a page.
    ///
    /// # Errors
    /// A number is negative, too large or not whole, or more servers are up than there are.
    pub(super) fn from_numbers(up: f64, total: f64) -> Result<Self, ReportError> {
        let servers = Self { up: whole_number(up)?, total: whole_number(total)? };
        if servers.up > servers.total { Err(MORE_UP_THAN_TOTAL) } else { Ok(servers) }
    }

    /// The share of servers that are up, from 0 to 1; `None` if there are no servers.
    pub fn share_up(self) -> Option<f64> {
        (self.total > 0).then(|| f64::from(self.up) / f64::from(self.total))
    }
}

const MORE_UP_THAN_TOTAL: ReportError =
    ReportError::Implausible(Quantity::Servers, "up exceeds the number of all servers");
const NOT_FINITE: &str = "is not finite";
const IMPLAUSIBLE: &str = "is implausibly high";

fn check_range(quantity: Quantity, value: Option<f64>, max: f64) -> Result<(), ReportError> {
    match value {
        Some(value) if !value.is_finite() => Err(ReportError::Implausible(quantity, NOT_FINITE)),
        Some(value) if value < 0.0 => Err(ReportError::Implausible(quantity, "is negative")),
        Some(value) if value > max => Err(ReportError::Implausible(quantity, IMPLAUSIBLE)),
        _ => Ok(()),
    }
}

fn whole_number(value: f64) -> Result<u32, ReportError> {
    check_range(Quantity::Servers, Some(value), f64::from(u32::MAX))?;
    if value.fract() == 0.0 {
        Ok(value as u32)
    } else {
        Err(ReportError::Implausible(Quantity::Servers, "is not whole"))
    }
}

/// A response time of this many seconds.
///
/// # Errors
/// The number is negative, not finite, or implausibly high.
pub(super) fn response_time(secs: f64) -> Result<Duration, ReportError> {
    check_range(Quantity::ResponseTime, Some(secs), MAX_RESPONSE_TIME.as_secs_f64())?;
    Ok(Duration::from_secs_f64(secs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gauge(name: &str, value: f64) -> LoadReport {
        LoadReport { gauges: [(name.into(), value)].into(), ..LoadReport::default() }
    }

    #[test]
    fn an_impossible_number_is_reported_with_the_reason() {
        let connections = |connections: f64| LoadReport {
            connections: Some(connections),
            ..LoadReport::default()
        };
        let limit = |limit: f64| LoadReport { limit: Some(limit), ..LoadReport::default() };
        let share =
            |share: f64| LoadReport { capacity_share: Some(share), ..LoadReport::default() };
        let slow =
            LoadReport { response_time: Some(Duration::from_secs(3601)), ..LoadReport::default() };
        let servers =
            LoadReport { servers: Some(ServerCount { up: 3, total: 2 }), ..LoadReport::default() };
        for (report, text) in [
            (connections(-1.0), "the number of connections is negative"),
            (connections(f64::NAN), "the number of connections is not finite"),
            (connections(f64::INFINITY), "the number of connections is not finite"),
            (connections(2e12), "the number of connections is implausibly high"),
            (limit(0.0), "the limit of connections is zero"),
            (limit(1e-300), "the limit of connections is less than one"),
            (share(1.5), "the share of the capacity is implausibly high"),
            (slow, "the response time is implausibly high"),
            (servers, "the number of servers up exceeds the number of all servers"),
            (gauge("cpu", -0.1), "the CPU load is negative"),
            (gauge("cpu", 101.0), "the CPU load is implausibly high"),
            (gauge("memory", f64::NAN), "the memory load is not finite"),
            (gauge("queue", f64::NEG_INFINITY), "a gauge is not finite"),
        ] {
            assert_eq!(report.check().unwrap_err().to_string(), text);
        }
        for report in [
            LoadReport::default(),
            connections(0.0),
            connections(1e12),
            limit(1.0),
            share(0.0),
            gauge("x", -3.0),
        ] {
            assert_eq!(report.check(), Ok(()), "{report:?}");
        }
    }

    #[test]
    fn server_counts_are_whole_and_no_more_are_up_than_there_are() {
        assert_eq!(ServerCount::from_numbers(2.0, 3.0), Ok(ServerCount { up: 2, total: 3 }));
        for (up, total) in [(1.5, 3.0), (-1.0, 3.0), (f64::NAN, 3.0), (4.0, 3.0), (1.0, 1e10)] {
            assert!(ServerCount::from_numbers(up, total).is_err(), "{up} of {total}");
        }
        assert_eq!(ServerCount { up: 0, total: 0 }.share_up(), None);
        assert_eq!(ServerCount { up: 1, total: 4 }.share_up(), Some(0.25));
    }
}
