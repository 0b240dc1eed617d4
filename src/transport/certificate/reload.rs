//! One certificate: reads its files, and replaces the certificate in use when they have changed.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime},
};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::ring,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::{
    error::CertificateError,
    pem_files::{self, PairStamps},
    renewal::{Renewal, RenewalFailure},
};

/// A certificate chain and its key, as last read from files that could be used. New handshakes use
/// the newest; established connections keep theirs.
#[derive(Debug)]
pub struct Certificate {
    pub(super) chain: PathBuf,
    pub(super) key: PathBuf,
    pub(super) current: ArcSwap<CurrentCertificate>,
    /// The stamps of the files that `current` was read from. Locked while the files are read, so
    /// that one attempt is made at a time.
    pub(super) pair_stamps: Mutex<PairStamps>,
    /// Never locked during I/O.
    renewal: Mutex<Renewal>,
    has_refresh_task: AtomicBool,
}

/// The certificate that new handshakes use.
#[derive(Debug)]
pub(super) struct CurrentCertificate {
    pub(super) key: Arc<CertifiedKey>,
    /// The expiry of the server's own certificate (RFC 5280 section 4.1.2.5) in seconds since 1970;
    /// `None` if it cannot be parsed.
    expires: Option<i64>,
}

/// The state of a certificate, for status reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateState {
    /// The PEM file of the chain.
    pub chain: PathBuf,
    /// The PEM file of the key.
    pub key: PathBuf,
    /// The expiry of the server's own certificate in use, in seconds since 1970-01-01T00:00:00Z.
    pub expires: Option<i64>,
    /// Why the files on disk are not in use; `None` if they are.
    pub failure: Option<RenewalFailure>,
    /// The number of failed attempts to read the files since the start.
    pub failures: u64,
}

/// When the files are read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadCondition {
    /// If they have changed, or could not be used at the last attempt.
    IfChanged,
    /// In any case; a failure is then logged in any case as well.
    Always,
}

impl Certificate {
    /// Reads the chain (the server's own certificate first) and its key.
    ///
    /// # Errors
    /// The file that cannot be used, the cause and the remedy.
    pub fn load(chain: &Path, key: &Path) -> Result<Arc<Self>, CertificateError> {
        let pair = pem_files::read_pair(chain, key)?;
        Ok(Arc::new(Self {
            chain: chain.into(),
            key: key.into(),
            current: ArcSwap::from_pointee(CurrentCertificate::new(pair.certified)),
            pair_stamps: Mutex::new(pair.stamps),
            renewal: Mutex::default(),
            has_refresh_task: AtomicBool::new(false),
        }))
    }

    /// Reads the files now, whether or not they have changed, and logs the result. Returns whether
    /// the certificate was replaced.
    ///
    /// # Errors
    /// The file that cannot be used, the cause and the remedy; the certificate in use stays.
    pub fn reload(&self) -> Result<bool, CertificateError> {
        self.attempt(ReadCondition::Always)
    }

    /// Reads the files if they have changed since they were last read, or could not be used at the
    /// last attempt. Returns whether the certificate was replaced. Logs the result, the same error
    /// at most once an hour.
    ///
    /// # Errors
    /// The file that cannot be used, the cause and the remedy; the certificate in use stays.
    pub fn refresh(&self) -> Result<bool, CertificateError> {
        self.attempt(ReadCondition::IfChanged)
    }

    /// Refreshes at this interval, without end. The files are not watched: certificates are
    /// replaced by rename, by a new link or by two writes, and a few seconds do not matter. Returns
    /// at once if another task refreshes this certificate, for another transport that shares it.
    pub async fn refresh_periodically(self: Arc<Self>, interval: Duration) {
        if self.has_refresh_task.swap(true, Relaxed) {
            return;
        }
        let mut ticks = tokio::time::interval(interval);
        loop {
            ticks.tick().await;
            let certificate = Arc::clone(&self);
            // Not on this thread, which also answers: the file system may hang. The result may be
            // ignored: `refresh` logs its errors, the panic hook its panics.
            let _ = tokio::task::spawn_blocking(move || certificate.refresh()).await;
        }
    }

    /// The state for status reports. Does no I/O.
    pub fn state(&self) -> CertificateState {
        let renewal = self.renewal();
        CertificateState {
            chain: self.chain.clone(),
            key: self.key.clone(),
            expires: self.current.load().expires,
            failure: renewal.failure.clone(),
            failures: renewal.failures,
        }
    }

    /// The TLS configuration with this certificate, which offers `protocols` (ALPN) in this order
    /// of preference.
    ///
    /// # Errors
    /// The cryptography provider of rustls supports no TLS version.
    pub fn server_config(
        self: &Arc<Self>,
        protocols: &[&[u8]],
    ) -> Result<Arc<ServerConfig>, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Arc::new(config))
    }

    fn attempt(&self, condition: ReadCondition) -> Result<bool, CertificateError> {
        let mut stamps = self.pair_stamps.lock().unwrap_or_else(PoisonError::into_inner);
        let is_failing = self.renewal().failure.is_some();
        if condition == ReadCondition::IfChanged
            && !is_failing
            && *stamps == pem_files::pair_stamps(&self.chain, &self.key)
        {
            return Ok(false);
        }
        match pem_files::read_pair(&self.chain, &self.key) {
            Ok(pair) => {
                *stamps = pair.stamps;
                Ok(self.replace(CurrentCertificate::new(pair.certified)))
            }
            Err(error) => {
                self.record_failure(&error, condition);
                Err(error)
            }
        }
    }

    /// Uses the certificate for new handshakes. Returns whether it differs from the previous one.
    fn replace(&self, new: CurrentCertificate) -> bool {
        let is_usable_again = self.renewal().succeeded();
        let is_new = self.current.load().key.cert != new.key.cert;
        let (certificate, expires) = (self.chain.display(), new.expires.and_then(timestamp));
        let expires = expires.map(tracing::field::display);
        if is_new {
            self.current.store(Arc::new(new));
            tracing::info!(%certificate, expires, "certificate replaced");
        } else if is_usable_again {
            tracing::info!(%certificate, expires, "certificate files usable again: certificate unchanged");
        }
        is_new
    }

    fn record_failure(&self, error: &CertificateError, condition: ReadCondition) {
        let line = error.one_line();
        let is_due = self.renewal().failed(line.clone(), Instant::now(), unix_secs());
        if is_due || condition == ReadCondition::Always {
            tracing::error!(
                certificate = %self.chain.display(),
                error = %line,
                expires = self.current.load().expires.and_then(timestamp).map(tracing::field::display),
                "certificate not replaced: the previous one stays in use"
            );
        }
    }

    fn renewal(&self) -> MutexGuard<'_, Renewal> {
        self.renewal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CurrentCertificate {
    fn new(certified: CertifiedKey) -> Self {
        let server_certificate =
            certified.cert.first().and_then(|der| x509_parser::parse_x509_certificate(der).ok());
        Self {
            expires: server_certificate.map(|(_, parsed)| parsed.validity().not_after.timestamp()),
            key: Arc::new(certified),
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.load().key))
    }
}

pub(super) fn unix_secs() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Seconds since 1970 as a value that is displayed in the form of RFC 3339.
fn timestamp(secs: i64) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_second(secs).ok()
}
