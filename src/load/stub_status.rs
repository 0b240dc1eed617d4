//! nginx's `stub_status`: four lines of text.

use super::{Fault, LoadReport};

/// A page is about 100 octets.
pub(super) const MOST_OCTETS: usize = 4 << 10;

const FORM: Fault = Fault::NotA("nginx's stub_status");

/// Reads a whole page.
///
/// # Errors
/// It is none.
pub(super) fn read(octets: &[u8]) -> Result<LoadReport, Fault> {
    let text = std::str::from_utf8(octets).map_err(|_| FORM)?;
    let (mut report, mut is_whole) = (LoadReport::default(), false);
    for line in text.lines() {
        match line.split_once(':') {
            Some(("Active connections", count)) => report.connections = Some(number(count)?),
            Some(("Reading", _)) => {
                let words: Vec<_> = line.split_whitespace().collect();
                is_whole = words.len() >= 6;
                for pair in words.chunks_exact(2) {
                    let [name, count] = pair else { return Err(FORM) };
                    let name = match *name {
                        "Reading:" => "reading",
                        "Writing:" => "writing",
                        "Waiting:" => "waiting",
                        _ => return Err(FORM),
                    };
                    report.gauges.insert(name.into(), number(count)?);
                }
            }
            _ => {}
        }
    }
    match report.connections {
        None => Err(FORM),
        Some(_) if !is_whole => Err(Fault::Cut),
        Some(_) => Ok(report),
    }
}

fn number(text: &str) -> Result<f64, Fault> {
    text.trim().parse::<u64>().map(|count| count as f64).map_err(|_| FORM)
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
    fn another_page_is_told_so() {
        for cut in [
            "Active connections: 5 \n",
            "Active connections: 5 \nserver accepts handled requests\n 1 1 1 \n",
        ] {
            assert_eq!(read(cut.as_bytes()), Err(Fault::Cut), "{cut}");
        }
        for page in [
            "",
            "<html>404</html>",
            "Active connections: many",
            "Active connections: -1",
            "Reading: 1 X: 2",
            "\u{0}",
        ] {
            assert_eq!(read(page.as_bytes()), Err(FORM), "{page}");
        }
    }
}
