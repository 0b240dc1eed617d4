use std::borrow::Cow;

use super::{series::WRONG_FORMAT, *};
use crate::load::{ReportError, ReportMapping};

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
        ("x_sessions", Some(42.0), "all series except NaN"),
        ("max(x_sessions)", Some(30.0), "the maximum"),
        (" sum( x_sessions{proxy!=\"api\"} ) ", Some(12.0), "all but one"),
        ("x_sessions{proxy=\"web\"}", Some(12.0), "one series"),
        ("x_sessions{zone=\"\"}", Some(12.0), "a missing label is empty"),
        (
            "x_sessions{zone=\"a \\\"b\\\"\"}",
            Some(30.0),
            "escapes, and a timestamp after the value",
        ),
        ("x_sessions{proxy=\"web\", zone=\"x\"}", None, "all conditions must hold"),
        ("x_plain", Some(7.0), "no labels"),
        ("x_plain{}", Some(7.0), "no conditions"),
        ("x_plain_nan", None, "NaN is no value"),
        ("x_inf", Some(f64::INFINITY), "the check of the report refuses it"),
        ("x_last{a=\"}\"}", Some(-3.0), "the last line without an end, with an exemplar"),
        ("x_session", None, "the start of a longer name"),
    ] {
        assert_eq!(value(selector, PAGE), Ok(expected), "{selector}: {why}");
    }
}

#[test]
fn quoted_names_of_prometheus_3_are_read() {
    let page = "{\"http.server.duration\",\"k.x\"=\"v\",plain=\"1\"} 4\n{\"http.server.duration\", \"k.x\"=\"w\"} 3\n\
                plain_metric{\"k.x\"=\"v\"} 5\n{\"plain_metric\"} 2 1700000000\n{\"a \\\"b\\\"\"} -1.5e1\n";
    for (selector, expected, why) in [
        ("{\"http.server.duration\"}", Some(7.0), "a name with dots"),
        ("{\"http.server.duration\", \"k.x\"=\"v\"}", Some(4.0), "with a label"),
        ("{plain=\"1\", \"http.server.duration\"}", Some(4.0), "in any order"),
        ("plain_metric", Some(7.0), "a plain name may be quoted"),
        ("plain_metric{\"k.x\"!=\"v\"}", Some(2.0), "a quoted label of a plain name"),
        ("{\"a \\\"b\\\"\"}", Some(-15.0), "escapes"),
        ("{\"http.server\"}", None, "the start of a name"),
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
fn only_lines_of_selected_metrics_must_be_valid() {
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
fn an_invalid_selector_is_an_error_with_the_reason() {
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
fn a_number_without_any_series_is_named_in_the_error() {
    let mapping = ReportMapping {
        connections: Some("x_plain".parse().unwrap()),
        limit: Some("x_none".parse().unwrap()),
        ..ReportMapping::empty()
    };
    let mut series = SeriesReader::new(mapping.selectors().map(Cow::Borrowed));
    series.feed(PAGE.as_bytes()).unwrap();
    assert_eq!(report(series, &mapping), Err(ReportError::Missing("`limit`".into())));
}
