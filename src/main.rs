//! The `portolan` program.

use std::{
    hash::{BuildHasher as _, RandomState},
    process::ExitCode,
};

fn main() -> ExitCode {
    // Before any use of TLS. The first client would panic without a provider, or with two providers
    // linked and none chosen.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        return ExitCode::FAILURE;
    }
    // Before any name is hashed, because hash tables depend on the seeds.
    if portolan::zone::set_hash_seeds(random_seeds()).is_err() {
        return ExitCode::FAILURE;
    }
    portolan::cli::run()
}

/// Unpredictable numbers: the standard library keys its hash from the system's random source.
fn random_seeds() -> [[u64; 2]; 4] {
    let random = RandomState::new();
    [0, 1, 2, 3].map(|seed| [0, 1].map(|part| random.hash_one([seed, part])))
}
