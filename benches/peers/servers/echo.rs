//! The bare echo: this program started again as `echo ADDRESS`.

use std::path::PathBuf;

use super::{PeerServer, WorkloadSupport};

pub(super) fn server(program: PathBuf) -> PeerServer {
    PeerServer {
        label: "echo".into(),
        kind: "echo",
        program,
        version: &["--version"],
        packages: "none: it is this benchmark itself",
        prepare: |directory| Ok(vec!["echo".into(), directory.address.to_string()]),
        support: |_| WorkloadSupport::Echo,
    }
}
