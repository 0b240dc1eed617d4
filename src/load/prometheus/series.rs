//! The numbers that selectors find in a page.

use std::borrow::Cow;

use super::{
    labels::{Label, each_label, is_metric_character},
    selector::Selector,
};
use crate::load::{LoadReport, ReportError, ReportMapping, line_splitter::LineSplitter};

pub(super) const WRONG_FORMAT: ReportError =
    ReportError::WrongFormat("a page in the Prometheus text format");

/// Reads a page and collects the number of each selector.
#[derive(Debug)]
pub(in crate::load) struct SeriesReader<'s> {
    lines: LineSplitter,
    series: Vec<SelectedSeries<'s>>,
    /// Whether the latest line was the end marker of OpenMetrics.
    ends_with_marker: bool,
}

/// The number of one selector.
#[derive(Debug)]
struct SelectedSeries<'s> {
    selector: Cow<'s, Selector>,
    /// `None` before any of its series has been read.
    value: Option<f64>,
}

/// The last line of a page in OpenMetrics.
const END_MARKER: &[u8] = b"# EOF";

impl<'s> SeriesReader<'s> {
    pub(in crate::load) fn new(selectors: impl IntoIterator<Item = Cow<'s, Selector>>) -> Self {
        let series = selectors
            .into_iter()
            .map(|selector| SelectedSeries { selector, value: None })
            .collect();
        Self { lines: LineSplitter::default(), series, ends_with_marker: false }
    }

    /// Reads the next octets of the page.
    ///
    /// # Errors
    /// A line is too long, or a line of a selected metric has the wrong format.
    pub(in crate::load) fn feed(&mut self, octets: &[u8]) -> Result<(), ReportError> {
        let Self { lines, series, ends_with_marker } = self;
        lines.feed(octets, |line| {
            *ends_with_marker = line == END_MARKER;
            read_line(line, series)
        })
    }

    /// Whether the page ends with the end marker of OpenMetrics. The line end after it may be
    /// missing.
    pub(in crate::load) fn has_end_marker(&self) -> bool {
        match self.lines.pending() {
            b"" => self.ends_with_marker,
            pending => pending == END_MARKER,
        }
    }

    /// Whether the octets read so far are complete lines.
    pub(in crate::load) fn is_at_line_start(&self) -> bool {
        self.lines.is_at_line_start()
    }

    /// The number of each selector, in their order; `None` if the page has no such series.
    ///
    /// # Errors
    /// The last line has the wrong format.
    pub(in crate::load) fn finish(
        mut self,
    ) -> Result<impl Iterator<Item = Option<f64>>, ReportError> {
        let Self { lines, series, .. } = &mut self;
        lines.finish(|line| read_line(line, series))?;
        Ok(self.series.into_iter().map(|series| series.value))
    }
}

/// The report of the numbers that the selectors found.
///
/// # Errors
/// The page lacks a number of the mapping, or one is impossible.
pub(in crate::load) fn report(
    series: SeriesReader<'_>,
    mapping: &ReportMapping<Selector>,
) -> Result<LoadReport, ReportError> {
    let mut values = series.finish()?;
    mapping.build_report(|_| values.next().flatten().map(Some))
}

fn read_line(line: &[u8], series: &mut [SelectedSeries<'_>]) -> Result<(), ReportError> {
    let line = line.trim_ascii_start();
    let end = line
        .iter()
        .position(|&octet| !is_metric_character(char::from(octet)))
        .unwrap_or(line.len());
    let (metric, rest) = line.split_at(end);
    if line.starts_with(b"{") {
        return read_quoted(line, series);
    }
    let is_selected = |selected: &SelectedSeries<'_>| selected.selector.metric.as_bytes() == metric;
    if metric.is_empty() || !series.iter().any(is_selected) {
        return Ok(());
    }
    let rest = std::str::from_utf8(rest).map_err(|_| WRONG_FORMAT)?;
    let (labels, value) = parse_sample(rest).ok_or(WRONG_FORMAT)?;
    add_sample(metric, &labels, value, series);
    Ok(())
}

/// Reads a line in which the name of the metric is quoted and among the labels. Prometheus 3 writes
/// names this way unless they consist of metric characters alone.
fn read_quoted(line: &[u8], series: &mut [SelectedSeries<'_>]) -> Result<(), ReportError> {
    let is_plain = |selector: &Selector| selector.metric.chars().all(is_metric_character);
    if series.iter().all(|SelectedSeries { selector, .. }| {
        is_plain(selector) && !contains(line, selector.metric.as_bytes())
    }) {
        return Ok(());
    }
    let line = std::str::from_utf8(line).map_err(|_| WRONG_FORMAT)?;
    let (labels, value) = parse_sample(line).ok_or(WRONG_FORMAT)?;
    let metric = labels.iter().find(|label| label.operator.is_empty()).ok_or(WRONG_FORMAT)?;
    add_sample(metric.name.as_bytes(), &labels, value, series);
    Ok(())
}

fn contains(line: &[u8], text: &[u8]) -> bool {
    line.windows(text.len()).any(|window| window == text)
}

/// Adds a sample to the number of each selector that selects its series.
fn add_sample(metric: &[u8], labels: &[Label<'_>], value: f64, series: &mut [SelectedSeries<'_>]) {
    // Exporters write NaN if they have no value.
    if value.is_nan() {
        return;
    }
    for SelectedSeries { selector, value: combined } in series {
        if selector.metric.as_bytes() == metric && selector.matches_labels(labels) {
            selector.aggregate_value(combined, value);
        }
    }
}

/// The labels and the value of a line. A timestamp and an exemplar may follow and are ignored.
fn parse_sample(text: &str) -> Option<(Vec<Label<'_>>, f64)> {
    let mut labels = Vec::new();
    let rest = match text.trim_start().strip_prefix('{') {
        None => text,
        Some(inner) => {
            let rest: Result<_, std::convert::Infallible> = each_label(inner, |label| {
                labels.push(label);
                Ok(())
            })?;
            rest.ok()?
        }
    };
    Some((labels, rest.split_ascii_whitespace().next()?.parse().ok()?))
}
