//! The two files of a certificate: regular files of bounded size, both read at one moment.

use std::{io, path::Path, sync::Arc};

use rustls::{
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    sign::{CertifiedKey, SigningKey},
};

use super::CertificateError;
use crate::{
    config::FileStamp,
    files::{self, SymlinkPolicy},
};

/// A chain of ten certificates has some 20 KiB.
const MAX_FILE_OCTETS: u64 = 1 << 20;
/// Files that change while they are read are read again this often at most. A later attempt goes
/// on.
const MAX_READ_ATTEMPTS: usize = 3;

/// The states of the chain's and the key's file; `None` for a file that is missing.
pub(super) type PairStamps = [Option<FileStamp>; 2];

/// The states now, with links followed.
pub(super) fn pair_stamps(chain: &Path, key: &Path) -> PairStamps {
    [chain, key].map(FileStamp::of)
}

/// A certificate that matches its key, and the states of the files that it was read from.
pub(super) struct CertifiedPair {
    pub certified: CertifiedKey,
    pub stamps: PairStamps,
}

/// Reads both files. Where they change meanwhile, both are read again,
/// so that a pair in the middle of its replacement is not used.
pub(super) fn read_pair(chain: &Path, key: &Path) -> Result<CertifiedPair, CertificateError> {
    let mut read = read_once(chain, key);
    for _ in 1..MAX_READ_ATTEMPTS {
        // An error is the caller's to retry.
        match &read {
            Ok(pair) if pair.stamps != pair_stamps(chain, key) => read = read_once(chain, key),
            _ => break,
        }
    }
    files::replenish_descriptors();
    read
}

fn read_once(chain: &Path, key: &Path) -> Result<CertifiedPair, CertificateError> {
    let (octets, chain_state) = read_file(chain)?;
    let certificates = certificates(chain, &octets)?;
    let (octets, key_state) = read_file(key)?;
    let certified = CertifiedKey::new(certificates, signing_key(key, &octets)?);
    let states = [Some(chain_state), Some(key_state)];
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
            Ok(CertifiedPair { certified, stamps: states })
        }
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(CertificateError::Mismatch(chain.into(), key.into()))
        }
        Err(error) => Err(CertificateError::Unusable(chain.into(), error)),
    }
}

/// The octets of a regular file and its state before they were read.
fn read_file(path: &Path) -> Result<(Vec<u8>, FileStamp), CertificateError> {
    let read = || {
        let (file, found) = files::open(path, SymlinkPolicy::Follow)?;
        Ok((files::read_opened(file, &found, MAX_FILE_OCTETS)?, FileStamp::from(&found)))
    };
    read().map_err(|error: io::Error| CertificateError::Unreadable(path.into(), error))
}

fn certificates(
    path: &Path,
    octets: &[u8],
) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let found = CertificateDer::pem_slice_iter(octets).collect::<Result<Vec<_>, _>>();
    match found.map_err(|error| CertificateError::NotPem(path.into(), error))? {
        none if none.is_empty() => Err(CertificateError::NoCertificate(path.into())),
        found => Ok(found),
    }
}

fn signing_key(path: &Path, octets: &[u8]) -> Result<Arc<dyn SigningKey>, CertificateError> {
    let private = PrivateKeyDer::from_pem_slice(octets).map_err(|error| match error {
        pem::Error::NoItemsFound => CertificateError::NoKey(path.into()),
        error => CertificateError::NotPem(path.into(), error),
    })?;
    let provider = ring::default_provider();
    let loaded = provider.key_provider.load_private_key(private);
    loaded.map_err(|error| CertificateError::Unusable(path.into(), error))
}
