//! Why a certificate and its key cannot be used, and the remedy.

use std::{fmt, io, path::PathBuf};

use rustls::pki_types::pem;

/// Why a certificate cannot be used.
#[derive(Debug)]
pub enum CertificateError {
    /// The file cannot be read.
    Unreadable(PathBuf, io::Error),
    /// The file has no certificate in PEM.
    NoCertificate(PathBuf),
    /// The file has no private key in PEM, or an encrypted one.
    NoKey(PathBuf),
    /// The file is not PEM.
    NotPem(PathBuf, pem::Error),
    /// The key (second path) is not that of the first certificate of the chain (first path).
    Mismatch(PathBuf, PathBuf),
    /// The certificate or key has an algorithm or a form that is not supported.
    Unusable(PathBuf, rustls::Error),
}

impl CertificateError {
    /// The error on one line: `file: cause (help: remedy)`.
    pub fn one_line(&self) -> String {
        let text = self.to_string();
        match text.split_once("\n  help: ") {
            Some((what, help)) => format!("{what} (help: {help})"),
            None => text,
        }
    }
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The file is not a regular file, or is too long.
            Self::Unreadable(path, cause) if cause.kind() == io::ErrorKind::Other => {
                write!(
                    f,
                    "{}: cannot read it: {cause}\n  help: name a PEM file, or a link to one",
                    path.display()
                )
            }
            Self::Unreadable(path, cause) => write!(
                f,
                "{}: cannot read it: {cause}\n  \
                 help: check the path, and that the user of the server may read the file and \
                 enter its directories",
                path.display()
            ),
            Self::NoCertificate(path) => write!(
                f,
                "{}: no certificate in it\n  \
                 help: it should hold `-----BEGIN CERTIFICATE-----` blocks, the server's own first, then its issuers'",
                path.display()
            ),
            Self::NoKey(path) => write!(
                f,
                "{}: no private key in it\n  \
                 help: it should hold one `-----BEGIN PRIVATE KEY-----` block, not encrypted",
                path.display()
            ),
            Self::NotPem(path, cause) => write!(
                f,
                "{}: not PEM: {cause}\n  \
                 help: it should hold blocks from `-----BEGIN ...-----` to `-----END ...-----` with base64 between",
                path.display()
            ),
            Self::Mismatch(chain, key) => write!(
                f,
                "{}: not the key of the first certificate in {}\n  \
                 help: the server's own certificate comes first in the chain, its issuers after it; \
                 a renewal replaces both files",
                key.display(),
                chain.display()
            ),
            Self::Unusable(path, cause) => write!(
                f,
                "{}: cannot be used: {cause}\n  \
                 help: use an X.509 certificate of version 3 with an ECDSA key (P-256 or P-384), an Ed25519 key \
                 or an RSA key of 2048 to 4096 bits",
                path.display()
            ),
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
