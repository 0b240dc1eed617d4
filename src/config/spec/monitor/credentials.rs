//! The certificates and keys that a monitor needs for TLS, as written. They are read after all
//! files of the configuration were read.

use std::path::Path;

use crate::config::place::Placed;

/// One key of a monitor that names files.
#[derive(Debug)]
pub(in crate::config) enum Credential {
    /// `ca`: a file of the authorities to trust.
    Authorities(Placed<Box<Path>>),
    /// `client-certificate`: the certificate that is presented to the target.
    Client(ClientCredential),
}

/// A client certificate and its key.
#[derive(Debug)]
pub(in crate::config) struct ClientCredential {
    /// The file of the certificate, and of the intermediate certificates between it and an
    /// authority.
    pub(in crate::config) certificate: Placed<Box<Path>>,
    /// The file of the certificate's private key.
    pub(in crate::config) key: Placed<Box<Path>>,
}
