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

/// A running server.
pub(crate) struct StartedPeer {
    contender: PeerServer,
    pub(crate) version: String,
    pub(crate) server: ServerProcess,
}

impl StartedPeer {
    pub(crate) fn label(&self) -> &str {
        &self.contender.label
    }

    pub(crate) fn reach(&self, workload: Workload) -> WorkloadSupport {
        (self.contender.reach)(workload)
    }

    /// The server as [`super::agreement`] compares it under a workload, if it supports it.
    pub(crate) fn voice<'a>(
        &'a self,
        workload: Workload,
        sources: &'a Sources,
    ) -> Option<ComparedServer<'a>> {
        let sources = match self.reach(workload) {
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
pub(crate) fn enter(
    options: &Options,
    sources: &Sources,
    site: &Path,
) -> BenchResult<Vec<StartedPeer>> {
    let contenders = servers::all(options.portolans())?;
    for only in &options.only {
        if !contenders.iter().any(|contender| contender.kind == only || contender.label == *only) {
            return Err(format!("--only {only}: there is no such server").into());
        }
    }
    let mut entrants = Vec::new();
    for contender in
        contenders.into_iter().filter(|contender| options.wants(contender.kind, &contender.label))
    {
        match contender.version() {
            Err(missing) => println!("skipped {missing}"),
            Ok(version) => {
                println!("starting {} {version}", contender.label);
                let database =
                    if contender.needs_sources() { &sources.database } else { &options.database };
                let server = contender.start(site, database)?;
                entrants.push(StartedPeer { contender, version, server });
            }
        }
    }
    Ok(entrants)
}
