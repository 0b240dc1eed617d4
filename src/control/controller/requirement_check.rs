//! The check of requirements: whether the expectations and assertions of the configuration in force
//! hold. It runs on a thread of its own after each load, so that no load waits for it.
//!
//! Invariant: at most one check runs. If another configuration was applied meanwhile, its check
//! follows.

use std::{sync::Arc, thread};

use tokio::sync::oneshot;

use super::background::received;
use crate::{
    control::{LoadedConfig, clock::unix_now},
    steer::verify,
    transport::PreemptionGuard,
};

/// The niceness of the thread, as that of a load.
const CHECK_NICENESS: i32 = 5;

/// Owns the check in progress, and what the last one found.
#[derive(Debug, Default)]
pub(super) struct RequirementCheck {
    /// Receives the requirements that do not hold, one line each.
    running: Option<oneshot::Receiver<Vec<String>>>,
    /// Whether another configuration was applied since the check in progress began.
    is_outdated: bool,
    failing: Vec<String>,
}

impl RequirementCheck {
    /// The requirements that do not hold, one line each.
    pub(super) fn failing(&self) -> &[String] {
        &self.failing
    }

    /// Begins the check of a configuration, or has it follow the check in progress. `guard` is
    /// dropped when the check ends.
    pub(super) fn begin(&mut self, loaded: &LoadedConfig, guard: PreemptionGuard) {
        if self.running.is_some() {
            self.is_outdated = true;
            return;
        }
        self.is_outdated = false;
        let requirements = Arc::clone(&loaded.config.requirements);
        if requirements.list.is_empty() {
            return self.record(Vec::new());
        }
        let topology = Arc::clone(&loaded.topology);
        let databases = Arc::clone(loaded.databases());
        let (reply, running) = oneshot::channel();
        let check = move || {
            // Threads that answer queries go first.
            let _ = rustix::process::setpriority_process(None, CHECK_NICENESS);
            let violations = verify(&topology, &databases, &requirements.list, unix_now());
            // The receiver is gone when the server stops.
            let _ = reply.send(requirements.lines(&violations));
            drop(guard);
        };
        match thread::Builder::new().name("requirements".to_owned()).spawn(check) {
            Ok(_ends_by_itself) => self.running = Some(running),
            Err(error) => {
                let message =
                    format!("requirements were not checked: no thread can be started: {error}");
                self.record(vec![message]);
            }
        }
    }

    /// Waits for the end of the check in progress: `None` if a panic ended it. Never ends while no
    /// check is in progress.
    pub(super) async fn finished(&mut self) -> Option<Vec<String>> {
        received(self.running.as_mut()).await
    }

    /// Records what a check found, and begins the next one if another configuration is in force.
    pub(super) fn end(
        &mut self,
        failing: Option<Vec<String>>,
        loaded: &LoadedConfig,
        guard: PreemptionGuard,
    ) {
        self.running = None;
        if self.is_outdated {
            return self.begin(loaded, guard);
        }
        self.record(failing.unwrap_or_else(|| {
            vec![
                "requirements were not checked: an internal error ended the check; see the log"
                    .to_owned(),
            ]
        }));
    }

    fn record(&mut self, failing: Vec<String>) {
        let is_known = |line: &&String| self.failing.contains(*line);
        for line in failing.iter().filter(|line| !is_known(line)) {
            tracing::warn!(requirement = %line, "requirement does not hold");
        }
        if failing.is_empty() && !self.failing.is_empty() {
            tracing::info!("all requirements hold again");
        }
        self.failing = failing;
    }
}
