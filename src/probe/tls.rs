//! TLS for probes and polls: what to trust, the handshake, and what a failed one means.
//!
//! TLS 1.2 and 1.3 with ECDHE, as rustls speaks them. A target that offers only TLS 1.1 or RSA key exchange fails, and the failure
//! says so.

mod algorithms;
mod stream;
mod verifiers;

use std::{path::Path, sync::Arc};

use rustls::{
    AlertDescription, CertificateError, ClientConfig, PeerIncompatible, RootCertStore,
    client::{Resumption, danger::ServerCertVerifier},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::attempt::Trouble;
use crate::health::{ClientCertificate, Failure, TlsTerms};

pub(super) use stream::Tolerant;
use verifiers::{AnyCertificate, Verifier};

/// The terms of a check made ready.
#[derive(Debug, Clone)]
pub(super) struct Security {
    config: Arc<ClientConfig>,
    /// Says whether a chain will hold later.
    verifier: Arc<dyn ServerCertVerifier>,
}

impl Security {
    /// Reads the files that the terms name: not for an async task. Of `protocols` (ALPN) the target chooses one.
    ///
    /// # Errors
    /// [`Failure::Monitor`] where a file cannot be used, or nothing is trusted: no probe of the check can pass.
    pub(super) fn new(terms: &TlsTerms, protocols: &[&[u8]]) -> Result<Self, Failure> {
        let unusable = |error: &dyn std::fmt::Display| Failure::Monitor(error.to_string().into());
        let provider = algorithms::provider();
        let verifier: Arc<dyn ServerCertVerifier> = if terms.verify {
            let (roots, named) = match &terms.authorities {
                Some(path) => authorities_in(path)?,
                None => (system_roots()?, Vec::new()),
            };
            Arc::new(Verifier::new(roots, named, Arc::clone(&provider)).map_err(|error| unusable(&error))?)
        } else {
            Arc::new(AnyCertificate)
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier));
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
        let Some((own, between)) = chain.split_first() else { return false };
        let judged = self.verifier.verify_server_cert(own, between, name, &[], time);
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

/// The certificates of a file: as authorities, and as what they are.
fn authorities_in(path: &Path) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), Failure> {
    let broken = |error: &dyn std::fmt::Display| {
        Failure::Monitor(format!("cannot read the authorities in {}: {error}", path.display()).into())
    };
    let (mut roots, mut named) = (RootCertStore::empty(), Vec::new());
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| broken(&error))? {
        let certificate = certificate.map_err(|error| broken(&error))?;
        roots.add(certificate.clone()).map_err(|error| broken(&error))?;
        named.push(certificate);
    }
    if roots.is_empty() { Err(broken(&"the file holds no certificate")) } else { Ok((roots, named)) }
}

/// The system's authorities. That there are none is a warning of the configuration.
fn system_roots() -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    let (_, refused) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    tracing::debug!(certificates = roots.len(), unusable = refused, "system CA certificates loaded");
    if roots.is_empty() { Err(Failure::NoSystemAuthorities) } else { Ok(roots) }
}

/// What an error of the handshake says of the target.
pub(super) fn failure_of(error: &rustls::Error) -> Failure {
    match error {
        rustls::Error::InvalidCertificate(bad) => failure_of_certificate(bad),
        rustls::Error::AlertReceived(alert) if is_about_our_certificate(*alert) => {
            Failure::ClientCertificate(alert_name(*alert).into())
        }
        rustls::Error::AlertReceived(alert) => Failure::Tls(alert_text(*alert).into()),
        rustls::Error::InvalidMessage(_) => Failure::Tls("what the target sent is not TLS".into()),
        rustls::Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13 | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => Failure::Tls("the target speaks TLS 1.1 or older alone".into()),
        other => Failure::Tls(other.to_string().into()),
    }
}

fn failure_of_certificate(bad: &CertificateError) -> Failure {
    use CertificateError as Bad;
    match bad {
        Bad::Expired | Bad::ExpiredContext { .. } => Failure::CertificateExpired,
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => Failure::CertificateNotYetValid,
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => Failure::CertificateForOtherName,
        Bad::UnknownIssuer => Failure::CertificateUntrusted,
        // It is its own authority, and `ca` does not hold it.
        Bad::Other(other) if matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity)) => {
            Failure::CertificateUntrusted
        }
        other => Failure::CertificateBad(other.to_string().into()),
    }
}

/// What an alert of the target says, and what may help where it says that both sides have nothing in common.
fn alert_text(alert: AlertDescription) -> String {
    use AlertDescription as Alert;
    let name = alert_name(alert);
    match alert {
        Alert::ProtocolVersion => format!("the target's alert is {name}: it may speak TLS 1.1 or older alone"),
        Alert::HandshakeFailure | Alert::InsufficientSecurity => {
            format!("the target's alert is {name}: it may offer RSA key exchange or old ciphers alone")
        }
        Alert::UnrecognisedName => format!("the target's alert is {name}: it does not know the monitor's `host`"),
        Alert::NoApplicationProtocol => format!("the target's alert is {name}: it does not offer this version of HTTP"),
        _ => format!("the target's alert is {name}"),
    }
}

/// An alert as RFC 8446 section 6 writes it: `handshake_failure`.
fn alert_name(alert: AlertDescription) -> String {
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
