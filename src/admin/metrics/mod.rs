//! Metrics: everything that is counted and known, as Prometheus reads it.
//!
//! Counts are summed over all writers when somebody asks. Labels take their values from the
//! configuration and from fixed lists, never from queries, so that no client can make the page
//! longer.

pub(super) mod labels;
mod load;
mod page;
mod status;
mod traffic;

use std::sync::Arc;

use prometheus_client::{
    collector::Collector, encoding::DescriptorEncoder, encoding::text::encode, registry::Registry,
};

use self::page::MetricsPage;
use crate::{control::Status, transport::Totals};

/// Everything on one page.
#[derive(Debug)]
struct MetricsCollector {
    totals: Totals,
    generation: u64,
    is_alive: bool,
    /// Missing while the controller is busy.
    status: Option<Arc<Status>>,
}

/// The page. 100,000 services and 10,000 targets make some 10 MB.
pub(super) fn render(
    totals: Totals,
    generation: u64,
    is_alive: bool,
    status: Option<Arc<Status>>,
) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(MetricsCollector {
        totals,
        generation,
        is_alive,
        status,
    }));
    let mut text = String::new();
    // Writing into a String does not fail.
    let _ = encode(&mut text, &registry);
    text
}

impl Collector for MetricsCollector {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut page = MetricsPage::new(encoder);
        traffic::write(&mut page, &self.totals)?;
        status::write_process(&mut page, self.generation, self.is_alive, self.status.is_some())?;
        match &self.status {
            Some(status) => {
                status::write(&mut page, status)?;
                load::write(&mut page, status)
            }
            None => Ok(()),
        }
    }
}

/// The two text formats of Prometheus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExpositionFormat {
    /// For those who name it.
    OpenMetrics,
    /// For everybody else.
    PrometheusText,
}

impl ExpositionFormat {
    /// What a client that sends this `Accept` reads.
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

/// The page in the older format: there a counter's family bears the suffix of its samples, and no
/// mark ends the page.
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
