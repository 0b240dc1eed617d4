//! TLS for probes and polls: what to trust, the handshake, and what a failed one means.
//!
//! TLS 1.2 and 1.3 with ECDHE, as rustls speaks them. A target that offers only TLS 1.1 or RSA key
//! exchange fails, and the failure quotes its alert (`failures`).

mod algorithms;
mod failures;
mod lenient_stream;
mod verifiers;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use rustls::{
    ClientConfig, RootCertStore, SignatureScheme,
    client::{ResolvesClientCert, Resumption, danger::ServerCertVerifier},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    sign::CertifiedKey,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::check::ProbeError;
use crate::{
    files::{self, SymlinkPolicy},
    health::{ClientCertificate, Failure, TlsOptions},
};

pub(super) use lenient_stream::LenientTlsStream;
use verifiers::{AnyCertificate, CertificateVerifier};

/// The terms of a check made ready.
#[derive(Debug, Clone)]
pub(super) struct TlsClient {
    config: Arc<ClientConfig>,
    /// Says whether a chain will hold later.
    verifier: Arc<dyn ServerCertVerifier>,
    has_client_certificate: bool,
}

/// Shows no certificate, and remembers that the target has asked for one.
#[derive(Debug, Default)]
struct NoClientCertificate {
    was_requested: AtomicBool,
}

impl ResolvesClientCert for NoClientCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.was_requested.store(true, Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

impl TlsClient {
    /// Reads the files that the terms name: not for an async task. Of `protocols` (ALPN) the target
    /// chooses one.
    ///
    /// # Errors
    /// [`Failure::MonitorUnusable`] where a file cannot be used, or nothing is trusted: no probe of
    /// the check can pass.
    pub(super) fn new(terms: &TlsOptions, protocols: &[&[u8]]) -> Result<Self, Failure> {
        let unusable =
            |error: &dyn std::fmt::Display| Failure::MonitorUnusable(error.to_string().into());
        let provider =
            if terms.verify { algorithms::provider() } else { algorithms::unverified_provider() };
        let verifier: Arc<dyn ServerCertVerifier> = if terms.verify {
            let (roots, named) = match &terms.authorities {
                Some(path) => read_authorities(path)?,
                None => (system_roots()?, Vec::new()),
            };
            Arc::new(
                CertificateVerifier::new(roots, named, Arc::clone(&provider))
                    .map_err(|error| unusable(&error))?,
            )
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
                let (chain, key) = read_client_certificate(files)?;
                builder.with_client_auth_cert(chain, key).map_err(|error| {
                    let files =
                        format!("{} and {}", files.certificate.display(), files.key.display());
                    Failure::MonitorUnusable(
                        format!("cannot use the client certificate in {files}: {error}").into(),
                    )
                })?
            }
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        // A resumed session is not asked for its certificate again: one that expires would go on
        // passing.
        config.resumption = Resumption::disabled();
        let has_identity = terms.client_certificate.is_some();
        Ok(Self { config: Arc::new(config), verifier, has_client_certificate: has_identity })
    }

    /// Shakes hands.
    ///
    /// # Errors
    /// Why there is no secured connection.
    pub(super) async fn connect(
        &self,
        name: ServerName<'static>,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, ProbeError> {
        let nobody = Arc::new(NoClientCertificate::default());
        let config = match self.has_client_certificate {
            true => Arc::clone(&self.config),
            false => {
                let mut config = ClientConfig::clone(&self.config);
                config.client_auth_cert_resolver =
                    Arc::clone(&nobody) as Arc<dyn ResolvesClientCert>;
                Arc::new(config)
            }
        };
        TlsConnector::from(config).connect(name.clone(), stream).await.map_err(|error| {
            match tls_error(&error) {
                Some(inner) if nobody.was_requested.load(Relaxed) => {
                    failures::missing_client_certificate(
                        inner,
                        failures::tls_failure(inner, Some(&name)),
                    )
                    .into()
                }
                Some(inner) => failures::tls_failure(inner, Some(&name)).into(),
                None => connection_error(&error),
            }
        })
    }

    /// Whether the chain will have expired by `time`, as a client would judge it then.
    pub(super) fn has_expired_by(
        &self,
        time: UnixTime,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
    ) -> bool {
        let Some((own, between)) = chain.split_first() else { return false };
        let judged = self.verifier.verify_server_cert(own, between, name, &[], time);
        judged
            .is_err_and(|error| failures::tls_failure(&error, None) == Failure::CertificateExpired)
    }
}

/// The name that a target must have a certificate for: `host`, or its own name or address
/// `literal`.
///
/// # Errors
/// [`Failure::MonitorUnusable`] where no certificate can be for that.
pub(super) fn server_name(
    host: Option<&str>,
    literal: &str,
) -> Result<ServerName<'static>, Failure> {
    ServerName::try_from(host.unwrap_or(literal).to_owned())
        .map_err(|_| Failure::MonitorUnusable("its host cannot stand in a certificate".into()))
}

/// What an error on a connection means, which may be one of TLS.
pub(super) fn connection_error(error: &std::io::Error) -> ProbeError {
    match tls_error(error) {
        Some(inner) => failures::tls_failure(inner, None).into(),
        None => match error.raw_os_error() {
            Some(code) => std::io::Error::from_raw_os_error(code).into(),
            None => std::io::Error::from(error.kind()).into(),
        },
    }
}

/// The error of TLS that an error on a connection holds.
fn tls_error(error: &std::io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

/// The largest file of certificates or keys that is read, in octets.
const MAX_FILE_OCTETS: u64 = 1 << 20;

fn read_client_certificate(
    own: &ClientCertificate,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Failure> {
    let broken = |what: &str, path: &Path, error: &dyn std::fmt::Display| {
        Failure::MonitorUnusable(
            format!("cannot read the client {what} in {}: {error}", path.display()).into(),
        )
    };
    let certificate =
        |error: &dyn std::fmt::Display| broken("certificate", &own.certificate, error);
    let octets = files::read(&own.certificate, SymlinkPolicy::Follow, MAX_FILE_OCTETS)
        .map_err(|error| certificate(&error))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&octets).collect();
    let chain: Vec<CertificateDer<'static>> = chain.map_err(|error| certificate(&error))?;
    if chain.is_empty() {
        return Err(certificate(&"the file holds no certificate"));
    }
    let octets = files::read(&own.key, SymlinkPolicy::Follow, MAX_FILE_OCTETS)
        .map_err(|error| broken("key", &own.key, &error))?;
    let key =
        PrivateKeyDer::from_pem_slice(&octets).map_err(|error| broken("key", &own.key, &error))?;
    Ok((chain, key))
}

/// The certificates of a file: as authorities, and as what they are.
fn read_authorities(path: &Path) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), Failure> {
    let broken = |error: &dyn std::fmt::Display| {
        Failure::MonitorUnusable(
            format!("cannot read the authorities in {}: {error}", path.display()).into(),
        )
    };
    let (mut roots, mut named) = (RootCertStore::empty(), Vec::new());
    let octets = files::read(path, SymlinkPolicy::Follow, MAX_FILE_OCTETS)
        .map_err(|error| broken(&error))?;
    for certificate in CertificateDer::pem_slice_iter(&octets) {
        let certificate: CertificateDer<'static> = certificate.map_err(|error| broken(&error))?;
        roots
            .add(certificate.clone())
            .map_err(|_| broken(&"the file holds a certificate that is not X.509"))?;
        named.push(certificate);
    }
    if roots.is_empty() {
        Err(broken(&"the file holds no certificate"))
    } else {
        Ok((roots, named))
    }
}

/// The system's authorities. That there are none is a warning of the configuration.
fn system_roots() -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    let (_, refused) =
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    tracing::debug!(
        certificates = roots.len(),
        unusable = refused,
        "system CA certificates loaded"
    );
    if roots.is_empty() { Err(Failure::NoSystemAuthorities) } else { Ok(roots) }
}
