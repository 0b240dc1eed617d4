//! Aliases resolved: asks a recursive resolver for the addresses of each alias, again and again,
//! and reports what it says. Layer 5, on tokio.
//!
//! One small task per alias (`keep_resolved`) asks for both families (`lookup`), reports, and waits
//! as long as the answer may be kept. One question to one resolver is `query`; what its reply says
//! of the name is `chain`; which resolvers the system has is `system`. Nothing is judged here but
//! what no client could connect to; what stays in use when resolving fails is decided in
//! [`crate::control`].
//!
//! Invariants: at most `MAX_CONCURRENT_LOOKUPS` aliases are asked for at a time, each within
//! `lookup::DEADLINE`; an alias is asked for at most every `refresh::LEAST` while that succeeds; a
//! list of addresses has at most `lookup::MOST_ADDRESSES` of a family.

mod chain;
mod lookup;
mod query;
mod refresh;
mod system;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinHandle,
};

use crate::dns::{Name, Rcode};

pub use lookup::is_usable_address;

/// As many aliases are asked for at a time; each holds a few sockets meanwhile.
const MAX_CONCURRENT_LOOKUPS: usize = 32;

/// What resolving an alias once came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AliasReport {
    /// The alias.
    pub alias: Name,
    /// Its IPv4 addresses.
    pub v4: Result<FamilyAddresses, ResolveFailure>,
    /// Its IPv6 addresses.
    pub v6: Result<FamilyAddresses, ResolveFailure>,
}

/// The addresses of one family.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FamilyAddresses {
    /// In ascending order; empty where the name has none of the family.
    pub addresses: Vec<IpAddr>,
    /// How long they may be kept, in seconds: the least of all records on the way to them.
    pub ttl_secs: u32,
    /// What the resolver said where there are none.
    pub empty_reason: Option<FailedReply>,
}

/// Why a family's addresses are not known. The text names the resolvers that were asked and what
/// they said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResolveFailure {
    /// The name does not exist (NXDOMAIN), says this resolver.
    NoSuchName(SocketAddr),
    /// The system's hosts file has addresses that no client can connect to; the first of them.
    UnusableHostsEntry(IpAddr),
    /// No resolver answered; in the order in which they were asked.
    Resolvers(Box<[FailedReply]>),
    /// The system's own settings cannot be used.
    SystemSettings(Box<str>),
}

/// What a resolver said instead of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedReply {
    /// The resolver.
    pub server: SocketAddr,
    /// What it said.
    pub fault: ReplyFault,
}

/// What a resolver can say instead of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyFault {
    /// Nothing in time.
    TimedOut,
    /// A response code that is an error.
    Rcode(Rcode),
    /// A message that cannot be read.
    Malformed,
    /// A chain of CNAME records that leads back to one of its names.
    CnameLoop,
    /// A chain of more CNAME records than are followed.
    CnameChainTooLong,
    /// A chain of CNAME records to a name without an address of the family.
    CnameWithoutAddress,
    /// The name exists and has no address of the family.
    NoData,
    /// A reply without any record.
    NoRecords,
    /// Records of other names alone.
    OnlyOtherNames,
    /// A referral to other servers, or an empty reply without authority: it does not resolve the
    /// name.
    Lame,
    /// Addresses that no client can connect to; the first of them.
    UnusableAddress(IpAddr),
    /// That the reply does not fit into UDP, and over TCP nothing in time, or this error.
    Truncated(Option<std::io::ErrorKind>),
    /// It cannot be reached.
    Io(std::io::ErrorKind),
}

impl fmt::Display for ResolveFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchName(server) => {
                write!(f, "the name does not exist (NXDOMAIN from resolver {server})")
            }
            Self::UnusableHostsEntry(address) => {
                write!(f, "/etc/hosts has {address} for the name, which no client can connect to")
            }
            Self::Resolvers(replies) => {
                for (index, reply) in replies.iter().enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    write!(f, "{comma}{reply}")?;
                }
                Ok(())
            }
            Self::SystemSettings(why) => f.write_str(why),
        }
    }
}

