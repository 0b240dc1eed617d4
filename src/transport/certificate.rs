//! The certificate of the encrypted transports: read from PEM files, checked, and replaced when the files change.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

/// A certificate chain and its key, as the files last had them whole. New handshakes use the newest; connections keep theirs.
#[derive(Debug)]
pub struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    current: ArcSwap<CertifiedKey>,
    /// The files' states when they were last read, whether they were good or not. Whoever reloads changes it.
    seen: Mutex<[Option<FileState>; 2]>,
}

/// What tells a file that was changed or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileState {
    changed: Option<SystemTime>,
    octets: u64,
}

/// Why a certificate cannot be used.
#[derive(Debug)]
pub enum CertificateError {
    /// The file cannot be read.
    Unreadable(PathBuf, io::Error),
    /// The file holds no certificate in PEM.
    NoCertificate(PathBuf),
    /// The file holds no private key in PEM, or an encrypted one.
    NoKey(PathBuf),
    /// The file is no PEM.
    NotPem(PathBuf, pem::Error),
    /// The key is not the first certificate's.
    Mismatch(PathBuf, PathBuf),
    /// The certificate or key is of a kind that cannot be used.
    Unusable(PathBuf, rustls::Error),
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, cause) => write!(f, "{}: cannot read it: {cause}", path.display()),
            Self::NoCertificate(path) => write!(
                f,
                "{}: no certificate in it\n  help: it should hold `-----BEGIN CERTIFICATE-----` blocks, the server's own first, then its issuers'",
                path.display()
            ),
            Self::NoKey(path) => write!(
                f,
                "{}: no private key in it\n  help: it should hold one `-----BEGIN PRIVATE KEY-----` block, not encrypted",
                path.display()
            ),
            Self::NotPem(path, cause) => write!(f, "{}: not PEM: {cause}", path.display()),
            Self::Mismatch(chain, key) => write!(
                f,
                "{}: not the key of the first certificate in {}\n  help: the server's own certificate comes first in the chain, its issuers after it",
                key.display(),
                chain.display()
            ),
            Self::Unusable(path, cause) => write!(f, "{}: cannot be used: {cause}", path.display()),
        }
    }
}

impl std::error::Error for CertificateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable(_, cause) => Some(cause),
            Self::NotPem(_, cause) => Some(cause),
            Self::Unusable(_, cause) => Some(cause),
            Self::NoCertificate(_) | Self::NoKey(_) | Self::Mismatch(..) => None,
        }
    }
}

impl Certificate {
    /// Reads the chain (the server's own certificate first) and its key.
    ///
    /// # Errors
    /// What is wrong with which file, and how to mend it.
    pub fn load(chain: &Path, key: &Path) -> Result<Arc<Self>, CertificateError> {
        let seen = [file_state(chain), file_state(key)];
        let current = ArcSwap::from_pointee(read_pair(chain, key)?);
        Ok(Arc::new(Self { chain: chain.into(), key: key.into(), current, seen: Mutex::new(seen) }))
    }

    /// Reads the files again if they changed since they were last read; returns whether there is a new certificate. Call it
    /// on a reload, or let [`Certificate::keep_fresh`] do so.
    ///
    /// # Errors
    /// What is wrong with which file; the certificate at hand stays. Said once for each change of the files.
    pub fn reload(&self) -> Result<bool, CertificateError> {
        let states = [file_state(&self.chain), file_state(&self.key)];
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if *seen == states {
                return Ok(false);
            }
            *seen = states;
        }
        self.current.store(Arc::new(read_pair(&self.chain, &self.key)?));
        Ok(true)
    }

    /// Looks at the files this often, for ever, and takes up what changed. Looks rather than watches: certificates come by
    /// rename, by symlink and by two writes, and are in no hurry.
    pub async fn keep_fresh(self: Arc<Self>, every: Duration) {
        let mut ticks = tokio::time::interval(every);
        loop {
            ticks.tick().await;
            match self.reload() {
                Ok(true) => tracing::info!(certificate = %self.chain.display(), "certificate replaced"),
                Ok(false) => {}
                Err(error) => {
                    let certificate = self.chain.display();
                    tracing::error!(%certificate, %error, "certificate not replaced: the previous one stays in use");
                }
            }
        }
    }

    /// TLS with this certificate, for clients that speak one of these protocols (ALPN), best first.
    ///
    /// # Errors
    /// rustls has no protocol version that its provider supports.
    pub fn server_config(self: &Arc<Self>, protocols: &[&[u8]]) -> Result<Arc<ServerConfig>, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

fn file_state(path: &Path) -> Option<FileState> {
    let metadata = fs::metadata(path).ok()?;
    Some(FileState { changed: metadata.modified().ok(), octets: metadata.len() })
}

fn read_pair(chain: &Path, key: &Path) -> Result<CertifiedKey, CertificateError> {
    let read = |path: &Path| fs::read(path).map_err(|error| CertificateError::Unreadable(path.into(), error));
    let certificates = CertificateDer::pem_slice_iter(&read(chain)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| CertificateError::NotPem(chain.into(), error))?;
    if certificates.is_empty() {
        return Err(CertificateError::NoCertificate(chain.into()));
    }
    let private = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| match error {
        pem::Error::NoItemsFound => CertificateError::NoKey(key.into()),
        error => CertificateError::NotPem(key.into(), error),
    })?;
    let provider = ring::default_provider();
    let signing = provider
        .key_provider
        .load_private_key(private)
        .map_err(|error| CertificateError::Unusable(key.into(), error))?;
    let certified = CertifiedKey::new(certificates, signing);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(_)) => Err(CertificateError::Mismatch(chain.into(), key.into())),
        Err(error) => Err(CertificateError::Unusable(chain.into(), error)),
    }
}
