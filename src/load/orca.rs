//! ORCA (Open Request Cost Aggregation): a load report in the header `endpoint-load-metrics` of a
//! response.
//!
//! The header starts with its format: `TEXT cpu_utilization=0.3, named_metrics.queue=4` or `JSON
//! {"cpu_utilization": 0.3}`. Older headers omit the format. The names are those of
//! `xds.data.orca.v3.OrcaLoadReport`, in JSON also in camel case. The binary format is refused.

use serde_json::Value;

use super::{
    LoadReport, ReportError,
    json::number,
    report::{MAX_GAUGE_NAME_OCTETS, MAX_GAUGES},
};

/// The longest header value, in octets: more than the longest head of a reply that is read.
const MAX_OCTETS: usize = 16 << 10;

const WRONG_FORMAT: ReportError = ReportError::WrongFormat("ORCA in TEXT or JSON format");

/// Reads the value of a header.
///
/// # Errors
/// The value is not an ORCA load report.
pub(super) fn read(value: &str) -> Result<LoadReport, ReportError> {
    if value.len() > MAX_OCTETS {
        return Err(ReportError::PageTooLong(MAX_OCTETS));
    }
    let value = value.trim();
    let (format, rest) = value.split_once(' ').unwrap_or((value, ""));
    let mut report = LoadReport::default();
    match format {
        "TEXT" => read_text(rest, &mut report)?,
        "JSON" => read_json(rest, &mut report)?,
        "BIN" => return Err(WRONG_FORMAT),
        _ if value.starts_with('{') => read_json(value, &mut report)?,
        _ => read_text(value, &mut report)?,
    }
    if report.gauges.is_empty() { Err(WRONG_FORMAT) } else { Ok(report) }
}

/// Reads `name=number` or `name:number`, separated by commas.
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
    let gauge = match name {
        "cpu_utilization" | "cpuUtilization" | "cpu" => "cpu",
        "mem_utilization" | "memUtilization" | "mem" => "memory",
        "application_utilization" | "applicationUtilization" => "application",
        "rps_fractional" | "rpsFractional" | "rps" => "rps",
        "eps" => "eps",
        other => return insert_named_metric(other, number, report),
    };
    report.gauges.insert(gauge.into(), number);
    Ok(())
}

/// Inserts a metric under the name that the application gave it. It never replaces a metric with a
/// fixed meaning, such as `cpu`.
fn insert_named_metric(
    name: &str,
    number: f64,
    report: &mut LoadReport,
) -> Result<(), ReportError> {
    let name = match name.split_once('.') {
        // The cost of a single request says nothing about the load.
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
        let report = read(value).unwrap_or_else(|error| panic!("{value}: {error}"));
        report.gauges.into_iter().map(|(name, value)| (name.into(), value)).collect()
    }

    #[test]
    fn every_format_makes_the_same_report() {
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
    fn a_named_metric_does_not_replace_the_cpu_load() {
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
    fn values_that_are_no_report_are_refused() {
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
