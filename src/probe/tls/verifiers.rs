//! Verification of a target's certificate: against authorities, against pinned certificates, or not
//! at all.

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
use x509_parser::{
    certificate::X509Certificate,
    extensions::{ParsedExtension, X509Extension},
    public_key::PublicKey,
    x509::X509Version,
};

use super::{algorithms::PSS_SCHEMES, failures::CertificateRefusal};

/// Trusts certificates that an authority signed (RFC 5280), and pinned ones: those in the
/// operator's file.
///
/// Path validation refuses the certificate of an authority as that of a server, and all versions
/// before X.509 v3. If a pinned authority signed such a certificate directly, this verifier checks
/// its signature, validity, name and purpose itself. `openssl req -x509` makes a certificate that
/// is both that of a server and its own authority. Therefore a target whose certificate equals a
/// pinned one octet for octet needs no path: only its validity, its name and the signature of the
/// handshake are checked.
#[derive(Debug)]
pub(super) struct CertificateVerifier {
    authorities: Arc<WebPkiServerVerifier>,
    pinned: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl CertificateVerifier {
    /// A verifier that trusts `roots` as authorities and `pinned` as they are.
    ///
    /// # Errors
    /// There are no roots.
    pub(super) fn new(
        roots: RootCertStore,
        pinned: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, rustls::client::VerifierBuilderError> {
        let authorities =
            WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(&provider))
                .build()?;
        Ok(Self { authorities, pinned, provider })
    }

    fn is_pinned(&self, certificate: &CertificateDer<'_>) -> bool {
        self.pinned.iter().any(|pinned| pinned.as_ref() == certificate.as_ref())
    }

    /// Verifies a signature of a handshake with the key of a certificate of any version. Tries at
    /// most the first `max_algorithms` of the scheme.
    fn verify_with_key(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
        max_algorithms: usize,
    ) -> Result<HandshakeSignatureValid, Error> {
        let der = certificate;
        let certificate = parse_certificate(der)?;
        let key = SubjectPublicKeyInfoDer::from(certificate.public_key().raw);
        let key = RawPublicKeyEntity::try_from(&key).map_err(|_| CertificateError::BadEncoding)?;
        let schemes = self.provider.signature_verification_algorithms.mapping;
        let algorithms = schemes
            .iter()
            .find(|(scheme, _)| *scheme == signed.scheme)
            .map_or(&[][..], |(_, all)| all);
        let is_valid =
            |algorithm| key.verify_signature(algorithm, message, signed.signature()).is_ok();
        match algorithms.iter().take(max_algorithms).any(|&algorithm| is_valid(algorithm)) {
            true => Ok(HandshakeSignatureValid::assertion()),
            false if is_short_rsa(der) => Err(CertificateRefusal::ShortRsaKey.into()),
            false => Err(CertificateError::BadSignature.into()),
        }
    }

    /// Whether a pinned authority without name constraints signed the certificate directly.
    fn is_signed_by_pinned(&self, certificate: &X509Certificate<'_>) -> bool {
        self.pinned.iter().any(|pinned| {
            let Ok(authority) = parse_certificate(pinned) else { return false };
            let is_issuer = authority.subject().as_raw() == certificate.issuer().as_raw();
            is_issuer
                && !has_name_constraints(&authority)
                && self.is_signed_by(certificate, &authority)
        })
    }

    fn is_signed_by(
        &self,
        certificate: &X509Certificate<'_>,
        authority: &X509Certificate<'_>,
    ) -> bool {
        let key = SubjectPublicKeyInfoDer::from(authority.public_key().raw);
        let Ok(key) = RawPublicKeyEntity::try_from(&key) else { return false };
        let (message, signature) =
            (certificate.tbs_certificate.as_ref(), &certificate.signature_value.data);
        let mut algorithms = self.provider.signature_verification_algorithms.all.iter();
        algorithms.any(|algorithm| key.verify_signature(*algorithm, message, signature).is_ok())
    }
}

impl ServerCertVerifier for CertificateVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.is_pinned(end_entity) {
            let certificate = parse_certificate(end_entity)?;
            check_validity(&certificate, now)?;
            check_name(end_entity, &certificate, name)?;
            return Ok(ServerCertVerified::assertion());
        }
        let error = match self.authorities.verify_server_cert(
            end_entity,
            intermediates,
            name,
            ocsp_response,
            now,
        ) {
            Ok(verified) => return Ok(verified),
            Err(error) => error,
        };
        let certificate = parse_certificate(end_entity)?;
        let is_refused_by_form = is_chain_error(&error, |error| {
            matches!(
                error,
                webpki::Error::CaUsedAsEndEntity | webpki::Error::UnsupportedCertVersion
            )
        });
        if is_refused_by_form && self.is_signed_by_pinned(&certificate) {
            let has_names = matches!(certificate.subject_alternative_name(), Ok(Some(_)));
            check_validity(&certificate, now)?;
            check_name(end_entity, &certificate, name)?;
            check_server_purpose(&certificate)?;
            if certificate.version() == X509Version::V3 && !has_names {
                return Err(CertificateError::NotValidForName.into());
            }
            return Ok(ServerCertVerified::assertion());
        }
        let is_short =
            || [end_entity].into_iter().chain(intermediates).chain(&self.pinned).any(is_short_rsa);
        match error {
            Error::InvalidCertificate(CertificateError::BadSignature) if is_short() => {
                Err(CertificateRefusal::ShortRsaKey.into())
            }
            error => Err(error),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if self.is_pinned(certificate) || EndEntityCert::try_from(certificate).is_err() {
            return self.verify_with_key(message, certificate, signed, usize::MAX);
        }
        verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.provider.signature_verification_algorithms,
        )
        .map_err(|error| with_short_key_reason(error, certificate))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if self.is_pinned(certificate) || EndEntityCert::try_from(certificate).is_err() {
            // TLS 1.3 binds each scheme to one algorithm, the first.
            return self.verify_with_key(message, certificate, signed, 1);
        }
        verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.provider.signature_verification_algorithms,
        )
        .map_err(|error| with_short_key_reason(error, certificate))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn parse_certificate<'c>(
    certificate: &'c CertificateDer<'_>,
) -> Result<X509Certificate<'c>, Error> {
    let parsed = x509_parser::parse_x509_certificate(certificate)
        .map_err(|_| CertificateError::BadEncoding)?;
    Ok(parsed.1)
}

