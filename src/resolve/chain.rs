//! Follows the CNAME chain of a name in a reply to its addresses (RFC 1034 section 3.6.2).
//!
//! Records may be in any order. Only those on the chain count; all others are ignored.

use std::net::IpAddr;

use hickory_proto::{
    op::Message,
    rr::{Name, RData, Record, RecordType},
};

use super::report::{MAX_CNAMES, ReplyFault};

/// How the chain of CNAMEs from a name ends in a reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ChainEnd {
    /// The chain ends at these addresses. The number is the least TTL of the chain in seconds.
    Addresses(Vec<IpAddr>, u32),
    /// The chain ends at a name without an address of the family, for this reason.
    NoAddress(ReplyFault),
    /// The reply has no records of the last name of the chain. The number is the least TTL of the
    /// chain in seconds.
    OpenEnd(Name, u32),
}

/// Follows the chain from `owner`, and adds its names to `visited`, which holds those of previous
/// replies.
///
/// # Errors
/// The chain is a loop or too long.
pub(super) fn follow_cnames(
    reply: &Message,
    owner: &Name,
    rtype: RecordType,
    visited: &mut Vec<Name>,
) -> Result<ChainEnd, ReplyFault> {
    let (mut owner, mut ttl_secs, mut has_link) = (owner, u32::MAX, false);
    loop {
        visited.push(owner.clone());
        let owned = || reply.answers.iter().filter(|record| record.name == *owner);
        let found: Vec<&Record> = owned().filter(|record| record.record_type() == rtype).collect();
        if !found.is_empty() {
            let least_ttl = found.iter().map(|record| record.ttl).fold(ttl_secs, u32::min);
            return Ok(ChainEnd::Addresses(
                found.into_iter().filter_map(record_address).collect(),
                least_ttl,
            ));
        }
        match owned().find_map(|record| Some((cname_target(record)?, record.ttl))) {
            Some((target, _)) if visited.contains(target) => return Err(ReplyFault::CnameLoop),
            Some(_) if visited.len() > MAX_CNAMES => return Err(ReplyFault::CnameChainTooLong),
            Some((target, ttl)) => (owner, ttl_secs, has_link) = (target, ttl_secs.min(ttl), true),
            // An SOA record means that the name exists and has no such record (RFC 2308 section
            // 2.2).
            None if !has_link || is_negative(reply) => {
                return Ok(ChainEnd::NoAddress(no_address_reason(reply, owner, visited)));
            }
            None => return Ok(ChainEnd::OpenEnd(owner.clone(), ttl_secs)),
        }
    }
}

/// Why a reply has no address of the family at `owner`, the last name of the chain.
fn no_address_reason(reply: &Message, owner: &Name, visited: &[Name]) -> ReplyFault {
    let is_of_owner = |record: &Record| record.name == *owner;
    match () {
        () if visited.len() > 1 => ReplyFault::CnameWithoutAddress,
        () if is_negative(reply) || reply.answers.iter().any(is_of_owner) => ReplyFault::NoData,
        () if reply.answers.is_empty() => ReplyFault::NoRecords,
        () => ReplyFault::OnlyOtherNames,
    }
}

fn cname_target(record: &Record) -> Option<&Name> {
    match &record.data {
        RData::CNAME(target) => Some(&target.0),
        _ => None,
    }
}

fn record_address(record: &Record) -> Option<IpAddr> {
    match record.data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    }
}

/// Whether a reply has an SOA record in its authority section: there is no such record.
pub(super) fn is_negative(reply: &Message) -> bool {
    reply.authorities.iter().any(|record| record.record_type() == RecordType::SOA)
}
