//! Aliases against a real name server whose zone changes, fails and comes back, and against one
//! that never answers.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use crate::{
    harness::{ServerDirectory, WAIT_TIMEOUT},
    query::TestQuery,
    upstream::Upstream,
};

const ZONE: &str = r#"
[zone."gslb.test"]
nameservers = ["ns1.example.com"]
hostmaster = "h@example.com"
[service."gslb.test"]
ttl = 30
members = [{ alias = "eu.lb.test" }]
[service."spare.gslb.test"]
policy = "failover"
members = [{ alias = "missing.lb.test" }, { addresses = ["192.0.2.99"] }]
"#;

const FIRST: &str = "eu 7 CNAME real
real 20 A 192.0.2.2
real 20 A 192.0.2.1
real 20 A 127.0.0.1
real 20 AAAA 2001:db8::1
";

fn site(upstream: &Upstream) -> ServerDirectory {
    let site = ServerDirectory::new(&[("zones/gslb.toml", ZONE)]);
    let settings = site.read("portolan.toml");
    site.write("portolan.toml", &format!("{settings}resolvers = [\"{}\"]\n", upstream.address()));
    site
}

#[test]
fn an_alias_follows_its_name_and_survives_the_loss_of_its_resolver() {
    let Some(mut upstream) = Upstream::knot(FIRST) else { return };
    let site = site(&upstream);
    let server = site.serve();

    server.until_answers("gslb.test", &["192.0.2.1", "192.0.2.2"], WAIT_TIMEOUT);
    // The alias is at the apex, beside SOA and NS, and has both families. Its TTL is the lowest of
    // the CNAME chain; the loopback address is ignored.
    let reply = server.ask(&TestQuery::new("gslb.test", "A"));
    assert_eq!(
        (reply.answers(), reply.ttl()),
        (vec!["192.0.2.1".to_owned(), "192.0.2.2".to_owned()], 7)
    );
    assert_eq!(server.ask(&TestQuery::new("gslb.test", "AAAA")).answers(), ["2001:db8::1"]);
    assert_eq!(server.ask(&TestQuery::new("gslb.test", "SOA")).answers().len(), 1);
    assert_eq!(server.addresses("spare.gslb.test"), ["192.0.2.99"], "a name that does not exist");
    server.until_logged("alias=missing.lb.test");
    assert_eq!(server.metric("portolan_alias_failing", "alias=\"missing.lb.test\""), 1.0);
    assert_eq!(server.metric("portolan_alias_failing", "alias=\"eu.lb.test\""), 0.0);

    // A changed answer is used when the old TTL ends; a new name is found by a retry.
    upstream.serve("eu 20 A 192.0.2.3\nmissing 20 A 192.0.2.4\n");
    server.until_answers("gslb.test", &["192.0.2.3"], WAIT_TIMEOUT);
    server.until_answers("spare.gslb.test", &["192.0.2.4"], 2 * WAIT_TIMEOUT);
    assert!(server.ask(&TestQuery::new("gslb.test", "AAAA")).answers().is_empty());

    // The resolver stops. The last good answer stays in use with a shorter TTL, and metrics,
    // `status` and `explain` report the failure.
    upstream.serve("eu 1 A 192.0.2.3\nmissing 1 A 192.0.2.4\n");
    server.until("the short TTL is in use", 3 * WAIT_TIMEOUT, |server| {
        let aliases = server.status().aliases;
        aliases.iter().all(|alias| alias.ttl == Some(1))
    });
    upstream.stop();
    server.until("an alias fails", WAIT_TIMEOUT, |server| {
        server.metric("portolan_alias_failing", "alias=\"eu.lb.test\"") == 1.0
    });
    assert_eq!(server.addresses("gslb.test"), ["192.0.2.3"]);
    let (_, text, _) =
        site.run(&["status", "--server", &format!("http://{}", server.admin.unwrap())]);
    assert!(text.contains("eu.lb.test") && text.contains("192.0.2.3, resolved "), "{text}");
    let arguments = ["explain", "gslb.test", "--client", "80.1.2.3", "--server"];
    let (_, text, _) =
        site.run(&[&arguments[..], &[&format!("http://{}", server.admin.unwrap())]].concat());
    assert!(text.contains("alias eu.lb.test: 192.0.2.3"), "{text}");

    // The address also survives a restart during which the resolver is still down.
    let (status, _) = server.terminate();
    assert!(status.success());
    let server = site.serve();
    assert_eq!(server.addresses("gslb.test"), ["192.0.2.3"]);

    upstream.start();
    server.until_answers("gslb.test", &["192.0.2.3"], WAIT_TIMEOUT);
    server.until("the alias is resolved again", 2 * WAIT_TIMEOUT, |server| {
        server.metric("portolan_alias_failing", "alias=\"eu.lb.test\"") == 0.0
    });
}

