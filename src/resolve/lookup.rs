//! One lookup of both families of a name, by the configured resolvers or those of the system.

use std::net::{IpAddr, SocketAddr};

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{Name as ResolverName, RecordType},
    serialize::binary::BinDecodable,
};
use tokio::time::{Duration, Instant};

use super::{
    chain::{self, ChainEnd},
    query::{LookupQuestion, query_over_tcp, query_resolver},
    report::{AliasReport, FailedReply, FamilyAddresses, ReplyFault, ResolveFailure},
    system,
};
use crate::dns::Name;

/// The longest time for both families together, retries included.
pub(super) const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);
/// The maximum number of addresses of a family that are used, in ascending order: more would not
/// fit into an answer over UDP.
pub(super) const MAX_ADDRESSES: usize = 64;

/// Looks up both families of an alias.
pub(super) async fn lookup(alias: &Name, servers: &[SocketAddr]) -> AliasReport {
    let (v4, v6) = match lookup_families(alias, servers).await {
        Ok((v4, v6)) => without_false_nxdomain(v4, v6),
        Err(failure) => (Err(failure.clone()), Err(failure)),
    };
    AliasReport { alias: alias.clone(), v4, v6 }
}

type FamilyResult = Result<FamilyAddresses, ResolveFailure>;

async fn lookup_families(
    alias: &Name,
    configured: &[SocketAddr],
) -> Result<(FamilyResult, FamilyResult), ResolveFailure> {
    let mut servers = configured.to_vec();
    if configured.is_empty() {
        let hosts_entries = system::hosts_file_addresses(alias);
        if !hosts_entries.is_empty() {
            let (v4, v6) = hosts_entries.into_iter().partition(IpAddr::is_ipv4);
            let usable =
                |found| usable_addresses(found, 0).map_err(ResolveFailure::UnusableHostsEntry);
            return Ok((usable(v4), usable(v6)));
        }
        servers = system::system_resolvers()?;
    }
    let name = ResolverName::from_bytes(alias.as_wire())
        .map_err(|error| ResolveFailure::SystemSettings(error.to_string().into()))?;
    let deadline = Instant::now() + LOOKUP_TIMEOUT;
    let a = lookup_family(&servers, name.clone(), RecordType::A, deadline);
    let aaaa = lookup_family(&servers, name, RecordType::AAAA, deadline);
    Ok(tokio::join!(a, aaaa))
}

/// Replaces NXDOMAIN for one family by "no addresses" if the other family has addresses: the name
/// exists, and the server is at fault (RFC 4074 section 4.2).
fn without_false_nxdomain(v4: FamilyResult, v6: FamilyResult) -> (FamilyResult, FamilyResult) {
    let has_addresses =
        |family: &FamilyResult| family.as_ref().is_ok_and(|found| !found.addresses.is_empty());
    match (v4, v6) {
        (v4, Err(ResolveFailure::NoSuchName(_))) if has_addresses(&v4) => {
            (v4, Ok(FamilyAddresses::default()))
        }
        (Err(ResolveFailure::NoSuchName(_)), v6) if has_addresses(&v6) => {
            (Ok(FamilyAddresses::default()), v6)
        }
        other => other,
    }
}

/// Looks up one family. If a reply has only the beginning of a chain, queries for its last name.
async fn lookup_family(
    servers: &[SocketAddr],
    mut name: ResolverName,
    rtype: RecordType,
    deadline: Instant,
) -> FamilyResult {
    let (mut ttl_secs, mut visited) = (u32::MAX, Vec::new());
    loop {
        let question = LookupQuestion { name, rtype };
        let (server, reply) = query_resolvers(servers, &question, deadline).await?;
        if reply.metadata.response_code == ResponseCode::NXDomain {
            return Err(ResolveFailure::NoSuchName(server));
        }
        let failed = |fault| ResolveFailure::Resolvers([FailedReply { server, fault }].into());
        match chain::follow_cnames(&reply, &question.name, rtype, &mut visited).map_err(failed)? {
            ChainEnd::Addresses(addresses, ttl) => {
                return usable_addresses(addresses, ttl.min(ttl_secs))
                    .map_err(|unusable| failed(ReplyFault::UnusableAddress(unusable)));
            }
            ChainEnd::NoAddress(fault) => {
                return Ok(FamilyAddresses {
                    empty_reason: Some(FailedReply { server, fault }),
                    ..FamilyAddresses::default()
                });
            }
            // `follow_cnames` visits this name again as the first of the next reply.
            ChainEnd::OpenEnd(next, ttl) => {
                visited.pop();
                (name, ttl_secs) = (next, ttl_secs.min(ttl));
            }
        }
    }
}

