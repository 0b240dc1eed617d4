//! Checks credentials: the certificates and keys that monitors name exist, are PEM, and belong
//! together. A monitor without them cannot check its targets.
//!
//! A file that a running server already uses may become unusable later. That must not hold the
//! edits of other files, so it is then a warning, and the monitor gives no results until the file
//! is fixed.

use std::{collections::HashMap, path::Path, sync::Arc};

use rustls::{
    RootCertStore,
    crypto::ring::default_provider,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    sign::CertifiedKey,
};

use crate::{
    config::{
        place::{Placed, SourcePlace},
        problems::Problems,
        quoted::Quoted,
        sources::Sources,
        spec::{
            Specs,
            monitor::credentials::{ClientCredential, Credential},
        },
    },
    health::Monitor,
    listing,
};

const PEM: &str = "it is a PEM file with a part between -----BEGIN CERTIFICATE----- and -----END CERTIFICATE-----";

/// A fault of a credential.
struct CredentialFault {
    place: SourcePlace,
    what: String,
    help: String,
}

/// The result for the files of one credential: which of them is at fault, what is wrong and how to
/// fix it.
type CredentialResult = Result<(), (usize, String, String)>;

/// The problems of the monitors' certificates and keys.
pub(in crate::config) fn credential_faults(
    sources: &Sources,
    credentials: &[(Box<str>, Credential)],
) -> Problems {
    let mut problems = Problems::default();
    problems.begin_checking();
    check_files(sources, credentials, &mut problems);
    problems
}

/// Reports every monitor whose certificates or key cannot be used.
fn check_files(sources: &Sources, credentials: &[(Box<str>, Credential)], problems: &mut Problems) {
    // A thousand monitors may name one file: it is read and checked once.
    let mut known: HashMap<Vec<&Path>, CredentialResult> = HashMap::new();
    for (monitor, credential) in credentials {
        let paths = match credential {
            Credential::Authorities(path) => vec![path],
            Credential::Client(ClientCredential { certificate, key }) => vec![certificate, key],
        };
        let checked =
            known.entry(paths.iter().map(|path| &*path.value).collect()).or_insert_with(|| {
                let checked = match credential {
                    Credential::Authorities(path) => check_authorities(sources, path),
                    Credential::Client(ClientCredential { certificate, key }) => {
                        check_client(sources, certificate, key)
                    }
                };
                let which =
                    |place| paths.iter().position(|path| path.place == place).unwrap_or_default();
                checked.map_err(|CredentialFault { place, what, help }| (which(place), what, help))
            });
        let Err((which, what, help)) = checked else { continue };
        let place = paths[*which].place;
        let message = format!("monitor {} cannot work: {what}", Quoted(monitor));
        if paths.iter().any(|path| sources.is_credential_in_use(&path.value)) {
            let message =
                format!("{message}; it gives no results, and its targets keep their status");
            problems.warning(place, message).help(help);
        } else {
            problems.error(place, message).help(help);
        }
    }
}

/// Warns once if monitors trust the system's authorities and there are none. The package may be
/// installed later.
pub(super) fn check_system(specs: &Specs, problems: &mut Problems) {
    let trusts_system = |monitor: &&Placed<Monitor>| {
        monitor
            .value
            .check
            .tls_options()
            .is_some_and(|options| options.verify && options.authorities.is_none())
    };
    let monitors: Vec<_> = specs.monitors.iter().filter(trusts_system).collect();
    let Some(first) = monitors.first() else { return };
    let found = rustls_native_certs::load_native_certs().certs;
    if RootCertStore::empty().add_parsable_certificates(found).0 > 0 {
        return;
    }
    let names = monitors.iter().map(|monitor| Quoted(&monitor.value.name).to_string());
    let names = listing::join_first(names, 3, monitors.len());
    let what = format!(
        "no TLS target can be verified: this system has no CA certificates; these monitors give no results: {names}"
    );
    problems
        .warning(first.place, what)
        .help("install the package `ca-certificates`, or name a file by `ca`");
}

