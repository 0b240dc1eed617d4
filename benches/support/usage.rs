//! The CPU time and memory of a process, from `/proc`.

use std::{fs, io, time::Duration};

/// The length of the ticks of `utime` and `stime`, which does not depend on the kernel's internal
/// clock.
const TICKS_PER_SECOND: f64 = 100.0;

/// The user and system time of a process, from clock ticks of 10 ms.
///
/// # Errors
/// The process has ended.
pub(crate) fn cpu_times(pid: u32) -> io::Result<[Duration; 2]> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // Fields 14 and 15; field 2 is a name in parentheses that may contain any octet.
    let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11);
    let mut next = || -> io::Result<Duration> {
        let ticks: f64 =
            fields.next().and_then(|field| field.parse().ok()).ok_or_else(unreadable)?;
        Ok(Duration::from_secs_f64(ticks / TICKS_PER_SECOND))
    };
    Ok([next()?, next()?])
}

/// A field of `/proc/PID/status` in KiB, such as `VmRSS:` or `VmHWM:`.
///
/// # Errors
/// The process has ended.
pub(crate) fn memory_kib(pid: u32, field: &str) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).ok_or_else(unreadable)?;
    line.trim().trim_end_matches(" kB").parse().map_err(|_| unreadable())
}

fn unreadable() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "/proc has not what this kernel should have there")
}