/// Queries one resolver after the other until one answers, first all over UDP, then all over TCP.
async fn query_resolvers(
    servers: &[SocketAddr],
    question: &LookupQuestion,
    deadline: Instant,
) -> Result<(SocketAddr, Message), ResolveFailure> {
    let mut replies: Vec<FailedReply> = Vec::new();
    for &server in servers {
        match query_resolver(question, server, deadline).await {
            Ok(reply) => return Ok((server, reply)),
            Err(fault) => replies.push(FailedReply { server, fault }),
        }
    }
    for &server in servers {
        // The fault over UDP is reported, not that over TCP.
        if let Ok(reply) = query_over_tcp(question, server, deadline).await {
            return Ok((server, reply));
        }
    }
    Err(ResolveFailure::Resolvers(replies.into()))
}

/// The addresses to which clients can connect, sorted.
///
/// # Errors
/// The first address, if no address is usable.
fn usable_addresses(found: Vec<IpAddr>, ttl_secs: u32) -> Result<FamilyAddresses, IpAddr> {
    let mut addresses: Vec<IpAddr> =
        found.iter().copied().filter(|&address| is_usable_address(address)).collect();
    match found.first() {
        Some(&unusable) if addresses.is_empty() => return Err(unusable),
        _ => {}
    }
    addresses.sort_unstable();
    addresses.dedup();
    addresses.truncate(MAX_ADDRESSES);
    Ok(FamilyAddresses { addresses, ttl_secs, empty_reason: None })
}

/// Whether an address from a resolver may be given to clients. Private addresses may be intended.
/// Loopback, link-local, multicast and reserved addresses are mistakes or attacks.
pub fn is_usable_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, ..] = v4.octets();
            first != 0 && first < 224 && !v4.is_loopback() && !v4.is_link_local()
        }
        IpAddr::V6(v6) => {
            let is_special = v6.is_unspecified()
                || v6.is_loopback()
                || v6.is_multicast()
                || v6.is_unicast_link_local();
            !is_special && v6.to_ipv4_mapped().is_none()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_no_client_can_connect_to_are_not_used() {
        for (text, is_used) in [
            ("192.0.2.1", true),
            ("10.0.0.1", true),
            ("0.0.0.0", false),
            ("0.1.2.3", false),
            ("127.0.0.1", false),
            ("169.254.1.1", false),
            ("224.0.0.1", false),
            ("240.0.0.1", false),
            ("255.255.255.255", false),
            ("2001:db8::1", true),
            ("fd00::1", true),
            ("::", false),
            ("::1", false),
            ("fe80::1", false),
            ("ff02::1", false),
            ("::ffff:192.0.2.1", false),
        ] {
            assert_eq!(is_usable_address(text.parse().unwrap()), is_used, "{text}");
        }
    }

    #[test]
    fn a_rotated_answer_is_equal_and_a_long_one_is_truncated() {
        let parse = |texts: &[&str]| {
            texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>()
        };
        let sorted = usable_addresses(parse(&["192.0.2.2", "192.0.2.1", "0.0.0.0"]), 60);
        assert_eq!(sorted, usable_addresses(parse(&["192.0.2.1", "192.0.2.2", "192.0.2.2"]), 60));
        assert_eq!(usable_addresses(parse(&["0.0.0.0"]), 60), Err("0.0.0.0".parse().unwrap()));
        assert_eq!(
            usable_addresses(Vec::new(), 60),
            Ok(FamilyAddresses { ttl_secs: 60, ..FamilyAddresses::default() })
        );
        let many = (0..=255).map(|last| IpAddr::from([192, 0, 2, last])).collect();
        assert_eq!(
            usable_addresses(many, 60).map(|found| found.addresses.len()),
            Ok(MAX_ADDRESSES)
        );
    }
}
