//! ICMP: loopback replies to echo requests, if the kernel permits them.

use socket2::{Domain, Protocol, Socket, Type};

use super::*;

#[tokio::test]
async fn a_host_that_exists_replies_to_an_echo_request() {
    for (address, domain, protocol) in [
        (LOOPBACK, Domain::IPV4, Protocol::ICMPV4),
        ("::1".parse().unwrap(), Domain::IPV6, Protocol::ICMPV6),
    ] {
        let may = [Type::DGRAM, Type::RAW]
            .into_iter()
            .any(|kind| Socket::new(domain, kind, Some(protocol)).is_ok());
        if !may || address.is_ipv6() && std::net::TcpListener::bind("[::1]:0").is_err() {
            println!("skipped: no ICMP to {address} here");
            continue;
        }
        assert_eq!(
            probe_address(Check::Icmp, SocketAddr::new(address, 0)).await,
            Ok(()),
            "{address}"
        );
    }
}

#[tokio::test]
async fn without_permission_for_echo_requests_the_monitor_cannot_work() {
    let key = ProbeKey {
        monitor: Arc::new(monitor(Check::Icmp)),
        target: ProbeTarget::Address(LOOPBACK),
    };
    let checker = prepare_check(&key);
    let may = [Type::DGRAM, Type::RAW]
        .into_iter()
        .any(|kind| Socket::new(Domain::IPV4, kind, Some(Protocol::ICMPV4)).is_ok());
    let outcome =
        check_target(&checker, &key, &AttemptTimer::new(&StallDetector::new(), 0)).await.unwrap();
    let is_fault_of_monitor = matches!(outcome.result, Err(Failure::MonitorUnusable(_)));
    assert_eq!(is_fault_of_monitor, !may, "{:?}", outcome.result);
}
