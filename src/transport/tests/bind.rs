//! Binding addresses that are free, taken, or not on this host.

use super::*;

#[test]
fn port_0_becomes_one_port_for_udp_and_tcp_and_all_shards() {
    let bound = bind(&["127.0.0.1:0".parse().unwrap(), "127.0.0.2:0".parse().unwrap()], 3).unwrap();
    assert_eq!(bound.udp.len(), 3);
    for (index, address) in bound.local_addresses().iter().enumerate() {
        assert_ne!(address.port(), 0);
        assert_eq!(bound.tcp[index].local_addr().unwrap(), *address);
        for sockets in &bound.udp {
            assert_eq!(sockets[index].local_addr().unwrap(), *address);
        }
    }
}

#[test]
fn a_port_that_another_server_uses_is_an_error_and_never_shared() {
    let first = bind(&["127.0.0.1:0".parse().unwrap()], 2).unwrap();
    let address = first.local_addresses()[0];
    let error = bind(&[address], 2).unwrap_err();
    assert_eq!(error.address, address);
    assert!(error.to_string().contains("the port is in use"), "{error}");

    // Also if only its UDP half is in use, with SO_REUSEPORT as by the shards of this program.
    let BoundSockets { udp: _udp, tcp, .. } = first;
    drop(tcp);
    let error = bind(&[address], 2).unwrap_err();
    assert_eq!(error.protocol, "udp");
    assert!(error.to_string().contains("the port is in use"), "{error}");
}

#[test]
fn an_address_listed_twice_is_an_error() {
    let free = bind(&["127.0.0.1:0".parse().unwrap()], 1).unwrap().local_addresses()[0];
    let error = bind(&[free, free], 1).unwrap_err();
    assert!(error.to_string().contains("listed twice"), "{error}");
}

#[test]
fn an_address_that_is_not_on_this_host_is_an_error_with_a_remedy() {
    let error = bind(&["192.0.2.1:0".parse().unwrap()], 1).unwrap_err();
    assert!(error.to_string().contains("this host does not have the address"), "{error}");
    assert!(error.to_string().contains("192.0.2.1"), "{error}");
}

#[test]
fn both_wildcards_share_a_port() {
    if UdpSocket::bind("[::1]:0").is_err() {
        println!("skipped: this host has no IPv6");
        return;
    }
    let port = bind(&["0.0.0.0:0".parse().unwrap()], 1).unwrap().local_addresses()[0].port();
    let listen = [SocketAddr::from(([0, 0, 0, 0], port)), SocketAddr::from(([0_u16; 8], port))];
    assert_eq!(bind(&listen, 1).unwrap().local_addresses(), listen);
}
