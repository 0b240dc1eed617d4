//! Reads `type` of a service: the records that it answers, and for a binding the parameters of
//! connections (RFC 9460).

use std::sync::Arc;

use crate::{
    config::{
        problems::Problems,
        quoted::Quoted,
        reader::{TableReader, ValueReader},
    },
    dns::Rtype,
    steer::{RecordKind, ServiceBinding},
};

/// The start of the rdata: SvcPriority 1 and the TargetName `.`, which means the owner itself.
const SVCB_START: [u8; 3] = [0, 1, 0];
/// The SvcParamKeys of `alpn` and `port`.
const ALPN: u16 = 1;
const PORT: u16 = 3;
/// The default port of HTTPS, which a record need not name.
const HTTPS_PORT: u16 = 443;
/// The maximum number of octets of all protocols together: a record with its hints must fit into a
/// datagram.
const MAX_ALPN_OCTETS: usize = 255;

/// Reads `type` and the keys that belong to it. `None` where they have errors.
pub(super) fn read(table: &mut TableReader<'_>, problems: &mut Problems) -> Option<RecordKind> {
    let rtype = match table.value("type") {
        None => None,
        Some(item) => Some(item.keyword(
            &[("SRV", Rtype::SRV), ("HTTPS", Rtype::HTTPS), ("SVCB", Rtype::SVCB)],
            problems,
        )?),
    };
    let [alpn, port, hints] = ["alpn", "port", "hints"].map(|key| table.value(key));
    match rtype {
        Some(rtype) if rtype != Rtype::SRV => binding(rtype, [alpn, port, hints], problems),
        _ => {
            // The port beside a `target` in this table is part of that mistake.
            let port = port.filter(|_| !table.has("target"));
            let misplaced: Vec<_> = [alpn, port, hints].into_iter().flatten().collect();
            for item in &misplaced {
                problems
                    .error(item.place, format!("{} has `{}`, and is not of type HTTPS or SVCB", item.subject, item.key))
                    .help("write type = \"HTTPS\" beside it; the port of an SRV record stands beside its `target`");
            }
            let kind = if rtype.is_some() { RecordKind::Srv } else { RecordKind::Addresses };
            misplaced.is_empty().then_some(kind)
        }
    }
}

fn binding(
    rtype: Rtype,
    [alpn, port, hints]: [Option<ValueReader<'_>>; 3],
    problems: &mut Problems,
) -> Option<RecordKind> {
    let alpn = alpn.map_or(Some(Vec::new()), |item| protocols(item, problems));
    let port = port.map_or(Some(None), |item| {
        let port = item.integer(
            1,
            65_535,
            "it is where clients connect to; 443 where none is written",
            problems,
        )?;
        u16::try_from(port.value).ok().map(Some)
    });
    let has_hints = hints.map_or(Some(true), |item| item.boolean(problems));
    let (alpn, port) = (alpn?, port?);
    let mut rdata_prefix = SVCB_START.to_vec();
    if !alpn.is_empty() {
        put_param(&mut rdata_prefix, ALPN, &alpn);
    }
    if let Some(port) = port.filter(|&port| rtype != Rtype::HTTPS || port != HTTPS_PORT) {
        put_param(&mut rdata_prefix, PORT, &port.to_be_bytes());
    }
    Some(RecordKind::Binding(Arc::new(ServiceBinding {
        rtype,
        rdata_prefix: rdata_prefix.into(),
        has_hints: has_hints?,
    })))
}

fn put_param(rdata_prefix: &mut Vec<u8>, key: u16, value: &[u8]) {
    rdata_prefix.extend(key.to_be_bytes());
    rdata_prefix.extend((value.len() as u16).to_be_bytes());
    rdata_prefix.extend(value);
}

/// Reads `alpn`, and returns its value: each protocol with its length (RFC 9460 section 7.1.1).
fn protocols(item: ValueReader<'_>, problems: &mut Problems) -> Option<Vec<u8>> {
    let texts = item.texts("protocols", problems)?;
    let (mut wire, mut names) = (Vec::new(), Vec::new());
    let mut is_valid = true;
    for text in texts {
        let fault = match text.value {
            name if names.contains(&name) => "is listed twice",
            name if name.is_empty()
                || name.len() > 255
                || !name.bytes().all(|byte| byte.is_ascii_graphic()) =>
            {
                "is not a protocol"
            }
            name => {
                names.push(name);
                wire.push(name.len() as u8);
                wire.extend(name.bytes());
                continue;
            }
        };
        is_valid = false;
        problems
            .error(text.place, format!("{} has {}, which {fault}", item.description(), Quoted(text.value)))
            .help("write the ALPN protocols that the endpoints speak, the preferred first: [\"h2\", \"h3\"]");
    }
    if is_valid && (wire.is_empty() || wire.len() > MAX_ALPN_OCTETS) {
        let fault = if wire.is_empty() { "is empty" } else { "is longer than 255 octets" };
        problems
            .error(item.place, format!("{} {fault}", item.description()))
            .help("omit it for HTTP/1.1 alone, or write the protocols: [\"h2\", \"h3\"]");
        return None;
    }
    is_valid.then_some(wire)
}
