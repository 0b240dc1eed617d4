//! One lookup: both families of a name, from the resolvers written or from the system's.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig},
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::{
        op::ResponseCode,
        rr::{Name as ResolverName, RData, RecordType},
        serialize::binary::BinDecodable,
    },
};

use super::{Answered, Failure, Report};
use crate::dns::Name;

/// How long both families may take together, retries included.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);
/// How long one resolver may take to answer once.
const ATTEMPT: Duration = Duration::from_secs(2);
/// As many addresses of a family are taken, the least ones: more would not fit into an answer over UDP.
pub(super) const MOST_ADDRESSES: usize = 64;

/// Asks for both families.
pub(super) async fn lookup(alias: &Name, servers: &[SocketAddr]) -> Report {
    let report = |v4, v6| Report { alias: alias.clone(), v4, v6 };
    let both = async {
        // Made anew each time: the system's resolvers change while we run, and what is cached is ours to decide.
        let resolver = resolver(servers)?;
        let name = ResolverName::from_bytes(alias.as_wire()).map_err(|error| Failure::Resolver(error.to_string()))?;
        Ok::<_, Failure>(tokio::join!(
            family(&resolver, name.clone(), RecordType::A),
            family(&resolver, name.clone(), RecordType::AAAA)
        ))
    };
    match tokio::time::timeout(DEADLINE, both).await {
        Ok(Ok((v4, v6))) => report(v4, v6),
        Ok(Err(failure)) => report(Err(failure.clone()), Err(failure)),
        Err(_) => report(Err(Failure::TimedOut), Err(Failure::TimedOut)),
    }
}

fn resolver(servers: &[SocketAddr]) -> Result<TokioResolver, Failure> {
    let failed = |error: NetError| Failure::Resolver(format!("the resolvers cannot be used: {error}"));
    let mut builder = if servers.is_empty() {
        TokioResolver::builder_tokio().map_err(failed)?
    } else {
        let servers = servers.iter().map(name_server).collect();
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        builder.options_mut().use_hosts_file = ResolveHosts::Never;
        builder
    };
    let options = builder.options_mut();
    options.timeout = ATTEMPT;
    options.attempts = 2;
    options.try_tcp_on_error = true;
    builder.build().map_err(failed)
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    let at_port = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    server.connections = server.connections.into_iter().map(at_port).collect();
    server
}

async fn family(resolver: &TokioResolver, name: ResolverName, rtype: RecordType) -> Result<Answered, Failure> {
    let lookup = match resolver.lookup(name, rtype).await {
        Ok(lookup) => lookup,
        Err(error) => return none_or_failure(&error),
    };
    let ttl_secs = lookup.answers().iter().map(|record| record.ttl).min().unwrap_or_default();
    let addresses = lookup.answers().iter().filter_map(|record| match record.data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    });
    answered(addresses.collect(), ttl_secs)
}

/// NODATA is an answer: the name has no address of the family.
fn none_or_failure(error: &NetError) -> Result<Answered, Failure> {
    match error {
        error if error.is_nx_domain() => Err(Failure::NoSuchName),
        NetError::Dns(DnsError::NoRecordsFound(none)) if none.response_code == ResponseCode::NoError => {
            Ok(Answered::default())
        }
        NetError::Timeout => Err(Failure::TimedOut),
        error => Err(Failure::Resolver(error.to_string())),
    }
}

/// What clients can connect to of these; that none of several is fit is a failure.
fn answered(found: Vec<IpAddr>, ttl_secs: u32) -> Result<Answered, Failure> {
    let mut addresses: Vec<IpAddr> = found.iter().copied().filter(|&address| is_fit(address)).collect();
    match found.first() {
        Some(&unfit) if addresses.is_empty() => return Err(Failure::Unfit(unfit)),
        _ => {}
    }
    addresses.sort_unstable();
    addresses.dedup();
    addresses.truncate(MOST_ADDRESSES);
    Ok(Answered { addresses, ttl_secs })
}

/// Whether a client may be sent to an address that others answered. Private ones may be meant; those of this host, of this
/// link and of nobody are mistakes or attacks.
pub fn is_fit(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, ..] = v4.octets();
            first != 0 && first < 224 && !v4.is_loopback() && !v4.is_link_local()
        }
        IpAddr::V6(v6) => {
            let is_special = v6.is_unspecified() || v6.is_loopback() || v6.is_multicast() || v6.is_unicast_link_local();
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
        let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
        let one = answered(parse(&["192.0.2.2", "192.0.2.1", "0.0.0.0"]), 60);
        assert_eq!(one, answered(parse(&["192.0.2.1", "192.0.2.2", "192.0.2.2"]), 60));
        assert_eq!(answered(parse(&["0.0.0.0"]), 60), Err(Failure::Unfit("0.0.0.0".parse().unwrap())));
        assert_eq!(answered(Vec::new(), 60), Ok(Answered { addresses: Vec::new(), ttl_secs: 60 }));
        let many = (0..=255).map(|last| IpAddr::from([192, 0, 2, last])).collect();
        assert_eq!(answered(many, 60).map(|answered| answered.addresses.len()), Ok(MOST_ADDRESSES));
    }
}
