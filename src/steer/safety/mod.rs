//! Safety rules: what no change may do to what clients are answered, and what holds health back
//! that would break one. Pure: the control module asks before each change.
//!
//! | file | what |
//! |---|---|
//! | `rules` | the rules, and their names |
//! | `activity` | which datacenters are active |
//! | `health_hold` | health status that is held at the last allowed state |

mod activity;
mod health_hold;
mod rules;

pub use activity::active_datacenters;
pub use health_hold::HealthHold;
pub use rules::{ActiveMinimum, BrokenMinimum, MovementLimit, SafetyRule, SafetyRules};
