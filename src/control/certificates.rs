//! The certificates of DNS over TLS and HTTPS in the status document, and the concerns that an
//! operator should look at.

use super::{
    clock::format_time,
    status::{CertificateStatus, Concern},
};
use crate::transport::CertificateState;

/// A certificate is a concern if it expires within this time, in seconds.
const EXPIRY_WARNING_SECS: i64 = 14 * 86_400;

impl From<CertificateState> for CertificateStatus {
    fn from(state: CertificateState) -> Self {
        let CertificateState { chain, key, expires, failure, failures } = state;
        let (error, since) = failure.map(|failure| (failure.error, failure.since)).unzip();
        Self {
            certificate: chain.display().to_string(),
            key: key.display().to_string(),
            expires,
            error,
            since,
            failed_reads: failures,
        }
    }
}

impl CertificateStatus {
    /// The concern of an operator at `now` (seconds since 1970): the files on disk cannot be used,
    /// or the certificate in use has expired or expires soon. `None` if neither is so.
    pub fn concern(&self, now: i64) -> Option<Concern> {
        let left_secs = self.expires.map(|expires| expires.saturating_sub(now));
        let is_expired = left_secs.is_some_and(|left| left <= 0);
        let is_soon = left_secs.is_some_and(|left| left <= EXPIRY_WARNING_SECS);
        let text = match (&self.error, self.since) {
            (Some(error), since) => {
                let since =
                    since.map(|since| format!(" since {}", format_time(since))).unwrap_or_default();
                format!(
                    "certificate files {} cannot be used{since}: {error}; the previous certificate stays in use and {}",
                    self.certificate,
                    self.expiry(now)
                )
            }
            (None, _) if is_expired || is_soon => {
                format!(
                    "{} {}: renew it; new files are used within seconds",
                    self.subject(),
                    self.expiry(now)
                )
            }
            (None, _) => return None,
        };
        // Clients refuse an expired certificate, so that this transport answers nothing.
        Some(Concern { text, is_grave: is_expired })
    }

    fn subject(&self) -> String {
        format!("certificate {}", self.certificate)
    }

    /// When the certificate in use expires, as reports show it: `expires 2026-12-01 06:00:00 UTC
    /// (in 3 days)`.
    pub fn expiry(&self, now: i64) -> String {
        let Some(expires) = self.expires else {
            return "has no expiry that can be read".to_owned();
        };
        let time = format_time(expires);
        let days = |secs: i64| match secs / 86_400 {
            0 => "less than a day".to_owned(),
            1 => "1 day".to_owned(),
            days => format!("{days} days"),
        };
        match expires.saturating_sub(now) {
            left @ 1.. => format!("expires {time} (in {})", days(left)),
            left => {
                format!(
                    "expired {time} ({} ago), and clients refuse it",
                    days(left.saturating_neg())
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;
    const DAY: i64 = 86_400;

    #[test]
    fn a_certificate_is_a_concern_when_its_files_cannot_be_used_or_it_expires_within_14_days() {
        let broken = Some("key.pem: no private key in it".to_owned());
        for (expires, error, is_grave, wanted, why) in [
            (Some(NOW + 15 * DAY), None, None, "", "15 days are enough"),
            (Some(NOW + 13 * DAY), None, Some(false), "(in 13 days): renew it", "soon"),
            (Some(NOW + 60), None, Some(false), "(in less than a day)", "very soon"),
            (Some(NOW), None, Some(true), "(less than a day ago), and clients refuse it", "now"),
            (Some(NOW - 40 * DAY), None, Some(true), "(40 days ago)", "long expired"),
            (
                Some(NOW + 60 * DAY),
                broken.clone(),
                Some(false),
                "no private key in it; the previous certificate stays in use and expires",
                "broken files",
            ),
            (
                Some(NOW - DAY),
                broken.clone(),
                Some(true),
                "certificate files chain.pem cannot be used since 2027-01-15 07:59:00 UTC: key.pem",
                "both",
            ),
            (None, broken, Some(false), "has no expiry that can be read", "no expiry"),
            (None, None, None, "", "nothing to report"),
        ] {
            let since = error.is_some().then_some(NOW - 60);
            let status = CertificateStatus {
                certificate: "chain.pem".into(),
                expires,
                error,
                since,
                ..Default::default()
            };
            let concern = status.concern(NOW);
            assert_eq!(concern.as_ref().map(|concern| concern.is_grave), is_grave, "{why}");
            let text = concern.map(|concern| concern.text).unwrap_or_default();
            assert!(text.contains(wanted), "{why}: {text}");
            assert!(
                text.is_empty() || text.starts_with("certificate ") && text.contains(" chain.pem "),
                "{why}: {text}"
            );
        }
    }
}
