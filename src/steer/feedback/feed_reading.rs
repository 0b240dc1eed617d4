//! The newest report read from each feed, and which reports are recent enough to count.

use std::time::Duration;

use crate::{
    load::{LoadReport, LoadSource},
    steer::{FeedId, Topology},
};

/// The newest report read from a feed.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedReading {
    /// The load report as it was read.
    pub report: LoadReport,
    /// The time at which the report was read, since the caller's epoch.
    pub read_at: Duration,
}

/// A report together with the source that it was read from.
pub(super) type SourcedReport<'a> = (&'a LoadReport, &'a LoadSource);

/// The load source that a feed is read from.
pub(super) fn load_source(topology: &Topology, feed: FeedId) -> &LoadSource {
    &topology.load_sources[topology.feeds.list[feed.index()].source.index()]
}

/// The reports of `feeds`; `None` if any of them is missing or expired.
pub(super) fn fresh_reports<'a>(
    topology: &'a Topology,
    readings: &'a [Option<FeedReading>],
    feeds: &[FeedId],
    now: Duration,
) -> Option<Vec<SourcedReport<'a>>> {
    let fresh_report = |feed: &FeedId| {
        let source = load_source(topology, *feed);
        let reading = readings.get(feed.index())?.as_ref()?;
        (now.saturating_sub(reading.read_at) <= source.stale_after)
            .then_some((&reading.report, source))
    };
    feeds.iter().map(fresh_report).collect()
}
