//! The controller's task: events come in, the compile worker makes the charts that they touch, one
//! snapshot goes out.
//!
//! Verdicts and file changes that come close together become one snapshot. Files are loaded on a
//! thread of their own; verdicts are published meanwhile.
//!
//! What the controller consists of, from the bottom:
//!
//! | file | object |
//! |---|---|
//! | `probing`, `monitor_faults`, `credentials` | probes, the ledger of verdicts, monitors that cannot work |
//! | `alias_resolution` | aliases and their resolver |
//! | `live_conditions` | the newest conditions, and what changes them |
//! | `publication`, `distress_tracker` | the snapshot in force, and what the log and reports say of it |
//! | `reloads` | the load in progress, held files, clients that wait |
//! | `drain_checks` | drains that wait for their check |
//! | `override_changes`, `pending_failbacks` | overrides and failbacks that wait for their charts |
//! | `journaling` | what was reported to the journal |
//! | `requirement_check` | the expectations and assertions of the configuration in force |
//! | `persistence`, `cookie_rotation` | saves, and the keys of server cookies |
//! | `owner` | the controller, which owns all of these |
//!
//! What it does:
//!
//! | file | step |
//! |---|---|
//! | `start` | restores the state of a previous run, publishes the first snapshot |
//! | `run`, `channels`, `event_effect` | waits for events and timers |
//! | `events` | outcomes, aliases, load reports |
//! | `publish` | from changed conditions to a snapshot |
//! | `files` | a load is applied or refused |
//! | `reporting` | what the journal and the history get |
//! | `commands`, `drains`, `overriding`, `failbacks` | commands of operators |
//! | `feedback_gate`, `feedback_trials` | load feedback, as far as the safety rules permit it |
//! | `movement_meter`, `metering` | how much demand health moves |
//! | `trials`, `trial_outcome`, `rule_checks`, `acceptance` | the charts that a change would put in force, judged by the safety rules |

mod acceptance;
mod alias_resolution;
mod background;
mod channels;
mod commands;
mod cookie_rotation;
mod credentials;
mod distress_tracker;
mod drain_checks;
mod drains;
mod event_effect;
mod events;
mod failbacks;
mod feedback_gate;
mod feedback_trials;
mod files;
mod journaling;
mod live_conditions;
mod metering;
mod monitor_faults;
mod movement_meter;
mod override_changes;
mod overriding;
mod owner;
mod pending_failbacks;
mod persistence;
mod probing;
mod publication;
mod publish;
mod reloads;
mod reporting;
mod requirement_check;
mod rule_checks;
mod run;
mod start;
mod trial_outcome;
mod trials;
mod verdict_log;

pub use owner::Controller;
pub use start::{ControllerSetup, RunningController};
