//! Overrides: what operators on duty set over the configuration, apart from its files.
//!
//! Effective is the override if there is one, else the file: [`apply_overrides`] makes an effective
//! topology of the topology as configured. Everything that reads a topology follows: charts, ramps,
//! reports and `explain`. Items that no override concerns are shared by `Arc`, and numbers stay.
//!
//! | file | what |
//! |---|---|
//! | `subject` | what an override can concern, by name |
//! | `entry` | one override |
//! | `set` | all overrides: one for each subject and kind |
//! | `index` | which override decides on an item of an effective topology |
//! | `resolve` | the items of a topology that a subject names |
//! | `apply` | the effective topology |

mod apply;
mod entry;
mod index;
mod resolve;
mod set;
mod subject;

pub use apply::apply_overrides;
pub use entry::{Override, OverrideKind, OverrideValue};
pub use index::OverrideIndex;
pub use set::OverrideSet;
pub use subject::OverrideSubject;
