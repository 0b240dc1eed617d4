//! The admin API: HTTP for operators, their tools and Prometheus. Layer 6, on tokio.
//!
//! | file | step |
//! |---|---|
//! | `server` | accepts connections and bounds what they may use |
//! | `connections` | how many connections there may be, and who goes |
//! | `write_timeout` | a stream that gives up on a client who does not read |
//! | `rate_limiter` | how many requests there may be |
//! | `guard` | turns away what a foreign web page could send |
//! | `api` | the endpoints |
//! | `audit` | who requested a change, and its result, for the log |
//! | `readiness` | what `/readyz` says |
//! | `single_flight` | expensive documents, made once for all who ask at the same time |
//! | `metrics`, `totals` | what was counted, for Prometheus and for the console |
//! | `console/` | the page for people |
//!
//! Invariants: nothing here answers DNS or is waited for by what does; a client, however hostile,
//! costs a bounded amount of memory and of time; whatever changes the server goes through
//! [`crate::control::ControllerHandle`].
//!
//! There are no passwords: the address is a loopback one unless the configuration says otherwise,
//! and then the network has to keep strangers out.

mod api;
mod audit;
mod changes;
mod connections;
mod console;
mod context;
mod documents;
mod error;
mod guard;
mod held_files;
mod metrics;
mod rate_limiter;
mod readiness;
mod response;
mod server;
mod single_flight;
mod state;
mod totals;
mod write_timeout;

#[cfg(test)]
mod tests;

pub(crate) use api::SERVER_HEADER;
pub use audit::USER_HEADER;
pub use changes::{DrainBody, ReloadBody};
pub use context::AdminContext;
pub use error::ApiError;
pub use readiness::Readiness;
pub use server::{AdminServer, serve};
pub use totals::{TotalsView, TransportTotalsView};
