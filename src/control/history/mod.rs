//! The history: what answers depended on, at each moment of the past, so that `explain --at` can
//! repeat them.
//!
//! | file | what |
//! |---|---|
//! | `published` | what the controller hands over with each snapshot |
//! | `names` | the names of pools and endpoints, which stay the same when their numbers change |
//! | `fact` | one condition by name, with its value |
//! | `difference` | conditions as facts; in which facts two conditions differ |
//! | `changes` | events of the journal for the facts that differ |
//! | `configurations` | the files of each configuration, stored once by the hash of their content |
//! | `record` | one line of the history's files |
//! | `recorder` | the history's thread: writes lines, appends events to the journal |
//! | `past` | finds the conditions and the configuration at a moment |
//! | `replay` | compiles them, and explains an answer |
//! | `replay_error` | why an answer cannot be repeated |
//! | `shared` | the queue between the controller and the thread |
//! | `handle` | takes what is published; cheap to clone |
//!
//! Invariants: publishing never waits. Each file of lines begins with all facts, and each further
//! line has the facts that differ, so that the oldest files can be removed. A moment that was not
//! recorded is an error that says so, never another moment's answer.

mod changes;
mod configurations;
mod difference;
mod fact;
mod handle;
mod names;
mod past;
mod published;
mod record;
mod recorder;
mod replay;
mod replay_error;
mod shared;

#[cfg(test)]
mod tests;

pub(super) use handle::History;
pub(super) use published::{PublishedConditions, PublishedConfiguration};
pub use replay::Replay;
pub(super) use replay::ReplayBase;
pub use replay_error::ReplayError;
