//! Errors of TLS and of certificates as failures with a text for operators. The text quotes nothing
//! that the target sent, except its alert.

use std::fmt;

use rustls::{
    AlertDescription, CertificateError, PeerIncompatible, PeerMisbehaved, pki_types::ServerName,
};

use crate::health::Failure;

/// Reasons for refusing a certificate for which rustls has no error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CertificateRefusal {
    /// An RSA key has fewer than 2048 bits.
    ShortRsaKey,
    /// The certificate has an unknown critical extension (RFC 5280 section 4.2).
    CriticalExtension,
    /// The extended key usage of the certificate does not include servers.
    WrongPurpose,
}

impl fmt::Display for CertificateRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ShortRsaKey => "its RSA key, or one in its chain, has fewer than 2048 bits",
            Self::CriticalExtension => "it has an unknown critical extension",
            Self::WrongPurpose => "its extended key usage does not allow a server",
        })
    }
}

impl std::error::Error for CertificateRefusal {}

impl From<CertificateRefusal> for rustls::Error {
    fn from(refusal: CertificateRefusal) -> Self {
        CertificateError::Other(rustls::OtherError(std::sync::Arc::new(refusal))).into()
    }
}

/// The failure that an error of TLS stands for. `name` is the server name of the handshake; `None`
/// after the handshake.
pub(super) fn tls_failure(error: &rustls::Error, name: Option<&ServerName<'_>>) -> Failure {
    use rustls::Error as Tls;
    match error {
        Tls::InvalidCertificate(bad) => certificate_failure(bad),
        Tls::AlertReceived(alert) if rejects_client_certificate(*alert) => {
            Failure::ClientCertificate(alert_name(*alert).into())
        }
        Tls::AlertReceived(alert) => Failure::Tls(alert_text(*alert, name).into()),
        Tls::InvalidMessage(_) => Failure::Tls("what the target sent is not TLS".into()),
        Tls::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13 | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => Failure::Tls("the target supports only TLS 1.1 or older".into()),
        Tls::PeerIncompatible(_) => Failure::Tls("the target requires a TLS feature that is not supported".into()),
        Tls::PeerMisbehaved(PeerMisbehaved::SignedKxWithWrongAlgorithm) => Failure::Tls(
            "the target signs with a key that cannot be used over TLS 1.2 here, such as RSA-PSS: enable TLS 1.3 on it"
                .into(),
        ),
        Tls::PeerMisbehaved(_) => Failure::Tls("the target violates the TLS protocol".into()),
        Tls::InappropriateMessage { .. } | Tls::InappropriateHandshakeMessage { .. } => {
            Failure::Tls("the target sent a TLS message out of order".into())
        }
        Tls::DecryptError => Failure::Tls("what the target sent cannot be decrypted".into()),
        Tls::PeerSentOversizedRecord => Failure::Tls("the target sent a record that is too large".into()),
        Tls::NoCertificatesPresented => Failure::Tls("the target sent no certificate".into()),
        Tls::NoApplicationProtocol => Failure::Tls("the target does not offer this version of HTTP".into()),
        _ => Failure::Tls("the handshake cannot be completed".into()),
    }
}

fn certificate_failure(bad: &CertificateError) -> Failure {
    use CertificateError as Bad;
    match bad {
        Bad::Expired | Bad::ExpiredContext { .. } => Failure::CertificateExpired,
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => Failure::CertificateNotYetValid,
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
            Failure::CertificateForOtherName
        }
        Bad::UnknownIssuer => Failure::CertificateUntrusted,
        Bad::Other(other) => {
            match (
                other.0.downcast_ref::<webpki::Error>(),
                other.0.downcast_ref::<CertificateRefusal>(),
            ) {
                // The certificate of an authority, which no trusted authority has signed.
                (Some(webpki::Error::CaUsedAsEndEntity), _) => Failure::CertificateUntrusted,
                (Some(error), _) => Failure::CertificateBad(chain_text(error).into()),
                (_, Some(refusal)) => Failure::CertificateBad(refusal.to_string().into()),
                (None, None) => Failure::CertificateBad("it cannot be verified".into()),
            }
        }
        bad => Failure::CertificateBad(certificate_text(bad).into()),
    }
}

fn certificate_text(bad: &CertificateError) -> &'static str {
    use CertificateError as Bad;
    match bad {
        Bad::BadEncoding => "it is not a valid X.509 certificate",
        Bad::Revoked => "it is revoked",
        Bad::UnhandledCriticalExtension => "it has an unknown critical extension",
        Bad::BadSignature => "its signature, one in its chain or that of the handshake is wrong",
        Bad::UnsupportedSignatureAlgorithmContext { .. }
        | Bad::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "it is signed with an algorithm that is not accepted, such as SHA-1 or Ed448"
        }
        Bad::InvalidPurpose | Bad::InvalidPurposeContext { .. } => {
            "its extended key usage does not allow a server"
        }
        _ => "it cannot be verified",
    }
}

