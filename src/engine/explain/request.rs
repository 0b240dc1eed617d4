//! What is asked of `explain`, and its one error.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;

use crate::dns::{Name, Rtype};

/// A question to explain the answer to.
#[derive(Debug, Clone)]
pub struct ExplainRequest {
    /// The name.
    pub name: Name,
    /// The type.
    pub rtype: Rtype,
    /// Where the query comes from: the client's resolver, or the client itself.
    pub client: IpAddr,
    /// The EDNS Client Subnet that comes with it; host bits are cut off.
    pub subnet: Option<IpNet>,
    /// Decides which of several answers is drawn.
    pub seed: u64,
}

/// The name is in no zone that is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameNotServed {
    /// The name asked for.
    pub name: Name,
    /// Some of the zones that are served, and how many there are.
    pub zones: (Vec<Name>, usize),
}

impl fmt::Display for NameNotServed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shown, count) = &self.zones;
        write!(f, "{} is in none of the {count} zones served here", self.name)?;
        let shown: Vec<String> = shown.iter().map(Name::to_string).collect();
        match (shown.len(), *count) {
            (0, _) => Ok(()),
            (some, all) if some < all => write!(f, " ({}, ...)", shown.join(", ")),
            _ => write!(f, " ({})", shown.join(", ")),
        }
    }
}

impl std::error::Error for NameNotServed {}
