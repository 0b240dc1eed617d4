//! The load report: what a balancer says of itself, in units of our own.

use std::{collections::BTreeMap, time::Duration};

use super::{Quantity, ReportError};

/// What a balancer says of itself at one moment. What it does not say is `None`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LoadReport {
    /// Connections or sessions at this moment.
    pub connections: Option<f64>,
    /// The most connections that it can take; never zero.
    pub limit: Option<f64>,
    /// The servers behind it.
    pub servers: Option<ServerCount>,
    /// What is left of the whole capacity, 0 to 1: the effective weights of usable servers over the
    /// weights of all.
    pub capacity_share: Option<f64>,
    /// How long a request takes.
    pub response_time: Option<Duration>,
    /// Other numbers by name: `cpu` and `memory` as shares where 1 is all, `queue`, and what the
    /// source names.
    pub gauges: BTreeMap<Box<str>, f64>,
}

/// Servers behind a balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerCount {
    /// Those that take requests.
    pub up: u32,
    /// All of them; never less than `up`.
    pub total: u32,
}

/// More connections than any machine has.
const MAX_CONNECTIONS: f64 = 1e12;
const MAX_RESPONSE_TIME: Duration = Duration::from_secs(3600);
/// A processor's load beyond this many times its capacity is not one.
const MAX_LOAD_SHARE: f64 = 100.0;
/// More named numbers than these are not kept.
pub(super) const MAX_GAUGES: usize = 64;
/// The longest name of one, in octets.
pub(super) const MAX_GAUGE_NAME_OCTETS: usize = 128;

impl LoadReport {
    /// Whether all of it can be true.
    ///
    /// # Errors
    /// The first number that cannot.
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
    /// Servers as numbers of a page.
    ///
    /// # Errors
    /// They are not whole, negative, too many, or more are up than there are.
    pub(super) fn from_numbers(up: f64, total: f64) -> Result<Self, ReportError> {
        let servers = Self { up: whole_number(up)?, total: whole_number(total)? };
        if servers.up > servers.total { Err(MORE_UP_THAN_TOTAL) } else { Ok(servers) }
    }

    /// The share that is up, 0 to 1; `None` where there are none at all.
    pub fn share_up(self) -> Option<f64> {
        (self.total > 0).then(|| f64::from(self.up) / f64::from(self.total))
    }
}

const MORE_UP_THAN_TOTAL: ReportError =
    ReportError::Implausible(Quantity::Servers, "that are up is greater than that of all");
const NOT_FINITE: &str = "is not finite";
const IMPLAUSIBLE: &str = "is beyond belief";

fn check_range(quantity: Quantity, value: Option<f64>, most: f64) -> Result<(), ReportError> {
    match value {
        Some(value) if !value.is_finite() => Err(ReportError::Implausible(quantity, NOT_FINITE)),
        Some(value) if value < 0.0 => Err(ReportError::Implausible(quantity, "is negative")),
        Some(value) if value > most => Err(ReportError::Implausible(quantity, IMPLAUSIBLE)),
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
/// It is negative, not finite, or beyond belief.
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
    fn what_cannot_be_true_is_told_with_its_reason() {
        let of = |connections: f64| LoadReport {
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
            (of(-1.0), "the number of connections is negative"),
            (of(f64::NAN), "the number of connections is not finite"),
            (of(f64::INFINITY), "the number of connections is not finite"),
            (of(2e12), "the number of connections is beyond belief"),
            (limit(0.0), "the limit of connections is zero"),
            (limit(1e-300), "the limit of connections is less than one"),
            (share(1.5), "the share of the capacity is beyond belief"),
            (slow, "the response time is beyond belief"),
            (servers, "the number of servers that are up is greater than that of all"),
            (gauge("cpu", -0.1), "the CPU load is negative"),
            (gauge("cpu", 101.0), "the CPU load is beyond belief"),
            (gauge("memory", f64::NAN), "the memory load is not finite"),
            (gauge("queue", f64::NEG_INFINITY), "a gauge is not finite"),
        ] {
            assert_eq!(report.check().unwrap_err().to_string(), text);
        }
        for report in
            [LoadReport::default(), of(0.0), of(1e12), limit(1.0), share(0.0), gauge("x", -3.0)]
        {
            assert_eq!(report.check(), Ok(()), "{report:?}");
        }
    }

    #[test]
    fn servers_are_whole_numbers_of_which_some_are_up() {
        assert_eq!(ServerCount::from_numbers(2.0, 3.0), Ok(ServerCount { up: 2, total: 3 }));
        for (up, total) in [(1.5, 3.0), (-1.0, 3.0), (f64::NAN, 3.0), (4.0, 3.0), (1.0, 1e10)] {
            assert!(ServerCount::from_numbers(up, total).is_err(), "{up} of {total}");
        }
        assert_eq!(ServerCount { up: 0, total: 0 }.share_up(), None);
        assert_eq!(ServerCount { up: 1, total: 4 }.share_up(), Some(0.25));
    }
}
