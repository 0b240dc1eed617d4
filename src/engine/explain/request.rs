//! The input of `explain`, and its only error.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;

use crate::dns::{Name, Rtype};

/// The question whose answer is to be explained.
#[derive(Debug, Clone)]
pub struct ExplainRequest {
    /// The name asked for.
    pub name: Name,
    /// The type asked for.
    pub rtype: Rtype,
    /// The source address of the query: the client's resolver, or the client itself.
    pub client: IpAddr,
    /// The EDNS client subnet of the query; its host bits are ignored.
    pub subnet: Option<IpNet>,
    /// The seed of the random draw among several answers.
    pub seed: u64,
}

/// The name asked for is in no zone served here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameNotServed {
    /// The name asked for.
    pub name: Name,
    /// Some of the zones served here, and the number of all of them.
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