/// Whether an error is one of path validation that `accepts` returns true for.
fn is_chain_error(error: &Error, accepts: impl Fn(&webpki::Error) -> bool) -> bool {
    match error {
        Error::InvalidCertificate(CertificateError::Other(other)) => {
            other.0.downcast_ref().is_some_and(accepts)
        }
        _ => false,
    }
}

/// Whether a certificate has an RSA key of fewer than 2048 bits. ring rejects all signatures by
/// such keys, and reports only that the signature is wrong.
fn is_short_rsa(certificate: &CertificateDer<'_>) -> bool {
    let Ok(certificate) = parse_certificate(certificate) else { return false };
    matches!(certificate.public_key().parsed(), Ok(PublicKey::RSA(key)) if key.key_size() < 2048)
}

fn with_short_key_reason(error: Error, certificate: &CertificateDer<'_>) -> Error {
    match error {
        Error::InvalidCertificate(CertificateError::BadSignature) if is_short_rsa(certificate) => {
            CertificateRefusal::ShortRsaKey.into()
        }
        error => error,
    }
}

fn has_name_constraints(certificate: &X509Certificate<'_>) -> bool {
    !matches!(certificate.name_constraints(), Ok(None))
}

/// Checks the critical extensions and the extended key usage, as path validation does, for a
/// certificate that path validation refuses because of its form.
fn check_server_purpose(certificate: &X509Certificate<'_>) -> Result<(), Error> {
    let is_known = |extension: &X509Extension<'_>| {
        matches!(
            extension.parsed_extension(),
            ParsedExtension::BasicConstraints(_)
                | ParsedExtension::KeyUsage(_)
                | ParsedExtension::ExtendedKeyUsage(_)
                | ParsedExtension::SubjectAlternativeName(_)
        )
    };
    if certificate.extensions().iter().any(|extension| extension.critical && !is_known(extension)) {
        return Err(CertificateRefusal::CriticalExtension.into());
    }
    match certificate.extended_key_usage() {
        Ok(None) => Ok(()),
        Ok(Some(usage)) if usage.value.server_auth || usage.value.any => Ok(()),
        _ => Err(CertificateRefusal::WrongPurpose.into()),
    }
}

fn check_validity(certificate: &X509Certificate<'_>, now: UnixTime) -> Result<(), Error> {
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

/// Compares the name with the alternative names of the certificate; if it has none, with its common
/// name (RFC 6125 section 6.4.4). The caller requires alternative names of a certificate that an
/// authority signed, unless its version has none.
fn check_name(
    der: &CertificateDer<'_>,
    certificate: &X509Certificate<'_>,
    name: &ServerName<'_>,
) -> Result<(), Error> {
    let is_valid_name = if matches!(certificate.subject_alternative_name(), Ok(Some(_))) {
        EndEntityCert::try_from(der)
            .is_ok_and(|end_entity| end_entity.verify_is_valid_for_subject_name(name).is_ok())
    } else {
        let wanted = name.to_str();
        let mut common =
            certificate.subject().iter_common_name().filter_map(|common| common.as_str().ok());
        common.any(|common| common.eq_ignore_ascii_case(&wanted))
    };
    if is_valid_name { Ok(()) } else { Err(CertificateError::NotValidForName.into()) }
}

/// Trusts any certificate, for `verify = false`.
///
/// It does not verify the signature of the handshake either: an attacker who can forge it could
/// also send another certificate. So a target may use keys and algorithms that this process cannot
/// verify.
#[derive(Debug)]
pub(super) struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
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

    /// All schemes, so that the target finds one for its key; SHA-1 last.
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
            PSS_SCHEMES[0],
            PSS_SCHEMES[1],
            PSS_SCHEMES[2],
        ]
    }
}
