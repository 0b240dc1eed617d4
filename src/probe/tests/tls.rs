//! TLS: valid and invalid certificates, for `https` and `tls`.

use rustls::{pki_types::CertificateDer, server::WebPkiClientVerifier};

use super::*;

/// A certificate authority, and a server with a certificate of it or a self-signed one.
pub(super) struct TlsServer {
    pub(super) address: SocketAddr,
    pub(super) authorities: tempfile::NamedTempFile,
}

async fn serve_tls(change: impl Fn(&mut CertificateParams), is_self_signed: bool) -> TlsServer {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.distinguished_name.push(DnType::CommonName, "test authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let mut leaf =
        CertificateParams::new(vec!["www.example.com".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    change(&mut leaf);
    let key = KeyPair::generate().unwrap();
    let leaf = if is_self_signed { leaf.self_signed(&key) } else { leaf.signed_by(&key, &issuer) }
        .unwrap();
    serve_chain(vec![leaf.der().clone()], key, &authority_pem, None).await
}

/// A TLS acceptor with this chain. If `wants` is given, clients need a certificate that it signed.
pub(super) fn acceptor(
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
    wants: Option<CertificateDer<'static>>,
    protocols: &[&[u8]],
) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match wants {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(authority).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
                .build()
                .unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, key.into()).unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// Serves [`OK`] over TLS.
pub(super) async fn serve_chain(
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
    authority_pem: &str,
    wants: Option<CertificateDer<'static>>,
) -> TlsServer {
    let acceptor = acceptor(chain, key, wants, &[]);
    let authorities = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(authorities.path(), authority_pem).unwrap();
    let listener = listen(LOOPBACK);
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                run_script(ServerScript::Reply(OK), stream, &AtomicUsize::new(0)).await;
            }
        }
    });
    TlsServer { address, authorities }
}

#[tokio::test]
async fn certificates_are_verified_by_time_name_and_authority() {
    type Change = fn(&mut CertificateParams);
    let expired: Change = |leaf| leaf.not_after = date_time_ymd(2020, 1, 1);
    let early: Change = |leaf| leaf.not_before = date_time_ymd(2200, 1, 1);
    let other: Change =
        |leaf| *leaf = CertificateParams::new(vec!["other.example".to_owned()]).unwrap();
    let same: Change = |_| {};
    for (change, is_self_signed, result) in [
        (same, false, Ok(())),
        (expired, false, Err(Failure::CertificateExpired)),
        (early, false, Err(Failure::CertificateNotYetValid)),
        (other, false, Err(Failure::CertificateForOtherName)),
        (same, true, Err(Failure::CertificateUntrusted)),
    ] {
        let server = serve_tls(change, is_self_signed).await;
        let check = https(server.address.port(), server.authorities.path());
        assert_eq!(probe_address(Check::Http(check.clone()), server.address).await, result);
        let by_address = HttpCheck { host: None, ..check.clone() };
        let is_named = change as usize != other as usize;
        assert_eq!(
            probe_address(Check::Http(by_address), server.address).await.is_ok(),
            result.is_ok() && is_named
        );
        let unverified =
            HttpCheck { tls: Some(TlsOptions { verify: false, ..TlsOptions::default() }), ..check };
        assert_eq!(
            probe_address(Check::Http(unverified), server.address).await,
            Ok(()),
            "verify = false"
        );
    }
}

#[tokio::test]
async fn a_target_without_tls_fails_the_handshake_and_a_bad_ca_file_the_monitor() {
    let (address, _) = serve(ServerScript::Reply("HTTP/1.1 400 Bad Request\r\n\r\n")).await;
    let server = serve_tls(|_| {}, false).await;
    let check = https(address.port(), server.authorities.path());
    assert_eq!(probe_address(Check::Http(check.clone()), address).await, Err(not_tls()));
    for contents in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        std::fs::write(server.authorities.path(), contents).unwrap();
        let failure = probe_address(Check::Http(check.clone()), address).await.unwrap_err();
        assert!(failure.to_string().contains("cannot read the authorities in"), "{failure}");
    }
}

fn not_tls() -> Failure {
    Failure::Tls("what the target sent is not TLS".into())
}

fn handshake(server: &TlsServer, within_days: u64, then: OnExpiry) -> Check {
    Check::Tls(TlsCheck {
        port: server.address.port(),
        host: Some("www.example.com".into()),
        tls: trusting(server.authorities.path()),
        expiry: Some(ExpiryLimit {
            within: Duration::from_secs(within_days * 24 * 3600),
            on_expiry: then,
        }),
        proxy_protocol: None,
    })
}

/// A certificate that expires a little more than `days` days from now.
fn in_days(days: i64) -> rcgen::CertificateParams {
    let mut parameters = CertificateParams::new(vec!["www.example.com".to_owned()]).unwrap();
    let epoch = date_time_ymd(1970, 1, 1);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    parameters.not_after =
        epoch + now + Duration::from_secs(days.unsigned_abs() * 24 * 3600 + 3600);
    parameters
}

#[tokio::test]
async fn a_certificate_that_expires_soon_fails_or_is_noted() {
    let server = serve_tls(|leaf| leaf.not_after = in_days(5).not_after, false).await;
    let target = ProbeTarget::Address(server.address.ip());
    let expiring = CertificateExpiry::Certificate { days: 5 };
    for (within_days, then, result, note) in [
        (14, OnExpiry::Fail, Err(Failure::CertificateExpires(expiring)), None),
        (14, OnExpiry::Warn, Ok(()), Some(ProbeNote::CertificateExpires(expiring))),
        (5, OnExpiry::Fail, Ok(()), None),
    ] {
        let outcome = probe_target(handshake(&server, within_days, then), target.clone()).await;
        assert_eq!((outcome.result, outcome.note), (result, note), "{within_days} {then:?}");
    }
}

