//! The numbers that selectors find in a page.

use std::borrow::Cow;

use super::{
    labels::{Label, each_label, is_metric_character},
    selector::Selector,
};
use crate::load::{LoadReport, ReportError, ReportMapping, line_splitter::LineSplitter};

pub(super) const WRONG_FORMAT: ReportError =
    ReportError::WrongFormat("a page in the Prometheus text format");

/// The numbers that selectors find while a page goes by.
#[derive(Debug)]
pub(in crate::load) struct SeriesReader<'s> {
    lines: LineSplitter,
    found: Vec<(Cow<'s, Selector>, Option<f64>)>,
    /// The last line was OpenMetrics' `# EOF`.
    has_end_mark: bool,
}

/// The last line of a page in OpenMetrics.
const END_MARK: &[u8] = b"# EOF";

impl<'s> SeriesReader<'s> {
    pub(in crate::load) fn new(selectors: impl IntoIterator<Item = Cow<'s, Selector>>) -> Self {
        let found = selectors.into_iter().map(|selector| (selector, None)).collect();
        Self { lines: LineSplitter::default(), found, has_end_mark: false }
    }

    /// Takes the next octets of the page.
    ///
    /// # Errors
    /// A line is too long, or one of a wanted metric cannot be read.
    pub(in crate::load) fn feed(&mut self, octets: &[u8]) -> Result<(), ReportError> {
        let Self { lines, found, has_end_mark } = self;
        lines.feed(octets, |line| {
            *has_end_mark = line == END_MARK;
            read_line(line, found)
        })
    }

    /// Whether the page says that it is whole. Its last line need not end.
    pub(in crate::load) fn has_end_marker(&self) -> bool {
        match self.lines.pending() {
            b"" => self.has_end_mark,
            pending => pending == END_MARK,
        }
    }

    /// Whether everything fed so far was whole lines.
    pub(in crate::load) fn is_at_line_start(&self) -> bool {
        self.lines.is_at_line_start()
    }

    /// What each selector found, in the order given.
    ///
    /// # Errors
    /// The last line cannot be read.
    pub(in crate::load) fn finish(
        mut self,
    ) -> Result<impl Iterator<Item = Option<f64>>, ReportError> {
        let Self { lines, found, .. } = &mut self;
        lines.finish(|line| read_line(line, found))?;
        Ok(self.found.into_iter().map(|(_, found)| found))
    }
}

/// The report out of what the selectors found.
///
/// # Errors
/// Something wanted is not there.
pub(in crate::load) fn report(
    series: SeriesReader<'_>,
    wanted: &ReportMapping<Selector>,
) -> Result<LoadReport, ReportError> {
    let mut found = series.finish()?;
    wanted.build_report(|_| found.next().flatten().map(Some))
}

fn read_line(
    line: &[u8],
    found: &mut [(Cow<'_, Selector>, Option<f64>)],
) -> Result<(), ReportError> {
    let line = line.trim_ascii_start();
    let end = line
        .iter()
        .position(|&octet| !is_metric_character(char::from(octet)))
        .unwrap_or(line.len());
    let (metric, rest) = line.split_at(end);
    if line.starts_with(b"{") {
        return read_quoted(line, found);
    }
    if metric.is_empty() || !found.iter().any(|(selector, _)| selector.metric.as_bytes() == metric)
    {
        return Ok(());
    }
    let rest = std::str::from_utf8(rest).map_err(|_| WRONG_FORMAT)?;
    let (labels, value) = parse_sample(rest).ok_or(WRONG_FORMAT)?;
    add_sample(metric, &labels, value, found);
    Ok(())
}

/// A line whose metric's name stands in quotation marks among the labels, as Prometheus 3 writes
/// names that are not plain.
fn read_quoted(
    line: &[u8],
    found: &mut [(Cow<'_, Selector>, Option<f64>)],
) -> Result<(), ReportError> {
    let is_plain = |selector: &Selector| selector.metric.chars().all(is_metric_character);
    if found
        .iter()
        .all(|(selector, _)| is_plain(selector) && !contains(line, selector.metric.as_bytes()))
    {
        return Ok(());
    }
    let line = std::str::from_utf8(line).map_err(|_| WRONG_FORMAT)?;
    let (labels, value) = parse_sample(line).ok_or(WRONG_FORMAT)?;
    let metric = labels.iter().find(|label| label.operator.is_empty()).ok_or(WRONG_FORMAT)?;
    add_sample(metric.name.as_bytes(), &labels, value, found);
    Ok(())
}

fn contains(line: &[u8], text: &[u8]) -> bool {
    line.windows(text.len()).any(|window| window == text)
}

/// Adds a sample to what each selector of its series found.
fn add_sample(
    metric: &[u8],
    labels: &[Label<'_>],
    value: f64,
    found: &mut [(Cow<'_, Selector>, Option<f64>)],
) {
    // Not a number is how exporters say that there is nothing to say.
    if value.is_nan() {
        return;
    }
    for (selector, found) in found {
        if selector.metric.as_bytes() == metric && selector.matches_labels(labels) {
            selector.aggregate_value(found, value);
        }
    }
}

/// The labels and the value; a timestamp and an exemplar may follow.
fn parse_sample(text: &str) -> Option<(Vec<Label<'_>>, f64)> {
    let mut labels = Vec::new();
    let rest = match text.trim_start().strip_prefix('{') {
        None => text,
        Some(inner) => {
            let kept: Result<_, std::convert::Infallible> = each_label(inner, |label| {
                labels.push(label);
                Ok(())
            })?;
            kept.ok()?
        }
    };
    Some((labels, rest.split_ascii_whitespace().next()?.parse().ok()?))
}
