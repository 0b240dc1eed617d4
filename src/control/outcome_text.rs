//! The outcome of a probe as reports and log records show it.

use crate::health::Outcome;

/// `ok`, `ok; NOTE` for a probe that passed with a warning, or the reason of the failure.
pub(super) fn outcome_text(outcome: &Outcome) -> String {
    match (&outcome.result, &outcome.note) {
        (Ok(()), None) => "ok".to_owned(),
        (Ok(()), Some(note)) => format!("ok; {note}"),
        (Err(failure), _) => failure.to_string(),
    }
}
