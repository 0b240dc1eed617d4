//! Durations in arguments: `2h`, `90m`, `1h30m`, `45s`.

use std::time::Duration;

const NOT_A_DURATION: &str = "not a duration; write 2h, 90m or 1h30m";

/// Parses a duration above 0.
pub(super) fn parse_positive_duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).and_then(|parsed| {
        if parsed.as_secs() > 0 { Ok(parsed) } else { Err("must be at least 1s".to_owned()) }
    })
}

/// Parses a duration, which may be `0s`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let parsed = text
        .parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|parsed| Duration::try_from(parsed).ok());
    parsed.ok_or_else(|| NOT_A_DURATION.to_owned())
}
