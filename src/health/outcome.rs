//! Outcomes: the result of a probe, and the reason of a failure as operators read it.

use std::{fmt, time::Duration};

use super::StatusRange;

/// The result of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// A pass, or the reason of the failure.
    pub result: Result<(), Failure>,
    /// The time from the start of the probe to its end, hardly above the monitor's timeout.
    pub latency: Duration,
    /// The value of the reply's `endpoint-load-metrics` header (ORCA), at most
    /// [`Outcome::MAX_LOAD_METRICS_OCTETS`]. It is not parsed here.
    pub load_metrics: Option<Box<str>>,
    /// A warning for operators although the probe passed.
    pub note: Option<ProbeNote>,
}

impl Outcome {
    /// The longest header of load metrics, in octets. A longer one is ignored.
    pub const MAX_LOAD_METRICS_OCTETS: usize = 4096;

    /// An outcome without load metrics and note.
    pub fn new(result: Result<(), Failure>, latency: Duration) -> Self {
        Self { result, latency, load_metrics: None, note: None }
    }

    /// Whether the probe passed.
    pub fn is_pass(&self) -> bool {
        self.result.is_ok()
    }
}

/// A warning for operators although a probe passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeNote {
    /// The certificate expires soon.
    CertificateExpires(CertificateExpiry),
}

impl fmt::Display for ProbeNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CertificateExpires(expiring) => write!(f, "{expiring}"),
        }
    }
}

/// When a certificate expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateExpiry {
    /// The target's own certificate expires.
    Certificate {
        /// Whole days from now; negative if it has expired.
        days: i64,
    },
    /// An intermediate certificate expires.
    Chain {
        /// The number of days from now within which it expires.
        within_days: u64,
    },
}

impl fmt::Display for CertificateExpiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate { days: ..0 } => f.write_str("certificate expired"),
            Self::Certificate { days: 0 } => f.write_str("certificate expires in less than a day"),
            Self::Certificate { days: 1 } => f.write_str("certificate expires in 1 day"),
            Self::Certificate { days } => write!(f, "certificate expires in {days} days"),
            Self::Chain { within_days: ..=1 } => {
                f.write_str("a certificate of the chain expires within a day")
            }
            Self::Chain { within_days } => {
                write!(f, "a certificate of the chain expires within {within_days} days")
            }
        }
    }
}

