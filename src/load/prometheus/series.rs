//! The Prometheus text exposition format, and selectors of series in it.
//!
//! Lines whose metric nobody wants are passed by without being looked into: a page of 4 MiB costs a
//! few milliseconds and no memory.

use std::{borrow::Cow, fmt, str::FromStr};

use super::{LoadReport, ReportError, ReportMapping, line_splitter::LineSplitter};

const WRONG_FORMAT: ReportError = ReportError::WrongFormat("a page in the Prometheus text format");

/// Which series of a page, and how they become one number: `max(queue_depth{queue="in",
/// host!="old"})`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Selector {
    /// How several series become one number.
    pub aggregate: Aggregate,
    /// The metric's name.
    pub metric: Box<str>,
    /// What holds for the series' labels.
    pub matchers: Vec<Matcher>,
}

/// How several series become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Aggregate {
    /// Their sum; what a selector means that names none.
    Sum,
    /// The greatest.
    Max,
}

/// A condition on one label. A label that a series has not is empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Matcher {
    /// The label's name.
    pub label: Box<str>,
    /// Compared with this.
    pub value: Box<str>,
    /// `=` rather than `!=`.
    pub is_equal: bool,
}

/// Why a text is no selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelectorError {
    /// There is no metric name where one should be.
    Metric,
    /// The labels are not written as they should.
    Labels,
    /// `=~` or `!~`.
    Pattern,
    /// Something follows that does not belong there.
    TrailingText,
}

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Metric => "it starts with the name of a metric: my_queue_depth{queue=\"in\"}",
            Self::Labels => "labels are written as {name=\"value\", other!=\"value\"}",
            Self::Pattern => "labels are compared by = and != alone; patterns are not read",
            Self::TrailingText => {
                "after the labels nothing follows; sum(...) and max(...) go around all of it"
            }
        })
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let (aggregate, inner) = split_aggregate(text.trim());
        let end = inner.find(|c: char| !is_metric_character(c)).unwrap_or(inner.len());
        let (metric, rest) = inner.split_at(end);
        if metric.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(SelectorError::Metric);
        }
        let mut metric = Cow::Borrowed(metric);
        let mut matchers = Vec::new();
        let rest = match rest.trim_start().strip_prefix('{') {
            None => rest,
            Some(labels) => each_label(labels, |label| {
                let is_equal = match label.operator {
                    "" if metric.is_empty() => {
                        metric = label.name.into_owned().into();
                        return Ok(());
                    }
                    "" => return Err(SelectorError::Labels),
                    "=" => true,
                    "!=" => false,
                    _ => return Err(SelectorError::Pattern),
                };
                matchers.push(Matcher {
                    label: label.name.into_owned().into(),
                    value: label.value.into(),
                    is_equal,
                });
                Ok(())
            })
            .unwrap_or(Err(SelectorError::Labels))?,
        };
        match rest.trim() {
            _ if metric.is_empty() => Err(SelectorError::Metric),
            "" => Ok(Self { aggregate, metric: metric.into(), matchers }),
            _ => Err(SelectorError::TrailingText),
        }
    }
}

fn split_aggregate(text: &str) -> (Aggregate, &str) {
    for (word, aggregate) in [("sum", Aggregate::Sum), ("max", Aggregate::Max)] {
        let inner = text
            .strip_prefix(word)
            .and_then(|rest| rest.trim_start().strip_prefix('(')?.strip_suffix(')'));
        if let Some(inner) = inner {
            return (aggregate, inner.trim());
        }
    }
    (Aggregate::Sum, text)
}

impl Selector {
    /// All series of a metric with this label.
    pub(super) fn labelled(metric: &str, label: &str, value: &str) -> Self {
        let matcher = Matcher { label: label.into(), value: value.into(), is_equal: true };
        Self { aggregate: Aggregate::Sum, metric: metric.into(), matchers: vec![matcher] }
    }

    fn matches_labels(&self, labels: &[Label<'_>]) -> bool {
        self.matchers.iter().all(|matcher| {
            let found = labels
                .iter()
                .find(|label| *label.name == *matcher.label && !label.operator.is_empty());
            (found.map_or("", |label| &*label.value) == &*matcher.value) == matcher.is_equal
        })
    }

    fn aggregate_value(&self, found: &mut Option<f64>, value: f64) {
        *found = Some(match (*found, self.aggregate) {
            (None, _) => value,
            (Some(before), Aggregate::Sum) => before + value,
            (Some(before), Aggregate::Max) => before.max(value),
        });
    }
}

/// The numbers that selectors find while a page goes by.
#[derive(Debug)]
pub(super) struct SeriesReader<'s> {
    lines: LineSplitter,
    found: Vec<(Cow<'s, Selector>, Option<f64>)>,
    /// The last line was OpenMetrics' `# EOF`.
    has_end_mark: bool,
}

/// The last line of a page in OpenMetrics.
const END_MARK: &[u8] = b"# EOF";

impl<'s> SeriesReader<'s> {
    pub(super) fn new(selectors: impl IntoIterator<Item = Cow<'s, Selector>>) -> Self {
        let found = selectors.into_iter().map(|selector| (selector, None)).collect();
        Self { lines: LineSplitter::default(), found, has_end_mark: false }
    }

