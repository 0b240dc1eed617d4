//! The CPU time of a process with all its threads and children, and its resident memory, from
//! `/proc`.

use std::{fs, io, ops::Sub, time::Duration};

use crate::usage::{cpu_times, memory_kib};

/// The CPU time that a process has used so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// The total, measured by the scheduler in nanoseconds.
    total: Duration,
    /// User and system time in ticks of 10 ms, used to divide the total.
    user: Duration,
    system: Duration,
}

impl Usage {
    /// The CPU time of a process with its threads and running descendants. Some servers fork, and
    /// their children do the work.
    ///
    /// # Errors
    /// The process has ended.
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
        // A kernel without run times in `schedstat` offers only the ticks.
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

/// The resident memory of a process and its descendants, in KiB. Shared pages count once for each
/// process.
///
/// # Errors
/// The process has ended.
pub(crate) fn resident_kib(pid: u32) -> io::Result<u64> {
    family(pid)?.into_iter().map(|pid| memory_kib(pid, "VmRSS:")).sum()
}

/// A process and its descendants.
fn family(pid: u32) -> io::Result<Vec<u32>> {
    let mut pids = vec![pid];
    let mut index = 0;
    while let Some(&pid) = pids.get(index) {
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            // A kernel without CONFIG_PROC_CHILDREN lacks this file; no server measured here forks.
            let children = fs::read_to_string(thread?.path().join("children")).unwrap_or_default();
            pids.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
        index += 1;
    }
    Ok(pids)
}
