//! Programs of this host that tests and benchmarks start: name servers, resolvers, balancers.

use std::{env, path::PathBuf};

/// The path of an installed program. Servers are seldom on the path of an ordinary user.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let search_path = env::var_os("PATH").unwrap_or_default();
    ["/usr/sbin", "/usr/local/sbin"]
        .map(PathBuf::from)
        .into_iter()
        .chain(env::split_paths(&search_path))
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
}
