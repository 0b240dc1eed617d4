//! What a process has used, out of `/proc`: CPU of all its threads and children, and resident memory.

use std::{fs, io, ops::Sub, time::Duration};

/// Of `utime` and `stime`, whatever the kernel's own clock is.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time of a process so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Measured by the scheduler, to the nanosecond.
    total: Duration,
    /// User and system time in ticks of 10 ms: what the total is divided by.
    user_ticks: u64,
    system_ticks: u64,
}

impl Usage {
    /// Of a process with its threads and living descendants: some servers fork, and then the work is their children's.
    ///
    /// # Errors
    /// The process is gone.
    pub(crate) fn of(pid: u32) -> io::Result<Self> {
        let mut usage = Self::default();
        for pid in family(pid)? {
            let (user, system) = ticks(&fs::read_to_string(format!("/proc/{pid}/stat"))?).ok_or_else(unreadable)?;
            usage.user_ticks += user;
            usage.system_ticks += system;
            for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
                let text = fs::read_to_string(thread?.path().join("schedstat"))?;
                let run = text.split_whitespace().next().and_then(|field| field.parse().ok()).ok_or_else(unreadable)?;
                usage.total += Duration::from_nanos(run);
            }
        }
        Ok(usage)
    }

    /// User and system time.
    pub(crate) fn split(self) -> (Duration, Duration) {
        let ticks = self.user_ticks + self.system_ticks;
        if ticks == 0 {
            return (self.total, Duration::ZERO);
        }
        // Where the kernel counts no run times, ticks are all there is.
        let total = match self.total.is_zero() {
            true => ticks as f64 / TICKS_PER_SECOND,
            false => self.total.as_secs_f64(),
        };
        let user = total * self.user_ticks as f64 / ticks as f64;
        (Duration::from_secs_f64(user), Duration::from_secs_f64(total - user))
    }
}

impl Sub for Usage {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            total: self.total.saturating_sub(earlier.total),
            user_ticks: self.user_ticks.saturating_sub(earlier.user_ticks),
            system_ticks: self.system_ticks.saturating_sub(earlier.system_ticks),
        }
    }
}

/// Resident memory of a process and its descendants, in KiB; pages that they share count once for each.
///
/// # Errors
/// The process is gone.
pub(crate) fn resident_kib(pid: u32) -> io::Result<u64> {
    family(pid)?.into_iter().map(|pid| field(pid, "VmRSS:")).sum()
}

fn field(pid: u32, name: &str) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or_else(unreadable)?;
    line.trim().trim_end_matches(" kB").parse().map_err(|_| unreadable())
}

/// A process and its descendants.
fn family(pid: u32) -> io::Result<Vec<u32>> {
    let mut pids = vec![pid];
    let mut index = 0;
    while let Some(&pid) = pids.get(index) {
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            // Kernels without CONFIG_PROC_CHILDREN have no such file, and no server here forks.
            let children = fs::read_to_string(thread?.path().join("children")).unwrap_or_default();
            pids.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
        index += 1;
    }
    Ok(pids)
}

/// `utime` and `stime`, the 14th and 15th field; the second is a name in parentheses that may hold anything.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

fn unreadable() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "/proc has not what this kernel should have there")
}
