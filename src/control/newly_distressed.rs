//! Clients that a change would leave without a usable member, and the refusal that names them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::listing;

/// The maximum number of services that a message names.
const MAX_NAMED_SERVICES: usize = 10;
/// The maximum number of services for which a message says what they would be answered with.
const MAX_EXPLAINED_SERVICES: usize = 3;

/// Clients of a service that a change leaves without a usable member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct NewlyDistressed {
    /// Service, type and clients: `www.example.com AAAA (country DE)`.
    pub subject: String,
    /// What they are answered with once the change is complete, in a phrase.
    pub answers: String,
}

/// The clients that would have no usable member, in words.
pub(super) fn newly_distressed_text(distressed: &[NewlyDistressed]) -> String {
    let subjects = distressed.iter().map(|clients| &clients.subject);
    let shown = listing::join_first(subjects, MAX_NAMED_SERVICES, distressed.len());
    format!("no usable member would be left for {shown}")
}

/// The refusal of a change, in words.
pub(super) struct DistressText<'a> {
    pub distressed: &'a [NewlyDistressed],
    /// What did not happen: `nothing was edited`.
    pub unchanged: &'a str,
}

impl fmt::Display for DistressText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (distressed, unchanged) = (self.distressed, self.unchanged);
        let subjects = distressed.iter().map(|clients| &clients.subject);
        let shown = listing::join_first(subjects, MAX_NAMED_SERVICES, distressed.len());
        write!(
            f,
            "no usable member would be left for {shown}; {unchanged}. --override usable-member with --reason (or --force) \
             does it anyway, and"
        )?;
        for (clients, index) in distressed.iter().take(MAX_EXPLAINED_SERVICES).zip(0..) {
            let start = if index == 0 { " answers" } else { "," };
            write!(f, "{start} {} with {}", clients.subject, clients.answers)?;
        }
        match distressed.len().saturating_sub(MAX_EXPLAINED_SERVICES) {
            0 => Ok(()),
            more => write!(f, ", and {more} more; --json has all"),
        }
    }
}
