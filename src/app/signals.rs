//! Signals: SIGTERM and SIGINT stop the server, SIGHUP reloads its files.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::error::{ServeError, system_error};
use crate::control::{ControllerHandle, ReloadError, ReloadRequest};

/// The signals that the server handles.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// The action that a signal requests.
pub(super) enum SignalAction {
    Stop,
    Reload,
}

impl Signals {
    pub(super) fn listen() -> Result<Self, ServeError> {
        let listen = |kind| signal(kind).map_err(system_error("listen for signals"));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal.
    pub(super) async fn next(&mut self) -> SignalAction {
        tokio::select! {
            _ = self.terminate.recv() => SignalAction::Stop,
            _ = self.interrupt.recv() => SignalAction::Stop,
            _ = self.hangup.recv() => SignalAction::Reload,
        }
    }

    /// Waits for a signal to stop. Ignores requests to reload: the start reads the newest files
    /// anyway.
    pub(super) async fn until_stop(&mut self) {
        while let SignalAction::Reload = self.next().await {}
    }
}

/// Reloads the files, certificates included, in a task of its own. The load logs each error; this
/// logs the result.
pub(super) fn reload(handle: ControllerHandle) {
    tracing::info!("reload requested by SIGHUP");
    tokio::spawn(async move {
        match handle.reload(ReloadRequest::Signal).await {
            Ok(report) if report.is_complete() => {
                tracing::info!(generation = report.generation, "reload by SIGHUP applied");
            }
            Ok(report) => tracing::error!(
                generation = report.generation,
                held_files = report.held.len(),
                certificates = report.certificates.len(),
                "reload by SIGHUP applied except for files that cannot be used"
            ),
            Err(ReloadError::Refused(errors)) => {
                tracing::error!(
                    errors = errors.lines().len(),
                    "reload by SIGHUP refused: the previous configuration stays in force"
                );
            }
            Err(ReloadError::ControllerStopped) => {}
        }
    });
}
