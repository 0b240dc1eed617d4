//! The resolution of aliases: queries recursive resolvers for the addresses of each alias
//! periodically, and reports the results. Layer 7, on tokio.
//!
//! One task per alias (`refresh`) looks up both families (`lookup`), sends a report (`report`), and
//! waits until the answer expires. `query` sends one question to one resolver; `chain` follows the
//! CNAME chain in the reply; `system` finds the resolvers of the system. This module rejects only
//! addresses to which no client can connect. [`crate::control`] decides which addresses stay in use
//! while resolution fails.
//!
//! Invariants:
//! - At most `MAX_CONCURRENT_LOOKUPS` aliases are looked up at a time, each within
//!   `lookup::LOOKUP_TIMEOUT`.
//! - An alias that resolves is looked up at most once per `refresh::MIN_REFRESH_INTERVAL`.
//! - A report has at most `lookup::MAX_ADDRESSES` of a family.

mod chain;
mod lookup;
mod query;
mod refresh;
mod report;
mod system;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::Arc,
};

use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinHandle,
};

use crate::dns::Name;

pub use lookup::is_usable_address;
pub use report::{AliasReport, FailedReply, FamilyAddresses, ReplyFault, ResolveFailure};

/// The maximum number of aliases that are looked up at a time; each lookup holds a few sockets.
const MAX_CONCURRENT_LOOKUPS: usize = 32;

/// Resolves a set of aliases until it is dropped.
#[derive(Debug)]
pub struct AliasResolver {
    tasks: HashMap<Name, JoinHandle<()>>,
    servers: Arc<[SocketAddr]>,
    permits: Arc<Semaphore>,
    reports: mpsc::Sender<AliasReport>,
}

impl AliasResolver {
    /// A resolver without aliases, which sends its results to `reports`.
    pub fn new(reports: mpsc::Sender<AliasReport>) -> Self {
        let permits = Arc::new(Semaphore::new(MAX_CONCURRENT_LOOKUPS));
        Self { tasks: HashMap::new(), servers: Arc::default(), permits, reports }
    }

    /// Replaces the set of aliases and the resolvers to query; without `servers`, those of the
    /// system. The tasks of aliases that stay go on, unless the servers differ. Call it on a tokio
    /// runtime.
    pub fn set_aliases(&mut self, aliases: &[Name], servers: &[SocketAddr]) {
        if *self.servers != *servers {
            self.abort_all();
            self.servers = servers.into();
        }
        let wanted: HashSet<&Name> = aliases.iter().collect();
        self.tasks.retain(|alias, task| {
            let is_kept = wanted.contains(alias);
            if !is_kept {
                task.abort();
            }
            is_kept
        });
        for alias in aliases {
            if !self.tasks.contains_key(alias) {
                let (servers, permits) = (Arc::clone(&self.servers), Arc::clone(&self.permits));
                let task =
                    refresh::keep_resolved(alias.clone(), servers, permits, self.reports.clone());
                self.tasks.insert(alias.clone(), tokio::spawn(task));
            }
        }
    }

    fn abort_all(&mut self) {
        self.tasks.drain().for_each(|(_, task)| task.abort());
    }
}

impl Drop for AliasResolver {
    fn drop(&mut self) {
        self.abort_all();
    }
}