#[tokio::test]
async fn a_handshake_verifies_the_chain_whatever_the_time_left() {
    for (change, is_self_signed, failure) in [
        (None, true, Failure::CertificateUntrusted),
        (Some("other.example"), false, Failure::CertificateForOtherName),
    ] {
        let rename = |leaf: &mut CertificateParams| {
            if let Some(name) = change {
                *leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
            }
        };
        let server = serve_tls(rename, is_self_signed).await;
        assert_eq!(
            probe_address(handshake(&server, 1, OnExpiry::Fail), server.address).await,
            Err(failure)
        );
    }
    let (address, _) = serve(ServerScript::Reply("220 mail.example.com ESMTP\r\n")).await;
    let check = TlsCheck {
        port: address.port(),
        host: None,
        tls: TlsOptions { verify: false, ..TlsOptions::default() },
        expiry: None,
        proxy_protocol: None,
    };
    assert_eq!(probe_address(Check::Tls(check.clone()), address).await, Err(not_tls()), "not TLS");
    let (address, _) = serve(ServerScript::Hang).await;
    let check = TlsCheck { port: address.port(), ..check };
    assert_eq!(
        probe_address(Check::Tls(check), address).await,
        Err(Failure::TimedOut(TIMEOUT)),
        "never answers"
    );
}

#[tokio::test]
async fn a_certificate_of_the_chain_that_expires_soon_is_found_behind_one_that_lasts() {
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_key = KeyPair::generate().unwrap();
    let root_pem = root.self_signed(&root_key).unwrap().pem();
    let root = Issuer::new(root, root_key);
    let mut between = in_days(3);
    between.subject_alt_names.clear();
    between.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    between.distinguished_name.push(DnType::CommonName, "between");
    let between_key = KeyPair::generate().unwrap();
    let between_der = between.signed_by(&between_key, &root).unwrap().der().clone();
    let between = Issuer::new(between, between_key);
    let key = KeyPair::generate().unwrap();
    let leaf = in_days(300).signed_by(&key, &between).unwrap().der().clone();
    let server = serve_chain(vec![leaf, between_der], key, &root_pem, None).await;
    let failure = Failure::CertificateExpires(CertificateExpiry::Chain { within_days: 14 });
    assert_eq!(
        probe_address(handshake(&server, 14, OnExpiry::Fail), server.address).await,
        Err(failure)
    );
    assert_eq!(probe_address(handshake(&server, 2, OnExpiry::Fail), server.address).await, Ok(()));
}

#[tokio::test]
async fn a_target_that_requests_a_certificate_gets_it_and_fails_without_it() {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let authority_certificate = authority.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["www.example.com".to_owned()])
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    let der = leaf.der().clone();
    let own_key = key.serialize_pem();
    let trusted = authority_certificate.der().clone();
    let server = serve_chain(vec![der], key, &authority_certificate.pem(), Some(trusted)).await;
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("own.pem"), leaf.pem()).unwrap();
    std::fs::write(path("own.key"), own_key).unwrap();
    std::fs::write(path("empty.pem"), "").unwrap();
    let with = |certificate: &str| {
        let client_certificate = ClientCertificate {
            certificate: path(certificate).into(),
            key: path("own.key").into(),
        };
        let options = trusting(server.authorities.path());
        let options = TlsOptions { client_certificate: Some(client_certificate), ..options };
        Check::Http(HttpCheck { tls: Some(options), ..http(server.address.port()) })
    };
    assert_eq!(probe_address(with("own.pem"), server.address).await, Ok(()));
    let failure = probe_address(with("empty.pem"), server.address).await.unwrap_err();
    assert!(failure.to_string().contains("contains no certificate"), "{failure}");
    let failure = probe_address(with("none.pem"), server.address).await.unwrap_err();
    assert!(failure.to_string().contains("none.pem"), "{failure}");
    let without = Check::Http(https(server.address.port(), server.authorities.path()));
    assert_eq!(
        probe_address(without, server.address).await,
        Err(Failure::ClientCertificate("certificate_required".into()))
    );
}

#[tokio::test]
async fn over_tls_a_target_must_select_http2_by_alpn() {
    const BOTH: [&[u8]; 2] = [b"h2", b"http/1.1"];
    for (protocols, result) in [
        (&BOTH[..], Ok(())),
        (&[], Err(Failure::NotHttp2)),
        // The target refuses the handshake, as RFC 7301 requires.
        (
            &BOTH[1..],
            Err(Failure::Tls(
                "the target's alert is no_application_protocol: it does not offer this version of HTTP".into(),
            )),
        ),
    ] {
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["www.example.com".to_owned()]).unwrap().self_signed(&key).unwrap();
        let acceptor = acceptor(vec![leaf.der().clone()], key, None, protocols);
        let listener = listen(LOOPBACK);
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(stream) = acceptor.accept(stream).await {
                    http::answer_http2(stream, "all fine", 1).await;
                }
            }
        });
        let check = HttpCheck {
            version: HttpVersion::Two,
            required_text: Some("fine".into()),
            tls: Some(TlsOptions { verify: false, ..TlsOptions::default() }),
            ..http(address.port())
        };
        assert_eq!(probe_address(Check::Http(check), address).await, result, "{protocols:?}");
    }
}
