//! What a reply says of a name: its CNAME chain followed to addresses (RFC 1034 section 3.6.2).
//!
//! Records may stand in any order. Only those on the chain count; what else a reply holds is ignored.

use std::net::IpAddr;

use hickory_proto::{
    op::Message,
    rr::{Name, RData, Record, RecordType},
};

use super::Said;

/// A chain that is longer is taken for a loop.
pub(super) const MOST_LINKS: usize = 16;

/// Where the records of a reply lead from a name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// To these addresses, or to none of the family; with the least TTL on the way in seconds.
    Addresses(Vec<IpAddr>, u32),
    /// To a name of which the reply says nothing.
    Name(Name, u32),
}

/// Follows the chain from `owner`.
///
/// # Errors
/// It is a loop.
pub(super) fn follow(reply: &Message, owner: &Name, rtype: RecordType) -> Result<End, Said> {
    let (mut owner, mut ttl_secs) = (owner, u32::MAX);
    for links in 0..=MOST_LINKS {
        let own = || reply.answers.iter().filter(|record| record.name == *owner);
        let found: Vec<&Record> = own().filter(|record| record.record_type() == rtype).collect();
        if !found.is_empty() {
            let least = found.iter().map(|record| record.ttl).fold(ttl_secs, u32::min);
            return Ok(End::Addresses(found.into_iter().filter_map(address).collect(), least));
        }
        match own().find_map(|record| Some((target(record)?, record.ttl))) {
            Some((target, ttl)) => (owner, ttl_secs) = (target, ttl_secs.min(ttl)),
            // The SOA record says that the name is known and has no such record (RFC 2308 section 2.2).
            None if links == 0 || is_negative(reply) => return Ok(End::Addresses(Vec::new(), 0)),
            None => return Ok(End::Name(owner.clone(), ttl_secs)),
        }
    }
    Err(Said::Loop)
}

fn target(record: &Record) -> Option<&Name> {
    match &record.data {
        RData::CNAME(target) => Some(&target.0),
        _ => None,
    }
}

fn address(record: &Record) -> Option<IpAddr> {
    match record.data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    }
}

fn is_negative(reply: &Message) -> bool {
    reply.authorities.iter().any(|record| record.record_type() == RecordType::SOA)
}
