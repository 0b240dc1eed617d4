//! The admin API, which is started before DNS is served, so that it can report what the start waits
//! for.

use std::{
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use super::{
    error::{ServeError, system_error},
    sockets::listening_lines,
};
use crate::{
    admin::{self, AdminContext, AdminServer},
    control::ControllerHandle,
    os::PreemptionTimer,
    transport::Counters,
};

/// The running admin server, if there is one, and the state that it reports.
pub(super) struct AdminApi {
    server: Option<AdminServer>,
    pub(super) listening_lines: Vec<String>,
    /// Whether every component that answers queries still runs.
    is_alive: Arc<AtomicBool>,
    /// Whether DNS queries are answered.
    is_listening: Arc<AtomicBool>,
}

impl AdminApi {
    pub(super) fn start(
        listeners: Vec<TcpListener>,
        hosts: Vec<Box<str>>,
        max_connections: usize,
        controller: &ControllerHandle,
        counters: &Counters,
        preemption_timer: &PreemptionTimer,
    ) -> Result<Self, ServeError> {
        let is_alive = Arc::new(AtomicBool::new(true));
        let is_listening = Arc::new(AtomicBool::new(false));
        let lines = listening_lines("admin", &listeners);
        let reader = |flag: &Arc<AtomicBool>| {
            let flag = Arc::clone(flag);
            Box::new(move || flag.load(Relaxed))
        };
        let context = AdminContext {
            max_connections,
            hosts,
            controller: controller.clone(),
            counters: counters.clone(),
            preemption_timer: preemption_timer.clone(),
            is_alive: reader(&is_alive),
            is_listening: reader(&is_listening),
        };
        let server = (!listeners.is_empty()).then(|| admin::serve(listeners, context));
        let server = server.transpose().map_err(system_error("serve the admin address"))?;
        Ok(Self { server, listening_lines: lines, is_alive, is_listening })
    }

    /// Reports from now on that DNS queries are answered.
    pub(super) fn report_listening(&self) {
        self.is_listening.store(true, Relaxed);
    }

    /// Reports from now on that a component that answers queries has failed.
    pub(super) fn report_failure(&self) {
        self.is_alive.store(false, Relaxed);
    }

    pub(super) async fn stop(self) {
        if let Some(server) = self.server {
            server.stop().await;
        }
    }
}
