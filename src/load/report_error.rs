//! Report errors: why a page makes no load report.

use std::fmt;

use super::limits::MAX_LINE_OCTETS;

/// Why a page makes no report. Operators read the text in `status` and in the log; it never quotes
/// what was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReportError {
    /// The page does not have this format.
    WrongFormat(&'static str),
    /// A line is longer than the bound of a line.
    LineTooLong,
    /// The page is longer than this bound, in octets.
    PageTooLong(usize),
    /// The page ends before it is complete.
    Truncated,
    /// The page contains more than this number of something.
    TooMany(usize, &'static str),
    /// The page contains no data for this key of the configuration.
    Missing(Box<str>),
    /// The data for this key of the configuration is not a number.
    NotANumber(Box<str>),
    /// A number is impossible, for this reason.
    Implausible(Quantity, &'static str),
}

/// The quantity of a number in a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// The number of connections.
    Connections,
    /// The limit of connections.
    Limit,
    /// The number of servers.
    Servers,
    /// The share of the capacity that remains.
    CapacityShare,
    /// The response time of a request.
    ResponseTime,
    /// The CPU load of the target.
    Cpu,
    /// The memory load of the target.
    Memory,
    /// Another gauge that the configuration names.
    Gauge,
}

impl Quantity {
    fn text(self) -> &'static str {
        match self {
            Self::Connections => "the number of connections",
            Self::Limit => "the limit of connections",
            Self::Servers => "the number of servers",
            Self::CapacityShare => "the share of the capacity",
            Self::ResponseTime => "the response time",
            Self::Cpu => "the CPU load",
            Self::Memory => "the memory load",
            Self::Gauge => "a gauge",
        }
    }
}

impl fmt::Display for ReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongFormat(format) => write!(f, "the load report is not {format}"),
            Self::LineTooLong => {
                write!(f, "a line is longer than {} KiB", MAX_LINE_OCTETS >> 10)
            }
            Self::PageTooLong(max) => write!(f, "the page is longer than {} KiB", max >> 10),
            Self::Truncated => f.write_str("the page was cut off before its end"),
            Self::TooMany(max, what) => write!(f, "there are more than {max} {what}"),
            Self::Missing(what) => write!(f, "no data found for {what}"),
            Self::NotANumber(what) => write!(f, "the value for {what} is not a number"),
            Self::Implausible(quantity, why) => write!(f, "{} {why}", quantity.text()),
        }
    }
}

impl std::error::Error for ReportError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_as_a_sentence() {
        for (error, text) in [
            (
                ReportError::WrongFormat("HAProxy's statistics in CSV"),
                "the load report is not HAProxy's statistics in CSV",
            ),
            (ReportError::LineTooLong, "a line is longer than 64 KiB"),
            (ReportError::PageTooLong(4 << 20), "the page is longer than 4096 KiB"),
            (ReportError::TooMany(4096, "servers"), "there are more than 4096 servers"),
            (ReportError::Missing("`limit`".into()), "no data found for `limit`"),
            (ReportError::NotANumber("`cpu`".into()), "the value for `cpu` is not a number"),
            (
                ReportError::Implausible(Quantity::Connections, "is negative"),
                "the number of connections is negative",
            ),
        ] {
            assert_eq!(error.to_string(), text);
        }
    }
}
