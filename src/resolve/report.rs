//! The result of resolving an alias once, and the reasons for a failure.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use crate::dns::{Name, Rcode};

/// The longest chain of CNAME records that is followed.
pub(super) const MAX_CNAMES: usize = 16;

/// The result of resolving an alias once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AliasReport {
    /// The alias that was resolved.
    pub alias: Name,
    /// The IPv4 addresses of the alias.
    pub v4: Result<FamilyAddresses, ResolveFailure>,
    /// The IPv6 addresses of the alias.
    pub v6: Result<FamilyAddresses, ResolveFailure>,
}

/// The addresses of one family.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FamilyAddresses {
    /// In ascending order; empty if the name has no address of the family.
    pub addresses: Vec<IpAddr>,
    /// The time to live in seconds: the least TTL of all records from the alias to the addresses.
    pub ttl_secs: u32,
    /// The reply of the resolver, if there are no addresses.
    pub empty_reason: Option<FailedReply>,
}

/// Why the addresses of a family are unknown. The text names the resolvers that were queried, and
/// their replies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResolveFailure {
    /// This resolver replied that the name does not exist (NXDOMAIN).
    NoSuchName(SocketAddr),
    /// The system's hosts file has only addresses to which no client can connect; the first of
    /// them.
    UnusableHostsEntry(IpAddr),
    /// No resolver gave an answer; the replies are in the order of the queries.
    Resolvers(Box<[FailedReply]>),
    /// The resolver settings of the system cannot be used.
    SystemSettings(Box<str>),
}

/// A resolver, and its reply that is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedReply {
    /// The resolver that was queried.
    pub server: SocketAddr,
    /// What is wrong with the reply.
    pub fault: ReplyFault,
}

/// Why a resolver's reply is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyFault {
    /// No reply within the timeout.
    TimedOut,
    /// A response code other than NOERROR and NXDOMAIN.
    Rcode(Rcode),
    /// A message that cannot be decoded.
    Malformed,
    /// A chain of CNAME records that returns to one of its names.
    CnameLoop,
    /// A chain of more than `MAX_CNAMES` CNAME records.
    CnameChainTooLong,
    /// A chain of CNAME records to a name without an address of the family.
    CnameWithoutAddress,
    /// The name exists and has no address of the family.
    NoData,
    /// A reply without any record.
    NoRecords,
    /// A reply with records of other names only.
    OnlyOtherNames,
    /// A referral to other servers, or an empty reply without authority: the server does not
    /// resolve the name.
    Lame,
    /// Only addresses to which no client can connect; the first of them.
    UnusableAddress(IpAddr),
    /// The reply does not fit into UDP, and TCP failed with this error, or timed out if `None`.
    Truncated(Option<std::io::ErrorKind>),
    /// The resolver cannot be reached.
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
            ReplyFault::CnameLoop => f.write_str("answers with CNAME records that form a loop"),
            ReplyFault::CnameChainTooLong => {
                write!(
                    f,
                    "answers with a chain of more than {} CNAME records, which is too long",
                    MAX_CNAMES
                )
            }
            ReplyFault::CnameWithoutAddress => {
                f.write_str("answers with a CNAME record to a name that has no address")
            }
            ReplyFault::NoData => f.write_str("answers that the name has no address (NODATA)"),
            ReplyFault::NoRecords => f.write_str("answers without any record"),
            ReplyFault::OnlyOtherNames => f.write_str("answers with records of other names only"),
            ReplyFault::Lame => f.write_str(
                "does not resolve the name: it refers to other servers, or its answer is empty",
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
                    "answers that its reply does not fit into UDP, and cannot be queried over TCP: {kind}"
                )
            }
            ReplyFault::Io(kind) => write!(f, "cannot be queried: {kind}"),
        }
    }
}

impl AliasReport {
    /// The reason for a missing address, for each family if the reasons differ.
    pub fn reason(&self) -> String {
        let reason = |family: &Result<FamilyAddresses, ResolveFailure>| match family {
            Err(failure) => Some(failure.to_string()),
            Ok(found) => found
                .empty_reason
                .as_ref()
                .filter(|_| found.addresses.is_empty())
                .map(FailedReply::to_string),
        };
        match (reason(&self.v4), reason(&self.v6)) {
            (Some(v4), Some(v6)) if v4 == v6 => v4,
            (Some(v4), Some(v6)) => format!("A: {v4}; AAAA: {v6}"),
            (Some(v4), None) => format!("A: {v4}"),
            (None, Some(v6)) => format!("AAAA: {v6}"),
            (None, None) => "the name has no address".to_owned(),
        }
    }

    /// The time to live of the addresses in seconds; `None` if a family failed or there is no
    /// address at all.
    pub fn ttl_secs(&self) -> Option<u32> {
        let (Ok(v4), Ok(v6)) = (&self.v4, &self.v6) else { return None };
        [v4, v6]
            .into_iter()
            .filter(|family| !family.addresses.is_empty())
            .map(|family| family.ttl_secs)
            .min()
    }
}
