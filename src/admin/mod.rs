//! The admin API: HTTP for operators, their tools and Prometheus. Layer 6, on tokio.
//!
//! | file | step |
//! |---|---|
//! | `server` | accepts connections and bounds what they may use |
//! | `seats` | how many connections there may be, and who goes |
//! | `patient` | a stream that gives up on a client who does not read |
//! | `pace` | how many requests there may be |
//! | `guard` | turns away what a foreign web page could send |
//! | `api` | the endpoints |
//! | `audit` | who requested a change, and its result, for the log |
//! | `readiness` | what `/readyz` says |
//! | `ration` | expensive documents, made once for all who ask at the same time |
//! | `metrics`, `totals` | what was counted, for Prometheus and for the console |
//! | `console/` | the page for people |
//!
//! Invariants: nothing here answers DNS or is waited for by what does; a client, however hostile,
//! costs a bounded amount of memory and of time; whatever changes the server goes through
//! [`crate::control::Handle`].
//!
//! There are no passwords: the address is a loopback one unless the configuration says otherwise,
//! and then the network has to keep strangers out.

mod api;
mod audit;
mod guard;
mod metrics;
mod pace;
mod patient;
mod ration;
mod readiness;
mod seats;
mod server;
mod totals;

#[cfg(test)]
mod tests;

pub(crate) use api::SERVER_HEADER;
pub use api::{Fault, ReloadBody, StateChange};
pub use audit::USER as USER_HEADER;
pub use readiness::Readiness;
pub use server::{Running, Serving, serve};
pub use totals::{DocumentTotals, TransportDocument};
