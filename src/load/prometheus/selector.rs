//! Selectors of series.

use std::{borrow::Cow, fmt, str::FromStr};

use super::labels::{Label, each_label, is_metric_character};

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
    pub(in crate::load) fn labelled(metric: &str, label: &str, value: &str) -> Self {
        let matcher = Matcher { label: label.into(), value: value.into(), is_equal: true };
        Self { aggregate: Aggregate::Sum, metric: metric.into(), matchers: vec![matcher] }
    }

    pub(super) fn matches_labels(&self, labels: &[Label<'_>]) -> bool {
        self.matchers.iter().all(|matcher| {
            let found = labels
                .iter()
                .find(|label| *label.name == *matcher.label && !label.operator.is_empty());
            (found.map_or("", |label| &*label.value) == &*matcher.value) == matcher.is_equal
        })
    }

    pub(super) fn aggregate_value(&self, found: &mut Option<f64>, value: f64) {
        *found = Some(match (*found, self.aggregate) {
            (None, _) => value,
            (Some(before), Aggregate::Sum) => before + value,
            (Some(before), Aggregate::Max) => before.max(value),
        });
    }
}
