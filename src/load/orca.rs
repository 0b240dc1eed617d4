//! ORCA (Open Request Cost Aggregation): a load report in the header `endpoint-load-metrics` of a
//! response.
//!
//! The header says its form: `TEXT cpu_utilization=0.3, named_metrics.queue=4` or `JSON
//! {"cpu_utilization": 0.3}`. Older headers hold the same without the word. The names are those of
//! `xds.data.orca.v3.OrcaLoadReport`, in JSON also in camel case. The binary form is refused.

use serde_json::Value;

use super::{
    LoadReport, ReportError,
    json::number,
    report::{MAX_GAUGE_NAME_OCTETS, MAX_GAUGES},
};

/// More than any head of a reply that is read.
const MAX_OCTETS: usize = 16 << 10;

const WRONG_FORMAT: ReportError = ReportError::WrongFormat("an ORCA load report as TEXT or JSON");

/// Reads a header's value.
///
/// # Errors
/// It is no load report.
pub(super) fn read(value: &str) -> Result<LoadReport, ReportError> {
    if value.len() > MAX_OCTETS {
        return Err(ReportError::PageTooLong(MAX_OCTETS));
    }
    let value = value.trim();
    let (form, rest) = value.split_once(' ').unwrap_or((value, ""));
    let mut report = LoadReport::default();
    match form {
        "TEXT" => read_text(rest, &mut report)?,
        "JSON" => read_json(rest, &mut report)?,
        "BIN" => return Err(WRONG_FORMAT),
        _ if value.starts_with('{') => read_json(value, &mut report)?,
        _ => read_text(value, &mut report)?,
    }
    if report.gauges.is_empty() { Err(WRONG_FORMAT) } else { Ok(report) }
}

/// `name=number` or `name:number`, with commas between.
fn read_text(text: &str, report: &mut LoadReport) -> Result<(), ReportError> {
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, number) = pair.split_once(['=', ':']).ok_or(WRONG_FORMAT)?;
        insert_metric(name.trim(), number.trim().parse().map_err(|_| WRONG_FORMAT)?, report)?;
    }
    Ok(())
}

fn read_json(text: &str, report: &mut LoadReport) -> Result<(), ReportError> {
    let Ok(Value::Object(fields)) = serde_json::from_str(text) else { return Err(WRONG_FORMAT) };
    for (name, value) in &fields {
        match value {
            Value::Object(inner) => {
                for (key, value) in inner {
                    insert_metric(
                        &format!("{name}.{key}"),
                        number(value).ok_or(WRONG_FORMAT)?,
                        report,
                    )?;
                }
            }
            value => insert_metric(name, number(value).ok_or(WRONG_FORMAT)?, report)?,
        }
    }
    Ok(())
}

fn insert_metric(name: &str, number: f64, report: &mut LoadReport) -> Result<(), ReportError> {
    let own = match name {
        "cpu_utilization" | "cpuUtilization" | "cpu" => "cpu",
        "mem_utilization" | "memUtilization" | "mem" => "memory",
        "application_utilization" | "applicationUtilization" => "application",
        "rps_fractional" | "rpsFractional" | "rps" => "rps",
        "eps" => "eps",
        other => return insert_named_metric(other, number, report),
    };
    report.gauges.insert(own.into(), number);
    Ok(())
}

/// A metric under the name that the application gave it. It never takes the place of one that has a
/// meaning.
fn insert_named_metric(
    name: &str,
    number: f64,
    report: &mut LoadReport,
) -> Result<(), ReportError> {
    let name = match name.split_once('.') {
        // What one request cost says nothing of the whole.
        Some(("request_cost" | "requestCost", _)) => return Ok(()),
        Some(("named_metrics" | "namedMetrics" | "utilization", name)) => name,
        _ => name,
    };
    if name.is_empty()
        || name.len() > MAX_GAUGE_NAME_OCTETS
        || !name.bytes().all(|octet| octet.is_ascii_graphic())
    {
        return Err(WRONG_FORMAT);
    }
    if report.gauges.len() >= MAX_GAUGES {
        return Err(ReportError::TooMany(MAX_GAUGES, "numbers"));
    }
    report.gauges.entry(name.into()).or_insert(number);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gauges(value: &str) -> Vec<(String, f64)> {
        let report = read(value).unwrap_or_else(|fault| panic!("{value}: {fault}"));
        report.gauges.into_iter().map(|(name, value)| (name.into(), value)).collect()
    }

    #[test]
    fn every_form_says_the_same() {
        let expected =
            [("cpu".to_owned(), 0.3), ("memory".to_owned(), 0.8), ("queue".to_owned(), 4.0)];
        for value in [
            "TEXT cpu_utilization=0.3, mem_utilization=0.8, named_metrics.queue=4",
            "TEXT cpu_utilization:0.3,mem_utilization:0.8,utilization.queue:4,",
            "TEXT cpu=0.3,mem=0.8,queue=4",
            "cpu_utilization=0.3,mem_utilization=0.8,named_metrics.queue=4",
            r#"JSON {"cpu_utilization": 0.3, "mem_utilization": 0.8, "named_metrics": {"queue": 4}}"#,
            r#"JSON {"cpuUtilization": 0.3, "memUtilization": 0.8, "namedMetrics": {"queue": 4}, "requestCost": {"x": 1}}"#,
            r#"JSON {"cpu_utilization": "0.3", "mem_utilization": "0.8", "named_metrics": {"queue": "4"}}"#,
            r#" {"cpu_utilization": 0.3, "mem_utilization": 0.8, "utilization": {"queue": 4}}"#,
        ] {
            assert_eq!(gauges(value), expected, "{value}");
        }
        let rates = "TEXT rps_fractional=10.5,eps=1,application_utilization=0.9";
        assert_eq!(
            gauges(rates),
            [("application".to_owned(), 0.9), ("eps".to_owned(), 1.0), ("rps".to_owned(), 10.5)]
        );
    }

    #[test]
    fn a_named_metric_does_not_pass_for_the_processor() {
        assert_eq!(
            gauges("TEXT cpu_utilization=0.9,named_metrics.cpu=0.1"),
            [("cpu".to_owned(), 0.9)]
        );
        assert_eq!(
            gauges("TEXT named_metrics.cpu=0.1,cpu_utilization=0.9"),
            [("cpu".to_owned(), 0.9)]
        );
    }

    #[test]
    fn what_is_no_report_is_refused() {
        let many: String = (0..100).map(|index| format!("m{index}=1,")).collect();
        let long = format!("TEXT {}=1", "x".repeat(200));
        for value in [
            "",
            "TEXT",
            "JSON",
            "TEXT ,",
            "TEXT cpu",
            "TEXT cpu=",
            "TEXT cpu=high",
            "JSON {}",
            "JSON []",
            "JSON {",
            "{",
            r#"JSON {"cpu_utilization": "high"}"#,
            r#"{"a": {"b": {"c": 1}}}"#,
            "BIN CgAAAAAAAPA/",
            "TEXT a b=1",
            "=1",
            &many,
            &long,
            &"x=1,".repeat(10_000),
        ] {
            assert!(read(value).is_err(), "{value}");
        }
    }
}
