//! How a target's certificate is verified: against authorities, against itself, or not at all.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime},
};
use webpki::{EndEntityCert, RawPublicKeyEntity};
use x509_parser::certificate::X509Certificate;

/// Trusts what authorities signed (RFC 5280), and certificates that the operator named as they are.
///
/// Path validation refuses a certificate of an authority as a server's own, and anything older than X.509 v3. What
/// `openssl req -x509` makes is both a server's certificate and its own authority, so a target that shows a certificate octet for
/// octet as the operator named it needs no path: only its validity, its name and the handshake's signature count.
#[derive(Debug)]
pub(super) struct Verifier {
    authorities: Arc<WebPkiServerVerifier>,
    named: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    /// Trusts `roots`, and `named` as they are.
    ///
    /// # Errors
    /// There are no roots.
    pub(super) fn new(
        roots: RootCertStore,
        named: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, rustls::client::VerifierBuilderError> {
        let authorities = WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(&provider)).build()?;
        Ok(Self { authorities, named, provider })
    }

    fn is_named(&self, certificate: &CertificateDer<'_>) -> bool {
        self.named.iter().any(|named| named.as_ref() == certificate.as_ref())
    }

    /// Whether the key of a certificate of any version made this signature. `most` algorithms of the scheme are tried.
    fn verify_with_key(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
        most: usize,
    ) -> Result<HandshakeSignatureValid, Error> {
        let certificate = parsed(certificate)?;
        let key = SubjectPublicKeyInfoDer::from(certificate.public_key().raw);
        let key = RawPublicKeyEntity::try_from(&key).map_err(|_| CertificateError::BadEncoding)?;
        let schemes = self.provider.signature_verification_algorithms.mapping;
        let algorithms = schemes.iter().find(|(scheme, _)| *scheme == signed.scheme).map_or(&[][..], |(_, all)| all);
        let is_valid = |algorithm| key.verify_signature(algorithm, message, signed.signature()).is_ok();
        match algorithms.iter().take(most).any(|&algorithm| is_valid(algorithm)) {
            true => Ok(HandshakeSignatureValid::assertion()),
            false => Err(CertificateError::BadSignature.into()),
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if !self.is_named(own) {
            return self.authorities.verify_server_cert(own, between, name, ocsp_response, now);
        }
        let certificate = parsed(own)?;
        is_in_time(&certificate, now)?;
        is_for(own, &certificate, name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if self.is_named(certificate) {
            return self.verify_with_key(message, certificate, signed, usize::MAX);
        }
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if self.is_named(certificate) {
            // TLS 1.3 ties each scheme to one algorithm, the first.
            return self.verify_with_key(message, certificate, signed, 1);
        }
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn parsed<'c>(certificate: &'c CertificateDer<'_>) -> Result<X509Certificate<'c>, Error> {
    let parsed = x509_parser::parse_x509_certificate(certificate).map_err(|_| CertificateError::BadEncoding)?;
    Ok(parsed.1)
}

fn is_in_time(certificate: &X509Certificate<'_>, now: UnixTime) -> Result<(), Error> {
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let validity = certificate.validity();
    if now < validity.not_before.timestamp() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > validity.not_after.timestamp() {
        return Err(CertificateError::Expired.into());
    }
    Ok(())
}

/// Compares the name with the certificate's alternative names; without any, with its common name (RFC 6125 section 6.4.4).
fn is_for(der: &CertificateDer<'_>, certificate: &X509Certificate<'_>, name: &ServerName<'_>) -> Result<(), Error> {
    let is_for = if matches!(certificate.subject_alternative_name(), Ok(Some(_))) {
        EndEntityCert::try_from(der).is_ok_and(|own| own.verify_is_valid_for_subject_name(name).is_ok())
    } else {
        let wanted = name.to_str();
        let mut common = certificate.subject().iter_common_name().filter_map(|common| common.as_str().ok());
        common.any(|common| common.eq_ignore_ascii_case(&wanted))
    };
    if is_for { Ok(()) } else { Err(CertificateError::NotValidForName.into()) }
}

/// Trusts any certificate, for `verify = false`.
///
/// It does not look at the handshake's signature either: an attacker who could forge that could as well show another certificate, and so
/// keys and algorithms that this process cannot verify do no harm.
#[derive(Debug)]
pub(super) struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _own: &CertificateDer<'_>,
        _between: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    /// All that have a name, so that the target finds one for its key; SHA-1 last.
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::ECDSA_NISTP521_SHA512,
            SignatureScheme::ED25519,
            SignatureScheme::ED448,
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PSS_SHA384,
            SignatureScheme::RSA_PSS_SHA512,
            SignatureScheme::RSA_PKCS1_SHA256,
            SignatureScheme::RSA_PKCS1_SHA384,
            SignatureScheme::RSA_PKCS1_SHA512,
            SignatureScheme::ECDSA_SHA1_Legacy,
            SignatureScheme::RSA_PKCS1_SHA1,
        ]
    }
}
