//! Percentages and counts as reports write them. A percentage is never rounded to 0 or 100: `0%`
//! means nothing at all, and `100%` means all.

/// The maximum number of digits after the decimal point.
const MAX_DIGITS: usize = 4;

/// A share (0 to 1) as a percentage in a sentence: `40%`, `0.04%`, `99.9%`.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let min_digits = if percent < 9.95 { 1 } else { 0 };
    let number = format_number(percent, min_digits);
    let number = if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.')
    } else {
        &number
    };
    format!("{number}%")
}

/// A percentage (0 to 100) in a column: `33.3 %`, `0.04 %`, `99.96 %`.
pub fn percent_in_column(percent: f64) -> String {
    format!("{} %", format_number(percent, 1))
}

/// A count with its thousands separated: `5,432`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A percentage with the fewest digits after the decimal point that tell it apart from 0 and 100,
/// and at least `min_digits`.
fn format_number(percent: f64, min_digits: usize) -> String {
    // The rounding error of a sum of shares.
    const ERROR: f64 = 1e-9;
    if percent.abs() < ERROR {
        return "0".to_owned();
    }
    if (percent - 100.0).abs() < ERROR {
        return "100".to_owned();
    }
    let is_all_or_nothing =
        |text: &String| text.parse::<f64>().is_ok_and(|shown| shown == 0.0 || shown == 100.0);
    let shown = (min_digits..=MAX_DIGITS)
        .map(|digits| format!("{percent:.digits$}"))
        .find(|text| !is_all_or_nothing(text));
    shown.unwrap_or_else(
        || if percent < 50.0 { "<0.0001".to_owned() } else { ">99.9999".to_owned() },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_never_rounded_to_all_or_nothing() {
        for (share, sentence, column, reason) in [
            (0.0, "0%", "0 %", "nothing"),
            (1.0, "100%", "100 %", "all"),
            (0.999, "99.9%", "99.9 %", "not all of it"),
            (0.996, "99.6%", "99.6 %", "would round to 100 without a digit"),
            (0.9996, "99.96%", "99.96 %", "nearer still"),
            (0.0004, "0.04%", "0.04 %", "not nothing"),
            (0.000_000_1, "<0.0001%", "<0.0001 %", "too little for four digits"),
            (0.999_999_99, ">99.9999%", ">99.9999 %", "the same at the other end"),
            (0.4, "40%", "40.0 %", "no digits where none are needed"),
            (0.455, "46%", "45.5 %", "whole numbers in a sentence"),
            (0.05, "5%", "5.0 %", "a trailing zero says nothing in a sentence"),
            (1.25, "125%", "125.0 %", "a gauge can be above its limit"),
        ] {
            let columns = percent_in_column(share * 100.0);
            assert_eq!((percent(share).as_str(), columns.as_str()), (sentence, column), "{reason}");
        }
    }
}
