//! Load sources that give no report, in sentences for operators: which sources, since when, why,
//! and the consequence.

use std::collections::BTreeMap;

use super::{clock::format_time, status::LoadStatus};
use crate::listing;

/// The maximum number of sources that a sentence names.
const MAX_NAMED_SOURCES: usize = 3;

/// The sources that give no report: one sentence for each reason, however many sources fail because
/// of it. A source that was not polled yet, or whose latest poll brought a report that has not
/// expired, is left out. `now` is in seconds since 1970.
pub fn failing_loads(loads: &[LoadStatus], now: i64) -> Vec<String> {
    let mut failing: BTreeMap<(&str, bool), Vec<(&LoadStatus, i64)>> = BTreeMap::new();
    for load in loads {
        let last_report = load.age_secs.map(|age| now - age as i64);
        let (reason, since) = match (&load.error, load.failing_since) {
            (Some(error), since) => (&**error, since.unwrap_or(now)),
            (None, _) if load.is_stale => ("no newer report arrived", last_report.unwrap_or(now)),
            (None, _) => continue,
        };
        let is_recent = load.age_secs.is_some() && !load.is_stale;
        failing.entry((reason, is_recent)).or_default().push((load, since));
    }
    failing
        .into_iter()
        .map(|((reason, is_recent), sources)| text(reason, is_recent, &sources))
        .collect()
}

/// The sentence for sources that fail because of `reason`, each with the time of its first failure.
/// `is_recent` says that their newest reports have not expired.
fn text(reason: &str, is_recent: bool, sources: &[(&LoadStatus, i64)]) -> String {
    let name = |(load, _): &(&LoadStatus, i64)| match &load.target {
        Some(target) => format!("{:?} {target}", load.load),
        None => format!("{:?}", load.load),
    };
    let names = listing::join_first(sources.iter().map(name), MAX_NAMED_SOURCES, sources.len());
    let since = format_time(sources.iter().map(|(_, since)| *since).min().unwrap_or_default());
    let (noun, has) =
        if sources.len() == 1 { ("load source", "has") } else { ("load sources", "have") };
    let effect = match is_recent {
        true => "pools keep the shares of the last report until it expires",
        false => {
            "`load` pools use configured weights, and pools with a capacity keep all of their clients"
        }
    };
    format!("{noun} {names} {has} given no report since {since}: {reason}; {effect}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn load(
        name: &str,
        age_secs: Option<u64>,
        is_stale: bool,
        error: Option<(&str, i64)>,
    ) -> LoadStatus {
        let (error, failing_since) = error.map(|(error, since)| (error.to_owned(), since)).unzip();
        LoadStatus {
            load: name.to_owned(),
            age_secs,
            is_stale,
            error,
            failing_since,
            ..LoadStatus::default()
        }
    }

    #[test]
    fn a_failing_source_is_named_with_its_reason_its_start_and_the_consequence() {
        let refused = |since| Some(("connection refused", since));
        for (loads, wanted, why) in [
            (vec![load("fra", None, false, None)], vec![], "not polled yet"),
            (vec![load("fra", Some(3), false, None)], vec![], "all is well"),
            (
                vec![load("fra", Some(7), false, refused(NOW - 5))],
                vec![
                    "load source \"fra\" has given no report since 2027-01-15 07:59:55 UTC: connection refused; \
                     pools keep the shares of the last report until it expires",
                ],
                "the last report is_recent still",
            ),
            (
                vec![
                    load("fra", None, false, refused(NOW - 5)),
                    load("iad", Some(90), true, refused(NOW - 60)),
                ],
                vec![
                    "load sources \"fra\", \"iad\" have given no report since 2027-01-15 07:59:00 UTC: connection refused; \
                     `load` pools use configured weights, and pools with a capacity keep all of their clients",
                ],
                "no report that is_recent, one sentence for one reason",
            ),
            (
                vec![load("fra", Some(60), true, None)],
                vec![
                    "load source \"fra\" has given no report since 2027-01-15 07:59:00 UTC: no newer report arrived; \
                     `load` pools use configured weights, and pools with a capacity keep all of their clients",
                ],
                "a header that no reply carries any more",
            ),
        ] {
            assert_eq!(failing_loads(&loads, NOW), wanted, "{why}");
        }
    }
}
