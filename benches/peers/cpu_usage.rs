//! What a process has used, out of `/proc`: CPU of all its threads and children, and resident
//! memory.

use std::{fs, io, ops::Sub, time::Duration};

use crate::usage::{cpu_times, memory_kib};

/// CPU time of a process so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Measured by the scheduler, to the nanosecond.
    total: Duration,
    /// User and system time from ticks of 10 ms: what the total is divided by.
    user: Duration,
    system: Duration,
}

impl Usage {
    /// Of a process with its threads and living descendants: some servers fork, and then the work
    /// is their children's.
    ///
    /// # Errors
    /// The process is gone.
    pub(crate) fn of(pid: u32) -> io::Result<Self> {
        let mut usage = Self::default();
        for pid in family(pid)? {
            let [user, system] = cpu_times(pid)?;
            usage.user += user;
            usage.system += system;
            for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
                let text = fs::read_to_string(thread?.path().join("schedstat"))?;
                let run = text.split_whitespace().next().and_then(|field| field.parse().ok());
                let run = run.ok_or_else(|| {
                    io::Error::other("the kernel says nothing of a thread's run time")
                })?;
                usage.total += Duration::from_nanos(run);
            }
        }
        Ok(usage)
    }

    /// User and system time.
    pub(crate) fn split(self) -> (Duration, Duration) {
        let counted = self.user + self.system;
        if counted.is_zero() {
            return (self.total, Duration::ZERO);
        }
        // Where the kernel counts no run times, ticks are all there is.
        let total = if self.total.is_zero() { counted } else { self.total };
        let user = total.mul_f64(self.user.as_secs_f64() / counted.as_secs_f64());
        (user, total - user)
    }
}

impl Sub for Usage {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            total: self.total.saturating_sub(earlier.total),
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
        }
    }
}

/// Resident memory of a process and its descendants, in KiB; pages that they share count once for
/// each.
///
/// # Errors
/// The process is gone.
pub(crate) fn resident_kib(pid: u32) -> io::Result<u64> {
    family(pid)?.into_iter().map(|pid| memory_kib(pid, "VmRSS:")).sum()
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