/// The text for an error of path validation (RFC 5280 section 6).
fn chain_text(error: &webpki::Error) -> &'static str {
    use webpki::Error as Chain;
    match error {
        Chain::UnsupportedCertVersion => {
            "it is not an X.509 version 3 certificate, and `ca` does not contain the certificate that signed it"
        }
        Chain::UnsupportedCriticalExtension => "it has an unknown critical extension",
        Chain::NameConstraintViolation => {
            "an authority in its chain is not allowed to sign for the name"
        }
        Chain::PathLenConstraintViolated => {
            "its chain is longer than one of its authorities allows"
        }
        Chain::EndEntityUsedAsCa => "a certificate in its chain is not allowed to sign others",
        Chain::MaximumNameConstraintComparisonsExceeded
        | Chain::MaximumPathBuildCallsExceeded
        | Chain::MaximumPathDepthExceeded
        | Chain::MaximumSignatureChecksExceeded => "its chain is too long to be verified",
        Chain::SignatureAlgorithmMismatch => "it names two different algorithms for its signature",
        _ => "a field or an extension in it or in its chain is malformed",
    }
}

/// The text for an alert of the target, with a likely cause or remedy.
fn alert_text(alert: AlertDescription, name: Option<&ServerName<'_>>) -> String {
    use AlertDescription as Alert;
    // SNI contains no addresses (RFC 6066 section 3).
    let has_no_sni = matches!(name, Some(ServerName::IpAddress(_)));
    let hint = match alert {
        Alert::ProtocolVersion => ": it may support only TLS 1.1 or older",
        Alert::HandshakeFailure | Alert::InsufficientSecurity if has_no_sni => {
            ": no common algorithms, for example if it offers only RSA key exchange or old ciphers; if it requires a server name, set `host`"
        }
        Alert::HandshakeFailure | Alert::InsufficientSecurity => {
            ": no common algorithms, for example if it offers only RSA key exchange or old ciphers"
        }
        Alert::UnrecognisedName if has_no_sni => ": it requires a server name, set `host`",
        Alert::UnrecognisedName => {
            ": it does not serve the monitor's `host`, or without `host` the target's own name"
        }
        Alert::NoApplicationProtocol => ": it does not offer this version of HTTP",
        Alert::InternalError if has_no_sni => ": if it requires a server name, set `host`",
        _ => "",
    };
    format!("the target's alert is {}{hint}", alert_name(alert))
}

/// The name of an alert in the IANA registry: `handshake_failure`.
fn alert_name(alert: AlertDescription) -> String {
    use AlertDescription as Alert;
    match alert {
        Alert::UnrecognisedName => return "unrecognized_name".to_owned(),
        Alert::UnknownPSKIdentity => return "unknown_psk_identity".to_owned(),
        Alert::EncryptedClientHelloRequired => return "ech_required".to_owned(),
        Alert::Unknown(number) => return format!("number {number}"),
        _ => {}
    }
    let mut name = String::new();
    let mut is_after_lower = false;
    for letter in format!("{alert:?}").chars() {
        if letter.is_ascii_uppercase() && is_after_lower {
            name.push('_');
        }
        is_after_lower = letter.is_ascii_lowercase();
        name.push(letter.to_ascii_lowercase());
    }
    name
}

/// Whether an alert rejects the client certificate, or its absence.
fn rejects_client_certificate(alert: AlertDescription) -> bool {
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

/// The failure of a target that requested a client certificate and received none. Over TLS 1.2 its
/// alert may be any, so each alert counts as that.
pub(super) fn missing_client_certificate(error: &rustls::Error, failure: Failure) -> Failure {
    match error {
        rustls::Error::AlertReceived(alert) => {
            Failure::ClientCertificate(alert_name(*alert).into())
        }
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_have_the_names_of_the_registry() {
        use AlertDescription as Alert;
        for (alert, name) in [
            (Alert::HandshakeFailure, "handshake_failure"),
            (Alert::BadRecordMac, "bad_record_mac"),
            (Alert::UnknownCA, "unknown_ca"),
            (Alert::UnrecognisedName, "unrecognized_name"),
            (Alert::UnknownPSKIdentity, "unknown_psk_identity"),
            (Alert::EncryptedClientHelloRequired, "ech_required"),
            (Alert::Unknown(200), "number 200"),
        ] {
            assert_eq!(alert_name(alert), name);
        }
        let (address, host) =
            ("192.0.2.1".try_into().unwrap(), "www.example.com".try_into().unwrap());
        assert!(alert_text(Alert::UnrecognisedName, Some(&address)).ends_with("set `host`"));
        assert!(
            alert_text(Alert::UnrecognisedName, Some(&host))
                .contains("does not serve the monitor's `host`")
        );
    }

    #[test]
    fn no_text_contains_an_identifier_of_the_program() {
        let other = |error: webpki::Error| {
            CertificateError::Other(rustls::OtherError(std::sync::Arc::new(error)))
        };
        for error in [
            CertificateError::BadEncoding.into(),
            CertificateError::BadSignature.into(),
            other(webpki::Error::UnsupportedCertVersion).into(),
            other(webpki::Error::UnsupportedCriticalExtension).into(),
            CertificateRefusal::ShortRsaKey.into(),
            PeerMisbehaved::SelectedUnofferedCipherSuite.into(),
            PeerMisbehaved::SignedKxWithWrongAlgorithm.into(),
            PeerIncompatible::NoKxGroupsInCommon.into(),
            rustls::Error::General("X".to_owned()),
        ] {
            let text = tls_failure(&error, None).to_string();
            let is_plain = |word: &str| {
                word.chars().skip(1).all(|c| !c.is_uppercase()) || word.contains(['1', '-', '.'])
            };
            let is_known = |word: &str| {
                ["TLS", "RSA", "X.509", "HTTP"].iter().any(|known| word.starts_with(known))
            };
            assert!(text.split([' ', ':']).all(|word| is_plain(word) || is_known(word)), "{text}");
        }
    }
}
