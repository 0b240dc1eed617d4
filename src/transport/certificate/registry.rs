//! All certificates of the process. A pair of files is read once, however many transports use it.

use std::{path::Path, sync::Arc};

use super::{
    error::CertificateError,
    reload::{Certificate, CertificateState},
};

/// The certificates in use. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct CertificateRegistry(Vec<Arc<Certificate>>);

impl CertificateRegistry {
    /// The certificate of these files, which are read if they are not registered yet.
    ///
    /// # Errors
    /// The file that cannot be used, the cause and the remedy.
    pub fn load(&mut self, chain: &Path, key: &Path) -> Result<Arc<Certificate>, CertificateError> {
        if let Some(known) = self.0.iter().find(|known| known.chain == *chain && known.key == *key)
        {
            return Ok(Arc::clone(known));
        }
        let certificate = Certificate::load(chain, key)?;
        self.0.push(Arc::clone(&certificate));
        Ok(certificate)
    }

    /// Whether no certificate is registered.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads all files now, at the request of an operator. Returns the errors, one line each.
    /// Blocks on the file system.
    pub fn reload(&self) -> Vec<String> {
        self.0
            .iter()
            .filter_map(|certificate| certificate.reload().err())
            .map(|error| error.one_line())
            .collect()
    }

    /// The state of each certificate. Does no I/O.
    pub fn states(&self) -> Vec<CertificateState> {
        self.0.iter().map(|certificate| certificate.state()).collect()
    }
}