    /// Takes the next octets of the page.
    ///
    /// # Errors
    /// A line is too long, or one of a wanted metric cannot be read.
    pub(super) fn feed(&mut self, octets: &[u8]) -> Result<(), ReportError> {
        let Self { lines, found, has_end_mark } = self;
        lines.feed(octets, |line| {
            *has_end_mark = line == END_MARK;
            read_line(line, found)
        })
    }

    /// Whether the page says that it is whole. Its last line need not end.
    pub(super) fn has_end_marker(&self) -> bool {
        match self.lines.pending() {
            b"" => self.has_end_mark,
            pending => pending == END_MARK,
        }
    }

    /// Whether everything fed so far was whole lines.
    pub(super) fn is_at_line_start(&self) -> bool {
        self.lines.is_at_line_start()
    }

    /// What each selector found, in the order given.
    ///
    /// # Errors
    /// The last line cannot be read.
    pub(super) fn finish(mut self) -> Result<impl Iterator<Item = Option<f64>>, ReportError> {
        let Self { lines, found, .. } = &mut self;
        lines.finish(|line| read_line(line, found))?;
        Ok(self.found.into_iter().map(|(_, found)| found))
    }
}

/// The report out of what the selectors found.
///
/// # Errors
/// Something wanted is not there.
pub(super) fn report(
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

#[derive(Debug)]
struct Label<'t> {
    name: Cow<'t, str>,
    /// Empty for a name in quotation marks that stands alone: that of the metric.
    operator: &'t str,
    value: Cow<'t, str>,
}

/// Reads labels up to the closing brace and yields what follows it; `None` where they are not
/// written as they should.
fn each_label<'t, E>(
    mut text: &'t str,
    mut each: impl FnMut(Label<'t>) -> Result<(), E>,
) -> Option<Result<&'t str, E>> {
    loop {
        text = text.trim_start();
        if let Some(rest) = text.strip_prefix('}') {
            return Some(Ok(rest));
        }
        let (name, rest) = match text.strip_prefix('"') {
            Some(inner) => read_quoted_text(inner)?,
            None => {
                let (name, rest) = text
                    .split_at(text.find(|c: char| !is_metric_character(c)).filter(|&end| end > 0)?);
                (name.into(), rest)
            }
        };
        let is_quoted = text.starts_with('"');
        let rest = rest.trim_start();
        let (operator, value, rest) =
            match ["=~", "!~", "!=", "="].into_iter().find(|word| rest.starts_with(word)) {
                None if is_quoted => ("", Cow::Borrowed(""), rest),
                None => return None,
                Some(word) => {
                    let (value, rest) =
                        read_quoted_text(rest.strip_prefix(word)?.trim_start().strip_prefix('"')?)?;
                    (word, value, rest)
                }
            };
        if let Err(error) = each(Label { name, operator, value }) {
            return Some(Err(error));
        }
        let rest = rest.trim_start();
        text = match rest.strip_prefix(',') {
            Some(more) => more,
            None if rest.starts_with('}') => rest,
            None => return None,
        };
    }
}

