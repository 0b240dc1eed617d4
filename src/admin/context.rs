//! What the admin API gets from the daemon.

use crate::{
    control::ControllerHandle,
    transport::{Counters, PreemptionTimer},
};

/// What the admin API shows and changes.
pub struct AdminContext {
    /// Connections at once, each of one descriptor.
    pub max_connections: usize,
    /// The controller.
    pub controller: ControllerHandle,
    /// What the transports counted.
    pub counters: Counters,
    /// Beats while a large text is made.
    pub preemption_timer: PreemptionTimer,
    /// Whether every thread that answers queries lives. Called for each `/healthz` and each page of
    /// metrics.
    pub is_alive: Box<dyn Fn() -> bool + Send + Sync>,
    /// Whether DNS queries are answered: not before the first round of health checks. Called for
    /// each `/readyz`.
    pub is_listening: Box<dyn Fn() -> bool + Send + Sync>,
}
