//! Totals as a document: what the console makes rates of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::metrics::labels::{rcode_label, rtype_label};
use crate::transport::{ConnectionEvent, Totals, TransportTotals};

/// What `/api/v1/totals` says: counts since the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TotalsView {
    /// `udp`, `tcp`, `tls`, `https`.
    pub transports: BTreeMap<String, TransportTotalsView>,
    /// Replies by code, without those never given.
    pub rcodes: BTreeMap<String, u64>,
    /// Replies by the type asked for, without those never asked for.
    pub types: BTreeMap<String, u64>,
    /// Replies whose first endpoint is in the datacenter, by its name.
    pub datacenters: BTreeMap<String, u64>,
}

/// One transport's messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TransportTotalsView {
    /// Messages that came in.
    pub received: u64,
    /// Replies sent.
    pub answered: u64,
    /// Messages that got no reply.
    pub ignored: u64,
    /// Replies that could not be sent.
    pub send_errors: u64,
    /// Datagrams that the kernel dropped before; not part of `received`.
    pub kernel_drops: u64,
    /// Replies with TC.
    pub truncated: u64,
    /// Connections open now.
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
            let word = transport.transport.word().to_owned();
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
