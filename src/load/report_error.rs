//! Faults: why what a balancer published makes no report.

use std::fmt;

use super::limits::MAX_LINE_OCTETS;

/// Why there is no report. The text is what an operator reads in `status` and in the log; what was
/// received is never quoted in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReportError {
    /// It is not in the form that it should have.
    WrongFormat(&'static str),
    /// A line is longer than the bound.
    LineTooLong,
    /// The whole is longer than the bound, in octets.
    PageTooLong(usize),
    /// It ends before it is complete.
    Truncated,
    /// There is more of something than is kept.
    TooMany(usize, &'static str),
    /// What the configuration wants is not there.
    Missing(Box<str>),
    /// What the configuration wants is there, and is no number.
    NotANumber(Box<str>),
    /// A number that cannot be true.
    Implausible(Quantity, &'static str),
}

/// What a number in a report is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// Connections.
    Connections,
    /// The most connections.
    Limit,
    /// Servers.
    Servers,
    /// What is left of the capacity.
    CapacityShare,
    /// The response time.
    ResponseTime,
    /// The processor's share.
    Cpu,
    /// The memory's share.
    Memory,
    /// Any other number.
    Gauge,
}

impl Quantity {
    fn words(self) -> &'static str {
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
            Self::WrongFormat(form) => write!(f, "what came is not {form}"),
            Self::LineTooLong => {
                write!(f, "a line is longer than {} KiB", MAX_LINE_OCTETS >> 10)
            }
            Self::PageTooLong(most) => write!(f, "the page is longer than {} KiB", most >> 10),
            Self::Truncated => f.write_str("the page was cut off before its end"),
            Self::TooMany(most, what) => write!(f, "there are more than {most} {what}"),
            Self::Missing(what) => write!(f, "nothing there for {what}"),
            Self::NotANumber(what) => write!(f, "what is there for {what} is no number"),
            Self::Implausible(quantity, why) => write!(f, "{} {why}", quantity.words()),
        }
    }
}

impl std::error::Error for ReportError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_reads_as_a_person_would_say_it() {
        for (fault, text) in [
            (
                ReportError::WrongFormat("HAProxy's statistics in CSV"),
                "what came is not HAProxy's statistics in CSV",
            ),
            (ReportError::LineTooLong, "a line is longer than 64 KiB"),
            (ReportError::PageTooLong(4 << 20), "the page is longer than 4096 KiB"),
            (ReportError::TooMany(4096, "servers"), "there are more than 4096 servers"),
            (ReportError::Missing("`limit`".into()), "nothing there for `limit`"),
            (ReportError::NotANumber("`cpu`".into()), "what is there for `cpu` is no number"),
            (
                ReportError::Implausible(Quantity::Connections, "is negative"),
                "the number of connections is negative",
            ),
        ] {
            assert_eq!(fault.to_string(), text);
        }
    }
}
