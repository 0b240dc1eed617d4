//! The journal: every change that can alter answers is one event, with its time, author and cause.
//!
//! | file | what |
//! |---|---|
//! | `event`, `entry` | an event; an event with its id and time, as one line of a file |
//! | `chain` | the hash that links each line to the line before |
//! | `segments` | numbered files that are appended to, rotated and bounded |
//! | `scan` | what a start finds in the files, and what it sets aside |
//! | `mailbox` | the bounded queue between the controller and the journal's thread |
//! | `recorder` | the journal's thread: gives ids, appends lines, keeps the latest events |
//! | `counts` | what is known of the journal's own state |
//! | `reader`, `filter` | finds events again |
//! | `handle` | appends and reads; cheap to clone |
//!
//! Invariants: to append never waits for the disk, and never fails; an event that cannot be kept is
//! counted. Ids grow, whatever the clock does: they give the order, times do not. What the state
//! directory cannot hold is in memory, up to a bound, and is written once it can.

mod chain;
mod counts;
mod entry;
mod event;
mod filter;
mod handle;
mod mailbox;
mod reader;
mod recorder;
mod scan;
mod segments;

#[cfg(test)]
mod tests;

pub use counts::JournalStatus;
pub use entry::{JournalEntry, time_text};
pub use event::{Event, EventAuthor, EventKind};
pub use filter::EventFilter;
pub use handle::Journal;
pub use reader::EventPage;
pub(super) use segments::{SegmentLimits, SegmentPosition, Segments, list as list_segments};
