//! Certificate files that change while the server runs: broken, half renewed, renewed.

use std::{fs, process::Command};

use super::harness::{Server, ServerDirectory, WAIT_TIMEOUT};

const TLS: &str = r#"tls = { listen = ["127.0.0.1:0"], certificate = "chain.pem", key = "key.pem" }
https = { listen = ["127.0.0.1:0"], certificate = "chain.pem", key = "key.pem" }
"#;

const ZONE: &str = r#"[zone."x.example"]
nameservers = ["ns1.example.com"]
hostmaster = "hostmaster@example.com"
"#;

/// A site that serves TLS and HTTPS with a certificate that expires at the start of this year.
fn site(until: i32) -> ServerDirectory {
    let site = ServerDirectory::new(&[("zones/x.toml", ZONE)]);
    site.write("portolan.toml", &format!("{}{TLS}", site.read("portolan.toml")));
    let (chain, key) = certificate(until);
    site.write("chain.pem", &chain);
    site.write("key.pem", &key);
    site
}

/// A certificate that expires at the start of `year`, and its key, in PEM.
fn certificate(year: i32) -> (String, String) {
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let pair = rcgen::KeyPair::generate().unwrap();
    (params.self_signed(&pair).unwrap().pem(), pair.serialize_pem())
}

fn asked(site: &ServerDirectory, server: &Server, command: &str) -> (i32, String) {
    let (code, out, err) = site.run(&[command, "--server", &server.admin.unwrap().to_string()]);
    (code, out + &err)
}

#[test]
fn a_half_renewed_certificate_is_reported_everywhere_and_used_once_it_is_whole() {
    let site = site(2097);
    let server = site.serve();
    let (chain, key) = certificate(2098);
    site.write("chain.pem", &chain);

    let (code, text) = asked(&site, &server, "reload");
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("the previous certificate stays in use: key.pem: not the key of"),
        "{text}"
    );
    server.until_logged(
        "certificate not replaced: the previous one stays in use certificate=chain.pem",
    );
    let (_, text) = asked(&site, &server, "status");
    assert!(text.contains("certificate files chain.pem cannot be used since 20"), "{text}");
    assert!(text.contains("certificate chain.pem expires 2097-01-01 00:00:00 UTC"), "{text}");
    let (code, out, err) = site.run(&["check"]);
    assert!(code == 1 && err.matches("key.pem: not the key of").count() == 1, "{code} {out}{err}");

    site.write("key.pem", &key);
    // Applied after SIGHUP or at the next periodic check, whichever comes first.
    server.signal(libc::SIGHUP);
    server.until_logged("certificate replaced certificate=chain.pem expires=2098-01-01T00:00:00Z");
    server.until("the concern ends", WAIT_TIMEOUT, |server| {
        !asked(&site, server, "status").1.contains("cannot be used")
    });
    assert_eq!(
        server.log().matches("certificate replaced").count(),
        1,
        "one certificate for both: {}",
        server.log()
    );
    assert_eq!(asked(&site, &server, "reload").0, 0);
}

#[test]
fn a_fifo_in_place_of_a_certificate_fails_the_start_and_does_not_block_it() {
    let site = site(2097);
    fs::remove_file(site.path("chain.pem")).unwrap();
    assert!(Command::new("mkfifo").arg(site.path("chain.pem")).status().unwrap().success());
    let refused = site.serve_with(&[]).err().unwrap();
    assert!(refused.contains("chain.pem: cannot read it: it is not a regular file"), "{refused}");
    let (code, _, err) = site.run(&["check"]);
    assert!(
        code == 1 && err.contains("chain.pem: cannot read it: it is not a regular file"),
        "{err}"
    );
}

#[test]
fn an_expired_certificate_is_a_warning_of_check_and_the_first_concern() {
    let site = site(2020);
    let (code, _, err) = site.run(&["check"]);
    assert!(
        code == 0 && err.contains("warning: certificate chain.pem expired 2020-01-01"),
        "{code} {err}"
    );
    assert_eq!(site.run(&["check", "--strict"]).0, 1);
    let server = site.serve();
    let (_, text) = asked(&site, &server, "status");
    assert!(
        text.contains("certificate chain.pem expired 2020-01-01")
            && text.contains("clients refuse it"),
        "{text}"
    );
}
