//! ICMP: loopback replies to echoes, where the kernel lets us send any.

use socket2::{Domain, Protocol, Socket, Type};

use super::*;

#[tokio::test]
async fn an_echo_is_replied_to_by_what_is_there() {
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
async fn where_no_echo_may_be_sent_the_monitor_cannot_work_and_its_target_is_not_judged() {
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
