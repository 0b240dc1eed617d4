//! Which of a page's numbers make a report, for formats in which the operator says so.

use super::{LoadReport, ReportError, ServerCount, report};

/// Where each part of a report is found on a page, `P` being how the format names a place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReportMapping<P> {
    /// Connections at this moment.
    pub connections: Option<P>,
    /// The most connections.
    pub limit: Option<P>,
    /// The processor's load, in `cpu_unit`.
    pub cpu: Option<P>,
    /// How long a request takes, in `response_time_unit`.
    pub response_time: Option<P>,
    /// Servers that take requests, and all of them.
    pub servers: Option<(P, P)>,
    /// Other numbers by name.
    pub gauges: Vec<(Box<str>, P)>,
    /// In what the processor's load is published.
    pub cpu_unit: ShareUnit,
    /// In what the response time is published.
    pub response_time_unit: TimeUnit,
}

/// In what a share is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ShareUnit {
    /// 1 is all.
    Share,
    /// 100 is all.
    Percent,
}

/// In what a time is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeUnit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
}

/// What a place is wanted for; as a key of the configuration.
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

    /// Every place, always in the same order.
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
        let single = single.into_iter().filter_map(|(what, place)| Some((what, place.as_ref()?)));
        let servers = self.servers.iter().flat_map(|(up, total)| {
            [(ReportField::ServersUp, up), (ReportField::ServersTotal, total)]
        });
        single
            .chain(servers)
            .chain(self.gauges.iter().map(|(name, place)| (ReportField::Gauge(name), place)))
    }

    /// The report, `value` being what stands at a place: nothing, something that is no number, or a
    /// number.
    ///
    /// # Errors
    /// Something wanted is not there, no number, or absurd.
    pub(super) fn build_report(
        &self,
        mut value: impl FnMut(&P) -> Option<Option<f64>>,
    ) -> Result<LoadReport, ReportError> {
        let mut report = LoadReport::default();
        let mut up = 0.0;
        for (what, place) in self.fields() {
            let found = value(place).ok_or_else(|| ReportError::Missing(what.config_key()))?;
            let number = found.ok_or_else(|| ReportError::NotANumber(what.config_key()))?;
            match what {
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
