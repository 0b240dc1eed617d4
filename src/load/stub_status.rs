//! The page of nginx's `stub_status` module: four lines of text.

use super::{LoadReport, ReportError};

/// The longest page, in octets. A usual page has about 100.
pub(super) const MAX_OCTETS: usize = 4 << 10;

const WRONG_FORMAT: ReportError = ReportError::WrongFormat("nginx's stub_status");

/// Reads a complete page.
///
/// # Errors
/// The page is not of `stub_status`, or is truncated.
pub(super) fn read(octets: &[u8]) -> Result<LoadReport, ReportError> {
    let text = std::str::from_utf8(octets).map_err(|_| WRONG_FORMAT)?;
    let (mut report, mut is_complete) = (LoadReport::default(), false);
    for line in text.lines() {
        match line.split_once(':') {
            Some(("Active connections", count)) => report.connections = Some(parse_number(count)?),
            Some(("Reading", _)) => {
                let words: Vec<_> = line.split_whitespace().collect();
                is_complete = words.len() >= 6;
                for pair in words.chunks_exact(2) {
                    let [name, count] = pair else { return Err(WRONG_FORMAT) };
                    let name = match *name {
                        "Reading:" => "reading",
                        "Writing:" => "writing",
                        "Waiting:" => "waiting",
                        _ => return Err(WRONG_FORMAT),
                    };
                    report.gauges.insert(name.into(), parse_number(count)?);
                }
            }
            _ => {}
        }
    }
    match report.connections {
        None => Err(WRONG_FORMAT),
        Some(_) if !is_complete => Err(ReportError::Truncated),
        Some(_) => Ok(report),
    }
}

fn parse_number(text: &str) -> Result<f64, ReportError> {
    text.trim().parse::<u64>().map(|count| count as f64).map_err(|_| WRONG_FORMAT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "Active connections: 291 \nserver accepts handled requests\n 16630948 16630948 31070465 \n\
                        Reading: 6 Writing: 179 Waiting: 106 \n";

    #[test]
    fn active_connections_are_the_connections() {
        let report = read(PAGE.as_bytes()).unwrap();
        assert_eq!(report.connections, Some(291.0));
        let gauges: Vec<_> = report.gauges.iter().map(|(name, value)| (&**name, *value)).collect();
        assert_eq!(gauges, [("reading", 6.0), ("waiting", 106.0), ("writing", 179.0)]);
    }

    #[test]
    fn truncated_and_other_pages_are_errors() {
        for truncated in [
            "Active connections: 5 \n",
            "Active connections: 5 \nserver accepts handled requests\n 1 1 1 \n",
        ] {
            assert_eq!(read(truncated.as_bytes()), Err(ReportError::Truncated), "{truncated}");
        }
        for page in [
            "",
            "<html>404</html>",
            "Active connections: many",
            "Active connections: -1",
            "Reading: 1 X: 2",
            "\u{0}",
        ] {
            assert_eq!(read(page.as_bytes()), Err(WRONG_FORMAT), "{page}");
        }
    }
}
