//! Outcomes: what one probe found, and in a reader's words why it failed.

use std::{fmt, time::Duration};

use super::StatusRange;

/// What one probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// A pass, or why not.
    pub result: Result<(), Failure>,
    /// From the probe's start to its end; never much above the monitor's timeout.
    pub latency: Duration,
    /// What the target said of its load beside the pass: the value of the reply's
    /// `endpoint-load-metrics` header (ORCA), at most [`Outcome::MAX_LOAD_METRICS_OCTETS`]. Not
    /// looked into: whoever uses it parses it.
    pub load_metrics: Option<Box<str>>,
    /// What an operator should know although the probe passed.
    pub note: Option<ProbeNote>,
}

impl Outcome {
    /// A header of load metrics that is longer is not handed on.
    pub const MAX_LOAD_METRICS_OCTETS: usize = 4096;

    /// An outcome of which nothing else is known.
    pub fn new(result: Result<(), Failure>, latency: Duration) -> Self {
        Self { result, latency, load_metrics: None, note: None }
    }

    /// Whether the target answered as it should.
    pub fn is_pass(&self) -> bool {
        self.result.is_ok()
    }
}

/// What an operator should know although a probe passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeNote {
    /// The certificate will soon be no good.
    CertificateExpires(CertificateExpiry),
}

impl fmt::Display for ProbeNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CertificateExpires(expiring) => write!(f, "{expiring}"),
        }
    }
}

/// How soon a certificate is no good any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateExpiry {
    /// The target's own, in so many whole days; less than 0 where its time is past.
    Certificate {
        /// Whole days from now.
        days: i64,
    },
    /// One between the target's own and the authority.
    Chain {
        /// Within so many days from now.
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

/// Why a probe failed. The text is what an operator reads in `status` and in the log; what the
/// target sent is never quoted in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// No complete answer within this.
    TimedOut(Duration),
    /// The port is closed.
    Refused,
    /// The target closed the connection, or reset its stream, before its answer was complete.
    Closed,
    /// There is no way to the target: no route, no such host on its network, or a local firewall.
    Unreachable,
    /// The target's name has no address, or the system's resolver does not answer.
    Unresolved,
    /// An HTTP status outside the wanted ranges.
    Status {
        /// The reply's status.
        got: u16,
        /// What would have passed.
        want: Box<[StatusRange]>,
    },
    /// The first 64 KiB of the body do not hold the wanted text.
    BodyMismatch,
    /// The first 64 KiB of the body do not match the wanted pattern.
    BodyPatternMismatch,
    /// The end of the body is not where the reply announced it: a malformed chunk, or another
    /// length than the announced one.
    BodyFraming,
    /// A redirect that is not followed: to another host, port or scheme, or to no address at all.
    Redirect,
    /// The head of the reply is larger than the bound.
    HeadTooLarge,
    /// The reply is not HTTP.
    NotHttp,
    /// The reply is not HTTP/2, or breaks its rules.
    NotHttp2,
    /// The reply is not gRPC.
    NotGrpc,
    /// The call itself failed, with this gRPC status.
    GrpcStatus(&'static str),
    /// The service says that it is in this state, which is not SERVING.
    NotServing(&'static str),
    /// The reply is not DNS.
    NotDns,
    /// Another response code than the wanted one.
    Rcode {
        /// The reply's.
        got: &'static str,
        /// What would have passed.
        want: &'static str,
    },
    /// The answer lacks a wanted record.
    MissingRecord,
    /// The answer lacks a wanted record, and is truncated.
    TruncatedAnswer,
    /// The program ended with this code.
    ExitCode(i32),
    /// A signal of this number ended the program.
    Signal(i32),
    /// The certificate is past its time.
    CertificateExpired,
    /// The certificate's time has not come.
    CertificateNotYetValid,
    /// The certificate is for other names.
    CertificateForOtherName,
    /// The certificate's time is nearly past.
    CertificateExpires(CertificateExpiry),
    /// The target refuses the monitor's client certificate, or wants one; with its alert.
    ClientCertificate(Box<str>),
    /// No trusted authority signed the certificate.
    CertificateUntrusted,
    /// The certificate is bad in this other way.
    CertificateBad(Box<str>),
    /// There is no TLS connection, for this reason: the target's alert, or what this side cannot
    /// accept.
    Tls(Box<str>),
    /// The monitor itself cannot work, whatever the target: its authorities cannot be read, its
    /// host is no name.
    MonitorUnusable(Box<str>),
    /// The monitor cannot work: it trusts the system's authorities, and there are none.
    NoSystemAuthorities,
    /// Anything else that the operating system says of the connection.
    Connection(std::io::ErrorKind),
}

impl Failure {
    /// Whether a delay of this server can cause the failure: its timeout passed while it did not
    /// run, a target that waited for it closed the connection or reported a timeout, or the network
    /// was not up yet after a suspension. A refused connection, or any status other than 408,
    /// always counts.
    pub fn is_affected_by_delay(&self) -> bool {
        match self {
            Self::TimedOut(_)
            | Self::Closed
            | Self::Unreachable
            | Self::Unresolved
            | Self::BodyFraming => true,
            Self::Tls(_) | Self::Connection(_) => true,
            // A program has timeouts of its own.
            Self::ExitCode(_) | Self::Signal(_) => true,
            // Request Timeout, and its equivalents of gRPC.
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
    fn a_failure_reads_as_a_person_would_say_it() {
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
