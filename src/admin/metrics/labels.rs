//! The values of labels that several files need.

use std::collections::BTreeMap;

use crate::dns::{Rcode, Rtype};

/// The label of the response code counted at `index`. The last index counts all codes from 24 up.
pub(in crate::admin) fn rcode_label(index: u16) -> String {
    if index == 24 { "other".to_owned() } else { Rcode(index).to_string() }
}

pub(in crate::admin) fn rtype_label(rtype: Option<Rtype>) -> String {
    rtype.map_or_else(|| "other".to_owned(), |rtype| rtype.to_string())
}

/// One sample for each reason why checks or polls gave no result.
pub(super) fn by_reason(
    unmade: &BTreeMap<String, u64>,
) -> impl Iterator<Item = ([(&'static str, &str); 1], u64)> {
    unmade.iter().map(|(reason, count)| ([("reason", &**reason)], *count))
}
