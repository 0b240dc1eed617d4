//! TLS: certificates and algorithms of real servers, by `openssl s_server` if only OpenSSL supports
//! them.

use std::process::{Child, Command, Stdio};

use super::{tls::serve_chain, *};

/// A server with a self-signed certificate, which `change` modifies.
async fn serve_own(change: impl Fn(&mut CertificateParams)) -> tls::TlsServer {
    let mut params = CertificateParams::new(vec!["www.example.com".to_owned()]).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    serve_chain(vec![certificate.der().clone()], key, &certificate.pem(), None).await
}

#[tokio::test]
async fn a_self_signed_target_passes_if_ca_contains_its_certificate() {
    let authority =
        |params: &mut CertificateParams| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let no_authority = |params: &mut CertificateParams| params.is_ca = IsCa::ExplicitNoCa;
    for (server, why) in
        [(serve_own(authority).await, "CA:TRUE"), (serve_own(no_authority).await, "CA:FALSE")]
    {
        let check = https(server.address.port(), server.authorities.path());
        assert_eq!(
            probe_address(Check::Http(check.clone()), server.address).await,
            Ok(()),
            "{why}"
        );
        let other = HttpCheck { host: Some("other.example".into()), ..check };
        assert_eq!(
            probe_address(Check::Http(other), server.address).await,
            Err(Failure::CertificateForOtherName),
            "{why}"
        );
        let stranger = serve_own(authority).await;
        let check = https(server.address.port(), stranger.authorities.path());
        let failure = probe_address(Check::Http(check), server.address).await.unwrap_err();
        let is_refused =
            matches!(failure, Failure::CertificateUntrusted | Failure::CertificateBad(_));
        assert!(is_refused, "{why}, but another certificate is named: {failure}");
    }
    let expired = |params: &mut CertificateParams| {
        authority(params);
        params.not_after = date_time_ymd(2020, 1, 1);
    };
    let server = serve_own(expired).await;
    let check = https(server.address.port(), server.authorities.path());
    assert_eq!(
        probe_address(Check::Http(check), server.address).await,
        Err(Failure::CertificateExpired)
    );
}

#[tokio::test]
async fn a_body_until_the_end_of_the_connection_needs_no_close_notify() {
    for (reply, result, why) in [
        ("HTTP/1.0 200 OK\r\n\r\nfine", Ok(()), "the end of the connection is the end of the body"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfine",
            Err(Failure::Closed),
            "an announced length is not reached",
        ),
    ] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["www.example.com".to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let acceptor = tls::acceptor(vec![params.der().clone()], key, None, &[]);
        let listener = listen(LOOPBACK);
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut secured) = acceptor.accept(stream).await else { continue };
                let _ = secured.read(&mut [0; 4096]).await;
                let _ = secured.write_all(reply.as_bytes()).await;
                let _ = secured.flush().await;
                // The TCP connection ends without a TLS alert.
                let _ = secured.get_mut().0.shutdown().await;
            }
        });
        let options = TlsOptions { verify: false, ..TlsOptions::default() };
        let check = HttpCheck { tls: Some(options), ..http(address.port()) };
        assert_eq!(probe_address(Check::Http(check), address).await, result, "{why}");
    }
}

/// A running `openssl s_server`, killed on drop.
struct OpensslServer {
    child: Child,
    port: u16,
}

impl Drop for OpensslServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A directory for the files of openssl; prints a note and returns `None` without openssl.
fn openssl_directory() -> Option<tempfile::TempDir> {
    let directory = tempfile::tempdir().unwrap();
    if !openssl(directory.path(), "version") {
        println!("skipped: no openssl here");
        return None;
    }
    Some(directory)
}

/// Runs `openssl` in `directory`; returns whether it succeeded.
fn openssl(directory: &Path, arguments: &str) -> bool {
    let run = Command::new("openssl").args(arguments.split(' ')).current_dir(directory).output();
    run.is_ok_and(|output| output.status.success())
}

