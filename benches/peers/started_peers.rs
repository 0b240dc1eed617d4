//! The servers of this run: selected, installed and started.

use std::path::Path;

use crate::{
    BenchResult,
    agreement::ComparedServer,
    options::Options,
    servers::{self, PeerServer, ServerProcess, WorkloadSupport},
    sources::Sources,
    workload::Workload,
};

/// A server that was started, with its version.
pub(crate) struct StartedPeer {
    peer: PeerServer,
    pub(crate) version: String,
    pub(crate) server: ServerProcess,
}

impl StartedPeer {
    pub(crate) fn label(&self) -> &str {
        &self.peer.label
    }

    pub(crate) fn support(&self, workload: Workload) -> WorkloadSupport {
        (self.peer.support)(workload)
    }

    /// The server as [`super::agreement`] compares it under a workload, if it supports it.
    pub(crate) fn compared<'a>(
        &'a self,
        workload: Workload,
        sources: &'a Sources,
    ) -> Option<ComparedServer<'a>> {
        let sources = match self.support(workload) {
            WorkloadSupport::Whole => None,
            WorkloadSupport::SourceAddress => Some(sources),
            WorkloadSupport::Echo | WorkloadSupport::Cannot => return None,
        };
        Some(ComparedServer { label: self.label(), address: self.server.address, sources })
    }
}

/// Starts every selected server that is installed.
///
/// # Errors
/// A selected server does not exist, or one did not start.
pub(crate) fn start_all(
    options: &Options,
    sources: &Sources,
    site: &Path,
) -> BenchResult<Vec<StartedPeer>> {
    let peers = servers::all(options.portolans())?;
    for only in &options.only {
        if !peers.iter().any(|peer| peer.kind == only || peer.label == *only) {
            return Err(format!("--only {only}: there is no such server").into());
        }
    }
    let mut started = Vec::new();
    for peer in peers.into_iter().filter(|peer| options.selects(peer.kind, &peer.label)) {
        match peer.version() {
            Err(missing) => println!("skipped {missing}"),
            Ok(version) => {
                println!("starting {} {version}", peer.label);
                let database =
                    if peer.needs_sources() { &sources.database } else { &options.database };
                let server = peer.start(site, database)?;
                started.push(StartedPeer { peer, version, server });
            }
        }
    }
    Ok(started)
}
