//! Inspection: reports for operators about the charts and the search. It runs for `explain`, `plan`
//! and the status, never for a query.

mod area_text;
mod chart_shares;
mod inspection;
mod inspector;
mod presence;
mod share_modifiers;

pub use inspection::{
    ClientLocation, FinalRule, InspectedAttempt, InspectedEndpoint, InspectedMember, InspectedNode,
    InspectedPool, Inspection, MatchedKey,
};
pub use inspector::{inspect, inspect_pool};
pub use presence::{
    AlternativeCounts, AnswerCause, AnsweredDatacenter, PresenceFinder, answered_endpoints,
    answered_endpoints_in, count_alternatives,
};
pub use share_modifiers::{RampEffect, RampOwner, RetainedShare, ShareModifiers};

pub(super) use chart_shares::choice_shares;
