//! Percentages in reports: never rounded to nothing or to all. What reads `0%` is nothing, and what
//! reads `100%` is all of it.

/// More digits than this are not shown.
const MAX_DIGITS: usize = 4;

/// A share from 0 to 1 in a sentence: `40%`, `0.04%`, `99.9%`.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let least = if percent < 9.95 { 1 } else { 0 };
    let number = format_number(percent, least);
    let number = if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.')
    } else {
        &number
    };
    format!("{number}%")
}

/// A percentage from 0 to 100 in a column: `33.3 %`, `0.04 %`, `99.96 %`.
pub fn percent_in_column(percent: f64) -> String {
    format!("{} %", format_number(percent, 1))
}

/// A count with its thousands separated: `5,432`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut words = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            words.push(',');
        }
        words.push(digit);
    }
    words
}

/// With as few digits after the point as tell it apart from 0 and from 100, and not fewer than
/// `least`.
fn format_number(percent: f64, least: usize) -> String {
    // Sums of shares miss their end by this much.
    const ERROR: f64 = 1e-9;
    if percent.abs() < ERROR {
        return "0".to_owned();
    }
    if (percent - 100.0).abs() < ERROR {
        return "100".to_owned();
    }
    let is_end =
        |text: &String| text.parse::<f64>().is_ok_and(|shown| shown == 0.0 || shown == 100.0);
    let shown =
        (least..=MAX_DIGITS).map(|digits| format!("{percent:.digits$}")).find(|text| !is_end(text));
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
