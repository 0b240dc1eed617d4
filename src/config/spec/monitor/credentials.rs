//! The files that a monitor's TLS needs, as written. They are read once all files of the
//! configuration are.

use std::path::Path;

use crate::config::place::Placed;

/// One key of a monitor that names files.
#[derive(Debug)]
pub(in crate::config) enum Credential {
    /// `ca`: the authorities to trust.
    Authorities(Placed<Box<Path>>),
    /// `client-certificate`: what to show to the target.
    Client(ClientCredential),
}

/// A certificate of our own.
#[derive(Debug)]
pub(in crate::config) struct ClientCredential {
    /// The certificate, and those between it and an authority.
    pub(in crate::config) certificate: Placed<Box<Path>>,
    /// The certificate's private key.
    pub(in crate::config) key: Placed<Box<Path>>,
}