/// A server with `own.pem` and `own.key` of `directory`, and these extra arguments.
async fn start_openssl(directory: &Path, arguments: &str) -> OpensslServer {
    let port = listen(LOOPBACK).local_addr().unwrap().port();
    let line = format!(
        "s_server -quiet -www -accept 127.0.0.1:{port} -cert own.pem -key own.key {arguments}"
    );
    let mut child = Command::new("openssl")
        .args(line.trim_end().split(' '))
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while TcpStream::connect((LOOPBACK, port)).await.is_err() {
        assert!(matches!(child.try_wait(), Ok(None)), "openssl {line}: it has ended");
        tokio::task::yield_now().await;
    }
    OpensslServer { child, port }
}

/// The result of probing such a server.
async fn probe_openssl(
    directory: &Path,
    arguments: &str,
    options: TlsOptions,
) -> Result<(), Failure> {
    let server = start_openssl(directory, arguments).await;
    let check = HttpCheck { tls: Some(options), ..http(server.port) };
    probe_address(Check::Http(check), SocketAddr::new(LOOPBACK, server.port)).await
}

/// Makes `own.key` and a self-signed `own.pem` with these arguments; returns whether this OpenSSL
/// supports them.
fn make_own(directory: &Path, key: &str, certificate: &str) -> bool {
    let request = format!(
        "req -x509 -key own.key -out own.pem -days 30 -subj /CN=www.example.com {certificate}"
    );
    openssl(directory, &format!("genpkey -out own.key {key}"))
        && openssl(directory, request.trim_end())
}

const RSA_1024: &str = "-algorithm RSA -pkeyopt rsa_keygen_bits:1024";
const RSA_PSS: &str = "-algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048";
const RSA_2048: &str = "-algorithm RSA -pkeyopt rsa_keygen_bits:2048";
const SAN: &str = "-addext subjectAltName=DNS:www.example.com";

fn curve(name: &str) -> String {
    format!("-algorithm EC -pkeyopt ec_paramgen_curve:{name}")
}

#[tokio::test]
async fn without_verification_any_certificate_passes() {
    let Some(directory) = openssl_directory() else { return };
    let directory = directory.path();
    let any = || TlsOptions { verify: false, ..TlsOptions::default() };
    for (key, why) in [
        (RSA_1024.to_owned(), "RSA with 1024 bits"),
        (curve("P-521"), "P-521"),
        (curve("P-256"), "P-256"),
    ] {
        assert!(make_own(directory, &key, SAN), "{why}");
        for version in ["-tls1_3", "-tls1_2"] {
            let arguments = format!("{version} -cipher DEFAULT:@SECLEVEL=0");
            assert_eq!(
                probe_openssl(directory, &arguments, any()).await,
                Ok(()),
                "{why} {version}"
            );
        }
    }
    assert!(make_own(directory, "-algorithm ED448", SAN));
    for version in ["-tls1_3", "-tls1_2"] {
        assert_eq!(
            probe_openssl(directory, version, any()).await,
            Ok(()),
            "Ed448, which cannot be verified {version}"
        );
    }
    assert!(make_own(directory, RSA_PSS, SAN));
    assert_eq!(probe_openssl(directory, "-tls1_3", any()).await, Ok(()), "a key for RSA-PSS alone");
    make_v1(directory);
    for version in ["-tls1_3", "-tls1_2"] {
        assert_eq!(probe_openssl(directory, version, any()).await, Ok(()), "X.509 v1 {version}");
    }
}

/// A certificate of version 1: signed from a request without extensions.
fn make_v1(directory: &Path) {
    assert!(openssl(directory, &format!("genpkey -out own.key {RSA_2048}")));
    assert!(openssl(directory, "req -new -key own.key -out own.csr -subj /CN=www.example.com"));
    assert!(openssl(directory, "x509 -req -in own.csr -signkey own.key -out own.pem -days 30"));
}

