//! TLS for probes and polls: trusted authorities, the handshake, and the failure that a failed
//! handshake stands for.
//!
//! rustls supports TLS 1.2 and 1.3 with ECDHE. A target that offers only TLS 1.1 or RSA key
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

use super::result::ProbeError;
use crate::{
    files::{self, SymlinkPolicy},
    health::{ClientCertificate, Failure, TlsOptions},
};

pub(super) use lenient_stream::LenientTlsStream;
use verifiers::{AnyCertificate, CertificateVerifier};

/// The TLS options of a check, with their files read.
#[derive(Debug, Clone)]
pub(super) struct TlsClient {
    config: Arc<ClientConfig>,
    /// Verifies a chain for a later time, to find out when it expires.
    verifier: Arc<dyn ServerCertVerifier>,
    has_client_certificate: bool,
}

/// Sends no certificate, and records whether the target requested one.
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
    /// Reads the files that the options name, so call it on a blocking thread. Offers `protocols`
    /// by ALPN.
    ///
    /// # Errors [`Failure::MonitorUnusable`] if a file cannot be used, and
    /// [`Failure::NoSystemAuthorities`] if no authority is trusted: no probe of the check can pass.
    pub(super) fn new(options: &TlsOptions, protocols: &[&[u8]]) -> Result<Self, Failure> {
        let monitor_unusable =
            |error: &dyn std::fmt::Display| Failure::MonitorUnusable(error.to_string().into());
        let provider =
            if options.verify { algorithms::provider() } else { algorithms::unverified_provider() };
        let verifier: Arc<dyn ServerCertVerifier> = if options.verify {
            let (roots, pinned) = match &options.authorities {
                Some(path) => read_authorities(path)?,
                None => (system_roots()?, Vec::new()),
            };
            Arc::new(
                CertificateVerifier::new(roots, pinned, Arc::clone(&provider))
                    .map_err(|error| monitor_unusable(&error))?,
            )
        } else {
            Arc::new(AnyCertificate)
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| monitor_unusable(&error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier));
        let mut config = match &options.client_certificate {
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
        // A server does not send its certificate again in a resumed session, so a check would pass
        // with an expired one.
        config.resumption = Resumption::disabled();
        let has_client_certificate = options.client_certificate.is_some();
        Ok(Self { config: Arc::new(config), verifier, has_client_certificate })
    }

    /// Makes the handshake on `stream`.
    ///
    /// # Errors
    /// The reason why the handshake failed.
    pub(super) async fn connect(
        &self,
        name: ServerName<'static>,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, ProbeError> {
        let no_certificate = Arc::new(NoClientCertificate::default());
        let config = match self.has_client_certificate {
            true => Arc::clone(&self.config),
            false => {
                let mut config = ClientConfig::clone(&self.config);
                config.client_auth_cert_resolver =
                    Arc::clone(&no_certificate) as Arc<dyn ResolvesClientCert>;
                Arc::new(config)
            }
        };
        TlsConnector::from(config).connect(name.clone(), stream).await.map_err(|error| {
            match tls_error(&error) {
                Some(inner) if no_certificate.was_requested.load(Relaxed) => {
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

    /// Whether a client would reject the chain as expired at `time`.
    pub(super) fn has_expired_by(
        &self,
        time: UnixTime,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
    ) -> bool {
        let Some((end_entity, intermediates)) = chain.split_first() else { return false };
        let verified = self.verifier.verify_server_cert(end_entity, intermediates, name, &[], time);
        verified
            .is_err_and(|error| failures::tls_failure(&error, None) == Failure::CertificateExpired)
    }
}

/// The name that the certificate of a target must be valid for: `host`, else the target `literal`,
/// a name or an address as text.
///
/// # Errors
/// [`Failure::MonitorUnusable`] if no certificate can be valid for it.
pub(super) fn server_name(
    host: Option<&str>,
    literal: &str,
) -> Result<ServerName<'static>, Failure> {
    ServerName::try_from(host.unwrap_or(literal).to_owned())
        .map_err(|_| Failure::MonitorUnusable("its host is not valid in a certificate".into()))
}

/// The failure that an error on a connection stands for; the error may contain one of TLS.
pub(super) fn connection_error(error: &std::io::Error) -> ProbeError {
    match tls_error(error) {
        Some(inner) => failures::tls_failure(inner, None).into(),
        None => match error.raw_os_error() {
            Some(code) => std::io::Error::from_raw_os_error(code).into(),
            None => std::io::Error::from(error.kind()).into(),
        },
    }
}

/// The error of TLS that an error on a connection contains.
fn tls_error(error: &std::io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

/// The largest file of certificates or keys, in octets, that is read.
const MAX_FILE_OCTETS: u64 = 1 << 20;

fn read_client_certificate(
    files: &ClientCertificate,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Failure> {
    let read_error = |what: &str, path: &Path, error: &dyn std::fmt::Display| {
        Failure::MonitorUnusable(
            format!("cannot read the client {what} in {}: {error}", path.display()).into(),
        )
    };
    let certificate =
        |error: &dyn std::fmt::Display| read_error("certificate", &files.certificate, error);
    let octets = files::read(&files.certificate, SymlinkPolicy::Follow, MAX_FILE_OCTETS)
        .map_err(|error| certificate(&error))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&octets).collect();
    let chain: Vec<CertificateDer<'static>> = chain.map_err(|error| certificate(&error))?;
    if chain.is_empty() {
        return Err(certificate(&"the file contains no certificate"));
    }
    let octets = files::read(&files.key, SymlinkPolicy::Follow, MAX_FILE_OCTETS)
        .map_err(|error| read_error("key", &files.key, &error))?;
    let key = PrivateKeyDer::from_pem_slice(&octets)
        .map_err(|error| read_error("key", &files.key, &error))?;
    Ok((chain, key))
}

/// The certificates of a file: as authorities, and as pinned certificates.
fn read_authorities(path: &Path) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), Failure> {
    let read_error = |error: &dyn std::fmt::Display| {
        Failure::MonitorUnusable(
            format!("cannot read the authorities in {}: {error}", path.display()).into(),
        )
    };
    let (mut roots, mut pinned) = (RootCertStore::empty(), Vec::new());
    let octets = files::read(path, SymlinkPolicy::Follow, MAX_FILE_OCTETS)
        .map_err(|error| read_error(&error))?;
    for certificate in CertificateDer::pem_slice_iter(&octets) {
        let certificate: CertificateDer<'static> =
            certificate.map_err(|error| read_error(&error))?;
        roots
            .add(certificate.clone())
            .map_err(|_| read_error(&"the file contains a certificate that is not X.509"))?;
        pinned.push(certificate);
    }
    if roots.is_empty() {
        Err(read_error(&"the file contains no certificate"))
    } else {
        Ok((roots, pinned))
    }
}

/// The system's authorities. The configuration warns if there are none.
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
