//! How the descriptors that this process may open (RLIMIT_NOFILE) are shared out,
//! so that the sum of what clients, health checks and operators may have at once
//! stays below the limit: none of them can take the last descriptor from another.

/// Clients of the admin API at once, where descriptors are plenty.
const MAX_ADMIN_CONNECTIONS: u64 = 256;
/// Health checks in progress at once, where descriptors are plenty.
const MAX_PROBES: u64 = 16_384;
/// Clients' connections at once, where descriptors are plenty.
const MAX_CLIENT_CONNECTIONS: u64 = 10_000;
/// For what the process opens later and holds: event queues of
/// the runtimes, signals, watches of files, sockets of resolvers.
const RESERVED: u64 = 48;

/// The descriptors that each part of the server may have at once.
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
    /// Shares out `limit` descriptors, of which so many are `open`: listeners, logs, the reserve
    /// for files.
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

    /// What this process has open now; an estimate where `/proc` is missing.
    pub fn open_count() -> u64 {
        const ESTIMATE: u64 = 64;
        std::fs::read_dir("/proc/self/fd").map_or(ESTIMATE, |entries| entries.count() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_shares_together_stay_below_the_limit() {
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
    fn each_part_has_one_however_small_the_limit_is() {
        let smallest = DescriptorBudget { admin: 1, probes: 1, polls: 1, clients: 1 };
        assert_eq!(DescriptorBudget::allocate(20, 40), smallest);
    }
}
