//! What a reply says of a name: its CNAME chain followed to addresses (RFC 1034 section 3.6.2).
//!
//! Records may stand in any order. Only those on the chain count; what else a reply holds is
//! ignored.

use std::net::IpAddr;

use hickory_proto::{
    op::Message,
    rr::{Name, RData, Record, RecordType},
};

use super::ReplyFault;

/// A longer chain is not followed.
pub(super) const MAX_CNAMES: usize = 16;

/// Where the records of a reply lead from a name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ChainEnd {
    /// To these addresses, with the least TTL on the way in seconds.
    Addresses(Vec<IpAddr>, u32),
    /// To no address of the family; what the reply says instead.
    NoAddress(ReplyFault),
    /// To a name of which the reply says nothing.
    OpenEnd(Name, u32),
}

/// Follows the chain from `owner`. `visited` are the names on the chain so far, those of earlier
/// replies among them.
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
        let own = || reply.answers.iter().filter(|record| record.name == *owner);
        let found: Vec<&Record> = own().filter(|record| record.record_type() == rtype).collect();
        if !found.is_empty() {
            let least = found.iter().map(|record| record.ttl).fold(ttl_secs, u32::min);
            return Ok(ChainEnd::Addresses(
                found.into_iter().filter_map(record_address).collect(),
                least,
            ));
        }
        match own().find_map(|record| Some((cname_target(record)?, record.ttl))) {
            Some((target, _)) if visited.contains(target) => return Err(ReplyFault::CnameLoop),
            Some(_) if visited.len() > MAX_CNAMES => return Err(ReplyFault::CnameChainTooLong),
            Some((target, ttl)) => (owner, ttl_secs, has_link) = (target, ttl_secs.min(ttl), true),
            // The SOA record says that the name is known and has no such record (RFC 2308 section
            // 2.2).
            None if !has_link || is_negative(reply) => {
                return Ok(ChainEnd::NoAddress(no_address_reason(reply, owner, visited)));
            }
            None => return Ok(ChainEnd::OpenEnd(owner.clone(), ttl_secs)),
        }
    }
}

/// What a reply without an address of the family says of the last name of the chain.
fn no_address_reason(reply: &Message, owner: &Name, visited: &[Name]) -> ReplyFault {
    let is_own = |record: &Record| record.name == *owner;
    match () {
        () if visited.len() > 1 => ReplyFault::CnameWithoutAddress,
        () if is_negative(reply) || reply.answers.iter().any(is_own) => ReplyFault::NoData,
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

/// Whether a reply says with authority that there is no such record.
pub(super) fn is_negative(reply: &Message) -> bool {
    reply.authorities.iter().any(|record| record.record_type() == RecordType::SOA)
}
