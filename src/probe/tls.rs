//! TLS for probes: whom to trust, the handshake, and what a failed one means.

use std::{path::Path, sync::Arc};

use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::attempt::Trouble;
use crate::health::{ClientCertificate, Failure, TlsTerms};

/// The terms of a check made ready.
#[derive(Debug, Clone)]
pub(super) struct Security {
    config: Arc<ClientConfig>,
    /// Says whether a chain will hold later; `None` where certificates are not looked at, or nobody is trusted.
    verifier: Option<Arc<WebPkiServerVerifier>>,
}

impl Security {
    /// Reads the files that the terms name: not for an async task. Of `protocols` (ALPN) the target chooses one.
    ///
    /// # Errors
    /// [`Failure::Monitor`] where a file cannot be used: no probe of the check can pass.
    pub(super) fn new(terms: &TlsTerms, protocols: &[&[u8]]) -> Result<Self, Failure> {
        let unusable = |error: &dyn std::fmt::Display| Failure::Monitor(error.to_string().into());
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?;
        let mut verifier = None;
        let builder = if terms.verify {
            let roots = Arc::new(match &terms.authorities {
                Some(path) => roots_in(path)?,
                None => system_roots(),
            });
            verifier = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), provider).build().ok();
            builder.with_root_certificates(roots)
        } else {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider)))
        };
        let mut config = match &terms.client_certificate {
            None => builder.with_no_client_auth(),
            Some(files) => {
                let (chain, key) = identity_in(files)?;
                builder.with_client_auth_cert(chain, key).map_err(|error| {
                    let files = format!("{} and {}", files.certificate.display(), files.key.display());
                    Failure::Monitor(format!("cannot use the client certificate in {files}: {error}").into())
                })?
            }
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        // A resumed session is not asked for its certificate again: one that expires would go on passing.
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config), verifier })
    }

    /// Shakes hands.
    ///
    /// # Errors
    /// Why there is no secured connection.
    pub(super) async fn secure(
        &self,
        name: ServerName<'static>,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Trouble> {
        TlsConnector::from(Arc::clone(&self.config)).connect(name, stream).await.map_err(|error| trouble_of(&error))
    }

    /// Whether the chain will have expired by `time`, as a client would judge it then.
    pub(super) fn has_expired_by(&self, time: UnixTime, chain: &[CertificateDer<'_>], name: &ServerName<'_>) -> bool {
        let (Some(verifier), Some((own, between))) = (&self.verifier, chain.split_first()) else { return false };
        let judged = verifier.verify_server_cert(own, between, name, &[], time);
        judged.is_err_and(|error| failure_of(&error) == Failure::CertificateExpired)
    }
}

/// The name that a target must have a certificate for: `host`, or its own name or address `literal`.
///
/// # Errors
/// [`Failure::Monitor`] where no certificate can be for that.
pub(super) fn server_name(host: Option<&str>, literal: &str) -> Result<ServerName<'static>, Failure> {
    ServerName::try_from(host.unwrap_or(literal).to_owned())
        .map_err(|_| Failure::Monitor("its host cannot stand in a certificate".into()))
}

/// What an error on a connection means, which may be one of TLS.
pub(super) fn trouble_of(error: &std::io::Error) -> Trouble {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(inner) => failure_of(inner).into(),
        None => match error.raw_os_error() {
            Some(code) => std::io::Error::from_raw_os_error(code).into(),
            None => std::io::Error::from(error.kind()).into(),
        },
    }
}

fn identity_in(files: &ClientCertificate) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Failure> {
    let broken = |what: &str, path: &Path, error: &dyn std::fmt::Display| {
        Failure::Monitor(format!("cannot read the client {what} in {}: {error}", path.display()).into())
    };
    let certificate = |error: &dyn std::fmt::Display| broken("certificate", &files.certificate, error);
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(&files.certificate).map_err(|error| certificate(&error))?.collect();
    let chain = chain.map_err(|error| certificate(&error))?;
    if chain.is_empty() {
        return Err(certificate(&"the file holds no certificate"));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| broken("key", &files.key, &error))?;
    Ok((chain, key))
}

fn roots_in(path: &Path) -> Result<RootCertStore, Failure> {
    let broken = |error: &dyn std::fmt::Display| {
        Failure::Monitor(format!("cannot read the authorities in {}: {error}", path.display()).into())
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| broken(&error))? {
        roots.add(certificate.map_err(|error| broken(&error))?).map_err(|error| broken(&error))?;
    }
    if roots.is_empty() { Err(broken(&"the file holds no certificate")) } else { Ok(roots) }
}

/// The system's authorities; none where the system has none, and then no certificate is trusted.
fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let (_, refused) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    tracing::debug!(certificates = roots.len(), unusable = refused, "system CA certificates loaded");
    roots
}

/// What an error of the handshake says of the target.
pub(super) fn failure_of(error: &rustls::Error) -> Failure {
    use CertificateError as Bad;
    let bad = match error {
        rustls::Error::InvalidCertificate(bad) => bad,
        rustls::Error::AlertReceived(alert) if is_about_our_certificate(*alert) => return Failure::ClientCertificate,
        _ => return Failure::Tls,
    };
    match bad {
        Bad::Expired | Bad::ExpiredContext { .. } => Failure::CertificateExpired,
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => Failure::CertificateNotYetValid,
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => Failure::CertificateForOtherName,
        Bad::UnknownIssuer => Failure::CertificateUntrusted,
        _ => Failure::CertificateBad,
    }
}

/// Whether a target's alert says that it does not like what we showed of ourselves.
fn is_about_our_certificate(alert: AlertDescription) -> bool {
    use AlertDescription as Alert;
    matches!(
        alert,
        Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
    )
}

/// Trusts any certificate, for `verify = false`; the handshake must still be signed with it.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
