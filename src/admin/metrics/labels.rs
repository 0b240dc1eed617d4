//! The values of labels.

use std::collections::BTreeMap;

use crate::dns::{Rcode, Rtype};

/// The rcode counted at this place; the last place stands for all from there up.
pub(in crate::admin) fn rcode_label(place: u16) -> String {
    if place == 24 { "other".to_owned() } else { Rcode(place).to_string() }
}

pub(in crate::admin) fn rtype_label(rtype: Option<Rtype>) -> String {
    rtype.map_or_else(|| "other".to_owned(), |rtype| rtype.to_string())
}

/// A sample for each reason why checks gave no result.
pub(super) fn by_reason(
    unmade: &BTreeMap<String, u64>,
) -> impl Iterator<Item = ([(&'static str, &str); 1], u64)> {
    unmade.iter().map(|(reason, count)| ([("reason", &**reason)], *count))
}