#[tokio::test]
async fn certificates_that_openssl_makes_are_verified() {
    let Some(directory) = openssl_directory() else { return };
    let directory = directory.path();
    let params = || trusting(&directory.join("own.pem"));
    for (key, certificate, why) in [
        (RSA_2048.to_owned(), "", "`openssl req -x509`: CA:TRUE and a common name alone"),
        (RSA_2048.to_owned(), SAN, "with an alternative name"),
        (
            curve("P-256"),
            "-addext subjectAltName=DNS:www.example.com -sha512",
            "P-256 with SHA-512",
        ),
        (
            curve("P-384"),
            "-addext subjectAltName=DNS:www.example.com -sha512",
            "P-384 with SHA-512",
        ),
        (
            curve("P-521"),
            "-addext subjectAltName=DNS:www.example.com -sha512",
            "P-521 with SHA-512",
        ),
    ] {
        assert!(make_own(directory, &key, certificate), "{why}");
        for version in ["-tls1_3", "-tls1_2"] {
            assert_eq!(
                probe_openssl(directory, version, params()).await,
                Ok(()),
                "{why} {version}"
            );
        }
    }
    make_v1(directory);
    for version in ["-tls1_3", "-tls1_2"] {
        assert_eq!(probe_openssl(directory, version, params()).await, Ok(()), "X.509 v1 {version}");
    }
}

#[tokio::test]
async fn chains_signed_by_ecdsa_of_any_curve_and_hash_are_verified() {
    let Some(directory) = openssl_directory() else { return };
    let directory = directory.path();
    for name in ["P-256", "P-384", "P-521"] {
        let key = curve(name);
        assert!(openssl(directory, &format!("genpkey -out ca.key {key}")));
        assert!(openssl(
            directory,
            "req -x509 -key ca.key -out ca.pem -days 30 -subj /CN=authority"
        ));
        assert!(openssl(directory, &format!("genpkey -out own.key {key}")));
        assert!(openssl(
            directory,
            &format!("req -new -key own.key -out own.csr -subj /CN=own {SAN}")
        ));
        for hash in ["-sha256", "-sha384", "-sha512"] {
            let signing = "x509 -req -in own.csr -CA ca.pem -CAkey ca.key -out own.pem -days 30 -copy_extensions copy";
            assert!(openssl(directory, &format!("{signing} {hash}")));
            let options = trusting(&directory.join("ca.pem"));
            assert_eq!(
                probe_openssl(directory, "-tls1_3", options.clone()).await,
                Ok(()),
                "{name} {hash}"
            );
            let scheme = format!("-tls1_2 -sigalgs ECDSA+SHA{}", &hash[4..]);
            assert_eq!(
                probe_openssl(directory, &scheme, options).await,
                Ok(()),
                "{name} {hash} in the handshake, too"
            );
        }
        // A signature by another key is invalid.
        assert!(openssl(directory, &format!("genpkey -out stranger.key {key}")));
        assert!(openssl(
            directory,
            "req -x509 -key stranger.key -out stranger.pem -days 30 -subj /CN=authority"
        ));
        let failure =
            probe_openssl(directory, "-tls1_3", trusting(&directory.join("stranger.pem")))
                .await
                .unwrap_err();
        let is_refused =
            matches!(failure, Failure::CertificateUntrusted | Failure::CertificateBad(_));
        assert!(is_refused, "{name}: {failure}");
    }
}

#[tokio::test]
async fn a_failed_handshake_quotes_the_alert() {
    let Some(directory) = openssl_directory() else { return };
    let directory = directory.path();
    assert!(make_own(directory, RSA_2048, SAN));
    let any = || TlsOptions { verify: false, ..TlsOptions::default() };
    for (arguments, text) in [
        (
            "-tls1_1 -cipher ALL:@SECLEVEL=0",
            "protocol_version: it may support only TLS 1.1 or older",
        ),
        (
            "-tls1_2 -cipher AES128-GCM-SHA256",
            "handshake_failure: no common algorithms, for example if it offers only RSA key exchange or old ciphers",
        ),
        (
            "-servername other.example -servername_fatal -cert2 own.pem -key2 own.key",
            "unrecognized_name: it does not serve the monitor's `host`, or without `host` the target's own name",
        ),
    ] {
        let failure = probe_openssl(directory, arguments, any()).await.unwrap_err().to_string();
        assert_eq!(failure, format!("TLS handshake failed: the target's alert is {text}"));
    }
}

