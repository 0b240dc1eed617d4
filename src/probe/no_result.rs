//! The reasons for which a due check gives no result. The cause is this process, its system, its
//! configuration or DNS, never the target.

use std::{fmt, fs::File, io};

/// Why a due check gave no result. Such a check counts neither for the target nor against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoResult {
    /// The process or the system has no file descriptor left.
    Descriptors,
    /// The system has no local port left.
    Ports,
    /// The kernel has no memory for a socket.
    Memory,
    /// The program of an `exec` monitor was not started: the limit of processes is reached.
    Processes,
    /// The check failed while this process was suspended or short of processor time.
    Starved,
    /// The check was not started in time: too many others were running, the previous one had not
    /// ended, or this process did not run.
    Late,
    /// The task of the check panicked.
    Internal,
    /// The monitor cannot work, whatever its target does. It is reported as a fault of the monitor.
    Monitor,
    /// The target is an alias that was never resolved. It is reported as a fault of the alias.
    Alias,
}

impl NoResult {
    /// Every reason, in the order of reports.
    pub const ALL: [Self; 9] = [
        Self::Descriptors,
        Self::Ports,
        Self::Memory,
        Self::Processes,
        Self::Starved,
        Self::Late,
        Self::Internal,
        Self::Monitor,
        Self::Alias,
    ];

    /// The value of the label `reason` in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Descriptors => "descriptors",
            Self::Ports => "ports",
            Self::Memory => "memory",
            Self::Processes => "processes",
            Self::Starved => "starved",
            Self::Late => "late",
            Self::Internal => "internal",
            Self::Monitor => "monitor",
            Self::Alias => "alias",
        }
    }

    /// The reason for an error of the operating system that no target can cause; `None` for all
    /// other errors.
    pub(super) fn from_io(error: &io::Error) -> Option<Self> {
        match error.raw_os_error()? {
            libc::EMFILE | libc::ENFILE => Some(Self::Descriptors),
            // EADDRINUSE is the error of binding a datagram socket when no port is left.
            libc::EADDRNOTAVAIL | libc::EADDRINUSE => Some(Self::Ports),
            libc::ENOBUFS | libc::ENOMEM => Some(Self::Memory),
            _ => None,
        }
    }

    /// The reason for a failure to start a program; `None` if the program itself is at fault.
    pub(super) fn from_spawn(error: &io::Error) -> Option<Self> {
        match error.raw_os_error()? {
            libc::EAGAIN => Some(Self::Processes),
            _ => Self::from_io(error),
        }
    }

    /// The reason for a failure to resolve a name; `None` if the resolver failed. The C library
    /// reports a lack of descriptors as a temporary failure of the resolver, so this opens a file
    /// to find out.
    pub(super) fn from_resolution(error: &io::Error) -> Option<Self> {
        Self::from_io(error).or_else(|| Self::from_io(&File::open("/dev/null").err()?))
    }

    /// Whether the process lacks a resource, so that the check is retried before it is next due.
    pub(super) fn is_shortage(self) -> bool {
        matches!(self, Self::Descriptors | Self::Ports | Self::Memory | Self::Processes)
    }

    /// Whether checks without a result for this reason make a target unchecked. The other reasons
    /// are reported as faults of the monitor or the alias.
    pub(super) fn makes_unchecked(self) -> bool {
        !matches!(self, Self::Monitor | Self::Alias)
    }

    fn index(self) -> usize {
        self as usize
    }
}

/// A count for each reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CountsByReason([u64; NoResult::ALL.len()]);

impl CountsByReason {
    /// The count for a reason.
    pub fn count(&self, reason: NoResult) -> u64 {
        self.0[reason.index()]
    }

    /// All counts, in the order of [`NoResult::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (NoResult, u64)> {
        NoResult::ALL.into_iter().map(|reason| (reason, self.count(reason)))
    }

    /// The sum of all counts.
    pub fn sum(&self) -> u64 {
        self.0.iter().sum()
    }

    pub(super) fn add(&mut self, reason: NoResult, count: u64) {
        self.0[reason.index()] += count;
    }

    pub(super) fn subtract_one(&mut self, reason: NoResult) {
        self.0[reason.index()] -= 1;
    }
}

impl fmt::Display for CountsByReason {
    /// The reasons with their counts: `descriptors 9, starved 3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (reason, count)) in self.iter().filter(|(_, count)| *count > 0).enumerate() {
            let comma = if position > 0 { ", " } else { "" };
            write!(f, "{comma}{} {count}", reason.label())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_position_and_label() {
        let mut counts = CountsByReason::default();
        for (count, reason) in (1..).zip(NoResult::ALL) {
            counts.add(reason, count);
        }
        assert!(counts.iter().map(|(_, count)| count).eq(1..=NoResult::ALL.len() as u64));
        let labels: std::collections::HashSet<_> =
            NoResult::ALL.iter().map(|reason| reason.label()).collect();
        assert_eq!(labels.len(), NoResult::ALL.len());
        let mut counts = CountsByReason::default();
        counts.add(NoResult::Descriptors, 9);
        counts.add(NoResult::Starved, 3);
        assert_eq!((counts.to_string(), counts.sum()), ("descriptors 9, starved 3".to_owned(), 12));
    }

    #[test]
    fn an_error_that_no_target_can_cause_has_its_reason() {
        for (code, reason) in [
            (libc::EMFILE, Some(NoResult::Descriptors)),
            (libc::ENFILE, Some(NoResult::Descriptors)),
            (libc::EADDRNOTAVAIL, Some(NoResult::Ports)),
            (libc::EADDRINUSE, Some(NoResult::Ports)),
            (libc::ENOBUFS, Some(NoResult::Memory)),
            (libc::ENOMEM, Some(NoResult::Memory)),
            (libc::ECONNREFUSED, None),
            (libc::ENETUNREACH, None),
            (libc::EAGAIN, None),
        ] {
            assert_eq!(NoResult::from_io(&io::Error::from_raw_os_error(code)), reason, "{code}");
        }
        let error = io::Error::from_raw_os_error(libc::EAGAIN);
        assert_eq!(NoResult::from_spawn(&error), Some(NoResult::Processes));
    }
}
