//! TLS and HTTPS as kdig sees them, a client of RFC 7858 and RFC 8484.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use super::*;

/// A certificate for `localhost` and its key, as PEM files in `folder`.
pub(super) fn write_certificate(folder: &Path) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (chain, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    fs::write(&chain, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (chain, key)
}

/// Queries `www.example.com A` without blocking the server's tasks; `None` if kdig is missing.
async fn kdig(server: SocketAddr, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("kdig");
    command.arg(format!("@{}", server.ip())).args([
        "-p",
        &server.port().to_string(),
        "+timeout=10",
        "+retry=0",
    ]);
    command.args(arguments).args(["www.example.com", "A"]);
    let Output { stdout, stderr, .. } =
        match tokio::task::spawn_blocking(move || command.output()).await.unwrap() {
            Ok(output) => output,
            Err(_) => {
                println!("skipped: kdig is not installed (Debian: knot-dnsutils)");
                return None;
            }
        };
    Some(String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr))
}

#[tokio::test]
async fn kdig_is_answered_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, key) = write_certificate(folder.path());
    let certificate = Certificate::load(&chain, &key).unwrap();
    let listeners = bind_streams(&["127.0.0.1:0".parse().unwrap()]).unwrap();
    let address = listeners[0].local_addr().unwrap();
    let counters = Counters::new();
    let mut streams =
        StreamListeners::new(&snapshots(), &counters, ConnectionLimits::default()).unwrap();
    streams.serve_tls(listeners, certificate.server_config(&[b"dot"]).unwrap()).unwrap();

    let Some(printed) = kdig(address, &["+tls", "+subnet=192.0.2.0/24"]).await else { return };
    assert!(printed.contains("TLS session"), "{printed}");
    assert!(printed.contains("status: REFUSED"), "{printed}");
    eventually(&counters, |totals| {
        totals.transport(Transport::Tls).answered_with(Rcode::REFUSED) == 1
    })
    .await;
    streams.stop().await;
}

#[tokio::test]
async fn kdig_is_answered_over_https_with_edns_as_the_engine_wrote_it() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, key) = write_certificate(folder.path());
    let certificate = Certificate::load(&chain, &key).unwrap();
    let listeners = bind_streams(&["127.0.0.1:0".parse().unwrap()]).unwrap();
    let address = listeners[0].local_addr().unwrap();
    let counters = Counters::new();
    let snapshots = snapshots();
    let mut snapshot = Snapshot::default();
    snapshot.identity = Arc::new(crate::snapshot::ServerIdentity {
        nsid: Box::from(*b"fra-1"),
        cookie_keys: Some(crate::dns::CookieKeys {
            current: [7; 16],
            next: [8; 16],
            previous: None,
            rotated_secs: 0,
        }),
    });
    snapshots.store(Arc::new(snapshot));
    let mut streams =
        StreamListeners::new(&snapshots, &counters, ConnectionLimits::default()).unwrap();
    let resource = HttpsResource { path: "/dns-query".into(), http1: true };
    let config = certificate.server_config(resource.alpn_protocols()).unwrap();
    streams.serve_https(listeners, config, resource).unwrap();

    let arguments = ["+https", "+nsid", "+cookie=0102030405060708", "+subnet=192.0.2.0/24"];
    let Some(printed) = kdig(address, &arguments).await else { return };
    assert!(printed.contains("HTTP session"), "{printed}");
    assert!(printed.contains("status: REFUSED"), "{printed}");
    let plain = bind(&["127.0.0.1:0".parse().unwrap()], 1).unwrap();
    let plain_address = plain.local_addresses()[0];
    let shards =
        serve_udp(plain.udp, &CoreAssignment::for_shards(1, false), &snapshots, &counters).unwrap();
    let Some(over_udp) = kdig(plain_address, &arguments[1..]).await else { return };
    assert_eq!(edns_of(&printed), edns_of(&over_udp));
    for option in ["NSID", "CLIENT-SUBNET", "COOKIE"] {
        assert!(edns_of(&printed).iter().any(|line| line.contains(option)), "{option}: {printed}");
    }
    shards.stop();
    eventually(&counters, |totals| {
        totals.transport(Transport::Https).answered_with(Rcode::REFUSED) == 1
    })
    .await;
    streams.stop().await;
}

/// The EDNS lines that kdig printed, without the hash and time of the cookie.
fn edns_of(printed: &str) -> Vec<String> {
    let edns = printed.lines().skip_while(|line| !line.contains("EDNS PSEUDOSECTION")).skip(1);
    let lines =
        edns.take_while(|line| line.starts_with(";;") && !line.contains("QUESTION SECTION"));
    lines.map(|line| line.chars().take(40).collect()).collect()
}

#[tokio::test]
async fn a_client_that_does_not_use_tls_is_counted_and_closed() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, key) = write_certificate(folder.path());
    let certificate = Certificate::load(&chain, &key).unwrap();
    let listeners = bind_streams(&["127.0.0.1:0".parse().unwrap()]).unwrap();
    let address = listeners[0].local_addr().unwrap();
    let counters = Counters::new();
    let mut streams =
        StreamListeners::new(&snapshots(), &counters, ConnectionLimits::default()).unwrap();
    streams.serve_tls(listeners, certificate.server_config(&[b"dot"]).unwrap()).unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&framed(&query(1, 1))).await.unwrap();
    read_to_close(&mut stream).await;
    eventually(&counters, |totals| {
        totals.transport(Transport::Tls).connection_events(ConnectionEvent::HandshakeFailed) == 1
    })
    .await;
    streams.stop().await;
}

#[test]
fn a_certificate_is_replaced_when_its_files_change_and_kept_when_they_are_bad() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, key) = write_certificate(folder.path());
    let certificate = Certificate::load(&chain, &key).unwrap();
    assert!(!certificate.reload().unwrap(), "nothing changed");

    fs::write(&key, "not a key, and of another length").unwrap();
    let error = certificate.reload().unwrap_err().to_string();
    assert!(error.contains("key.pem") && error.contains("BEGIN PRIVATE KEY"), "{error}");

    write_certificate(folder.path());
    assert!(certificate.reload().unwrap());
}

#[test]
fn the_error_of_each_bad_certificate_names_its_file_and_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let (chain, key) = write_certificate(folder.path());
    let (_, other_key) = write_certificate(other.path());
    let missing = folder.path().join("missing.pem");
    let cases = [
        (&missing, &key, "missing.pem: cannot read it", "the chain is missing"),
        (&chain, &missing, "missing.pem: cannot read it", "the key is missing"),
        (&key, &key, "key.pem: no certificate in it", "a key where the chain should be"),
        (&chain, &chain, "cert.pem: no private key in it", "a chain where the key should be"),
        (&chain, &other_key, "not the key of the first certificate", "another certificate's key"),
    ];
    for (chain, key, expected, why) in cases {
        let error = Certificate::load(chain, key).unwrap_err().to_string();
        assert!(error.contains(expected), "{why}: {error}");
    }
}