#[tokio::test]
async fn a_target_that_requests_a_certificate_fails_with_that_reason_for_every_alert() {
    let Some(directory) = openssl_directory() else { return };
    let directory = directory.path();
    assert!(make_own(directory, RSA_2048, SAN));
    let any = || TlsOptions { verify: false, ..TlsOptions::default() };
    for (version, alert) in [("-tls1_3", "certificate_required"), ("-tls1_2", "handshake_failure")]
    {
        let failure =
            probe_openssl(directory, &format!("{version} -Verify 1 -verify_return_error"), any())
                .await;
        assert_eq!(failure, Err(Failure::ClientCertificate(alert.into())), "{version}");
    }
}

#[tokio::test]
async fn certificates_of_old_forms_pass_if_a_pinned_authority_signed_them() {
    let Some(directory) = openssl_directory() else { return };
    let directory = directory.path();
    let options = || trusting(&directory.join("ca.pem"));
    let authority = |name: &str| {
        assert!(openssl(directory, &format!("genpkey -out ca.key {RSA_2048}")));
        assert!(openssl(
            directory,
            &format!("req -x509 -key ca.key -out ca.pem -days 30 -subj /CN={name}")
        ));
    };
    authority("authority");
    assert!(openssl(directory, &format!("genpkey -out own.key {RSA_2048}")));
    let signing = "x509 -req -in own.csr -CA ca.pem -CAkey ca.key -out own.pem -days 30";
    let request = "req -new -key own.key -out own.csr -subj /CN=www.example.com";
    for (extensions, copied, result, why) in [
        ("", "", Ok(()), "version 1"),
        (
            "-addext subjectAltName=DNS:www.example.com -addext basicConstraints=critical,CA:TRUE",
            "-copy_extensions copy",
            Ok(()),
            "CA:TRUE",
        ),
        (
            "-addext subjectAltName=DNS:www.example.org -addext basicConstraints=critical,CA:TRUE",
            "-copy_extensions copy",
            Err(Failure::CertificateForOtherName),
            "CA:TRUE, for another name",
        ),
        (
            "-addext subjectAltName=DNS:www.example.com -addext basicConstraints=critical,CA:TRUE -addext \
             extendedKeyUsage=clientAuth",
            "-copy_extensions copy",
            Err(Failure::CertificateBad("its extended key usage does not allow a server".into())),
            "CA:TRUE, for clients",
        ),
    ] {
        assert!(openssl(directory, format!("{request} {extensions}").trim_end()), "{why}");
        assert!(openssl(directory, format!("{signing} {copied}").trim_end()), "{why}");
        for version in ["-tls1_3", "-tls1_2"] {
            assert_eq!(
                probe_openssl(directory, version, options()).await,
                result,
                "{why} {version}"
            );
        }
    }
    // Another authority of the same name did not sign it.
    authority("authority");
    assert!(probe_openssl(directory, "-tls1_3", options()).await.is_err());
    // The pinned certificate of the target, with a key restricted to RSA-PSS, and with one that is
    // too short.
    let params = || trusting(&directory.join("own.pem"));
    assert!(make_own(directory, RSA_PSS, SAN));
    assert_eq!(probe_openssl(directory, "-tls1_3", params()).await, Ok(()));
    assert!(make_own(directory, RSA_1024, SAN));
    let failure = probe_openssl(directory, "-tls1_3 -cipher DEFAULT:@SECLEVEL=0", params()).await;
    let reason = "its RSA key, or one in its chain, has fewer than 2048 bits";
    assert_eq!(failure, Err(Failure::CertificateBad(reason.into())));
}
