//! HTTPS, SVCB and SRV records of services, as Knot's client kdig decodes them.

use std::process::Command;

use crate::harness::{Server, ServerDirectory};

const ZONE: &str = r#"
[zone."example.org"]
nameservers = ["ns1.example.com"]
hostmaster = "h@example.org"
[pool.web]
spread = "turn"
members = [
  { addresses = ["192.0.2.1", "2001:db8::1"] }, { addresses = ["192.0.2.2", "2001:db8::2"] },
  { addresses = ["192.0.2.3", "2001:db8::3"] }, { addresses = ["192.0.2.4", "2001:db8::4"] },
]
[service."www.example.org"]
type = "HTTPS"
alpn = ["h2", "h3"]
port = 8443
pool = "web"
[service."_dns.example.org"]
type = "SVCB"
alpn = ["dot"]
pool = "web"
[service."_sip._tcp.example.org"]
type = "SRV"
members = [{ target = "sip.example.net", port = 5060, priority = 7, weight = 9 }]
"#;

/// The rdata that kdig prints; `None`, with a message, if kdig is not installed.
fn kdig(server: &Server, name: &str, rtype: &str, subnet: &str) -> Option<Vec<String>> {
    let (ip, port) = (server.address.ip().to_string(), server.address.port().to_string());
    let mut command = Command::new("kdig");
    command.arg(format!("@{ip}")).args([
        "-p",
        &port,
        name,
        rtype,
        "+short",
        &format!("+subnet={subnet}"),
    ]);
    let Ok(output) = command.output() else {
        println!("skipped: kdig not installed (apt-get install knot-dnsutils)");
        return None;
    };
    assert!(output.status.success(), "{command:?}");
    Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
}

#[test]
fn records_of_every_type_name_the_same_endpoint_to_a_client() {
    let site = ServerDirectory::new(&[("zones/example.org.toml", ZONE)]);
    let server = site.serve();
    let mut seen = std::collections::BTreeSet::new();
    for network in 0..20 {
        let subnet = format!("80.1.{network}.0/24");
        let rdata = |name, rtype| kdig(&server, name, rtype, &subnet);
        let Some(https) = rdata("www.example.org", "HTTPS") else { return };
        let (v4, v6) =
            (rdata("www.example.org", "A").unwrap(), rdata("www.example.org", "AAAA").unwrap());
        let expected = format!("1 . alpn=h2,h3 port=8443 ipv4hint={} ipv6hint={}", v4[0], v6[0]);
        assert_eq!(https, [expected]);
        let svcb = rdata("_dns.example.org", "SVCB").unwrap();
        assert_eq!(
            svcb,
            [format!("1 . alpn=dot ipv4hint={} ipv6hint={}", v4[0], v6[0])],
            "the same pool"
        );
        seen.insert(v4);
    }
    assert!(seen.len() > 1, "clients are spread");
    assert_eq!(
        kdig(&server, "_sip._tcp.example.org", "SRV", "80.1.2.0/24").unwrap(),
        ["7 9 5060 sip.example.net."]
    );
    let arguments = ["explain", "www.example.org", "HTTPS", "--client", "80.1.2.3", "--server"];
    let (code, text, _) =
        site.run(&[&arguments[..], &[&format!("http://{}", server.admin.unwrap())]].concat());
    assert!(
        code == 0 && text.contains("each client keeps its slot") && text.contains("ipv4hint="),
        "{text}"
    );
}
