//! Envoy: the statistics of one cluster on its Prometheus page.

use std::borrow::Cow;

use super::{
    LoadReport, PollHistory, ReportError, Selector, ServerCount, prometheus::SeriesReader,
    report::response_time,
};

/// The metrics of a cluster, in the order in which [`report`] uses them.
const METRICS: [&str; 8] = [
    "envoy_cluster_upstream_cx_active",
    "envoy_cluster_upstream_rq_active",
    "envoy_cluster_membership_healthy",
    "envoy_cluster_membership_total",
    "envoy_cluster_circuit_breakers_default_remaining_cx",
    "envoy_cluster_upstream_rq_time_sum",
    "envoy_cluster_upstream_rq_time_count",
    "envoy_cluster_upstream_rq_time",
];

/// Envoy's histograms of time are in milliseconds.
const MILLIS_PER_SEC: f64 = 1000.0;

/// A reader for the metrics of this cluster.
pub(super) fn series<'s>(cluster: &str) -> SeriesReader<'s> {
    SeriesReader::new(METRICS.into_iter().map(|metric| {
        let mut selector = Selector::labelled(metric, "envoy_cluster_name", cluster);
        if metric.ends_with("rq_time") {
            // Envoy can be configured to write a summary with quantiles instead of buckets.
            let median = Selector::labelled(metric, "quantile", "0.5");
            selector.matchers.extend(median.matchers);
        }
        Cow::Owned(selector)
    }))
}

/// The report. The limit is the sum of open and remaining connections; Envoy publishes the
/// remaining ones only if the circuit breaker tracks them.
///
/// # Errors
/// The page lacks the cluster, or one of its numbers is impossible.
pub(super) fn report(
    series: SeriesReader<'_>,
    history: &mut PollHistory,
) -> Result<LoadReport, ReportError> {
    let mut values = series.finish()?;
    let values: [Option<f64>; METRICS.len()] = std::array::from_fn(|_| values.next().flatten());
    let [connections, requests, healthy, total, remaining, sum, count, median] = values;
    if connections.is_none() && requests.is_none() {
        return Err(ReportError::Missing("`cluster`".into()));
    }
    let mean = sum.zip(count).and_then(|(sum, count)| history.mean_since(sum, count));
    Ok(LoadReport {
        connections: connections.or(requests),
        limit: connections
            .zip(remaining)
            .map(|(open, remaining)| open + remaining)
            .filter(|limit| *limit != 0.0),
        servers: healthy
            .zip(total)
            .map(|(up, total)| ServerCount::from_numbers(up, total))
            .transpose()?,
        response_time: median
            .or(mean)
            .map(|millis| response_time(millis / MILLIS_PER_SEC))
            .transpose()?,
        gauges: requests.map(|requests| ("requests".into(), requests)).into_iter().collect(),
        ..LoadReport::default()
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn read(page: &str, history: &mut PollHistory) -> Result<LoadReport, ReportError> {
        let mut series = series("web");
        series.feed(page.as_bytes()).unwrap();
        report(series, history)
    }

    fn page(sum: u32, count: u32) -> String {
        format!(
            "# TYPE envoy_cluster_upstream_cx_active gauge\n\
             envoy_cluster_upstream_cx_active{{envoy_cluster_name=\"web\"}} 40\n\
             envoy_cluster_upstream_cx_active{{envoy_cluster_name=\"other\"}} 400\n\
             envoy_cluster_upstream_rq_active{{envoy_cluster_name=\"web\"}} 12\n\
             envoy_cluster_membership_healthy{{envoy_cluster_name=\"web\"}} 3\n\
             envoy_cluster_membership_total{{envoy_cluster_name=\"web\"}} 4\n\
             envoy_cluster_circuit_breakers_default_remaining_cx{{envoy_cluster_name=\"web\"}} 60\n\
             envoy_cluster_upstream_rq_time_bucket{{envoy_cluster_name=\"web\",le=\"5\"}} 9\n\
             envoy_cluster_upstream_rq_time_sum{{envoy_cluster_name=\"web\"}} {sum}\n\
             envoy_cluster_upstream_rq_time_count{{envoy_cluster_name=\"web\"}} {count}\n"
        )
    }

    #[test]
    fn the_response_time_is_the_mean_since_the_previous_poll() {
        let mut history = PollHistory::default();
        let first = read(&page(1000, 10), &mut history).unwrap();
        assert_eq!((first.connections, first.limit), (Some(40.0), Some(100.0)));
        assert_eq!(first.servers, Some(ServerCount { up: 3, total: 4 }));
        assert_eq!(first.gauges.get("requests"), Some(&12.0));
        assert_eq!(first.response_time, None, "the totals are those since the start of Envoy");
        let second = read(&page(1500, 20), &mut history).unwrap();
        assert_eq!(second.response_time, Some(Duration::from_millis(50)));
    }

    #[test]
    fn a_summary_contains_the_response_time() {
        let page = page(0, 0)
            + "envoy_cluster_upstream_rq_time{envoy_cluster_name=\"web\",quantile=\"0.5\"} 7\n\
               envoy_cluster_upstream_rq_time{envoy_cluster_name=\"web\",quantile=\"0.99\"} 700\n";
        assert_eq!(
            read(&page, &mut PollHistory::default()).unwrap().response_time,
            Some(Duration::from_millis(7))
        );
    }

    #[test]
    fn a_page_without_the_cluster_is_no_report() {
        let other = page(0, 0).replace("\"web\"", "\"shop\"");
        assert_eq!(
            read(&other, &mut PollHistory::default()),
            Err(ReportError::Missing("`cluster`".into()))
        );
        assert!(read("<html>", &mut PollHistory::default()).is_err());
    }
}
