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
        ..ReportMapping::empty()
    };
    let mut series = SeriesReader::new(wanted.selectors().map(Cow::Borrowed));
    series.feed(PAGE.as_bytes()).unwrap();
    assert_eq!(report(series, &wanted), Err(ReportError::Missing("`limit`".into())));
}