/// A value up to its closing quotation mark, and what follows.
fn read_quoted_text(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let end = text.find(['"', '\\'])?;
    let (plain, rest) = text.split_at(end);
    if let Some(rest) = rest.strip_prefix('"') {
        return Some((Cow::Borrowed(plain), rest));
    }
    let mut value = plain.to_owned();
    let mut rest = rest.chars();
    loop {
        match rest.next()? {
            '"' => return Some((Cow::Owned(value), rest.as_str())),
            '\\' => value.push(match rest.next()? {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
}

fn is_metric_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::tests::empty_mapping;

    const PAGE: &str = "# HELP x_sessions Sessions.\n# TYPE x_sessions gauge\n\
        x_sessions{proxy=\"web\"} 12\nx_sessions{proxy=\"api\",zone=\"a \\\"b\\\"\"} 30 1700000000000\n\
        x_sessions_total{proxy=\"web\"} 1e6\nx_plain 7\nx_plain_nan NaN\nx_inf +Inf\n\
        x_sessions{ proxy = \"old\" , } NaN\nx_last{a=\"}\"} -3 # {trace=\"1\"} 4";

    fn value(selector: &str, page: &str) -> Result<Option<f64>, ReportError> {
        let selector: Selector = selector.parse().unwrap();
        let mut series = SeriesReader::new([Cow::Borrowed(&selector)]);
        series.feed(page.as_bytes())?;
        Ok(series.finish()?.next().flatten())
    }

    #[test]
    fn series_are_selected_by_their_labels_and_summed() {
        for (selector, expected, why) in [
            ("x_sessions", Some(42.0), "all series, but not those that are not a number"),
            ("max(x_sessions)", Some(30.0), "the greatest"),
            (" sum( x_sessions{proxy!=\"api\"} ) ", Some(12.0), "not this one"),
            ("x_sessions{proxy=\"web\"}", Some(12.0), "one of them"),
            ("x_sessions{zone=\"\"}", Some(12.0), "a label that is not there is empty"),
            (
                "x_sessions{zone=\"a \\\"b\\\"\"}",
                Some(30.0),
                "escapes, and a timestamp after the value",
            ),
            ("x_sessions{proxy=\"web\", zone=\"x\"}", None, "all conditions hold"),
            ("x_plain", Some(7.0), "no labels"),
            ("x_plain{}", Some(7.0), "no conditions"),
            ("x_plain_nan", None, "nothing to say"),
            ("x_inf", Some(f64::INFINITY), "left to the check of the report"),
            ("x_last{a=\"}\"}", Some(-3.0), "the last line without an end, with an exemplar"),
            ("x_session", None, "part of a longer name"),
        ] {
            assert_eq!(value(selector, PAGE), Ok(expected), "{selector}: {why}");
        }
    }

    #[test]
    fn names_in_quotation_marks_are_those_of_prometheus_3() {
        let page = "{\"http.server.duration\",\"k.x\"=\"v\",plain=\"1\"} 4\n{\"http.server.duration\", \"k.x\"=\"w\"} 3\n\
                    plain_metric{\"k.x\"=\"v\"} 5\n{\"plain_metric\"} 2 1700000000\n{\"a \\\"b\\\"\"} -1.5e1\n";
        for (selector, expected, why) in [
            ("{\"http.server.duration\"}", Some(7.0), "a name with points"),
            ("{\"http.server.duration\", \"k.x\"=\"v\"}", Some(4.0), "with a label"),
            ("{plain=\"1\", \"http.server.duration\"}", Some(4.0), "in any order"),
            ("plain_metric", Some(7.0), "a plain name in quotation marks is the same"),
            ("plain_metric{\"k.x\"!=\"v\"}", Some(2.0), "a quoted label of a plain name"),
            ("{\"a \\\"b\\\"\"}", Some(-15.0), "escapes"),
            ("{\"http.server\"}", None, "a part of a name"),
        ] {
            assert_eq!(value(selector, page), Ok(expected), "{selector}: {why}");
        }
        for broken in ["{\"a\"", "{\"a\"} ", "{\"a\" \"b\"} 1"] {
            assert_eq!(value("a", broken), Err(WRONG_FORMAT), "{broken}");
        }
        assert_eq!("{\"a\", \"b\"}".parse::<Selector>(), Err(SelectorError::Labels), "two names");
        assert_eq!("a{\"b\"}".parse::<Selector>(), Err(SelectorError::Labels), "two names");
    }

    #[test]
    fn a_line_of_a_wanted_metric_must_be_readable_and_others_need_not() {
        for line in [
            "x",
            "x{",
            "x{a}",
            "x{a=\"b\" 1",
            "x{a=\"b\"c=\"d\"} 1",
            "x{a=\"b\"} one",
            "x{a=\"\\",
            "x{} ",
        ] {
            assert_eq!(value("x", line), Err(WRONG_FORMAT), "{line}");
            assert_eq!(value("y", line), Ok(None), "{line}");
        }
        let mut series = SeriesReader::new([Cow::Owned("x".parse().unwrap())]);
        assert_eq!(series.feed(b"x{a=\"\xff\"} 1\n"), Err(WRONG_FORMAT), "not UTF-8");
    }

    #[test]
    fn a_selector_that_cannot_be_read_says_why() {
        for (text, error) in [
            ("", SelectorError::Metric),
            ("{a=\"b\"}", SelectorError::Metric),
            ("7up", SelectorError::Metric),
            ("x{a=b}", SelectorError::Labels),
            ("x{a=\"b\"", SelectorError::Labels),
            ("x{a=~\"b.*\"}", SelectorError::Pattern),
            ("x{a!~\"b\"}", SelectorError::Pattern),
            ("x{a=\"b\"} + y", SelectorError::TrailingText),
            ("avg(x)", SelectorError::TrailingText),
            ("max(x", SelectorError::TrailingText),
        ] {
            assert_eq!(text.parse::<Selector>(), Err(error), "{text}");
        }
    }

    #[test]
    fn a_wanted_number_that_no_series_has_is_named() {
        let wanted = ReportMapping {
            connections: Some("x_plain".parse().unwrap()),
            limit: Some("x_none".parse().unwrap()),
            ..empty_mapping()
        };
        let mut series = SeriesReader::new(wanted.selectors().map(Cow::Borrowed));
        series.feed(PAGE.as_bytes()).unwrap();
        assert_eq!(report(series, &wanted), Err(ReportError::Missing("`limit`".into())));
    }
}
