//! What came in over the transports and how it ended.

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
    // In the order of `check` and `status`: that of the names as they are written.
    services.sort_unstable();
    page.counters(
        "portolan_service_answers",
        "Replies that the service chose.",
        services.into_iter().map(|(name, count)| ([("service", name)], count)),
    )?;
    page.counters(
        "portolan_datacenter_answers",
        "Steered replies whose first endpoint is in the datacenter.",
        totals.datacenters.iter().map(|(name, count)| ([("datacenter", &**name)], *count)),
    )
}

/// One number for each transport.
fn per_transport(
    page: &mut MetricsPage<'_>,
    transports: &[TransportTotals],
    name: &str,
    help: &str,
    count: impl Fn(&TransportTotals) -> u64,
) -> fmt::Result {
    let samples = transports.iter().map(|one| ([("transport", one.transport.word())], count(one)));
    page.counters(name, help, samples)
}

fn message_outcomes(page: &mut MetricsPage<'_>, transports: &[TransportTotals]) -> fmt::Result {
    per_transport(
        page,
        transports,
        "portolan_messages_received",
        "Messages that came in.",
        |one| one.received,
    )?;
    let ignored = transports.iter().flat_map(|one| {
        let labels = |silence: NoReplyReason| {
            [("transport", one.transport.word()), ("reason", silence.label())]
        };
        NoReplyReason::ALL.map(|silence| (labels(silence), one.no_replies_for(silence)))
    });
    page.counters("portolan_messages_ignored", "Messages that got no reply.", ignored)?;
    per_transport(
        page,
        transports,
        "portolan_send_errors",
        "Replies that could not be sent.",
        |one| one.send_errors,
    )?;
    let drops = "Datagrams that the kernel dropped because the receive buffer was full; not part of those received.";
    per_transport(page, transports, "portolan_kernel_drops", drops, |one| one.kernel_drops)?;
    let events = transports.iter().flat_map(|one| {
        let labels = |event: ConnectionEvent| {
            [("transport", one.transport.word()), ("event", event.label())]
        };
        ConnectionEvent::ALL.map(|event| (labels(event), one.connection_events(event)))
    });
    page.counters(
        "portolan_connections",
        "Connections by event: opened, closed, evicted, timed out, failed, buffers full.",
        events,
    )?;
    let https = transports.iter().filter(|one| one.transport == Transport::Https);
    let statuses = https.flat_map(TransportTotals::by_status).map(|(status, count)| {
        let status = status.map_or("other".to_owned(), |status| status.to_string());
        ([("status", status)], count)
    });
    page.counters("portolan_https_responses", "HTTP responses over HTTPS, by status.", statuses)
}

fn replies(page: &mut MetricsPage<'_>, transports: &[TransportTotals]) -> fmt::Result {
    let rcodes = transports.iter().flat_map(|one| {
        let labels =
            |rcode| [("transport", one.transport.word().to_owned()), ("rcode", rcode_label(rcode))];
        // Codes without a name are shown once they occur.
        let is_shown = |rcode, count| count > 0 || Rcode(rcode).mnemonic().is_some();
        (0..)
            .zip(one.answered)
            .filter(move |(rcode, count)| is_shown(*rcode, *count))
            .map(move |(rcode, count)| (labels(rcode), count))
    });
    page.counters("portolan_replies", "Replies sent, by response code.", rcodes)?;
    let types = transports.iter().flat_map(|one| {
        let labels =
            |rtype| [("transport", one.transport.word().to_owned()), ("type", rtype_label(rtype))];
        one.by_type().map(move |(rtype, count)| (labels(rtype), count)).collect::<Vec<_>>()
    });
    page.counters("portolan_replies_by_type", "Replies sent, by the type asked for.", types)?;
    per_transport(page, transports, "portolan_replies_truncated", "Replies with TC.", |one| {
        one.truncated
    })
}
