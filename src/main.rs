//! The `portolan` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything speaks TLS: with no provider, or with two in the tree, the first client would panic.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        return ExitCode::FAILURE;
    }
    portolan::cli::run()
}