/// Why a probe failed. Operators read the text in `status` and in the log; it never quotes what the
/// target sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// There was no complete answer within this time.
    TimedOut(Duration),
    /// The target refused the connection.
    Refused,
    /// The target closed the connection, or reset its stream, before its answer was complete.
    Closed,
    /// The target cannot be reached: no route, no such host on its network, or a local firewall.
    Unreachable,
    /// The target's name has no address, or the system's resolver does not answer.
    Unresolved,
    /// The HTTP status is outside the configured ranges.
    Status {
        /// The status of the reply.
        got: u16,
        /// The ranges that pass.
        want: Box<[StatusRange]>,
    },
    /// The first 64 KiB of the body do not contain the configured text.
    BodyMismatch,
    /// The first 64 KiB of the body do not match the configured pattern.
    BodyPatternMismatch,
    /// The body does not end as its head announced: a malformed chunk, or a wrong length.
    BodyFraming,
    /// The redirect is not followed: to another host, port or scheme, or without a valid location.
    Redirect,
    /// The head of the reply is larger than the bound.
    HeadTooLarge,
    /// The reply is not HTTP.
    NotHttp,
    /// The reply is not HTTP/2, or violates its rules.
    NotHttp2,
    /// The reply is not gRPC.
    NotGrpc,
    /// The call itself failed, with this gRPC status.
    GrpcStatus(&'static str),
    /// The service reports this state, which is not SERVING.
    NotServing(&'static str),
    /// The reply is not DNS.
    NotDns,
    /// The response code is not the configured one.
    Rcode {
        /// The response code of the reply.
        got: &'static str,
        /// The response code that passes.
        want: &'static str,
    },
    /// The answer lacks a required record.
    MissingRecord,
    /// The answer lacks a required record, and is truncated.
    TruncatedAnswer,
    /// The program ended with this exit code.
    ExitCode(i32),
    /// The program was terminated by the signal of this number.
    Signal(i32),
    /// The certificate has expired.
    CertificateExpired,
    /// The certificate is not valid yet.
    CertificateNotYetValid,
    /// The certificate is for other names.
    CertificateForOtherName,
    /// The certificate expires too soon.
    CertificateExpires(CertificateExpiry),
    /// The target refused the client certificate or requires one; it sent this alert.
    ClientCertificate(Box<str>),
    /// No trusted authority signed the certificate.
    CertificateUntrusted,
    /// The certificate is invalid for another reason, which this text gives.
    CertificateBad(Box<str>),
    /// The TLS handshake failed for this reason: the alert of the target, or what this side cannot
    /// accept.
    Tls(Box<str>),
    /// The monitor cannot work with any target: its authorities cannot be read, or its host is not
    /// a name.
    MonitorUnusable(Box<str>),
    /// The monitor cannot work: it trusts the system's authorities, but the system has none.
    NoSystemAuthorities,
    /// The operating system reported another error of the connection.
    Connection(std::io::ErrorKind),
}

impl Failure {
    /// Whether a delay of this server can have caused the failure: the timeout expired while the
    /// process did not run; the target waited too long for this server, and closed the connection
    /// or reported a timeout; or the network was not up yet after a suspension. A refused
    /// connection, or any status other than 408, always counts as a failure of the target.
    pub fn is_affected_by_delay(&self) -> bool {
        match self {
            Self::TimedOut(_)
            | Self::Closed
            | Self::Unreachable
            | Self::Unresolved
            | Self::BodyFraming => true,
            Self::Tls(_) | Self::Connection(_) => true,
            // A program has its own timeouts.
            Self::ExitCode(_) | Self::Signal(_) => true,
            // Request Timeout (RFC 9110), and its equivalents in gRPC.
            Self::Status { got, .. } => *got == 408,
            Self::GrpcStatus(status) => {
                matches!(*status, "DEADLINE_EXCEEDED" | "CANCELLED" | "UNAVAILABLE")
            }
            Self::Refused
            | Self::Redirect
            | Self::HeadTooLarge
            | Self::BodyMismatch
            | Self::BodyPatternMismatch => false,
            Self::NotHttp | Self::NotHttp2 | Self::NotGrpc | Self::NotServing(_) => false,
            Self::NotDns | Self::Rcode { .. } | Self::MissingRecord | Self::TruncatedAnswer => {
                false
            }
            Self::CertificateExpired
            | Self::CertificateNotYetValid
            | Self::CertificateForOtherName => false,
            Self::CertificateExpires(_) | Self::CertificateUntrusted | Self::CertificateBad(_) => {
                false
            }
            Self::ClientCertificate(_) | Self::MonitorUnusable(_) | Self::NoSystemAuthorities => {
                false
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut(after) => write!(f, "no complete answer within {}", ConfiguredDuration(*after)),
            Self::Refused => f.write_str("connection refused"),
            Self::Closed => f.write_str("connection closed before the answer was complete"),
            Self::Unreachable => f.write_str("no route to the target"),
            Self::Unresolved => f.write_str("the name has no address"),
            Self::Status { got, want } => {
                write!(f, "status {got}, want ")?;
                for (index, range) in want.iter().enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    match range.first == range.last {
                        true => write!(f, "{comma}{}", range.first)?,
                        false => write!(f, "{comma}{}-{}", range.first, range.last)?,
                    }
                }
                Ok(())
            }
            Self::BodyMismatch => f.write_str("the first 64 KiB of the body do not hold the wanted text"),
            Self::BodyPatternMismatch => f.write_str("the first 64 KiB of the body do not match the wanted pattern"),
            Self::BodyFraming => f.write_str(
                "the body of the reply does not end as its head announced: a malformed chunk or a wrong length",
            ),
            Self::Redirect => f.write_str("redirected to another host, port or scheme"),
            Self::HeadTooLarge => f.write_str("the head of the reply is larger than 16 KiB"),
            Self::NotHttp => f.write_str("the reply is not valid HTTP"),
            Self::NotHttp2 => f.write_str("the reply is not valid HTTP/2"),
            Self::NotGrpc => f.write_str("the reply is not gRPC"),
            Self::GrpcStatus(status) => write!(f, "gRPC status {status}"),
            Self::NotServing(state) => write!(f, "the service is {state}"),
            Self::NotDns => f.write_str("the reply is not DNS, or answers another question"),
            Self::Rcode { got, want } => write!(f, "response code {got}, want {want}"),
            Self::MissingRecord => f.write_str("the answer lacks a wanted record"),
            Self::TruncatedAnswer => f.write_str("the answer lacks a wanted record and is truncated: ask with tcp = true"),
            Self::ExitCode(code) => write!(f, "the program ended with code {code}"),
            Self::Signal(number) => write!(f, "the program was ended by signal {number}"),
            Self::CertificateExpired => f.write_str("certificate expired"),
            Self::CertificateNotYetValid => f.write_str("certificate not yet valid"),
            Self::CertificateForOtherName => f.write_str("certificate is for another name"),
            Self::CertificateExpires(expiring) => write!(f, "{expiring}"),
            Self::ClientCertificate(alert) => {
                write!(f, "the target refuses `client-certificate`, or wants one: its alert is {alert}")
            }
            Self::CertificateUntrusted => f.write_str("certificate not signed by a trusted authority"),
            Self::CertificateBad(why) => write!(f, "bad certificate: {why}"),
            Self::Tls(why) => write!(f, "TLS handshake failed: {why}"),
            Self::MonitorUnusable(why) => write!(f, "the monitor cannot work: {why}"),
            Self::NoSystemAuthorities => f.write_str(
                "this system has no CA certificates: install the package `ca-certificates`, or name a file by `ca`",
            ),
            Self::Connection(kind) => write!(f, "{kind}"),
        }
    }
}

impl std::error::Error for Failure {}

/// A duration as the configuration writes it: `2s`, `500ms`.
struct ConfiguredDuration(Duration);

impl fmt::Display for ConfiguredDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.subsec_millis() {
            0 => write!(f, "{}s", self.0.as_secs()),
            _ => write!(f, "{}ms", self.0.as_millis()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_reads_as_a_sentence() {
        let ranges: Box<[_]> =
            [StatusRange { first: 200, last: 299 }, StatusRange { first: 401, last: 401 }]
                .into_iter()
                .collect();
        for (failure, text) in [
            (Failure::Status { got: 503, want: ranges }, "status 503, want 200-299, 401"),
            (Failure::TimedOut(Duration::from_secs(2)), "no complete answer within 2s"),
            (Failure::TimedOut(Duration::from_millis(1500)), "no complete answer within 1500ms"),
            (Failure::Refused, "connection refused"),
            (Failure::CertificateExpired, "certificate expired"),
            (
                Failure::CertificateExpires(CertificateExpiry::Certificate { days: 5 }),
                "certificate expires in 5 days",
            ),
            (
                Failure::CertificateExpires(CertificateExpiry::Certificate { days: 0 }),
                "certificate expires in less than a day",
            ),
            (
                Failure::CertificateExpires(CertificateExpiry::Chain { within_days: 14 }),
                "a certificate of the chain expires within 14 days",
            ),
        ] {
            assert_eq!(failure.to_string(), text);
        }
    }
}
