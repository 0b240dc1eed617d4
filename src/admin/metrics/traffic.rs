//! Metrics of the messages received over each transport and of their outcomes.

use std::fmt;

use super::{
    labels::{rcode_label, rtype_label},
    page::MetricsPage,
};
use crate::{
    dns::Rcode,
    engine::Transport,
    transport::{ConnectionEvent, NoReplyReason, Totals, TransportTotals},
};

pub(super) fn write(page: &mut MetricsPage<'_>, totals: &Totals) -> fmt::Result {
    message_outcomes(page, &totals.transports)?;
    replies(page, &totals.transports)?;
    let mut services: Vec<(String, u64)> =
        totals.services.iter().map(|(name, count)| (name.to_string(), *count)).collect();
    // In the order that `check` and `status` use: that of the names as text.
    services.sort_unstable();
    page.counters(
        "portolan_service_answers",
        "Replies whose answer the service chose.",
        services.into_iter().map(|(name, count)| ([("service", name)], count)),
    )?;
    page.counters(
        "portolan_datacenter_answers",
        "Replies that a service chose and whose first endpoint is in the datacenter.",
        totals.datacenters.iter().map(|(name, count)| ([("datacenter", &**name)], *count)),
    )
}

/// Writes a counter with one sample for each transport.
fn per_transport(
    page: &mut MetricsPage<'_>,
    transports: &[TransportTotals],
    name: &str,
    help: &str,
    count: impl Fn(&TransportTotals) -> u64,
) -> fmt::Result {
    let samples =
        transports.iter().map(|totals| ([("transport", totals.transport.as_str())], count(totals)));
    page.counters(name, help, samples)
}

fn message_outcomes(page: &mut MetricsPage<'_>, transports: &[TransportTotals]) -> fmt::Result {
    per_transport(
        page,
        transports,
        "portolan_messages_received",
        "DNS messages that were received.",
        |totals| totals.received,
    )?;
    let ignored = transports.iter().flat_map(|totals| {
        let labels = |reason: NoReplyReason| {
            [("transport", totals.transport.as_str()), ("reason", reason.label())]
        };
        NoReplyReason::ALL.map(|reason| (labels(reason), totals.no_replies_for(reason)))
    });
    page.counters(
        "portolan_messages_ignored",
        "DNS messages that got no reply, by reason.",
        ignored,
    )?;
    per_transport(
        page,
        transports,
        "portolan_send_errors",
        "Replies that could not be sent.",
        |totals| totals.send_errors,
    )?;
    let drops = "Datagrams that the kernel dropped because the receive buffer was full; not counted as received.";
    per_transport(page, transports, "portolan_kernel_drops", drops, |totals| totals.kernel_drops)?;
    let events = transports.iter().flat_map(|totals| {
        let labels = |event: ConnectionEvent| {
            [("transport", totals.transport.as_str()), ("event", event.label())]
        };
        ConnectionEvent::ALL.map(|event| (labels(event), totals.connection_events(event)))
    });
    page.counters(
        "portolan_connections",
        "Connections by event: opened, closed, evicted, timed out, accept or handshake failed, buffers full.",
        events,
    )?;
    let https = transports.iter().filter(|totals| totals.transport == Transport::Https);
    let statuses = https.flat_map(TransportTotals::by_status).map(|(status, count)| {
        let status = status.map_or("other".to_owned(), |status| status.to_string());
        ([("status", status)], count)
    });
    let help = "HTTP responses of DNS over HTTPS, by status.";
    page.counters("portolan_https_responses", help, statuses)
}

fn replies(page: &mut MetricsPage<'_>, transports: &[TransportTotals]) -> fmt::Result {
    let rcodes = transports.iter().flat_map(|totals| {
        let labels = |rcode| {
            [("transport", totals.transport.as_str().to_owned()), ("rcode", rcode_label(rcode))]
        };
        // Codes without a name are shown only once they occur.
        let is_shown = |rcode, count| count > 0 || Rcode(rcode).mnemonic().is_some();
        (0..)
            .zip(totals.answered)
            .filter(move |(rcode, count)| is_shown(*rcode, *count))
            .map(move |(rcode, count)| (labels(rcode), count))
    });
    page.counters("portolan_replies", "Replies sent, by response code.", rcodes)?;
    let types = transports.iter().flat_map(|totals| {
        let labels = |rtype| {
            [("transport", totals.transport.as_str().to_owned()), ("type", rtype_label(rtype))]
        };
        totals.by_type().map(move |(rtype, count)| (labels(rtype), count)).collect::<Vec<_>>()
    });
    let help = "Replies sent, by the record type of the question.";
    page.counters("portolan_replies_by_type", help, types)?;
    let help = "Replies sent with the TC flag, because they were too long for the transport.";
    per_transport(page, transports, "portolan_replies_truncated", help, |totals| totals.truncated)
}
