//! The certificates of the encrypted transports: read from PEM files, checked, and replaced when
//! the files change.
//!
//! | file | step |
//! |---|---|
//! | `pem_files` | reads both files: regular files of bounded size |
//! | `error` | why files cannot be used, and the remedy |
//! | `renewal` | failed attempts: their number, since when, and which are logged |
//! | `reload` | one certificate: reads its files again and replaces it |
//! | `registry` | all certificates of the process |
//!
//! An attempt that fails changes nothing. The files are read again at each tick until they can be
//! used, so that a pair of which one file is still the old one, or a directory that is not mounted
//! yet, needs no further change to be read.

mod error;
mod pem_files;
mod registry;
mod reload;
mod renewal;
#[cfg(test)]
mod tests;

pub use error::CertificateError;
pub use registry::CertificateRegistry;
pub use reload::{Certificate, CertificateState};
pub use renewal::RenewalFailure;
