//! Open descriptors: the limit of this process (RLIMIT_NOFILE), and how it is divided.
//!
//! The sum of what clients, health checks, load polls and the admin API may open at once stays
//! below the limit, so that none of them can take the last descriptor from another.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The maximum number of connections of the admin API at once, however high the limit is.
const MAX_ADMIN_CONNECTIONS: u64 = 256;
/// The maximum number of health checks in progress at once, however high the limit is.
const MAX_PROBES: u64 = 16_384;
/// The maximum number of connections of clients at once, however high the limit is.
const MAX_CLIENT_CONNECTIONS: u64 = 10_000;
/// Descriptors that the process opens later and keeps: event queues of the runtimes, signals, file
/// watches, sockets of resolvers.
const RESERVED: u64 = 48;

/// How many descriptors each use may have open at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DescriptorBudget {
    /// Connections of the admin API at once.
    pub admin: usize,
    /// Health checks in progress at once.
    pub probes: usize,
    /// Load polls in progress at once.
    pub polls: usize,
    /// Clients' connections over TCP, TLS and HTTPS at once.
    pub clients: usize,
}

impl DescriptorBudget {
    /// Divides `limit` descriptors, of which `open` are open already: listeners, logs, the reserve
    /// for files. Each use gets at least one.
    pub fn allocate(limit: u64, open: u64) -> Self {
        let left = limit.saturating_sub(open + RESERVED);
        let admin = (left / 8).clamp(1, MAX_ADMIN_CONNECTIONS);
        let left = left.saturating_sub(admin);
        let clients = (left / 2).clamp(1, MAX_CLIENT_CONNECTIONS);
        let left = left.saturating_sub(clients);
        let polls = (left / 8).clamp(1, MAX_PROBES / 8);
        let probes = left.saturating_sub(polls).clamp(1, MAX_PROBES);
        let number = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        Self {
            admin: number(admin),
            probes: number(probes),
            polls: number(polls),
            clients: number(clients),
        }
    }

    /// The number of descriptors that this process has open now; an estimate where `/proc` is
    /// missing.
    pub fn open_count() -> u64 {
        const ESTIMATE: u64 = 64;
        std::fs::read_dir("/proc/self/fd").map_or(ESTIMATE, |entries| entries.count() as u64)
    }
}

/// Raises the soft limit of open descriptors to the hard limit, and returns the limit in force
/// afterwards. `u64::MAX` stands for no limit.
pub fn raise_descriptor_limit() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    let is_raised = current != maximum && setrlimit(Resource::Nofile, raised).is_ok();
    if is_raised { maximum } else { current }.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_uses_together_stay_below_the_limit() {
        for (limit, open, expected) in [
            (1 << 20, 40, (256, 16_384, 2_048, 10_000)),
            (20_000, 40, (256, 8_600, 1_228, 9_828)),
            (1024, 40, (117, 359, 51, 409)),
            (400, 40, (39, 120, 17, 136)),
            (100, 20, (4, 13, 1, 14)),
        ] {
            let DescriptorBudget { admin, probes, polls, clients } =
                DescriptorBudget::allocate(limit, open);
            assert_eq!((admin, probes, polls, clients), expected, "{limit}");
            let sum = (admin + probes + polls + clients) as u64 + open;
            assert!(sum + RESERVED <= limit, "{limit}: {sum}");
        }
    }

    #[test]
    fn each_use_has_one_descriptor_however_low_the_limit_is() {
        let smallest = DescriptorBudget { admin: 1, probes: 1, polls: 1, clients: 1 };
        assert_eq!(DescriptorBudget::allocate(20, 40), smallest);
    }
}
