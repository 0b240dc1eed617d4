//! What the daemon provides to the admin API.

use crate::{
    control::ControllerHandle,
    transport::{Counters, PreemptionTimer},
};

/// The parts of the server that the admin API shows and changes.
pub struct AdminContext {
    /// The maximum number of connections, each of which takes one descriptor.
    pub max_connections: usize,
    /// The names that a Host header may have besides addresses and `localhost`, in lower case and
    /// without the final dot.
    pub hosts: Vec<Box<str>>,
    /// Reads the status and requests changes.
    pub controller: ControllerHandle,
    /// The counters of the transports.
    pub counters: Counters,
    /// Active while a large document is generated, so that threads that answer queries can preempt
    /// it.
    pub preemption_timer: PreemptionTimer,
    /// Whether every thread that answers queries is running. Called for each `/healthz` and each
    /// page of metrics.
    pub is_alive: Box<dyn Fn() -> bool + Send + Sync>,
    /// Whether DNS queries are answered, which begins after the first round of health checks.
    /// Called for each `/readyz`.
    pub is_listening: Box<dyn Fn() -> bool + Send + Sync>,
}
