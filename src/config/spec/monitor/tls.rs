//! `tls` of a monitor.

use std::{path::Path, time::Duration};

use super::{
    credentials::Credential,
    terms::{self, Place},
};
use crate::{
    config::{
        diagnostics::Quoted,
        problems::Problems,
        reader::{Item, Subject},
        values,
    },
    health::{Expiry, OnExpiry, TlsCheck},
};

const DAY: Duration = Duration::from_secs(24 * 3600);
const MOST_DAYS: u32 = 3650;

pub(super) fn check(
    item: Item<'_>,
    directory: &Path,
    credentials: &mut Vec<Credential>,
    problems: &mut Problems,
) -> Option<TlsCheck> {
    let mut table =
        item.table(Subject { kind: "`tls` of monitor", name: item.subject.name }, problems)?;
    let port = terms::port_or(&mut table, 443, problems);
    let host = terms::host(&mut table, Place::Certificate, problems);
    let terms = terms::tls(&mut table, directory, credentials, problems);
    let proxy_protocol = terms::proxy_protocol(&mut table, problems);
    let within = table.item("expires-within").map(|item| within(item, problems));
    let on_expiry = table.item("on-expiry");
    let words = [("fail", OnExpiry::Fail), ("warn", OnExpiry::Warn)];
    let then = on_expiry.map_or(Some(OnExpiry::Fail), |item| item.word(&words, problems));
    if let (Some(on_expiry), None) = (on_expiry, within) {
        problems
            .error(
                on_expiry.place,
                format!("{} has `on-expiry`, but no `expires-within`", table.subject),
            )
            .help("add expires-within = \"14d\"");
    }
    table.finish(problems);
    let expiry = match within {
        None => None,
        Some(within) => Some(Expiry { within: within?, then: then? }),
    };
    Some(TlsCheck {
        port: port?,
        host: host?,
        terms: terms?,
        expiry,
        proxy_protocol: proxy_protocol?,
    })
}

/// `14d`, or a duration as it is written elsewhere.
fn within(item: Item<'_>, problems: &mut Problems) -> Option<Duration> {
    let Some(days) = item.as_text().and_then(|text| text.strip_suffix('d')) else {
        return values::duration(item, Duration::from_secs(1), DAY * MOST_DAYS, problems)
            .map(|at| at.value);
    };
    match days.trim_end().parse() {
        Ok(days @ 1..=MOST_DAYS) => Some(DAY * days),
        _ => {
            problems
                .error(
                    item.place,
                    format!(
                        "{} has expires-within {}",
                        item.subject,
                        Quoted(item.as_text().unwrap_or_default())
                    ),
                )
                .help(format!("write a number of days from 1 to {MOST_DAYS}: \"14d\""));
            None
        }
    }
}
