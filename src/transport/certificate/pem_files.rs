//! The two files of a certificate: regular files of bounded size, read again if they change while
//! they are read.

use std::{io, path::Path, sync::Arc};

use rustls::{
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    sign::{CertifiedKey, SigningKey},
};

use super::error::CertificateError;
use crate::{
    config::FileStamp,
    files::{self, SymlinkPolicy},
};

/// The maximum number of octets of a file. A chain of ten certificates has some 20 KiB.
const MAX_FILE_OCTETS: u64 = 1 << 20;
/// How often files that change while they are read are read at most in one attempt.
const MAX_READ_ATTEMPTS: usize = 3;

/// The stamps of the chain's and the key's file; `None` for a file that is missing.
pub(super) type PairStamps = [Option<FileStamp>; 2];

/// The stamps of the files now, with symbolic links followed.
pub(super) fn pair_stamps(chain: &Path, key: &Path) -> PairStamps {
    [chain, key].map(FileStamp::of)
}

/// A certificate that matches its key, and the stamps of the files that it was read from.
pub(super) struct CertifiedPair {
    pub certified: CertifiedKey,
    pub stamps: PairStamps,
}

/// Reads both files. If one changes meanwhile, both are read again, so that a pair of which only
/// one file is replaced is not used.
pub(super) fn read_pair(chain: &Path, key: &Path) -> Result<CertifiedPair, CertificateError> {
    let mut read = read_once(chain, key);
    for _ in 1..MAX_READ_ATTEMPTS {
        // After an error the caller retries at the next tick.
        match &read {
            Ok(pair) if pair.stamps != pair_stamps(chain, key) => read = read_once(chain, key),
            _ => break,
        }
    }
    files::replenish_descriptors();
    read
}

fn read_once(chain: &Path, key: &Path) -> Result<CertifiedPair, CertificateError> {
    let (octets, chain_stamp) = read_file(chain)?;
    let certificates = certificates(chain, &octets)?;
    let (octets, key_stamp) = read_file(key)?;
    let certified = CertifiedKey::new(certificates, signing_key(key, &octets)?);
    let stamps = [Some(chain_stamp), Some(key_stamp)];
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
            Ok(CertifiedPair { certified, stamps })
        }
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(CertificateError::Mismatch(chain.into(), key.into()))
        }
        Err(error) => Err(CertificateError::Unusable(chain.into(), error)),
    }
}

/// The octets of a regular file, and its stamp before they were read.
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