fn check_authorities(sources: &Sources, path: &Placed<Box<Path>>) -> Result<(), CredentialFault> {
    let chain = certificates(sources, path, "the authorities of `ca`")?;
    let mut roots = RootCertStore::empty();
    for certificate in chain {
        roots.add(certificate).map_err(|_| {
            let what = format!("{} holds a certificate that is not X.509", quoted_path(path));
            credential_fault(
                path,
                what,
                "replace the file with one that openssl x509 -in FILE -noout -text can show",
            )
        })?;
    }
    Ok(())
}

fn check_client(
    sources: &Sources,
    certificate: &Placed<Box<Path>>,
    key: &Placed<Box<Path>>,
) -> Result<(), CredentialFault> {
    let chain = certificates(sources, certificate, "the client certificate")?;
    let octets = read_octets(sources, key, "the key of the client certificate")?;
    let private = PrivateKeyDer::from_pem_slice(&octets).map_err(|error| {
        let help = "it is an unencrypted PEM file with a part between -----BEGIN PRIVATE KEY----- and its end";
        let what = match error {
            pem::Error::NoItemsFound => format!("{} holds no private key", quoted_path(key)),
            error => format!("{} is damaged: {}", quoted_path(key), pem_error_text(&error)),
        };
        credential_fault(key, what, help)
    })?;
    CertifiedKey::from_der(chain, private, &default_provider()).map(drop).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            let what = format!("the key in {} is not that of the certificate in {}", quoted_path(key), quoted_path(certificate));
            credential_fault(key, what, "name the key that the certificate was made with")
        }
        // No parser accepted the key.
        rustls::Error::General(_) => {
            let what = format!("the key in {} is of an unsupported kind, or too short", quoted_path(key));
            const HELP: &str =
                "generate a new certificate and key: RSA of 2048 to 8192 bits, ECDSA on P-256 or P-384, or Ed25519";
            credential_fault(key, what, HELP)
        }
        error => {
            let what = format!("the certificate in {} and its key cannot be used: {error}", quoted_path(certificate));
            credential_fault(certificate, what, "generate both again, with an RSA, ECDSA or Ed25519 key")
        }
    })
}

/// The certificates of a PEM file, at least one.
fn certificates(
    sources: &Sources,
    path: &Placed<Box<Path>>,
    what: &str,
) -> Result<Vec<CertificateDer<'static>>, CredentialFault> {
    let octets = read_octets(sources, path, what)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&octets).collect();
    match read {
        Ok(chain) if chain.is_empty() => {
            Err(credential_fault(path, format!("{} holds no certificate", quoted_path(path)), PEM))
        }
        Ok(chain) => Ok(chain.into_iter().map(CertificateDer::into_owned).collect()),
        Err(error) => Err(credential_fault(
            path,
            format!("{} is damaged: {}", quoted_path(path), pem_error_text(&error)),
            PEM,
        )),
    }
}

/// The reason why a PEM file cannot be read, in words: the error itself shows octets as numbers.
fn pem_error_text(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { end_marker } => {
            format!(
                "the line -----END {}----- is missing",
                String::from_utf8_lossy(end_marker).trim_matches('-')
            )
        }
        pem::Error::IllegalSectionStart { .. } => {
            "a -----BEGIN line does not end in five hyphens".to_owned()
        }
        pem::Error::Base64Decode(_) => {
            "the text between its BEGIN and END lines is not base64".to_owned()
        }
        error => error.to_string(),
    }
}

fn read_octets(
    sources: &Sources,
    path: &Placed<Box<Path>>,
    what: &str,
) -> Result<Arc<Vec<u8>>, CredentialFault> {
    sources.credential_octets(&path.value).map_err(|why| {
        let help =
            "put the file there and let the server's user read it; paths are relative to the file that names them";
        credential_fault(path, format!("{what} cannot be read from {}: {why}", quoted_path(path)), help)
    })
}

fn quoted_path(path: &Placed<Box<Path>>) -> String {
    Quoted(&path.value.to_string_lossy()).to_string()
}

fn credential_fault(path: &Placed<Box<Path>>, what: String, help: &str) -> CredentialFault {
    CredentialFault { place: path.place, what, help: help.to_owned() }
}
