//! One lookup: both families of a name, from the configured resolvers or the system's.

use std::net::{IpAddr, SocketAddr};

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{Name as ResolverName, RecordType},
    serialize::binary::BinDecodable,
};
use tokio::time::{Duration, Instant};

use super::{
    AliasReport, FailedReply, FamilyAddresses, ReplyFault, ResolveFailure,
    chain::{self, ChainEnd},
    query::{LookupQuestion, query_over_tcp, query_resolver},
    system,
};
use crate::dns::Name;

/// How long both families may take together, retries included.
pub(super) const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);
/// As many addresses of a family are taken, the least ones: more would not fit into an answer over
/// UDP.
pub(super) const MAX_ADDRESSES: usize = 64;

/// Asks for both families.
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
        let known = system::hosts_file_addresses(alias);
        if !known.is_empty() {
            let (v4, v6) = known.into_iter().partition(IpAddr::is_ipv4);
            let answered =
                |found| usable_addresses(found, 0).map_err(ResolveFailure::UnusableHostsEntry);
            return Ok((answered(v4), answered(v6)));
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

/// A name that has addresses of one family exists: NXDOMAIN for the other one is a server's fault
/// (RFC 4074 section 4.2), and means that there are none.
fn without_false_nxdomain(v4: FamilyResult, v6: FamilyResult) -> (FamilyResult, FamilyResult) {
    let has_addresses = |family: &FamilyResult| {
        family.as_ref().is_ok_and(|answered| !answered.addresses.is_empty())
    };
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

/// The addresses of one family. A chain that a reply leaves open is asked for further.
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
        let failed = |said| ResolveFailure::Resolvers([FailedReply { server, fault: said }].into());
        match chain::follow_cnames(&reply, &question.name, rtype, &mut visited).map_err(failed)? {
            ChainEnd::Addresses(addresses, ttl) => {
                return usable_addresses(addresses, ttl.min(ttl_secs))
                    .map_err(|unfit| failed(ReplyFault::UnusableAddress(unfit)));
            }
            ChainEnd::NoAddress(said) => {
                return Ok(FamilyAddresses {
                    empty_reason: Some(FailedReply { server, fault: said }),
                    ..FamilyAddresses::default()
                });
            }
            // The name itself is visited again as the first one of the next reply.
            ChainEnd::OpenEnd(next, ttl) => {
                visited.pop();
                (name, ttl_secs) = (next, ttl_secs.min(ttl));
            }
        }
    }
}

/// Asks one resolver after the other, first over UDP, then over TCP, until one answers.
async fn query_resolvers(
    servers: &[SocketAddr],
    question: &LookupQuestion,
    deadline: Instant,
) -> Result<(SocketAddr, Message), ResolveFailure> {
    let mut replies: Vec<FailedReply> = Vec::new();
    for &server in servers {
        match query_resolver(question, server, deadline).await {
            Ok(reply) => return Ok((server, reply)),
            Err(said) => replies.push(FailedReply { server, fault: said }),
        }
    }
    for &server in servers {
        // What it says over TCP is no news: what it said over UDP is reported.
        if let Ok(reply) = query_over_tcp(question, server, deadline).await {
            return Ok((server, reply));
        }
    }
    Err(ResolveFailure::Resolvers(replies.into()))
}

/// What clients can connect to of these.
///
/// # Errors
/// None of several is fit: the first.
fn usable_addresses(found: Vec<IpAddr>, ttl_secs: u32) -> Result<FamilyAddresses, IpAddr> {
    let mut addresses: Vec<IpAddr> =
        found.iter().copied().filter(|&address| is_usable_address(address)).collect();
    match found.first() {
        Some(&unfit) if addresses.is_empty() => return Err(unfit),
        _ => {}
    }
    addresses.sort_unstable();
    addresses.dedup();
    addresses.truncate(MAX_ADDRESSES);
    Ok(FamilyAddresses { addresses, ttl_secs, empty_reason: None })
}

/// Whether a client may be sent to an address that others answered. Private ones may be meant;
/// those of this host, of this link and of nobody are mistakes or attacks.
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
    fn addresses_that_no_client_can_connect_to_are_not_taken() {
        for (text, is_taken) in [
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
            assert_eq!(is_usable_address(text.parse().unwrap()), is_taken, "{text}");
        }
    }

    #[test]
    fn a_rotated_answer_is_the_same_and_an_endless_one_is_cut() {
        let parse = |texts: &[&str]| {
            texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>()
        };
        let one = usable_addresses(parse(&["192.0.2.2", "192.0.2.1", "0.0.0.0"]), 60);
        assert_eq!(one, usable_addresses(parse(&["192.0.2.1", "192.0.2.2", "192.0.2.2"]), 60));
        assert_eq!(usable_addresses(parse(&["0.0.0.0"]), 60), Err("0.0.0.0".parse().unwrap()));
        assert_eq!(
            usable_addresses(Vec::new(), 60),
            Ok(FamilyAddresses { ttl_secs: 60, ..FamilyAddresses::default() })
        );
        let many = (0..=255).map(|last| IpAddr::from([192, 0, 2, last])).collect();
        assert_eq!(
            usable_addresses(many, 60).map(|answered| answered.addresses.len()),
            Ok(MAX_ADDRESSES)
        );
    }
}
