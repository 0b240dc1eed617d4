//! A name that a file defines or refers to, with the kind of its table.

use super::a_labels;
use crate::dns::Name;

/// A name that files define or refer to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Definition {
    /// The kind of table: `pool`, `monitor`, `zone`, ... Regions have the kind `datacenter`,
    /// because a reference to a datacenter may name either.
    pub kind: &'static str,
    /// The name in the form in which names are compared: domain names in lower case without the
    /// final dot.
    pub name: Box<str>,
}

impl Definition {
    /// The definition of a name as it is written in a file.
    pub fn new(kind: &'static str, written: &str) -> Self {
        let is_domain = matches!(kind, "zone" | "service" | "delegate");
        let ascii = a_labels::to_a_labels(written).filter(|_| is_domain);
        let domain = ascii.and_then(|ascii| ascii.parse::<Name>().ok());
        let name =
            domain.map_or_else(|| written.to_owned(), |name| name.to_string().to_ascii_lowercase());
        Self { kind, name: name.into() }
    }

    /// Whether defining `self` makes `wanted` valid. A service or delegation needs any zone that
    /// contains its name.
    pub fn provides(&self, wanted: &Self) -> bool {
        let is_below = || {
            let above = wanted.name.strip_suffix(&*self.name);
            &*self.name == "." || above.is_some_and(|labels| labels.ends_with('.'))
        };
        self.kind == wanted.kind && (self.name == wanted.name || self.kind == "zone" && is_below())
    }
}
