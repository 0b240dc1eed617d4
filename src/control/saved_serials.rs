//! The serials of zones as the state directory keeps them: what `state` reads and writes, and what
//! `serials` continues from.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::dns::Name;

/// A zone's serial, and the content that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedSerial {
    /// A hash of the zone's records and services.
    pub content: u64,
    /// The serial of the SOA record (RFC 1982).
    pub serial: u32,
}

/// The serials that zones had, by apex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EarlierSerials {
    pub serials: HashMap<Name, SavedSerial>,
    pub completeness: Completeness,
}

/// Whether later serials than the saved ones may have been answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Completeness {
    /// No: these serials are in use.
    Complete,
    /// No later serial was answered before this time, in seconds since 1970. Any later run could
    /// not write to the state directory.
    CompleteUntil(u32),
    /// Yes: the run that saved them was killed, or could not save everything.
    Unknown,
}
