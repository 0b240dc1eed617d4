//! Metrics: counts and status in the text formats of Prometheus.
//!
//! Counts are summed over all writers when the page is requested. Label values come from the
//! configuration and from fixed lists, never from queries, so that no client can enlarge the page.

pub(super) mod labels;
mod load;
mod overrides;
mod page;
mod safety;
mod status;
mod traffic;

use std::sync::Arc;

use prometheus_client::{
    collector::Collector, encoding::DescriptorEncoder, encoding::text::encode, registry::Registry,
};

use self::{page::MetricsPage, status::ProcessStatus};
use crate::{control::Status, transport::Totals};

/// What one page shows.
#[derive(Debug)]
pub(super) struct MetricsCollector {
    pub(super) totals: Totals,
    /// The generation of the snapshot in force.
    pub(super) generation: u64,
    /// Whether every thread that answers queries is running.
    pub(super) is_alive: bool,
    /// `None` if the controller did not answer in time.
    pub(super) status: Option<Arc<Status>>,
}

/// The page in OpenMetrics format. 100,000 services and 10,000 targets make about 10 MB.
pub(super) fn render(collector: MetricsCollector) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(collector));
    let mut text = String::new();
    // Writing into a String does not fail.
    let _ = encode(&mut text, &registry);
    text
}

impl Collector for MetricsCollector {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut page = MetricsPage::new(encoder);
        traffic::write(&mut page, &self.totals)?;
        let process = ProcessStatus {
            generation: self.generation,
            is_alive: self.is_alive,
            controller_answers: self.status.is_some(),
        };
        status::write_process(&mut page, &process)?;
        match &self.status {
            Some(status) => {
                status::write(&mut page, status)?;
                overrides::write(&mut page, status)?;
                safety::write(&mut page, status)?;
                load::write(&mut page, status)
            }
            None => Ok(()),
        }
    }
}

/// The two text formats of Prometheus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExpositionFormat {
    /// OpenMetrics 1.0, for clients that accept it.
    OpenMetrics,
    /// The older text format, for all other clients.
    PrometheusText,
}

impl ExpositionFormat {
    /// The format for a request with this `Accept` header.
    pub(super) fn negotiate(accept: Option<&str>) -> Self {
        match accept {
            Some(accept) if accept.contains("application/openmetrics-text") => Self::OpenMetrics,
            _ => Self::PrometheusText,
        }
    }

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::PrometheusText => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Converts a page to the older format, in which a counter's family has the suffix of its samples
/// and no marker ends the page.
pub(super) fn to_prometheus_text(page: &str) -> String {
    let mut text = String::with_capacity(page.len() + 4096);
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        let family = line
            .strip_prefix("# HELP ")
            .or_else(|| line.strip_prefix("# TYPE "))
            .map(|rest| &line[..7 + rest.find(' ').unwrap_or(rest.len())]);
        let is_counter = line.ends_with(" counter")
            || lines
                .peek()
                .is_some_and(|next| next.starts_with("# TYPE ") && next.ends_with(" counter"));
        match family {
            _ if line == "# EOF" => continue,
            Some(family) if is_counter => {
                text.push_str(family);
                text.push_str("_total");
                text.push_str(&line[family.len()..]);
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}
