//! Report mappings: which numbers of a page make a report, for formats that have no fixed meaning.

use super::{LoadReport, ReportError, ServerCount, report};

/// The place on a page of each value of a report. `P` is the way in which the format names a place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReportMapping<P> {
    /// The present number of connections.
    pub connections: Option<P>,
    /// The limit of connections.
    pub limit: Option<P>,
    /// The CPU load, in `cpu_unit`.
    pub cpu: Option<P>,
    /// The response time of a request, in `response_time_unit`.
    pub response_time: Option<P>,
    /// The number of servers that take requests, and the number of all servers.
    pub servers: Option<(P, P)>,
    /// Other numbers, each with the name of its gauge.
    pub gauges: Vec<(Box<str>, P)>,
    /// The unit of the CPU load.
    pub cpu_unit: ShareUnit,
    /// The unit of the response time.
    pub response_time_unit: TimeUnit,
}

/// The unit of a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ShareUnit {
    /// From 0 to 1: 1 is all of the capacity.
    Share,
    /// From 0 to 100: 100 is all of the capacity.
    Percent,
}

/// The unit of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeUnit {
    /// Whole or fractional seconds.
    Seconds,
    /// Whole or fractional milliseconds.
    Milliseconds,
}

/// A value of a report that a place on the page provides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReportField<'w> {
    Connections,
    Limit,
    Cpu,
    ResponseTime,
    ServersUp,
    ServersTotal,
    Gauge(&'w str),
}

impl ReportField<'_> {
    /// The key of the configuration that names the place, for error messages.
    fn config_key(self) -> Box<str> {
        match self {
            Self::Connections => "`connections`".into(),
            Self::Limit => "`limit`".into(),
            Self::Cpu => "`cpu`".into(),
            Self::ResponseTime => "`response-time`".into(),
            Self::ServersUp => "`servers-up`".into(),
            Self::ServersTotal => "`servers-total`".into(),
            Self::Gauge(name) => format!("gauge `{name}`").into(),
        }
    }
}

impl<P> ReportMapping<P> {
    /// A mapping that takes nothing from a page, in plain units.
    #[cfg(test)]
    pub(super) fn empty() -> Self {
        Self {
            connections: None,
            limit: None,
            cpu: None,
            response_time: None,
            servers: None,
            gauges: Vec::new(),
            cpu_unit: ShareUnit::Share,
            response_time_unit: TimeUnit::Seconds,
        }
    }

    /// The place of every value, always in the same order.
    pub fn selectors(&self) -> impl Iterator<Item = &P> {
        self.fields().map(|(_, place)| place)
    }

    fn fields(&self) -> impl Iterator<Item = (ReportField<'_>, &P)> {
        let single = [
            (ReportField::Connections, &self.connections),
            (ReportField::Limit, &self.limit),
            (ReportField::Cpu, &self.cpu),
            (ReportField::ResponseTime, &self.response_time),
        ];
        let single = single.into_iter().filter_map(|(field, place)| Some((field, place.as_ref()?)));
        let servers = self.servers.iter().flat_map(|(up, total)| {
            [(ReportField::ServersUp, up), (ReportField::ServersTotal, total)]
        });
        single
            .chain(servers)
            .chain(self.gauges.iter().map(|(name, place)| (ReportField::Gauge(name), place)))
    }

    /// Builds the report. `value` reads a place: `None` if it is empty, `Some(None)` if it holds
    /// something other than a number.
    ///
    /// # Errors
    /// A place is empty or does not hold a number, or the number is impossible.
    pub(super) fn build_report(
        &self,
        mut value: impl FnMut(&P) -> Option<Option<f64>>,
    ) -> Result<LoadReport, ReportError> {
        let mut report = LoadReport::default();
        let mut up = 0.0;
        for (field, place) in self.fields() {
            let found = value(place).ok_or_else(|| ReportError::Missing(field.config_key()))?;
            let number = found.ok_or_else(|| ReportError::NotANumber(field.config_key()))?;
            match field {
                ReportField::Connections => report.connections = Some(number),
                ReportField::Limit => report.limit = Some(number),
                ReportField::Cpu => {
                    _ = report.gauges.insert("cpu".into(), self.cpu_unit.share(number))
                }
                ReportField::ResponseTime => {
                    report.response_time =
                        Some(report::response_time(self.response_time_unit.secs(number))?);
                }
                ReportField::ServersUp => up = number,
                ReportField::ServersTotal => {
                    report.servers = Some(ServerCount::from_numbers(up, number)?)
                }
                ReportField::Gauge(name) => _ = report.gauges.insert(name.into(), number),
            }
        }
        Ok(report)
    }
}

impl ShareUnit {
    fn share(self, number: f64) -> f64 {
        match self {
            Self::Share => number,
            Self::Percent => number / 100.0,
        }
    }
}

impl TimeUnit {
    fn secs(self, number: f64) -> f64 {
        match self {
            Self::Seconds => number,
            Self::Milliseconds => number / 1000.0,
        }
    }
}