impl fmt::Display for FailedReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "resolver {} ", self.server)?;
        match self.fault {
            ReplyFault::TimedOut => f.write_str("does not answer"),
            ReplyFault::Rcode(code) => match code.mnemonic() {
                Some(name) => write!(f, "answers {name}"),
                None => write!(f, "answers with response code {}", code.0),
            },
            ReplyFault::Malformed => f.write_str("answers with a message that is not DNS"),
            ReplyFault::CnameLoop => {
                f.write_str("answers with CNAME records that lead in a circle")
            }
            ReplyFault::CnameChainTooLong => {
                write!(
                    f,
                    "answers with a chain of more than {} CNAME records, which is too long",
                    chain::MAX_CNAMES
                )
            }
            ReplyFault::CnameWithoutAddress => {
                f.write_str("answers with a CNAME record to a name that has no address")
            }
            ReplyFault::NoData => f.write_str("answers that the name has no address (NODATA)"),
            ReplyFault::NoRecords => f.write_str("answers without any record"),
            ReplyFault::OnlyOtherNames => f.write_str("answers with records of other names alone"),
            ReplyFault::Lame => f.write_str(
                "does not resolve the name: it refers to other servers or answers nothing",
            ),
            ReplyFault::UnusableAddress(address) => {
                write!(f, "answers {address}, which no client can connect to")
            }
            ReplyFault::Truncated(None) => f.write_str(
                "answers that its reply does not fit into UDP, and does not answer over TCP",
            ),
            ReplyFault::Truncated(Some(kind)) => {
                write!(
                    f,
                    "answers that its reply does not fit into UDP, and cannot be asked over TCP: {kind}"
                )
            }
            ReplyFault::Io(kind) => write!(f, "cannot be asked: {kind}"),
        }
    }
}

impl AliasReport {
    /// Why not all is well, by family where the families differ.
    pub fn reason(&self) -> String {
        let of = |family: &Result<FamilyAddresses, ResolveFailure>| match family {
            Err(failure) => Some(failure.to_string()),
            Ok(answered) => answered
                .empty_reason
                .as_ref()
                .filter(|_| answered.addresses.is_empty())
                .map(FailedReply::to_string),
        };
        match (of(&self.v4), of(&self.v6)) {
            (Some(v4), Some(v6)) if v4 == v6 => v4,
            (Some(v4), Some(v6)) => format!("A: {v4}; AAAA: {v6}"),
            (Some(v4), None) => format!("A: {v4}"),
            (None, Some(v6)) => format!("AAAA: {v6}"),
            (None, None) => "the name has no address".to_owned(),
        }
    }

    /// How long what was found may be kept, in seconds; `None` where a family failed or there is no
    /// address at all.
    pub fn ttl_secs(&self) -> Option<u32> {
        let (Ok(v4), Ok(v6)) = (&self.v4, &self.v6) else { return None };
        [v4, v6]
            .into_iter()
            .filter(|answered| !answered.addresses.is_empty())
            .map(|answered| answered.ttl_secs)
            .min()
    }
}

/// Resolves aliases until it is dropped.
#[derive(Debug)]
pub struct AliasResolver {
    tasks: HashMap<Name, JoinHandle<()>>,
    servers: Arc<[SocketAddr]>,
    permits: Arc<Semaphore>,
    reports: mpsc::Sender<AliasReport>,
}

impl AliasResolver {
    /// With nothing to resolve yet.
    pub fn new(reports: mpsc::Sender<AliasReport>) -> Self {
        let permits = Arc::new(Semaphore::new(MAX_CONCURRENT_LOOKUPS));
        Self { tasks: HashMap::new(), servers: Arc::default(), permits, reports }
    }

    /// Makes `aliases` what is resolved, by asking `system`, or the system's resolvers where there
    /// are none. What was resolved before goes on undisturbed, unless the servers are others.
    /// Called on a runtime of tokio.
    pub fn set_aliases(&mut self, aliases: &[Name], servers: &[SocketAddr]) {
        if *self.servers != *servers {
            self.abort_all();
            self.servers = servers.into();
        }
        let wanted: HashSet<&Name> = aliases.iter().collect();
        self.tasks.retain(|alias, task| {
            let stays = wanted.contains(alias);
            if !stays {
                task.abort();
            }
            stays
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
