//! Safety: whether a change keeps the rules of `[safety]`.
//!
//! Every path to the answers asks here: the load of files and databases before it compiles and
//! after, the request of an operator and the clock with the charts that they would put in force,
//! load feedback with its next weights. What health checks say is held back in
//! [`HealthHold`](crate::steer::HealthHold).
//!
//! | file | what |
//! |---|---|
//! | `consent` | the rules that an operator goes around |
//! | `judged_change` | a change, and the rules that it breaks |
//! | `planned_rules` | the rules that a plan is judged by |
//! | `ramp_time` | the time over which the clients of a change move |
//! | `movement_window` | how much demand has moved lately |
//! | `violation` | a rule that is broken, and the refusal in words |
//! | `status` | the rules in the status document |

mod consent;
mod judged_change;
mod movement_window;
mod planned_rules;
mod ramp_time;
mod status;
mod violation;

pub(super) use judged_change::{JudgedChange, active_names};
pub(super) use movement_window::{MeasuredMovement, MovementWindow};
pub(super) use ramp_time::ramp_time;
pub(super) use violation::RefusalText;

pub use consent::RuleConsent;
pub use planned_rules::PlannedRules;
pub use status::{RuleStatus, SafetyStatus};
pub use violation::RuleViolation;
