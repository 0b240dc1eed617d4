//! The admin API: HTTP for operators, their tools and Prometheus. Layer 8, on tokio.
//!
//! | file | step |
//! |---|---|
//! | `server` | accepts connections and bounds what they may use |
//! | `write_timeout` | a stream that closes when the client does not read |
//! | `rate_limiter` | the maximum rate of requests |
//! | `guard` | refuses what a web page of another site could send |
//! | `api` | the routes, and the table of all endpoints |
//! | `state`, `context` | what the endpoints share, and what the daemon provides |
//! | `documents`, `inventory`, `changes`, `overrides` | the endpoints that read, those that list services and targets, and those that change the server |
//! | `events` | the endpoint of the journal |
//! | `request_body` | what all changes share |
//! | `response`, `error` | the form of replies |
//! | `audit` | who requested a change, and its result, for the log |
//! | `readiness`, `held_files` | the document of `/readyz`; messages about files that are not in use |
//! | `single_flight` | expensive documents, generated once for all requests at the same time |
//! | `metrics`, `totals` | counts, for Prometheus and for the console |
//! | `console`, `console/` | the page for people |
//!
//! Invariants: nothing here answers DNS queries or delays their answers; a client, however hostile,
//! costs a bounded amount of memory and of time; every change of the server goes through
//! [`crate::control::ControllerHandle`].
//!
//! There are no passwords: the address is a loopback address unless the configuration names another
//! one, and then the network must restrict access to it.

mod accepted_rules;
mod api;
mod audit;
mod changes;
mod console;
mod context;
mod documents;
mod error;
mod events;
mod guard;
mod held_files;
mod inventory;
mod metrics;
mod overrides;
mod rate_limiter;
mod readiness;
mod request_body;
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
pub use documents::ReplayedExplanation;
pub use error::ApiError;
pub use inventory::ListPage;
pub use overrides::{OverrideBody, RemovalBody};
pub use readiness::Readiness;
pub use server::{AdminServer, serve};
pub use totals::{TotalsView, TransportTotalsView};
