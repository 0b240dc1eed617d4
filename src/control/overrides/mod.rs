//! Overrides of operators: requests, the check of a request, the file, and the report.
//!
//! The controller's `override_changes` carries them out: it has charts compiled as if the overrides
//! were in force, refuses what would leave clients without a usable member, saves the overrides,
//! and publishes the charts. No file of the configuration is read, so that broken, held or
//! unreadable files delay nothing.
//!
//! | file | what |
//! |---|---|
//! | `request`, `author` | what an operator asks for, and who does |
//! | `change` | what happened to the override of a subject |
//! | `error` | why nothing changed |
//! | `plan` | the overrides after a request, and the topologies that follow |
//! | `step` | what a request does to one subject |
//! | `standing` | the present state of what a subject names |
//! | `document` | the file in the state directory |
//! | `status` | an override in the status document |

mod author;
mod change;
mod document;
mod error;
mod plan;
mod request;
mod standing;
mod status;
mod step;

pub(super) use document::{StoredOverrideSet, decode, encode};
pub(super) use plan::{OverridePlan, plan, plan_of_timers};
pub(super) use standing::origin_text;

pub use author::OverrideAuthor;
pub use change::OverrideChange;
pub use error::OverrideError;
pub use request::{OverrideAction, OverrideOptions, OverrideRequest};
pub use status::OverrideStatus;
