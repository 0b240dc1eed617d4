//! Selectors: which series of a page make up one number.

use std::{borrow::Cow, fmt, str::FromStr};

use super::labels::{Label, each_label, is_metric_character};

/// A selection of series and how they are combined into one number, such as
/// `max(queue_depth{queue="in", host!="old"})`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Selector {
    /// How several series are combined.
    pub aggregate: Aggregate,
    /// The name of the metric.
    pub metric: Box<str>,
    /// The conditions on the labels; all must hold.
    pub matchers: Vec<Matcher>,
}

/// How several series are combined into one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Aggregate {
    /// The sum of all samples that match. This is the default.
    Sum,
    /// The maximum of all samples that match.
    Max,
}

/// A condition on one label. A label that a series lacks counts as empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Matcher {
    /// The name of the label.
    pub label: Box<str>,
    /// The value that the label is compared with.
    pub value: Box<str>,
    /// Whether the comparison is `=` rather than `!=`.
    pub is_equal: bool,
}

/// Why a text is not a selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelectorError {
    /// The name of the metric is missing.
    Metric,
    /// The syntax of the labels is wrong.
    Labels,
    /// A label is compared by `=~` or `!~`.
    Pattern,
    /// Text follows the end of the selector.
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

/// The aggregate of a selector, and the text within its parentheses.
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
    /// The sum of all series of a metric with this label.
    pub(in crate::load) fn labelled(metric: &str, label: &str, value: &str) -> Self {
        let matcher = Matcher { label: label.into(), value: value.into(), is_equal: true };
        Self { aggregate: Aggregate::Sum, metric: metric.into(), matchers: vec![matcher] }
    }

    /// Whether a series with these labels is selected.
    pub(super) fn matches_labels(&self, labels: &[Label<'_>]) -> bool {
        self.matchers.iter().all(|matcher| {
            let found = labels
                .iter()
                .find(|label| *label.name == *matcher.label && !label.operator.is_empty());
            (found.map_or("", |label| &*label.value) == &*matcher.value) == matcher.is_equal
        })
    }

    /// Adds the value of one more series to the combined one.
    pub(super) fn aggregate_value(&self, combined: &mut Option<f64>, value: f64) {
        *combined = Some(match (*combined, self.aggregate) {
            (None, _) => value,
            (Some(before), Aggregate::Sum) => before + value,
            (Some(before), Aggregate::Max) => before.max(value),
        });
    }
}
