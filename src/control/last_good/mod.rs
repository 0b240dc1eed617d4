//! The last good set: every file that the configuration in force was made of, with the content that
//! was applied.
//!
//! A file that breaks or disappears is held at this content. Files that a load does not read are
//! not in the set. The octets of a file that did not change are shared from one set to the next.

mod saved;
mod set;

pub(super) use saved::{LastGoodOrigin, read as read_saved, write as write_saved};
pub(super) use set::{Inventory, LastGood};
