//! Metrics: everything that is counted and known, as Prometheus reads it.
//!
//! Counts are summed over all writers when somebody asks. Labels take their values from the configuration and from fixed
//! lists, never from queries, so that no client can make the page longer.

mod page;
mod state;
mod traffic;

use std::sync::Arc;

use prometheus_client::{
    collector::Collector, encoding::DescriptorEncoder, encoding::text::encode, registry::Registry,
};

use self::page::Page;
use crate::{
    control::Status,
    dns::{Rcode, Rtype},
    engine::Transport,
    transport::Totals,
};

/// Everything on one page.
#[derive(Debug)]
struct Everything {
    totals: Totals,
    generation: u64,
    is_alive: bool,
    /// Missing while the controller is busy.
    status: Option<Arc<Status>>,
}

/// The page. 100,000 services and 10,000 targets make some 10 MB.
pub(super) fn text(totals: Totals, generation: u64, is_alive: bool, status: Option<Arc<Status>>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Everything { totals, generation, is_alive, status }));
    let mut text = String::new();
    // Writing into a String does not fail.
    let _ = encode(&mut text, &registry);
    text
}

impl Collector for Everything {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut page = Page::new(encoder);
        traffic::write(&mut page, &self.totals)?;
        state::write_process(&mut page, self.generation, self.is_alive, self.status.is_some())?;
        match &self.status {
            Some(status) => state::write(&mut page, status),
            None => Ok(()),
        }
    }
}

/// OpenMetrics for those who name it; for everybody else the older text format, which this page is as well.
pub(super) fn media_type(accept: Option<&str>) -> &'static str {
    match accept {
        Some(accept) if accept.contains("application/openmetrics-text") => {
            "application/openmetrics-text; version=1.0.0; charset=utf-8"
        }
        _ => "text/plain; version=0.0.4; charset=utf-8",
    }
}

pub(super) fn transport_word(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
        Transport::Tls => "tls",
        Transport::Https => "https",
    }
}

/// The rcode counted at this place; the last place stands for all from there up.
pub(super) fn rcode_word(place: u16) -> String {
    if place == 24 { "other".to_owned() } else { Rcode(place).to_string() }
}

pub(super) fn rtype_word(rtype: Option<Rtype>) -> String {
    rtype.map_or_else(|| "other".to_owned(), |rtype| rtype.to_string())
}
