//! One lookup: both families of a name, from the configured resolvers or the system's.

use std::net::{IpAddr, SocketAddr};

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{Name as ResolverName, RecordType},
    serialize::binary::BinDecodable,
};
use tokio::time::{Duration, Instant};

use super::{
    Answered, Failure, Reply, Report, Said,
    chain::{self, End},
    exchange::{Question, ask, ask_over_tcp},
    servers,
};
use crate::dns::Name;

/// How long both families may take together, retries included.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);
/// As many addresses of a family are taken, the least ones: more would not fit into an answer over
/// UDP.
pub(super) const MOST_ADDRESSES: usize = 64;

/// Asks for both families.
pub(super) async fn lookup(alias: &Name, servers: &[SocketAddr]) -> Report {
    let (v4, v6) = match both(alias, servers).await {
        Ok((v4, v6)) => reconciled(v4, v6),
        Err(failure) => (Err(failure.clone()), Err(failure)),
    };
    Report { alias: alias.clone(), v4, v6 }
}

type Family = Result<Answered, Failure>;

async fn both(alias: &Name, configured: &[SocketAddr]) -> Result<(Family, Family), Failure> {
    let mut servers = configured.to_vec();
    if configured.is_empty() {
        let known = servers::hosts(alias);
        if !known.is_empty() {
            let (v4, v6) = known.into_iter().partition(IpAddr::is_ipv4);
            let answered = |found| answered(found, 0).map_err(Failure::UnfitOfHosts);
            return Ok((answered(v4), answered(v6)));
        }
        servers = servers::of_system()?;
    }
    let name = ResolverName::from_bytes(alias.as_wire())
        .map_err(|error| Failure::Settings(error.to_string().into()))?;
    let deadline = Instant::now() + DEADLINE;
    let a = family(&servers, name.clone(), RecordType::A, deadline);
    let aaaa = family(&servers, name, RecordType::AAAA, deadline);
    Ok(tokio::join!(a, aaaa))
}

/// A name that has addresses of one family exists: NXDOMAIN for the other one is a server's fault
/// (RFC 4074 section 4.2), and means that there are none.
fn reconciled(v4: Family, v6: Family) -> (Family, Family) {
    let has_addresses =
        |family: &Family| family.as_ref().is_ok_and(|answered| !answered.addresses.is_empty());
    match (v4, v6) {
        (v4, Err(Failure::NoSuchName(_))) if has_addresses(&v4) => (v4, Ok(Answered::default())),
        (Err(Failure::NoSuchName(_)), v6) if has_addresses(&v6) => (Ok(Answered::default()), v6),
        other => other,
    }
}

/// The addresses of one family. A chain that a reply leaves open is asked for further.
async fn family(
    servers: &[SocketAddr],
    mut name: ResolverName,
    rtype: RecordType,
    deadline: Instant,
) -> Family {
    let (mut ttl_secs, mut visited) = (u32::MAX, Vec::new());
    loop {
        let question = Question { name, rtype };
        let (server, reply) = ask_each(servers, &question, deadline).await?;
        if reply.metadata.response_code == ResponseCode::NXDomain {
            return Err(Failure::NoSuchName(server));
        }
        let failed = |said| Failure::Resolvers([Reply { server, said }].into());
        match chain::follow(&reply, &question.name, rtype, &mut visited).map_err(failed)? {
            End::Addresses(addresses, ttl) => {
                return answered(addresses, ttl.min(ttl_secs))
                    .map_err(|unfit| failed(Said::Unfit(unfit)));
            }
            End::Nothing(said) => {
                return Ok(Answered {
                    nothing: Some(Reply { server, said }),
                    ..Answered::default()
                });
            }
            // The name itself is visited again as the first one of the next reply.
            End::Name(next, ttl) => {
                visited.pop();
                (name, ttl_secs) = (next, ttl_secs.min(ttl));
            }
        }
    }
}

/// Asks one resolver after the other, first over UDP, then over TCP, until one answers.
async fn ask_each(
    servers: &[SocketAddr],
    question: &Question,
    deadline: Instant,
) -> Result<(SocketAddr, Message), Failure> {
    let mut replies: Vec<Reply> = Vec::new();
    for &server in servers {
        match ask(question, server, deadline).await {
            Ok(reply) => return Ok((server, reply)),
            Err(said) => replies.push(Reply { server, said }),
        }
    }
    for &server in servers {
        // What it says over TCP is no news: what it said over UDP is reported.
        if let Ok(reply) = ask_over_tcp(question, server, deadline).await {
            return Ok((server, reply));
        }
    }
    Err(Failure::Resolvers(replies.into()))
}

/// What clients can connect to of these.
///
/// # Errors
/// None of several is fit: the first.
fn answered(found: Vec<IpAddr>, ttl_secs: u32) -> Result<Answered, IpAddr> {
    let mut addresses: Vec<IpAddr> =
        found.iter().copied().filter(|&address| is_fit(address)).collect();
    match found.first() {
        Some(&unfit) if addresses.is_empty() => return Err(unfit),
        _ => {}
    }
    addresses.sort_unstable();
    addresses.dedup();
    addresses.truncate(MOST_ADDRESSES);
    Ok(Answered { addresses, ttl_secs, nothing: None })
}

/// Whether a client may be sent to an address that others answered. Private ones may be meant;
/// those of this host, of this link and of nobody are mistakes or attacks.
pub fn is_fit(address: IpAddr) -> bool {
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
            assert_eq!(is_fit(text.parse().unwrap()), is_taken, "{text}");
        }
    }

    #[test]
    fn a_rotated_answer_is_the_same_and_an_endless_one_is_cut() {
        let parse = |texts: &[&str]| {
            texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>()
        };
        let one = answered(parse(&["192.0.2.2", "192.0.2.1", "0.0.0.0"]), 60);
        assert_eq!(one, answered(parse(&["192.0.2.1", "192.0.2.2", "192.0.2.2"]), 60));
        assert_eq!(answered(parse(&["0.0.0.0"]), 60), Err("0.0.0.0".parse().unwrap()));
        assert_eq!(answered(Vec::new(), 60), Ok(Answered { ttl_secs: 60, ..Answered::default() }));
        let many = (0..=255).map(|last| IpAddr::from([192, 0, 2, last])).collect();
        assert_eq!(answered(many, 60).map(|answered| answered.addresses.len()), Ok(MOST_ADDRESSES));
    }
}
