//! Reads `tls` of a monitor: a handshake, and how long the certificate must still be valid.

use std::{path::Path, time::Duration};

use super::{
    common_keys::{self, HostUse},
    credentials::Credential,
};
use crate::{
    config::{
        problems::Problems,
        quoted::Quoted,
        reader::{TableSubject, ValueReader},
        values,
    },
    health::{ExpiryLimit, OnExpiry, TlsCheck},
};

const DAY: Duration = Duration::from_secs(24 * 3600);
const MAX_DAYS: u32 = 3650;

pub(super) fn check(
    item: ValueReader<'_>,
    directory: &Path,
    credentials: &mut Vec<Credential>,
    problems: &mut Problems,
) -> Option<TlsCheck> {
    let mut table =
        item.table(TableSubject { kind: "`tls` of monitor", name: item.subject.name }, problems)?;
    let port = common_keys::port_or(&mut table, 443, problems);
    let host = common_keys::host(&mut table, HostUse::Certificate, problems);
    let options = common_keys::tls(&mut table, directory, credentials, problems);
    let proxy_protocol = common_keys::proxy_protocol(&mut table, problems);
    let within = table.value("expires-within").map(|item| expires_within(item, problems));
    let on_expiry = table.value("on-expiry");
    let words = [("fail", OnExpiry::Fail), ("warn", OnExpiry::Warn)];
    let action = on_expiry.map_or(Some(OnExpiry::Fail), |item| item.keyword(&words, problems));
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
        Some(within) => Some(ExpiryLimit { within: within?, on_expiry: action? }),
    };
    Some(TlsCheck {
        port: port?,
        host: host?,
        tls: options?,
        expiry,
        proxy_protocol: proxy_protocol?,
    })
}

/// Reads `expires-within`: `14d`, or any other duration.
fn expires_within(item: ValueReader<'_>, problems: &mut Problems) -> Option<Duration> {
    let Some(days) = item.as_text().and_then(|text| text.strip_suffix('d')) else {
        return values::duration(item, Duration::from_secs(1), DAY * MAX_DAYS, problems)
            .map(|written| written.value);
    };
    match days.trim_end().parse() {
        Ok(days @ 1..=MAX_DAYS) => Some(DAY * days),
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
                .help(format!("write a number of days from 1 to {MAX_DAYS}: \"14d\""));
            None
        }
    }
}
