//! The running server: shards, streams, the admin API and the controller, from the first answer to
//! the last.

use std::time::Duration;

use super::{
    admin_api::AdminApi,
    error::{ServeError, system_error},
    signals::{SignalAction, Signals, reload},
    sockets::Sockets,
};
use crate::{
    control::ControllerHandle,
    os::{self, CoreAssignment},
    transport::{self, BoundSockets, Counters, Shards, StreamListeners},
};

/// How often the shards are checked.
const WATCHDOG_INTERVAL: Duration = Duration::from_millis(250);

/// Everything that runs once DNS is served.
pub(super) struct RunningServer {
    shards: Shards,
    streams: StreamListeners,
    admin: AdminApi,
    controller: ControllerHandle,
    listening_lines: Vec<String>,
}

impl RunningServer {
    /// Serves DNS on all sockets.
    pub(super) fn start(
        sockets: Sockets,
        mut streams: StreamListeners,
        admin: AdminApi,
        cores: &CoreAssignment,
        controller: ControllerHandle,
        counters: &Counters,
    ) -> Result<Self, ServeError> {
        let Sockets { dns, tls, https, .. } = sockets;
        let addresses = dns.local_addresses().len();
        let mut lines = dns_listening_lines(&dns);
        streams.serve_tcp(dns.tcp).map_err(system_error("serve a listener"))?;
        if let Some(tls) = tls {
            lines.extend(tls.listening_lines());
            tls.serve(&mut streams)?;
        }
        if let Some(https) = https {
            lines.extend(https.listening_lines());
            https.serve(&mut streams)?;
        }
        // The control threads have started before, so only the shards inherit the short slice.
        if let Err(error) = os::shorten_time_slice() {
            tracing::debug!(%error, "shards keep the default time slice: queries may wait during a compilation");
        }
        let published = controller.published();
        let shards =
            transport::serve_udp(dns.udp, cores, published, counters).map_err(ServeError::Start)?;
        lines.extend(admin.listening_lines.iter().cloned());
        admin.report_listening();
        tracing::info!(
            shards = shards.count(),
            addresses,
            generation = published.load().generation,
            "serving"
        );
        Ok(Self { shards, streams, admin, controller, listening_lines: lines })
    }

    /// Passes a line for each address that is listened on to `announce`.
    pub(super) fn announce(&self, announce: &mut dyn FnMut(&str)) {
        self.listening_lines.iter().for_each(|line| announce(line));
    }

    /// Handles signals until one requests the stop, or a component that answers queries has failed.
    pub(super) async fn run(&mut self, signals: &mut Signals) -> Result<(), ServeError> {
        let mut watchdog = tokio::time::interval(WATCHDOG_INTERVAL);
        loop {
            tokio::select! {
                action = signals.next() => match action {
                    SignalAction::Stop => return Ok(()),
                    SignalAction::Reload => reload(self.controller.clone()),
                },
                () = self.streams.wait_for_failure() => {
                    return self.fail("a listener of TCP, TLS or HTTPS");
                }
                _ = watchdog.tick() => if !self.shards.are_alive() {
                    return self.fail("a UDP shard");
                },
            }
        }
    }

    fn fail(&self, component: &'static str) -> Result<(), ServeError> {
        self.admin.report_failure();
        Err(ServeError::ComponentDied(component))
    }

    /// Answers what was received, saves the state that the next run needs, and ends everything.
    pub(super) async fn stop(self) {
        tracing::info!("stopping");
        let shards = self.shards;
        let shards_stopped = tokio::task::spawn_blocking(move || shards.stop());
        self.streams.stop().await;
        // Stopping shards does not panic: each catches its own panics.
        let _ = shards_stopped.await;
        self.admin.stop().await;
        self.controller.stop().await;
    }
}

fn dns_listening_lines(dns: &BoundSockets) -> Vec<String> {
    dns.local_addresses()
        .iter()
        .flat_map(|address| {
            [format!("listening udp {address}"), format!("listening tcp {address}")]
        })
        .collect()
}
