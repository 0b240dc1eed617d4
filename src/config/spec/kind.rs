//! `type` of a service: which records it answers.

use crate::{
    config::{problems::Problems, reader::TableReader},
    steer::Kind,
};

/// Reads `type` and the keys that belong to it; `None` where they are wrong.
pub(super) fn read(table: &mut TableReader<'_>, problems: &mut Problems) -> Option<Kind> {
    let Some(item) = table.item("type") else { return Some(Kind::Addresses) };
    item.word(&[("SRV", ())], problems).map(|()| Kind::Srv)
}
