//! TLS for probes: whom to trust, and what a failed handshake means.

use std::{path::Path, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

use crate::health::{Failure, HttpCheck};

/// The client configuration for a check. Reads files: not for an async task.
///
/// # Errors
/// [`Failure::Monitor`] where the check's authorities cannot be read: no probe of it can pass.
pub(super) fn client_config(check: &HttpCheck) -> Result<Arc<ClientConfig>, Failure> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::Monitor(error.to_string().into()))?;
    let mut config = if check.verify {
        let roots = match &check.authorities {
            Some(path) => roots_in(path)?,
            None => system_roots(),
        };
        builder.with_root_certificates(roots).with_no_client_auth()
    } else {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider))).with_no_client_auth()
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A resumed session is not asked for its certificate again: one that expires would go on passing.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
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
    tracing::debug!(authorities = roots.len(), refused, "system authorities loaded");
    roots
}

/// What an error of the handshake says of the target.
pub(super) fn failure_of(error: &rustls::Error) -> Failure {
    use CertificateError as Bad;
    let rustls::Error::InvalidCertificate(bad) = error else { return Failure::Tls };
    match bad {
        Bad::Expired | Bad::ExpiredContext { .. } => Failure::CertificateExpired,
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => Failure::CertificateNotYetValid,
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => Failure::CertificateForOtherName,
        Bad::UnknownIssuer => Failure::CertificateUntrusted,
        _ => Failure::CertificateBad,
    }
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
