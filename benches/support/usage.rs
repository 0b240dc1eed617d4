//! What a process has used, out of `/proc`: CPU and memory.

use std::{fs, io, time::Duration};

/// Of `utime` and `stime`, whatever the kernel's own clock is.
const TICKS_PER_SECOND: f64 = 100.0;

/// User and system time of a process so far, from clock ticks of 10 ms.
///
/// # Errors
/// The process is gone.
pub(crate) fn cpu_times(pid: u32) -> io::Result<[Duration; 2]> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The 14th and 15th field; the second is a name in parentheses that may hold anything.
    let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11);
    let mut next = || -> io::Result<Duration> {
        let ticks: f64 =
            fields.next().and_then(|field| field.parse().ok()).ok_or_else(unreadable)?;
        Ok(Duration::from_secs_f64(ticks / TICKS_PER_SECOND))
    };
    Ok([next()?, next()?])
}

/// One of the fields of `/proc/PID/status` that are in KiB: `VmRSS:`, `VmHWM:`.
///
/// # Errors
/// The process is gone.
pub(crate) fn memory_kib(pid: u32, field: &str) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).ok_or_else(unreadable)?;
    line.trim().trim_end_matches(" kB").parse().map_err(|_| unreadable())
}

fn unreadable() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "/proc has not what this kernel should have there")
}
