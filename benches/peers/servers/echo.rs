//! The bare echo: this program once more, as `echo ADDRESS`.

use std::path::PathBuf;

use super::{PeerServer, WorkloadSupport};

pub(super) fn contender(program: PathBuf) -> PeerServer {
    PeerServer {
        label: "echo".into(),
        kind: "echo",
        program,
        version: &["--version"],
        packages: "none: it is this benchmark itself",
        prepare: |ground| Ok(vec!["echo".into(), ground.address.to_string()]),
        reach: |_| WorkloadSupport::Echo,
    }
}