/// A resolver that does not answer yet: queries stay in its socket.
struct SilentResolver(UdpSocket);

impl SilentResolver {
    fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(WAIT_TIMEOUT)).unwrap();
        Self(socket)
    }

    /// Receives the next query.
    fn question(&self) -> (Vec<u8>, SocketAddr) {
        let mut octets = [0; 512];
        let (length, from) = self.0.recv_from(&mut octets).unwrap();
        (octets[..length].to_vec(), from)
    }

    /// From now on, answers each query for A with this address, and each other query with no data.
    /// The thread ends with the test process.
    fn answer(self, address: Ipv4Addr) {
        self.0.set_read_timeout(None).unwrap();
        std::thread::spawn(move || {
            loop {
                let (question, from) = self.question();
                let name = question[12..].iter().position(|octet| *octet == 0).unwrap();
                let mut reply = question[..12 + name + 5].to_vec();
                let is_a = reply[12 + name + 2] == 1;
                reply[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
                if is_a {
                    reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
                    reply.extend(address.octets());
                }
                let _ = self.0.send_to(&reply, from);
            }
        });
    }
}

#[test]
fn an_alias_that_was_never_resolved_delays_only_its_own_service() {
    let resolver = SilentResolver::start();
    let zone = ZONE.to_owned()
        + r#"[service."plain.gslb.test"]
members = [{ addresses = ["192.0.2.7"] }]
"#;
    let site = ServerDirectory::new(&[("zones/gslb.toml", &zone)]);
    let settings = site.read("portolan.toml");
    let address = resolver.0.local_addr().unwrap();
    site.write("portolan.toml", &format!("{settings}resolvers = [\"{address}\"]\n"));
    let server = site.serve();
    assert_eq!(server.addresses("plain.gslb.test"), ["192.0.2.7"]);
    assert_eq!(server.addresses("spare.gslb.test"), ["192.0.2.99"], "the next member answers");
    for rtype in ["A", "AAAA", "ANY"] {
        let reply = server.ask(&TestQuery::new("gslb.test", rtype));
        // At the apex, ANY finds the static records.
        let expected = if rtype == "ANY" { "NOERROR" } else { "SERVFAIL" };
        assert_eq!(
            (reply.rcode().as_str(), rtype),
            (expected, rtype),
            "the addresses of the alias are not known"
        );
    }
    assert_eq!(
        server.ask(&TestQuery::new("gslb.test", "TXT")).rcode(),
        "NOERROR",
        "an alias provides addresses only"
    );
    assert!(
        !server.log().contains("not resolved"),
        "the first attempt has ended too early for this test: {}",
        server.log()
    );
    resolver.question();
    let (_, text, _) = site.run(&[
        "explain",
        "gslb.test",
        "--client",
        "80.1.2.3",
        "--server",
        &format!("http://{}", server.admin.unwrap()),
    ]);
    assert!(
        text.contains("SERVFAIL: nothing is usable, and an alias was never resolved"),
        "{text}"
    );

    resolver.answer(Ipv4Addr::new(192, 0, 2, 1));
    server.until_answers("gslb.test", &["192.0.2.1"], 2 * WAIT_TIMEOUT);
    assert_eq!(
        server.ask(&TestQuery::new("gslb.test", "AAAA")).rcode(),
        "NOERROR",
        "the resolver has answered that there are none"
    );
    assert!(!server.log().contains("service has no usable member"), "{}", server.log());
}
