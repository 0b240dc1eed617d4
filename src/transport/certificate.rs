//! The certificate of the encrypted transports: read from PEM files, checked, and replaced when the
//! files change.
//!
//! | file | step |
//! |---|---|
//! | `pem_files` | reads both files: regular files of bounded size |
//! | `error` | why they cannot be used |
//! | `renewal` | failed attempts: how many, since when, which are logged |
//! | `registry` | all certificates of the process |
//!
//! An attempt that fails changes nothing, and the next one follows at the next tick, until the
//! files can be used: a pair of which only one file is new, or a directory that is not mounted yet,
//! needs no second change.

mod error;
mod pem_files;
mod registry;
mod renewal;
#[cfg(test)]
mod tests;

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

pub use error::CertificateError;
pub use registry::CertificateRegistry;
pub use renewal::RenewalFailure;

use self::{pem_files::PairStamps, renewal::Renewal};

/// A certificate chain and its key, as the files last had them whole. New handshakes use the
/// newest; connections keep theirs.
#[derive(Debug)]
pub struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    current: ArcSwap<CurrentCertificate>,
    /// The states of the files that `current` was read from. Held while
    /// the files are read, so that one attempt is made at a time.
    pair_stamps: Mutex<PairStamps>,
    /// Never held during I/O.
    renewal: Mutex<Renewal>,
    has_refresh_task: AtomicBool,
}

/// The certificate that new handshakes use.
#[derive(Debug)]
struct CurrentCertificate {
    key: Arc<CertifiedKey>,
    /// The end of the server's own certificate (RFC 5280 section
    /// 4.1.2.5), in seconds since 1970; `None` where it cannot be read.
    expires: Option<i64>,
}

/// The state of a certificate for reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateState {
    /// The PEM file of the chain.
    pub chain: PathBuf,
    /// The PEM file of the key.
    pub key: PathBuf,
    /// When the server's own certificate in use expires, in seconds since 1970-01-01T00:00:00Z.
    pub expires: Option<i64>,
    /// Why the files on disk are not in use, if they are not.
    pub failure: Option<RenewalFailure>,
    /// Attempts to read the files that failed since the start.
    pub failures: u64,
}

/// Whether an attempt is made although the files have not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadCondition {
    /// Only if they changed, or cannot be used.
    IfChanged,
    /// In any case, and a failure is logged in any case.
    Always,
}

impl Certificate {
    /// Reads the chain (the server's own certificate first) and its key.
    ///
    /// # Errors
    /// What is wrong with which file, and the remedy.
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

    /// Reads the files now, changed or not, and logs the result. Returns whether there is a new
    /// certificate.
    ///
    /// # Errors
    /// What is wrong with which file, and the remedy; the certificate in use stays.
    pub fn reload(&self) -> Result<bool, CertificateError> {
        self.attempt(ReadCondition::Always)
    }

    /// Reads the files if they changed since they were last read, or could not be used at the last
    /// attempt. Returns whether there is a new certificate. The result is logged, the same error at
    /// most once an hour.
    ///
    /// # Errors
    /// What is wrong with which file, and the remedy; the certificate in use stays.
    pub fn refresh(&self) -> Result<bool, CertificateError> {
        self.attempt(ReadCondition::IfChanged)
    }

    /// Refreshes this often, without end. Certificates are replaced by rename, by link
    /// and by two writes, and are in no hurry: nothing is watched. Returns at once
    /// where that is done already, for another transport that shares the certificate.
    pub async fn refresh_periodically(self: Arc<Self>, every: Duration) {
        if self.has_refresh_task.swap(true, Relaxed) {
            return;
        }
        let mut ticks = tokio::time::interval(every);
        loop {
            ticks.tick().await;
            let certificate = Arc::clone(&self);
            // A file system that hangs must not hold a thread that
            // answers. An error was logged, a panic is by its hook.
            let _ = tokio::task::spawn_blocking(move || certificate.refresh()).await;
        }
    }

    /// The state for reports. Does no I/O.
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

    /// TLS with this certificate, for clients that speak one of these protocols (ALPN), best first.
    ///
    /// # Errors
    /// rustls has no protocol version that its provider supports.
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

    fn attempt(&self, attempt: ReadCondition) -> Result<bool, CertificateError> {
        let mut read = self.pair_stamps.lock().unwrap_or_else(PoisonError::into_inner);
        let is_failing = self.renewal().failure.is_some();
        if attempt == ReadCondition::IfChanged
            && !is_failing
            && *read == pem_files::pair_stamps(&self.chain, &self.key)
        {
            return Ok(false);
        }
        match pem_files::read_pair(&self.chain, &self.key) {
            Ok(pair) => {
                *read = pair.stamps;
                Ok(self.replace(CurrentCertificate::new(pair.certified)))
            }
            Err(error) => {
                self.record_failure(&error, attempt);
                Err(error)
            }
        }
    }

    /// Uses another certificate from now on. Returns whether it is another one.
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

    fn record_failure(&self, error: &CertificateError, attempt: ReadCondition) {
        let line = error.one_line();
        let is_due = self.renewal().failed(line.clone(), Instant::now(), unix_secs());
        if is_due || attempt == ReadCondition::Always {
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
        let own =
            certified.cert.first().and_then(|own| x509_parser::parse_x509_certificate(own).ok());
        Self {
            expires: own.map(|(_, own)| own.validity().not_after.timestamp()),
            key: Arc::new(certified),
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.load().key))
    }
}

fn unix_secs() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// A time in seconds since 1970 in the form of RFC 3339.
fn timestamp(secs: i64) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_second(secs).ok()
}
