//! Totals as a JSON document, from which the console calculates rates.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::metrics::labels::{rcode_label, rtype_label};
use crate::transport::{ConnectionEvent, Totals, TransportTotals};

/// The document of `/api/v1/totals`: counts since the start of the process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TotalsView {
    /// Counts by transport: `udp`, `tcp`, `tls`, `https`.
    pub transports: BTreeMap<String, TransportTotalsView>,
    /// Replies by response code, without codes that were never sent.
    pub rcodes: BTreeMap<String, u64>,
    /// Replies by the type of the question, without types that were never queried.
    pub types: BTreeMap<String, u64>,
    /// Replies chosen by services, by the name of the datacenter of their first endpoint.
    pub datacenters: BTreeMap<String, u64>,
}

/// The messages of one transport.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TransportTotalsView {
    /// Messages that were received.
    pub received: u64,
    /// Replies that were sent.
    pub answered: u64,
    /// Messages that got no reply.
    pub ignored: u64,
    /// Replies that could not be sent.
    pub send_errors: u64,
    /// Datagrams that the kernel dropped because the receive buffer was full; not part of
    /// `received`.
    pub kernel_drops: u64,
    /// Replies sent with the TC flag.
    pub truncated: u64,
    /// Connections that are open now.
    pub connections: u64,
}

impl TotalsView {
    pub(super) fn new(totals: &Totals) -> Self {
        let mut document = Self {
            transports: BTreeMap::new(),
            rcodes: BTreeMap::new(),
            types: BTreeMap::new(),
            datacenters: totals
                .datacenters
                .iter()
                .map(|(name, count)| (name.to_string(), *count))
                .collect(),
        };
        for transport in &totals.transports {
            let word = transport.transport.as_str().to_owned();
            document.transports.insert(word, TransportTotalsView::new(transport));
            for (rcode, count) in (0..).zip(transport.answered).filter(|(_, count)| *count > 0) {
                *document.rcodes.entry(rcode_label(rcode)).or_default() += count;
            }
            for (rtype, count) in transport.by_type().filter(|(_, count)| *count > 0) {
                *document.types.entry(rtype_label(rtype)).or_default() += count;
            }
        }
        document
    }
}

impl TransportTotalsView {
    fn new(totals: &TransportTotals) -> Self {
        let opened = totals.connection_events(ConnectionEvent::Opened);
        Self {
            received: totals.received,
            answered: totals.answered.iter().sum(),
            ignored: totals.no_replies.iter().sum(),
            send_errors: totals.send_errors,
            kernel_drops: totals.kernel_drops,
            truncated: totals.truncated,
            connections: opened.saturating_sub(totals.connection_events(ConnectionEvent::Closed)),
        }
    }
}
