//! The wall clock in the units that files and reports use, and a time as reports show it.

use std::time::SystemTime;

/// The wall clock, in seconds since 1970-01-01T00:00:00Z.
pub fn unix_now() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() as i64)
}

/// The first second that has not begun yet, by the wall clock, in seconds since
/// 1970-01-01T00:00:00Z. What has just happened was before it.
pub(super) fn next_second() -> i64 {
    unix_now() + 1
}

/// A time in milliseconds since 1970-01-01T00:00:00Z.
pub(super) fn unix_ms(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A time in seconds since 1970 as reports show it: `2026-12-01 06:00:00 UTC`.
pub fn format_time(secs: i64) -> String {
    match jiff::Timestamp::from_second(secs) {
        Ok(moment) => moment.strftime("%F %T UTC").to_string(),
        Err(_) => format!("{secs} s after 1970"),
    }
}
